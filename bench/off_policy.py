"""What stacking off-policy learners is worth: gradient steps a second of 1, 4 and 16 learners.

    python bench/off_policy.py                          # some minutes
    python bench/off_policy.py --json off_policy.json   # the same, also as JSON
    python bench/off_policy.py --quick                  # seconds; checks that it runs

One update is one gradient step of one learner: its draw from the replay memory, all its networks
and its targets. Three ways are timed turn by turn: the stack; a loop over learners made of
PyTorch's own modules and optimisers; and Stable-Baselines3 where it is installed (one learner, the
``train`` of its algorithms). With one thread times are CPU times of that thread, which other
programs disturb little; with more they are by the clock.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from socialgrid.algos.off_policy.dqn import DQN
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.algos.off_policy.sac import SAC
from socialgrid.algos.off_policy.td3 import TD3
from socialgrid.algos.options import DQNConfig, SACConfig, TD3Config
from socialgrid.commands.allocation import keep_freed_memory
from socialgrid.models.task_spec import TaskSpec

# Sizes of Room (position and goal, four directions) and of Walker2d.
ROOM, WALKER = (4, 4), (17, 6)
STORED = 10_000


def perceptron(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    sizes, layers = (inputs, *hidden, outputs), []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class PlainReplay:
    """Arrays of transitions, drawn uniformly."""

    def __init__(self, obs_size: int, action_shape: tuple[int, ...], discrete: bool) -> None:
        rng = np.random.default_rng(0)
        self.obs = rng.standard_normal((STORED, obs_size), np.float32)
        self.next_obs = rng.standard_normal((STORED, obs_size), np.float32)
        self.action = (
            rng.integers(0, 4, (STORED, 1))
            if discrete
            else rng.uniform(-1, 1, (STORED, *action_shape)).astype(np.float32)
        )
        self.reward = rng.standard_normal((STORED, 1), np.float32)
        self.done = (rng.random((STORED, 1)) < 0.01).astype(np.float32)

    def sample(self, count: int) -> list[torch.Tensor]:
        rows = np.random.randint(STORED, size=count)  # noqa: NPY002 -- what most programs do
        columns = (self.obs, self.action, self.reward, self.next_obs, self.done)
        return [torch.from_numpy(x[rows]) for x in columns]


def follow(target: nn.Module, network: nn.Module, tau: float) -> None:
    with torch.no_grad():
        for p, q in zip(target.parameters(), network.parameters(), strict=True):
            p.lerp_(q, tau)


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


class PlainDQN:
    """One double DQN, written plainly."""

    def __init__(self, config: DQNConfig) -> None:
        self.config = config
        self.replay = PlainReplay(ROOM[0], (), discrete=True)
        self.q = perceptron(ROOM[0], config.hidden, ROOM[1])
        self.target = copy.deepcopy(self.q)
        self.adam = torch.optim.Adam(self.q.parameters(), 5e-4)

    def step(self) -> None:
        obs, action, reward, next_obs, done = self.replay.sample(self.config.batch_size)
        with torch.no_grad():
            best = self.q(next_obs).argmax(1, keepdim=True)
            goal = reward + 0.99 * (1 - done) * self.target(next_obs).gather(1, best)
        self.adam.zero_grad()
        F.smooth_l1_loss(self.q(obs).gather(1, action), goal).backward()
        nn.utils.clip_grad_norm_(self.q.parameters(), 10.0)
        self.adam.step()
        follow(self.target, self.q, self.config.tau)


class PlainActorCritic:
    """What plain SAC and TD3 share."""

    def __init__(self, config: SACConfig | TD3Config, outputs: int | None) -> None:
        self.config = config
        obs_size, action_size = WALKER
        self.replay = PlainReplay(obs_size, (action_size,), discrete=False)
        hidden = config.hidden if outputs else config.hidden[:-1]
        self.actor = perceptron(obs_size, hidden, outputs or config.hidden[-1])
        self.critics = nn.ModuleList(
            perceptron(obs_size + action_size, config.hidden, 1) for _ in range(2)
        )
        self.critic_targets = copy.deepcopy(self.critics)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), 3e-4)

    def least(self, critics: nn.ModuleList, obs: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        x = torch.cat((obs, a), 1)
        return torch.minimum(*(critic(x) for critic in critics))

    def fit_critics(self, obs: torch.Tensor, action: torch.Tensor, goal: torch.Tensor) -> None:
        x = torch.cat((obs, action), 1)
        descend(self.critic_adam, sum(F.mse_loss(critic(x), goal) for critic in self.critics))


class PlainSAC(PlainActorCritic):
    """One soft actor-critic, written plainly."""

    def __init__(self, config: SACConfig) -> None:
        super().__init__(config, None)
        self.mean = nn.Linear(config.hidden[-1], WALKER[1])
        if config.state_dependent_noise:
            self.log_std: Any = nn.Parameter(torch.full((config.hidden[-1], WALKER[1]), -3.0))
            spread = [self.log_std]
        else:
            self.log_std = nn.Linear(config.hidden[-1], WALKER[1])
            spread = list(self.log_std.parameters())
        self.log_alpha = torch.zeros(1, requires_grad=True)
        own = [*self.actor.parameters(), *self.mean.parameters(), *spread]
        self.actor_adam = torch.optim.Adam(own, 3e-4)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], 3e-4)

    def act(self, obs: torch.Tensor, matrix: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        latent = torch.relu(self.actor(obs))
        mean = self.mean(latent)
        if matrix is not None:
            mean, sigma = F.hardtanh(mean, -2.0, 2.0), self.log_std.exp()
            policy = torch.distributions.Normal(mean, (latent**2 @ sigma**2 + 1e-6).sqrt())
            x = mean + latent @ (sigma * matrix)
        else:
            policy = torch.distributions.Normal(mean, self.log_std(latent).clamp(-20, 2).exp())
            x = policy.rsample()
        action = x.tanh()
        log_prob = (policy.log_prob(x) - (1 - action**2 + 1e-6).log()).sum(1, keepdim=True)
        return action, log_prob

    def step(self) -> None:
        obs, action, reward, next_obs, done = self.replay.sample(self.config.batch_size)
        gsde = self.config.state_dependent_noise
        matrix = torch.randn(self.log_std.shape) if gsde else None
        now, log_prob = self.act(obs, matrix)
        alpha = self.log_alpha.exp().detach()
        entropy = -log_prob.detach().mean()
        descend(self.alpha_adam, self.log_alpha * (entropy + WALKER[1]))
        with torch.no_grad():
            following, next_log_prob = self.act(next_obs, matrix)
            best = self.least(self.critic_targets, next_obs, following) - alpha * next_log_prob
            goal = reward + 0.99 * (1 - done) * best
        self.fit_critics(obs, action, goal)
        loss = (alpha * log_prob - self.least(self.critics, obs, now)).mean()
        descend(self.actor_adam, loss)
        follow(self.critic_targets, self.critics, self.config.tau)


class PlainTD3(PlainActorCritic):
    """One TD3, written plainly."""

    def __init__(self, config: TD3Config) -> None:
        super().__init__(config, WALKER[1])
        self.actor_target = copy.deepcopy(self.actor)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), 3e-4)
        self.updates = 0

    def step(self) -> None:
        self.updates += 1
        obs, action, reward, next_obs, done = self.replay.sample(self.config.batch_size)
        with torch.no_grad():
            noise = (torch.randn_like(action) * 0.2).clamp(-0.5, 0.5)
            following = (self.actor_target(next_obs).tanh() + noise).clamp(-1, 1)
            best = self.least(self.critic_targets, next_obs, following)
            goal = reward + 0.99 * (1 - done) * best
        self.fit_critics(obs, action, goal)
        if self.updates % 2 == 0:
            now = self.actor(obs).tanh()
            descend(self.actor_adam, -self.critics[0](torch.cat((obs, now), 1)).mean())
            follow(self.actor_target, self.actor, self.config.tau)
            follow(self.critic_targets, self.critics, self.config.tau)


@dataclass(frozen=True)
class Kind:
    """An algorithm to time: stacked, plain, and by its name in Stable-Baselines3."""

    stacked: Callable[..., OffPolicyLearner]
    config: Any
    plain: Callable[..., Any]
    theirs: str

    def task(self, agents: int) -> TaskSpec:
        if self.theirs == "DQN":
            return TaskSpec(agents, ROOM[:1], num_actions=ROOM[1])
        bound = (1.0,) * WALKER[1]
        low = tuple(-x for x in bound)
        return TaskSpec(agents, WALKER[:1], action_low=low, action_high=bound)


KINDS = {
    "DQN": Kind(DQN, DQNConfig(buffer_size=STORED), PlainDQN, "DQN"),
    "SAC": Kind(SAC, SACConfig(buffer_size=STORED, state_dependent_noise=False), PlainSAC, "SAC"),
    "SAC, gSDE": Kind(SAC, SACConfig(buffer_size=STORED), PlainSAC, "SAC"),
    "TD3": Kind(TD3, TD3Config(buffer_size=STORED), PlainTD3, "TD3"),
}


def stack_of(kind: Kind, agents: int, device: str) -> OffPolicyLearner:
    """A stack with a memory full of noise."""
    learner = kind.stacked(kind.task(agents), kind.config, num_envs=STORED // 10, device=device)
    task, lead = learner.task, (agents, learner.num_envs)
    gen = torch.Generator().manual_seed(0)
    for _ in range(10):
        obs, following = (torch.randn((*lead, *task.obs_shape), generator=gen) for _ in range(2))
        end = torch.rand(lead, generator=gen) < 0.01
        action, reward = learner._random(lead[1]).cpu(), torch.randn(lead, generator=gen)
        learner.store(obs, action, reward, following, end, ~end & False)
    return learner


def peer_of(kind: Kind) -> Callable[[int], None] | None:
    """Stable-Baselines3's updates of the same networks on a memory full of noise."""
    try:
        import gymnasium
        import stable_baselines3
        from stable_baselines3.common.logger import Logger
    except ImportError:
        return None
    task, config = kind.task(1), kind.config
    observation = gymnasium.spaces.Box(-np.inf, np.inf, task.obs_shape, np.float32)
    action: gymnasium.Space[Any] = gymnasium.spaces.Discrete(max(task.num_actions, 1))
    if task.continuous:
        action = gymnasium.spaces.Box(-1.0, 1.0, task.action_shape, np.float32)

    class Nothing(gymnasium.Env[Any, Any]):
        observation_space, action_space = observation, action

        def reset(self, **options: Any) -> Any:
            super().reset(**options)
            return np.zeros(task.obs_shape, np.float32), {}

        def step(self, action: Any) -> Any:
            return np.zeros(task.obs_shape, np.float32), 0.0, False, False, {}

    options: dict[str, Any] = {"policy_kwargs": {"net_arch": list(config.hidden)}}
    if isinstance(config, SACConfig):
        options["use_sde"] = config.state_dependent_noise
    make = getattr(stable_baselines3, kind.theirs)
    model = make(
        *("MlpPolicy", Nothing()),
        batch_size=config.batch_size,
        buffer_size=STORED,
        tau=config.tau,
        device="cpu",
        **options,
    )
    model.set_logger(Logger(None, []))
    rng, buffer = np.random.default_rng(0), model.replay_buffer
    for name in ("observations", "next_observations", "rewards"):
        x = getattr(buffer, name)
        x[:] = rng.standard_normal(x.shape)
    if task.continuous:
        buffer.actions[:] = rng.uniform(-1, 1, buffer.actions.shape)
    else:
        buffer.actions[:] = rng.integers(0, 4, buffer.actions.shape)
    buffer.full = True

    def train(steps: int) -> None:
        model.train(gradient_steps=steps, batch_size=config.batch_size)
        if kind.theirs == "DQN":  # its target moves while acting, once a step
            for _ in range(steps):
                follow(model.q_net_target, model.q_net, config.tau)

    return train


