"""The stack of agents beside loops over agents of plain modules, and beside the machine's peak."""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import socialgrid
from plain_agent import PlainAgent, copy_from_stack
from socialgrid.algos import PPOConfig
from socialgrid.algos.on_policy.a3c import A3C
from socialgrid.algos.on_policy.ppo import PPO
from socialgrid.algos.options import A3CConfig
from socialgrid.data.rollout import Rollout
from socialgrid.models import ActorCritic, ModelConfig, ViewSpec
from socialgrid.models.products import ONEDNN_LINEAR
from socialgrid.social.options import PredictionOptions


@cache
def matrix_peak(precision: str) -> float:
    """Floating-point operations a second of the fastest product of square matrices there is: BLAS
    or oneDNN, 512 or 1024, the best of ten."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    best = 0.0
    for size in (512, 1024):
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        ways = [partial(torch.mm, a, b)]
        if ONEDNN_LINEAR is not None:
            ways.append(partial(ONEDNN_LINEAR, a, b, None, "none", [], ""))
        for way in ways:
            for _ in range(11):
                begin = clock()
                way()
                best = max(best, 2.0 * size**3 / (clock() - begin))
    return best


def remember(
    lstm: nn.LSTM, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Unroll ``nn.LSTM`` over [T, N, F], in one go from one reset of anybody to the next."""
    starts = [0, *(t for t, some in enumerate(reset.any(1).tolist()) if some and t), len(x)]
    outs = []
    for begin, end in itertools.pairwise(starts):
        keep = (~reset[begin]).float()[:, None]
        out, (h, c) = lstm(x[begin:end], ((h * keep)[None], (c * keep)[None]))
        h, c = h[0], c[0]
        outs.append(out)
    return torch.cat(outs), c


