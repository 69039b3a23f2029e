"""One learner beside loops that others write: the same game, network and number of passes.

``ppo-lstm`` is a loop in the manner of CleanRL's single files, in plain PyTorch with ``nn.LSTM``;
``RecurrentPPO`` is sb3-contrib's, where it can be imported. Minibatches of both are whole rollouts
of some environments, as many samples in all as ours. The recipe computes memories and values anew
every other minibatch besides, which they do not do; ``same work`` is without it. Nobody predicts
views.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from plain_loops import LoopAgent
from socialgrid.models import ModelConfig
from whole_loop import MINI_GAME, PRESETS, WholeLoop, make_env

MINIBATCHES = 4  # in an epoch


@dataclass(frozen=True)
class Lone:
    """One row: agent-steps per CPU second, medians of batches in turns."""

    preset: str
    ours: float
    same_work: float
    ppo_lstm: float
    recurrent_ppo: float | None


def epochs_of(name: str) -> int:
    """How often every sample is learnt from: ours, rounded."""
    preset = PRESETS[name]
    config = preset.config
    samples = config.num_minibatches * config.minibatch_sequences * config.sequence_length
    return max(1, round(samples / (preset.num_envs * preset.num_steps)))


def network(model: ModelConfig) -> LoopAgent:
    return LoopAgent(
        channels=model.channels,
        features=model.features[0],
        memory=model.memory,
        heads=model.heads,
        decoder=False,
    )


class PlainLoop:
    """PPO with an LSTM for one agent: collect, estimate, some epochs of minibatches of rollouts."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        preset = PRESETS[name]
        self.config, self.envs = preset.config, preset.num_envs
        self.steps = 16 if args.quick else preset.num_steps
        self.epochs = 1 if args.quick else epochs_of(name)
        self.env = make_env(name, 1, "rgb", args)
        self.agent = network(preset.model)
        self.adam = torch.optim.Adam(self.agent.parameters(), lr=1e-4, eps=1e-5)
        self.obs = torch.from_numpy(self.env.reset(seed=0)[0])[:, 0].clone()
        self.reset = torch.ones(self.envs, dtype=torch.bool)
        self.memory = torch.zeros(2, self.envs, preset.model.memory)

    def batch(self) -> None:
        steps, envs = self.steps, self.envs
        views = torch.empty((steps, *self.obs.shape), dtype=torch.uint8)
        resets = torch.empty((steps, envs), dtype=torch.bool)
        actions = torch.empty((steps, envs), dtype=torch.int64)
        log_probs, values, rewards = (torch.empty((steps, envs)) for _ in range(3))
        first = self.memory
        for t in range(steps):
            views[t], resets[t] = self.obs, self.reset
            with torch.no_grad():
                core, logits, value, c = self.agent(self.obs[None], *self.memory, self.reset[None])
                policy = torch.distributions.Categorical(logits=logits[0])
                action = policy.sample()
                log_probs[t], values[t] = policy.log_prob(action), value[0]
            self.memory = torch.stack((core[0], c))
            actions[t] = action
            obs, reward, _, _, info = self.env.step(action[:, None].int().numpy())
            self.obs = torch.from_numpy(obs)[:, 0].clone()
            self.reset = torch.from_numpy(info["done"]).clone()
            rewards[t] = torch.from_numpy(reward)[:, 0]
        advantages = self.estimate(rewards, values, resets)
        targets = advantages + values
        for _ in range(self.epochs):
            for chosen in torch.randperm(envs).chunk(MINIBATCHES):
                data = (actions, log_probs, advantages, targets)
                rows = (x[:, chosen] for x in data)
                self.learn(views[:, chosen], first[:, chosen], resets[:, chosen], *rows)

    @torch.no_grad()
    def estimate(
        self, rewards: torch.Tensor, values: torch.Tensor, resets: torch.Tensor
    ) -> torch.Tensor:
        last = self.agent(self.obs[None], *self.memory, self.reset[None])[2][0]
        advantages, running = torch.empty_like(rewards), torch.zeros(self.envs)
        for t in reversed(range(self.steps)):
            over, following = self.reset, last
            if t + 1 < self.steps:
                over, following = resets[t + 1], values[t + 1]
            goes_on = 1.0 - over.float()
            delta = rewards[t] + self.config.gamma * following * goes_on - values[t]
            running = delta + self.config.gamma * self.config.gae_lambda * goes_on * running
            advantages[t] = running
        return advantages

    def learn(
        self,
        views: torch.Tensor,
        memory: torch.Tensor,
        reset: torch.Tensor,
        action: torch.Tensor,
        before: torch.Tensor,
        advantage: torch.Tensor,
        target: torch.Tensor,
    ) -> None:
        _, logits, value, _ = self.agent(views, *memory, reset)
        policy = torch.distributions.Categorical(logits=logits)
        ratio = (policy.log_prob(action) - before).exp()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = ratio.clamp(1 - self.config.clip, 1 + self.config.clip)
        loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        loss = loss + 0.5 * F.mse_loss(value, target) - 0.01 * policy.entropy().mean()
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.agent.parameters(), 0.5)
        self.adam.step()


