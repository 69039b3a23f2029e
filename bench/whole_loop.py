"""The whole loop of PPO: acting, simulating and learning, batch by batch."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

import socialgrid
from socialgrid.algos import PPOConfig
from socialgrid.algos.on_policy.ppo import PPO
from socialgrid.data.exchange import pins
from socialgrid.data.rollout import Rollout
from socialgrid.models import ModelConfig, ViewSpec
from socialgrid.social.options import PredictionOptions


@dataclass(frozen=True)
class Preset:
    """One setting to measure: sizes of network, batch and update."""

    model: ModelConfig
    config: PPOConfig
    num_envs: int
    num_steps: int


# No agent stops early and none is set back, so that all the work of the recipe is done.
WHOLE = {"kl_target": None, "kl_hard_limit": 1e9}
# The paper's recipe: 5.12 gradient passes and 10 refreshes for every step. Half of its batch (128
# environments, but 125 steps instead of 250) and of its minibatch (512) costs the same per step.
FULL = Preset(ModelConfig(), PPOConfig(minibatch_sequences=256, **WHOLE), 128, 125)
MINI = Preset(
    ModelConfig(channels=(16, 32), features=(64,), memory=64, heads=(32,)),
    PPOConfig(num_minibatches=8, minibatch_sequences=128, **WHOLE),
    128,
    64,
)
PRESETS = {"mini": MINI, "full": FULL}
MINI_GAME = {"grid_size": 8, "num_clutter": 0, "max_steps": 64}


@dataclass(frozen=True)
class Training:
    """One row of the first table. Seconds are medians for one batch."""

    preset: str
    precision: str
    agents: int
    obs_mode: str
    agent_steps_per_second: float
    agent_steps_per_cpu_second: float
    simulate: float
    act: float
    update: float


def make_env(name: str, agents: int, obs_mode: str, args: argparse.Namespace) -> Any:
    """The game that a preset is measured in."""
    options: dict[str, Any] = MINI_GAME if name == "mini" else {}
    return socialgrid.make_vec(
        "GoalCycle-v0",
        num_envs=PRESETS[name].num_envs,
        num_threads=args.threads,
        num_agents=agents,
        obs_mode=obs_mode,
        **options,
    )


class WholeLoop:
    """A learner of the package in a game, a batch at a time."""

    def __init__(
        self,
        name: str,
        precision: str,
        agents: int,
        obs_mode: str,
        args: argparse.Namespace,
        social: Iterable[Any] = (PredictionOptions(),),
        refresh: bool = True,
    ) -> None:
        preset = PRESETS[name]
        self.steps = 16 if args.quick else preset.num_steps
        self.env = env = make_env(name, agents, obs_mode, args)
        config = preset.config if refresh else replace(preset.config, refresh_interval=0)
        if args.quick:
            config = replace(config, num_minibatches=2, minibatch_sequences=4)
        self.learner = PPO(
            *(ViewSpec.of(env), preset.model, config),
            device=args.device,
            social=social,
            precision=precision,
        )
        self.rollout = Rollout(
            self.steps,
            preset.num_envs,
            agents,
            env.obs_shape,
            state_size=self.learner.state_size,
            obs_dtype=env.obs_dtype.name,
            pin=pins(self.learner.device),
            device=self.learner.device,
        )
        obs, info = env.reset(seed=0)
        self.rollout.begin(torch.from_numpy(obs), torch.from_numpy(info["active"]))
        self.state = self.learner.initial_state(preset.num_envs)
        self.agent_steps = self.steps * preset.num_envs * agents

    def batch(self) -> tuple[float, ...]:
        """One batch and its update: seconds by the clock and of the CPU; of the first those of
        simulating, acting and learning."""
        begin, cpu_begin = time.perf_counter(), time.process_time()
        simulate = act = 0.0
        for t in range(self.steps):
            at = time.perf_counter()
            obs, reset = self.rollout.inputs(t)
            out = self.learner.act(obs, self.state, reset)
            self.rollout.record(t, out)
            actions = out.action.cpu().numpy()
            self.state = out.state
            between = time.perf_counter()
            self.env.step(actions, out=self.rollout.slot(t))
            act += between - at
            simulate += time.perf_counter() - between
            self.rollout.finish_step(t)
        at = time.perf_counter()
        self.learner.update(self.rollout)
        end = time.perf_counter()
        cpu = time.process_time() - cpu_begin
        self.rollout.carry_over()
        return end - begin, cpu, simulate, act, end - at

    def close(self) -> None:
        self.env.close()


def measure_training(
    name: str, precision: str, agents: int, obs_mode: str, args: argparse.Namespace
) -> Training:
    loop = WholeLoop(name, precision, agents, obs_mode, args)
    rows = [loop.batch() for _ in range(args.repeats + 1)][1:]
    loop.close()
    columns = zip(*rows, strict=True)
    wall, cpu, simulate, act, update = (statistics.median(column) for column in columns)
    count = loop.agent_steps
    return Training(
        *(name, precision, agents, obs_mode, count / wall, count / cpu, simulate, act, update)
    )