@dataclass(frozen=True)
class Row:
    """Updates a second, all learners counted; medians of interleaved repeats."""

    algorithm: str
    learners: int
    stack: float
    plain: float
    stable_baselines3: float | None


def measure(name: str, learners: int, args: argparse.Namespace) -> Row:
    kind = KINDS[name]
    steps = 2 if args.quick else args.steps
    stack = stack_of(kind, learners, args.device)
    loop = [kind.plain(kind.config) for _ in range(learners)]
    peer = peer_of(kind) if learners == 1 else None

    def run_loop() -> None:
        for agent in loop:
            for _ in range(steps):
                agent.step()

    ways: list[Callable[[], Any]] = [lambda: stack.update(steps), run_loop]
    if peer is not None:
        ways.append(lambda: peer(steps))
    seconds: list[list[float]] = [[] for _ in ways]
    for repeat in range(args.repeats + 1):
        for run, times in zip(ways, seconds, strict=True):
            taken = timed(run, args.threads)
            if repeat:
                times.append(taken)
    rates = [learners * steps / statistics.median(times) for times in seconds]
    return Row(name, learners, rates[0], rates[1], rates[2] if peer is not None else None)


def timed(run: Callable[[], Any], threads: int) -> float:
    """Seconds: CPU time of the one thread, or by the clock if there are several."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    begin = clock()
    run()
    return clock() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--learners", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--algorithms", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--steps", type=int, default=20, help="gradient steps in a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--precision",
        choices=["float32", "tf32"],
        default="float32",
        help="of matrix products, for all three ways",
    )
    parser.add_argument("--quick", action="store_true", help="only check that it runs")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high" if args.precision == "tf32" else "highest")
    torch.manual_seed(0)
    keep_freed_memory()
    about = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "device": args.device,
        "precision": args.precision,
        "torch": torch.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    print("\n| algorithm | learners | stack | plain loop | ratio | Stable-Baselines3 | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for name in args.algorithms:
        for learners in args.learners:
            row = measure(name, learners, args)
            rows.append(row)
            theirs = row.stable_baselines3
            last = f"{theirs:,.0f} | {row.stack / theirs:.2f}" if theirs else " | "
            print(
                f"| {name} | {learners} | {row.stack:,.0f} | {row.plain:,.0f} | "
                f"{row.stack / row.plain:.2f} | {last} |",
                flush=True,
            )
    if args.json:
        document = {"machine": about, "rows": [asdict(row) for row in rows]}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