def recurrent_ppo(name: str, args: argparse.Namespace) -> Callable[[], object] | None:
    """A batch of sb3-contrib's RecurrentPPO, or ``None`` where there is none."""
    try:
        from sb3_contrib import RecurrentPPO
    except ImportError:
        return None
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    from socialgrid.adapters.stable_baselines3 import RowsVecEnv

    preset = PRESETS[name]
    model, steps = preset.model, 16 if args.quick else preset.num_steps

    class Features(BaseFeaturesExtractor):  # type: ignore[misc, unused-ignore]
        def __init__(self, space: Any) -> None:
            super().__init__(space, model.features[0])
            self.net = network(model)
            del self.net.lstm, self.net.policy_head, self.net.value_head

        def forward(self, x: torch.Tensor) -> torch.Tensor:  # [N, 3, H, W], 1 being white
            for conv in self.net.convs:
                x = F.leaky_relu(conv(x), 0.01)
            return torch.tanh(self.net.project(x.flatten(1)))

    options: dict[str, Any] = MINI_GAME if name == "mini" else {}
    env = RowsVecEnv(
        "GoalCycle-v0", num_envs=preset.num_envs, num_agents=1, num_threads=args.threads, **options
    )
    learner = RecurrentPPO(
        "CnnLstmPolicy",
        env,
        n_steps=steps,
        batch_size=preset.num_envs * steps // MINIBATCHES,
        n_epochs=1 if args.quick else epochs_of(name),
        policy_kwargs={
            "features_extractor_class": Features,
            "net_arch": {"pi": list(model.heads), "vf": list(model.heads)},
            "lstm_hidden_size": model.memory,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        device="cpu",
        seed=0,
    )
    count = preset.num_envs * steps
    return lambda: learner.learn(count, reset_num_timesteps=False)


def measure_lone(name: str, args: argparse.Namespace) -> Lone:
    """Batches in turns; the first of each is not counted."""
    ours, same = (
        WholeLoop(name, "float32", 1, "rgb", args, social=(), refresh=refresh)
        for refresh in (True, False)
    )
    plain, theirs = PlainLoop(name, args), recurrent_ppo(name, args)
    tasks: list[Callable[[], object]] = [ours.batch, same.batch, plain.batch]
    tasks += [theirs] if theirs else []
    seconds: list[list[float]] = [[] for _ in tasks]
    for turn in range(args.repeats + 1):
        for task, times in zip(tasks, seconds, strict=True):
            begin = time.process_time()
            task()
            if turn:
                times.append(time.process_time() - begin)
    ours.close()
    same.close()
    rates = [ours.agent_steps / statistics.median(times) for times in seconds]
    return Lone(name, *rates[:3], rates[3] if theirs else None)
