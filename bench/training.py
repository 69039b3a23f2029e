"""How fast learning is, where the time goes, and what stacking the agents is worth.

    python bench/training.py                       # all tables, some minutes
    python bench/training.py --json training.json  # the same, also as JSON
    python bench/training.py --quick               # seconds; checks that the benchmark runs
    python bench/training.py --presets --precisions  # the small network of the dilemmas only

An agent-step is one agent acting once, with all the learning that follows from it. Rates are by the
clock and, beside it, per CPU second: where other programs use the machine too, the latter is what
one thread would reach on a core of its own. With more than one thread (``--threads``) waiting for
the others counts as CPU time, so measure on an idle machine or with one thread.

The last two tables are of the small networks of the social dilemmas: Harvest with five agents, by
A3C with one process or several (each with one thread) and by PPO with the public recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import socialgrid
from plain_agent import PlainAgent, copy_from_stack
from socialgrid.algos import PPOConfig
from socialgrid.algos.on_policy.a3c import A3C
from socialgrid.algos.on_policy.ppo import PPO
from socialgrid.algos.options import A3CConfig
from socialgrid.commands.allocation import keep_freed_memory
from socialgrid.config import from_dict, load_preset
from socialgrid.data.rollout import Rollout
from socialgrid.models import ModelConfig, ViewSpec
from socialgrid.report import read_metrics
from socialgrid.social.options import PredictionOptions
from socialgrid.train import make_trainer
from threads import tables


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


def measure_training(
    name: str, precision: str, agents: int, obs_mode: str, args: argparse.Namespace
) -> Training:
    preset = PRESETS[name]
    steps = 16 if args.quick else preset.num_steps
    options: dict[str, Any] = MINI_GAME if name == "mini" else {}
    env = socialgrid.make_vec(
        "GoalCycle-v0",
        num_envs=preset.num_envs,
        num_threads=args.threads,
        num_agents=agents,
        obs_mode=obs_mode,
        **options,
    )
    config = preset.config
    if args.quick:
        config = replace(config, num_minibatches=2, minibatch_sequences=4)
    learner = PPO(
        *(ViewSpec.of(env), preset.model, config),
        device=args.device,
        social=[PredictionOptions()],
        precision=precision,
    )
    rollout = Rollout(
        steps,
        preset.num_envs,
        agents,
        env.obs_shape,
        state_size=learner.state_size,
        obs_dtype=env.obs_dtype.name,
        pin=learner.device.type == "cuda",
        device=learner.device,
    )
    obs, info = env.reset(seed=0)
    rollout.begin(torch.from_numpy(obs), torch.from_numpy(info["active"]))
    state = learner.initial_state(preset.num_envs)
    rows = []
    for repeat in range(args.repeats + 1):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        simulate = act = 0.0
        for t in range(steps):
            at = time.perf_counter()
            out = learner.act(*_inputs(rollout, t, state))
            rollout.record(t, out)
            actions = out.action.cpu().numpy()
            state = out.state
            between = time.perf_counter()
            env.step(actions, out=rollout.slot(t))
            act += between - at
            simulate += time.perf_counter() - between
            rollout.finish_step(t)
        at = time.perf_counter()
        learner.update(rollout)
        end = time.perf_counter()
        cpu = time.process_time() - cpu_begin
        rollout.carry_over()
        if repeat:
            rows.append((end - begin, cpu, simulate, act, end - at))
    env.close()
    count = steps * preset.num_envs * agents
    columns = zip(*rows, strict=True)
    wall, cpu, simulate, act, update = (statistics.median(column) for column in columns)
    return Training(
        *(name, precision, agents, obs_mode, count / wall, count / cpu, simulate, act, update)
    )


def _inputs(rollout: Rollout, t: int, state: torch.Tensor) -> tuple[torch.Tensor, ...]:
    obs, reset = rollout.inputs(t)
    return obs, state, reset


@dataclass(frozen=True)
class Comparison:
    """One row of the second table: seconds for all agents, medians of interleaved repeats."""

    network: str
    task: str
    precision: str
    agents: int
    plain: float
    stacked: float

    @property
    def ratio(self) -> float:
        """How many times as fast the stack is."""
        return self.plain / self.stacked


class PlainLearners:
    """PPO the plain way: a loop over agents, each with its own modules and optimiser."""

    def __init__(self, learner: PPO) -> None:
        self.config, self.dtype = learner.config, learner.model.dtype
        self.agents = [PlainAgent() for _ in range(learner.num_agents)]
        for i, agent in enumerate(self.agents):
            copy_from_stack(agent, learner.model, i)
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
    rollout.obs.copy_(torch.randint(0, 256, rollout.obs.shape, dtype=torch.uint8, generator=gen))
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
        learner._sampled_gradients(whole, drawn, 0, learner.model, members, learner.loss)
        learner.optimiser.step(learner.model, members, members)

    obs = rollout.obs[0]
    tasks = {
        "act": (lambda: plain.act(obs, state, reset), lambda: learner.act(obs, state, reset)),
        "gradient step": (lambda: plain.step(images, part), stacked_step),
    }
    return _in_turn("full", tasks, precision, agents, args)


def _in_turn(
    network: str,
    tasks: dict[str, tuple[Callable[[], None], Callable[[], None]]],
    precision: str,
    agents: int,
    args: argparse.Namespace,
) -> list[Comparison]:
    rows = []
    for task, (loop, stack) in tasks.items():
        turns = args.repeats * (10 if task == "act" else 1)
        seconds: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns + 1):
            for run, times in zip((loop, stack), seconds, strict=True):
                taken = _time(run, args.threads)
                if turn:
                    times.append(taken)
        medians = map(statistics.median, seconds)
        rows.append(Comparison(network, task, precision, agents, *medians))
    return rows


SMALL = ModelConfig(channels=(6,), first_kernel=3, features=(32, 32), memory=128, heads=())


class SmallAgent(nn.Module):
    """The network of Jaques et al. (2019), section 10.4, for one agent, with torch.nn only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.project = nn.Sequential(nn.Linear(1014, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.lstm = nn.LSTMCell(32, 128)
        self.policy, self.value = nn.Linear(128, 8), nn.Linear(128, 1)

    def forward(
        self, obs: torch.Tensor, h: torch.Tensor, c: torch.Tensor, reset: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Views [T, N, 15, 15, 3] to logits [T, N, 8] and values [T, N]."""
        steps, count = reset.shape
        images = obs.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        x = F.leaky_relu(self.conv(images), 0.01).flatten(1)
        x = self.project(x).view(steps, count, -1)
        cores = []
        for t in range(steps):
            keep = (~reset[t]).float()[:, None]
            h, c = self.lstm(x[t], (h * keep, c * keep))
            cores.append(h)
        core = torch.stack(cores)
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
    rollout.obs.copy_(torch.randint(0, 256, rollout.obs.shape, dtype=torch.uint8, generator=gen))
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
    return _in_turn("small", tasks, "fp32", agents, args)


@dataclass(frozen=True)
class Workers:
    """One row of the last table: rates by the clock, without starting up."""

    algorithm: str
    workers: int
    agent_steps_per_second: float
    updates_per_second: float
    staleness: float


class Silence:
    """A console that shows nothing."""

    def update(self, row: Any, total_steps: int) -> None: ...

    def say(self, text: str) -> None:
        print(text)

    def close(self) -> None: ...


def measure_workers(algorithm: str, workers: int, args: argparse.Namespace) -> Workers:
    """Train Harvest for some seconds: the preset's settings, the machine's share of its batch."""
    changes: dict[str, Any] = {
        "run": {"threads": 1, "device": "cpu", "checkpoint_minutes": 1000.0},
        "logging": {"tensorboard": False, "curves": False, "video": False},
    }
    if algorithm == "ppo":
        envs, steps, updates = 16, 1000, 1 + args.repeats
        changes["algorithm"] = {"minibatch_sequences": 200}
    else:
        envs, steps, updates = 64, 50, 15 * (1 + args.repeats)
        changes["algorithm"] = {"workers": workers, "synchronous": algorithm == "a2c"}
    if args.quick:
        envs, steps, updates = 4, 20, 3
        if algorithm == "ppo":
            changes["algorithm"] = {"minibatch_sequences": 4, "num_minibatches": 2}
    changes["env"] = {"num_envs": envs, "rollout_steps": steps, "num_threads": 1}
    changes["run"]["total_steps"] = envs * steps * updates
    preset = load_preset("harvest").choose("ppo" if algorithm == "ppo" else "a3c", ())
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(from_dict(changes, preset), Path(folder)).train(Silence())
        rows = read_metrics(Path(folder) / "metrics.jsonl")
    first, last = rows[len(rows) // 4], rows[-1]
    seconds = last["seconds"] - first["seconds"]
    stale = [row.get("staleness_mean", 0.0) for row in rows]
    return Workers(
        algorithm,
        workers,
        (last["agent_steps"] - first["agent_steps"]) / seconds,
        (last["update"] - first["update"]) / seconds,
        statistics.fmean(stale),
    )


def _time(run: Callable[[], None], threads: int) -> float:
    """Seconds: CPU time of the one thread, or by the clock if there are several."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    begin = clock()
    run()
    return clock() - begin


def table(heads: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def machine(args: argparse.Namespace) -> dict[str, Any]:
    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
        )
        return found.stdout.strip()

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x.split(":")[1] for x in info.read_text().splitlines() if "model name" in x]
        model = names[0].strip() if names else model
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "--short", "HEAD"),
        "changes": bool(git("status", "--porcelain", "--", "../python", "../cpp", ".")),
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": args.threads,
        "torch": torch.__version__,
        "device": args.device,
        "bf16_instructions": torch.cpu._is_avx512_bf16_supported(),
    }


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--threads",
        type=_numbers,
        default=[os.cpu_count() or 1],
        help="of torch and the core; several, as in 1,2,4: only what threads make of learning",
    )
    parser.add_argument(
        "--shards",
        type=_numbers,
        default=[0],
        help="several, as in 1,4,8,16: only what shards cost on one thread",
    )
    parser.add_argument("--only", nargs="*", help="presets of those tables", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--agents", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--presets", nargs="*", choices=sorted(PRESETS), default=["mini", "full"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bf16"])
    parser.add_argument("--obs-modes", nargs="+", choices=["rgb", "tiles"], default=["rgb"])
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2, 4], help="actor-learners of A3C"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--quick", action="store_true", help="tiny batches: only check that it runs"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    threads, shards = args.threads, args.shards
    args.threads = threads[0]
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    about = machine(args)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    if len(threads) > 1 or len(shards) > 1:
        rows = tables(args, threads, shards)
        if args.json:
            args.json.write_text(json.dumps({"machine": about, "threads": rows}, indent=2) + "\n")
        return
    training = [
        measure_training(preset, precision, agents, mode, args)
        for preset in args.presets
        for precision in args.precisions
        for agents in args.agents
        for mode in args.obs_modes
    ]
    if training:
        print("\nWhole loop; shares of the time\n")
    rows = []
    for row in training:
        total = row.simulate + row.act + row.update
        rows.append(
            [
                *(row.preset, row.precision, str(row.agents), row.obs_mode),
                f"{row.agent_steps_per_second:,.0f}",
                f"{row.agent_steps_per_cpu_second:,.0f}",
                *(f"{x / total:.1%}" for x in (row.simulate, row.act, row.update)),
            ]
        )
    heads = ["preset", "precision", "agents", "views", "agent-steps/s", "per CPU second"]
    if training:
        print(table([*heads, "simulate", "act", "update"], rows), flush=True)
    comparisons = [
        row
        for precision in args.precisions
        for agents in args.agents
        for row in compare(precision, agents, args)
    ]
    comparisons += compare_small(5, args)
    print("\nStack of agents beside a loop over plain modules\n")
    rows = [
        [
            *(row.network, row.task, row.precision, str(row.agents)),
            *(f"{1000 * x:.1f} ms" for x in (row.plain, row.stacked)),
            f"{row.ratio:.2f}",
        ]
        for row in comparisons
    ]
    heads = ["network", "task", "precision", "agents", "plain loop", "stack", "times as fast"]
    print(table(heads, rows), flush=True)
    actors = [
        measure_workers(algorithm, workers, args)
        for algorithm, counts in (("a3c", args.workers), ("a2c", args.workers[1:]), ("ppo", [1]))
        for workers in counts
    ]
    print("\nHarvest, five agents, small network; a2c is a3c with its barrier\n")
    rows = [
        [
            *(row.algorithm, str(row.workers), f"{row.agent_steps_per_second:,.0f}"),
            *(f"{row.updates_per_second:.2f}", f"{row.staleness:.2f}"),
        ]
        for row in actors
    ]
    heads = ["algorithm", "workers", "agent-steps/s", "updates/s", "mean staleness"]
    print(table(heads, rows))
    if args.json:
        document = {
            "machine": about,
            "training": [asdict(row) for row in training],
            "comparisons": [{**asdict(row), "ratio": row.ratio} for row in comparisons],
            "actors": [asdict(row) for row in actors],
        }
        args.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
