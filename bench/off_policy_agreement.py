"""Whether our off-policy learners reach the returns of Stable-Baselines3, seed for seed.

    python bench/off_policy_agreement.py cartpole-dqn
    python bench/off_policy_agreement.py pendulum-sac --seeds 5 --json sac.json

Both get the same hyper-parameters, step budget and number of seeds; ours learns all seeds in one
stack. What is compared is the mean return of 20 episodes without exploration after training. Each
seed's result is printed: means alone would hide a seed that failed.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from socialgrid.algos.off_policy.dqn import DQN
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.algos.off_policy.sac import SAC
from socialgrid.algos.off_policy.td3 import TD3
from socialgrid.algos.options import DQNConfig, OffPolicyConfig, SACConfig, TD3Config
from socialgrid.models.task_spec import TaskSpec

EPISODES = 20


@dataclass(frozen=True)
class Setting:
    """One task and algorithm, in our words and in theirs."""

    env: str
    steps: int
    learner: type[OffPolicyLearner]
    config: OffPolicyConfig
    theirs: str
    options: dict[str, Any]


COMMON = {"gamma": 0.99, "learning_rate": 1e-3, "buffer_size": 50_000}
CONTINUOUS = {**COMMON, "batch_size": 128, "tau": 0.005}
EVERY_STEP = {"train_interval": 1, "gradient_steps": 1}
THEIR_EVERY_STEP = {"train_freq": 1, "gradient_steps": 1}

SETTINGS = {
    "cartpole-dqn": Setting(
        *("CartPole-v1", 50_000, DQN),
        DQNConfig(
            **{**COMMON, "learning_rate": 2.3e-3, "batch_size": 64, "learning_starts": 1000},
            **{"train_interval": 256, "gradient_steps": 128, "tau": 1.0, "target_interval": 128},
            **{"double": False, "epsilon_end": 0.04, "epsilon_steps": 8000},
        ),
        "DQN",
        {
            **{**COMMON, "learning_rate": 2.3e-3, "batch_size": 64, "learning_starts": 1000},
            **{"train_freq": 256, "gradient_steps": 128, "target_update_interval": 10},
            **{"exploration_fraction": 0.16, "exploration_final_eps": 0.04},
            "policy_kwargs": {"net_arch": [256, 256]},
        },
    ),
    "pendulum-sac": Setting(
        *("Pendulum-v1", 5000, SAC),
        SACConfig(**CONTINUOUS, **EVERY_STEP, hidden=(64, 64), state_dependent_noise=False),
        "SAC",
        {**CONTINUOUS, **THEIR_EVERY_STEP, "policy_kwargs": {"net_arch": [64, 64]}},
    ),
    "pendulum-sac-gsde": Setting(
        *("Pendulum-v1", 5000, SAC),
        SACConfig(**CONTINUOUS, **EVERY_STEP, hidden=(64, 64), log_std_init=-2.0),
        "SAC",
        {
            **{**CONTINUOUS, **THEIR_EVERY_STEP, "use_sde": True, "sde_sample_freq": 8},
            "policy_kwargs": {"net_arch": [64, 64], "log_std_init": -2.0},
        },
    ),
    "pendulum-td3": Setting(
        *("Pendulum-v1", 8000, TD3),
        TD3Config(**CONTINUOUS, **EVERY_STEP, hidden=(64, 64), learning_starts=1000),
        "TD3",
        {
            **{**CONTINUOUS, **THEIR_EVERY_STEP, "learning_starts": 1000},
            "policy_kwargs": {"net_arch": [64, 64]},
        },
    ),
}


def ours(setting: Setting, seeds: int, steps: int) -> list[float]:
    """Returns after training of all seeds, learnt in one stack."""
    env = SyncVectorEnv(
        [lambda: gymnasium.make(setting.env)] * seeds, autoreset_mode=AutoresetMode.SAME_STEP
    )
    task = TaskSpec.of_spaces(env.single_observation_space, env.single_action_space, seeds)
    learner = setting.learner(task, setting.config)
    obs, _ = env.reset(seed=list(range(seeds)))
    for _ in range(steps):
        seen = torch.from_numpy(obs)[:, None]
        action = learner.act(seen)
        obs, reward, terminated, truncated, info = env.step(action[:, 0].numpy())
        led_to = obs.copy()
        for i in np.flatnonzero(terminated | truncated):
            led_to[i] = info["final_obs"][i]
        found = (np.asarray(reward, np.float32), led_to, terminated, truncated)
        learner.store(seen, action, *(torch.from_numpy(x)[:, None] for x in found))
        if learner.due:
            learner.update()
    return [float(x) for x in evaluate(learner, setting.env, seeds)]


def evaluate(learner: OffPolicyLearner, name: str, seeds: int) -> np.ndarray[Any, Any]:
    """Mean return ``[A]`` of 20 episodes without exploration."""
    count = seeds * EPISODES
    env = SyncVectorEnv([lambda: gymnasium.make(name)] * count)
    # The same episodes for every seed, and for Stable-Baselines3: where an episode begins can
    # matter more than who plays it.
    obs, _ = env.reset(seed=[10_000 + episode for episode in range(EPISODES)] * seeds)
    total, going = np.zeros(count), np.ones(count, bool)
    while going.any():
        seen = torch.from_numpy(obs).view(seeds, EPISODES, *obs.shape[1:])
        action = learner.propose(seen, explore=False).flatten(0, 1).numpy()
        obs, reward, terminated, truncated, _ = env.step(action)
        total += reward * going
        going &= ~(terminated | truncated)
    return total.reshape(seeds, EPISODES).mean(1)


def theirs(setting: Setting, seed: int, steps: int) -> float:
    """Return after training with Stable-Baselines3."""
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise

    options = dict(setting.options)
    if setting.theirs == "TD3":
        options["action_noise"] = NormalActionNoise(np.zeros(1), np.full(1, 0.1))
    make = getattr(stable_baselines3, setting.theirs)
    model = make("MlpPolicy", gymnasium.make(setting.env), seed=seed, device="cpu", **options)
    model.learn(steps)
    env, total = gymnasium.make(setting.env), 0.0
    for episode in range(EPISODES):
        obs, _ = env.reset(seed=10_000 + episode)
        over = False
        while not over:
            action, _ = model.predict(obs, deterministic=True)
            obs, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            over = terminated or truncated
    return total / EPISODES


def report(who: str, returns: list[float], seconds: float) -> None:
    mean, deviation = np.mean(returns), np.std(returns, ddof=1) if len(returns) > 1 else 0.0
    each = " ".join(f"{x:.1f}" for x in returns)
    print(
        f"{who}: {mean:.1f} +- {deviation:.1f} (seeds {each}), {seconds:.0f} s of CPU", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of each seed; the setting's by default")
    parser.add_argument("--who", choices=["both", "ours", "theirs"], default="both")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    setting = SETTINGS[args.setting]
    steps = args.steps or setting.steps
    document: dict[str, Any] = {"setting": args.setting, "steps": steps}
    print(f"{args.setting}: {steps} steps, {args.seeds} seeds")
    if args.who != "theirs":
        begin = time.process_time()
        document["ours"] = ours(setting, args.seeds, steps)
        report("ours", document["ours"], time.process_time() - begin)
    if args.who != "ours":
        begin = time.process_time()
        document["theirs"] = [theirs(setting, seed, steps) for seed in range(args.seeds)]
        report("Stable-Baselines3", document["theirs"], time.process_time() - begin)
    if args.json:
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