class LoopAgent(PlainAgent):
    """One agent's network in plain PyTorch, with ``nn.LSTM`` for its memory."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.lstm = nn.LSTM(self.lstm.input_size, self.lstm.hidden_size)

    @classmethod
    def of(cls, model: ActorCritic, agent: int) -> LoopAgent:
        """One of the default sizes, with the weights of one agent of a stack."""
        cell, loop = PlainAgent(), cls()
        copy_from_stack(cell, model, agent)
        weights = {
            f"{name}_l0" if name.startswith("lstm.") else name: x
            for name, x in cell.state_dict().items()
        }
        loop.load_state_dict(weights)
        return loop

    def forward(
        self, obs: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        features = self.features(obs.flatten(0, 1)).view(*reset.shape, -1)
        core, c = remember(self.lstm, features, h, c, reset)
        return core, self.policy_head(core), self.value_head(core).squeeze(-1), c


def multiplications(agent: PlainAgent, *, decoder: bool) -> int:
    """Of one view through one agent's network, as it is written down: what is looked up instead
    counts, too."""
    sides = [agent.side + 2 * i for i in range(len(agent.convs) - 1, -1, -1)]
    total = sum(
        conv.weight.numel() * side**2 for conv, side in zip(agent.convs, sides, strict=True)
    )
    parts = [agent.project, agent.policy_head, agent.value_head, agent.lstm]
    total += sum(p.numel() for part in parts for p in part.parameters() if p.ndim > 1)
    if decoder:
        total += agent.expand.weight.numel()
        back = zip(agent.deconvs, sides[::-1], strict=True)
        total += sum(deconv.weight.numel() * side**2 for deconv, side in back)
    return total


@dataclass(frozen=True)
class Comparison:
    """One row of the second table: seconds for all agents, medians of interleaved repeats."""

    network: str
    task: str
    precision: str
    agents: int
    plain: float
    stacked: float
    peak: float
    """Share of the machine's matrix-product peak that the stack's useful work comes to."""

    @property
    def ratio(self) -> float:
        """How many times as fast the stack is."""
        return self.plain / self.stacked


def look_around(rollout: Rollout, game: str) -> None:
    """Fill a rollout with what agents see who walk about at random."""
    steps, envs, agents = rollout.num_steps, rollout.num_envs, rollout.num_agents
    with socialgrid.make_vec(game, num_envs=envs, num_agents=agents, obs_mode="rgb") as env:
        rng = np.random.default_rng(0)
        rollout.obs[0] = torch.from_numpy(env.reset(seed=0)[0])
        for t in range(steps):
            walk = rng.integers(0, 3, (envs, agents)).astype(np.int32)
            rollout.obs[t + 1] = torch.from_numpy(env.step(walk)[0])


class PlainLearners:
    """PPO the plain way: a loop over agents, each with its own modules and optimiser."""

    def __init__(self, learner: PPO) -> None:
        self.config, self.dtype = learner.config, learner.model.dtype
        self.agents = [LoopAgent.of(learner.model, i) for i in range(learner.num_agents)]
        self.optimisers = [torch.optim.Adam(agent.parameters(), lr=1e-4) for agent in self.agents]

    @torch.no_grad()
    def act(self, obs: torch.Tensor, state: torch.Tensor, reset: torch.Tensor) -> None:
        for i, agent in enumerate(self.agents):
            h, c = state[:, i].chunk(2, -1)
            with self._precision():
                _, logits, _, _ = agent(obs[None, :, i], h, c, reset[None, :, i])
            policy = torch.distributions.Categorical(logits=logits[0].float())
            policy.log_prob(policy.sample())

    def step(self, obs: torch.Tensor, part: Any) -> None:
        """One gradient step on the subsequences [A, L + 1, S, ...]."""
        config = self.config
        for i, (agent, optimiser) in enumerate(zip(self.agents, self.optimisers, strict=True)):
            h, c = part.state[i].chunk(2, -1)
            action = part.action[i]
            with self._precision():
                core, logits, value, _ = agent(obs[i, :-1], h, c, part.reset[i])
                view = agent.predict(core.flatten(0, 1), action.flatten())
            log_probs = logits.float().log_softmax(-1)
            log_prob = log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)
            ratio = (log_prob - part.decisions["action"].log_prob[i]).exp()
            clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
            advantage = part.decisions["action"].advantage[i]
            policy_loss = -(torch.minimum(ratio * advantage, clipped * advantage)).mean()
            value_loss = F.mse_loss(value.float(), part.decisions["action"].target[i])
            entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
            target = obs[i, 1:].flatten(0, 1).float() / 255
            error = (view.float() - target).abs().mean((1, 2, 3))
            aux = (error * part.next_weight[i].flatten()).sum()
            loss = policy_loss + 0.1 * value_loss + 3.0 * aux - 1e-5 * entropy
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)


def compare(precision: str, agents: int, args: argparse.Namespace) -> list[Comparison]:
    """The stack and the loop do the same act and the same gradient step, turn by turn."""
    envs, length = (16, 8) if args.quick else (128, 16)
    sequences = 8 if args.quick else 256
    spec = ViewSpec(7, 7, 3, (7,) * agents)
    config = PPOConfig(shards=1, minibatch_sequences=sequences, sequence_length=length)
    learner = PPO(spec, ModelConfig(), config, social=[PredictionOptions()], precision=precision)
    plain = PlainLearners(learner)
    gen = torch.Generator().manual_seed(0)
    rollout = Rollout(32, envs, agents, spec.obs_shape, state_size=learner.state_size)
    look_around(rollout, "GoalCycle-v0")
    rollout.action.copy_(torch.randint(0, 7, rollout.action.shape, generator=gen))
    rollout.decisions["action"].log_prob.fill_(-2.0)
    rollout.active.fill_(True)
    state = torch.randn(rollout.state.shape[1:], generator=gen)
    reset = torch.rand(envs, agents, generator=gen) < 0.01
    whole = learner.shards(rollout)
    (batch,) = whole.parts
    batch.decisions["action"].advantage.normal_(generator=gen)
    members = list(range(agents))
    drawn = torch.randint(batch.places(length), (agents, sequences), generator=gen)
    starts, places = batch.sequences(drawn)
    part = batch.minibatches(members, starts, places, length, sequences)[0]()
    steps = (starts[:, None] + torch.arange(length + 1)[:, None])[..., None]
    images = rollout.obs[steps[..., 0], places[:, None], torch.arange(agents)[:, None, None]]

    def stacked_step() -> None:
        drawn = learner.draw_minibatches(
            whole, members, minibatches=1, sequences=sequences, length=length
        )
        one = drawn.minibatch(0, learner.standing)
        learner.sampled_gradients(whole, one, learner.going(members), learner.loss)
        learner.optimiser.step(learner.model, members, members)

    obs = rollout.obs[0]
    tasks = {
        "act": (lambda: plain.act(obs, state, reset), lambda: learner.act(obs, state, reset)),
        "gradient step": (lambda: plain.step(images, part), stacked_step),
    }
    forward = 2.0 * agents * multiplications(plain.agents[0], decoder=False)
    work = {
        "act": forward * envs,
        # Forward and twice as much backward, the decoder too; one view more, the last one's.
        "gradient step": 6.0
        * agents
        * multiplications(plain.agents[0], decoder=True)
        * sequences
        * length,
    }
    return _in_turn("full", tasks, precision, agents, args, work)


def _in_turn(
    network: str,
    tasks: dict[str, tuple[Callable[[], None], Callable[[], None]]],
    precision: str,
    agents: int,
    args: argparse.Namespace,
    work: dict[str, float],
) -> list[Comparison]:
    peak = matrix_peak(precision)
    rows = []
    for task, (loop, stack) in tasks.items():
        turns = args.repeats * (10 if task == "act" else 1)
        seconds: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns + 1):
            for run, times in zip((loop, stack), seconds, strict=True):
                taken = _time(run, args.threads)
                if turn:
                    times.append(taken)
        ours = statistics.median(seconds[1])
        share = work[task] / ours / peak
        rows.append(
            Comparison(
                *(network, task, precision, agents, statistics.median(seconds[0]), ours, share)
            )
        )
    return rows


SMALL = ModelConfig(channels=(6,), first_kernel=3, features=(32, 32), memory=128, heads=())


class SmallAgent(nn.Module):
    """The network of Jaques et al. (2019), section 10.4, for one agent, with torch.nn only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.project = nn.Sequential(nn.Linear(1014, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.lstm = nn.LSTM(32, 128)
        self.policy, self.value = nn.Linear(128, 8), nn.Linear(128, 1)

    def forward(
        self, obs: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Views [T, N, 15, 15, 3] to logits [T, N, 8] and values [T, N]."""
        steps, count = reset.shape
        images = obs.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        x = F.leaky_relu(self.conv(images), 0.01).flatten(1)
        core, _ = remember(self.lstm, self.project(x).view(steps, count, -1), h, c, reset)
        return self.policy(core), self.value(core).squeeze(-1)


def compare_small(agents: int, args: argparse.Namespace) -> list[Comparison]:
    """One A3C update and one action: the loop is given returns, the stack computes them too."""
    envs, steps = (4, 8) if args.quick else (32, 50)
    spec = ViewSpec(15, 15, 1, (8,) * agents)
    learner = A3C(spec, SMALL, A3CConfig())
    loops = [SmallAgent() for _ in range(agents)]
    if sum(p.numel() for p in loops[0].parameters()) != learner.model.parameters_per_agent():
        raise AssertionError("the two networks differ")
    optimisers = [torch.optim.Adam(loop.parameters(), lr=1e-3) for loop in loops]
    gen = torch.Generator().manual_seed(0)
    rollout = Rollout(steps, envs, agents, spec.obs_shape, state_size=learner.state_size)
    look_around(rollout, "Harvest-v0")
    rollout.action.copy_(torch.randint(0, 8, rollout.action.shape, generator=gen))
    rollout.reward.normal_(generator=gen)
    rollout.active.fill_(True)
    advantage = torch.randn(rollout.action.shape, generator=gen)

    @torch.no_grad()
    def act() -> None:
        for i, loop in enumerate(loops):
            h, c = rollout.state[0, :, i].chunk(2, -1)
            logits, _ = loop(rollout.obs[:1, :, i], h, c, rollout.reset[:1, :, i])
            policy = torch.distributions.Categorical(logits=logits[0])
            policy.log_prob(policy.sample())

    def update() -> None:
        for i, (loop, optimiser) in enumerate(zip(loops, optimisers, strict=True)):
            h, c = rollout.state[0, :, i].chunk(2, -1)
            logits, value = loop(rollout.obs[:-1, :, i], h, c, rollout.reset[:-1, :, i])
            log_probs = logits.log_softmax(-1)
            log_prob = log_probs.gather(-1, rollout.action[..., i, None]).squeeze(-1)
            entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
            policy_loss = -(log_prob * advantage[..., i]).mean()
            loss = policy_loss + 0.5 * F.mse_loss(value, advantage[..., i]) - 0.002 * entropy
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(loop.parameters(), 40.0)
            optimiser.step()

    obs, state, reset = rollout.obs[0], rollout.state[0], rollout.reset[0]
    tasks = {
        "act": (act, lambda: learner.act(obs, state, reset)),
        "A3C update": (update, lambda: learner.update(rollout)),
    }
    # Of one view: a convolution to 13x13 places, two layers, the memory, the heads.
    once = 2.0 * agents * envs * (162 * 169 + 1014 * 32 + 32 * 32 + 512 * (32 + 128) + 128 * 9)
    work = {"act": once, "A3C update": 3 * once * steps}
    return _in_turn("small", tasks, "float32", agents, args, work)


def _time(run: Callable[[], None], threads: int) -> float:
    """Seconds: CPU time of the one thread, or by the clock if there are several."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    begin = clock()
    run()
    return clock() - begin
