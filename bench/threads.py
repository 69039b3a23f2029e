"""What threads make of learning, and what shards cost: called by ``training.py``.

    python bench/training.py --threads 1,2,4      # wall time by threads, beside two processes
    python bench/training.py --shards 0,1,4,8,16  # CPU time of one thread by shards

Both train presets as ``socialgrid-train`` does, update by update, and take short turns, the two
processes like the others, so that whatever else the machine does falls on all alike: ratios are
medians over the rounds, with the quartiles, of turns that lie beside each other. Batches are
shorter where a preset's are long, with as many gradient passes for every step and as many sequences
in a minibatch. Off-policy learners have no shards: agents are what threads share, and a row of
metrics stands for an update.

What of an update is neither in a shard nor in playing is serial: with it the second table
says how many times as fast sixteen cores can be at most, if nothing else stands in their way
(memory, and the interpreter's lock).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from socialgrid.algos import PPO
from socialgrid.commands.allocation import keep_freed_memory
from socialgrid.config import TrainConfig, from_dict, load_preset
from socialgrid.train import OffPolicyTrainer, make_trainer

_FULL = {"num_minibatches": 5, "kl_target": None, "kl_hard_limit": 1e9}
# By name: preset, algorithm, mechanisms, and what is changed of it.
CASES: dict[str, tuple[str, str, tuple[str, ...], dict[str, Any]]] = {
    "mini": ("goal-cycle-mini", "ppo", (), {"algorithm": {"kl_target": None}}),
    "full": ("goal-cycle", "ppo", (), {"env": {"rollout_steps": 64}, "algorithm": _FULL}),
    "full, 3 agents": (
        "goal-cycle",
        "ppo",
        (),
        {
            "env": {"rollout_steps": 64},
            "players": {"kinds": ("learner",) * 3},
            "algorithm": _FULL,
        },
    ),
    "harvest ppo": (
        "harvest",
        "ppo",
        (),
        {"env": {"rollout_steps": 100}, "algorithm": {"num_minibatches": 4, "kl_target": None}},
    ),
    "harvest a3c": ("harvest", "a3c", (), {"algorithm": {"workers": 1}}),
    "harvest a3c, moa": ("harvest", "a3c", ("moa",), {"algorithm": {"workers": 1}}),
    "room-21 dqn": ("room-21", "dqn", (), {"evaluation": {"interval": 0}}),
    "room-21 dqn, two peers": ("room-21", "dqn", ("peers",), {"evaluation": {"interval": 0}}),
    "pendulum-mini sac, two peers": (
        "pendulum-mini",
        "sac",
        ("peers",),
        # More threads of a Gymnasium task are processes.
        {"evaluation": {"interval": 0}, "env": {"num_threads": 1}},
    ),
}
TURN_SECONDS = 0.5  # of updates that count as one turn, at least, but where there is only one
ROUNDS = 8  # of turns, for each of the repeats that are asked for


def config_of(case: str, *, shards: int = 0, threads: int = 1, quick: bool = False) -> TrainConfig:
    """A preset as it is measured."""
    preset, algorithm, social, changes = CASES[case]
    changes = {name: dict(table) for name, table in changes.items()}
    changes["run"] = {"threads": threads, "device": "cpu", "total_steps": 1 << 40}
    changes.setdefault("env", {}).setdefault("num_threads", threads)
    chosen = load_preset(preset).choose(algorithm, social)
    if hasattr(chosen.algorithm, "shards"):
        changes.setdefault("algorithm", {})["shards"] = shards
    if quick:
        changes["env"] |= {"num_envs": 16, "rollout_steps": 20}
        if algorithm == "ppo":
            changes["algorithm"] |= {"num_minibatches": 2, "minibatch_sequences": 16}
    return from_dict(changes, chosen)


class Training:
    """A preset in training, measured turn by turn."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.run = make_trainer(config, folder)
        self.run.begin()
        self.updates = 1
        self.wall: list[float] = []  # seconds an update
        self.cpu: list[float] = []
        self._within = False
        # CPU seconds in shards, and in batches that are played in one call; of off-policy learners
        # seconds of updates.
        self.shared = 0.0
        learner = self.run.learner
        if isinstance(self.run, OffPolicyTrainer):
            self.agents = learner.num_agents
        else:
            self.agents = len(self.run.slots)
            self._count(learner.workers, "map")
            self._count(learner, "estimated_at_once")
            # One call for all shards of a minibatch, or of several minibatches.
            self._count(learner, "steps_at_once" if isinstance(learner, PPO) else "_gradients")
            self._count(self.run.collector, "play_at_once")
        self.turn()
        self.updates = max(1, round(TURN_SECONDS / self.wall.pop()))
        self.cpu.clear()
        self.shared = 0.0

    def _count(self, owner: Any, name: str) -> None:
        """Count the CPU time of a method as shared, once where such methods call each other."""
        method = getattr(owner, name)

        def counted(*words: Any) -> Any:
            if self._within:
                return method(*words)
            self._within, begin = True, time.process_time()
            try:
                return method(*words)
            finally:
                self._within = False
                self.shared += time.process_time() - begin

        setattr(owner, name, counted)

    @property
    def serial(self) -> float:
        """Share of the CPU time that only one thread can spend."""
        return 1.0 - self.shared / (sum(self.cpu) * self.updates)

    def turn(self) -> None:
        """Some updates."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(self.updates):
            row = self.run.step()
            if isinstance(self.run, OffPolicyTrainer):  # a call takes steps and updates
                self.shared += row["time"].get("update", 0.0)
        self.wall.append((time.perf_counter() - wall) / self.updates)
        self.cpu.append((time.process_time() - cpu) / self.updates)


@dataclass(frozen=True)
class Row:
    """One preset with one number of shards or threads; seconds are medians for an update."""

    case: str
    shards: int
    threads: int
    updates: int  # of a turn
    wall: float
    cpu: float
    agent_steps_per_second: float
    serial: float
    times: tuple[float, float, float]  # as fast as the first one: lower quartile, median, upper
    share: tuple[float, float, float] | None = None  # likewise, of what as many processes do

    def promise(self, cores: int) -> float:
        """Times as fast with so many cores, by Amdahl's law."""
        return 1.0 / (self.serial + (1.0 - self.serial) / min(cores, self.shards))


class Processes:
    """As many independent processes with a thread each as threads are compared with, that measure
    while all of them compute."""

    def __init__(self, case: str, count: int, quick: bool, updates: int) -> None:
        words = [sys.executable, __file__, case, str(int(quick)), str(updates)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._begun = [subprocess.Popen(words, **pipes) for _ in range(count)]
        self._told()

    def turn(self) -> float:
        """Seconds of an update, on average over the processes."""
        for one in self._begun:
            one.stdin.write("go\n")
            one.stdin.flush()
        return statistics.harmonic_mean(self._told())

    def _told(self) -> list[float]:
        return [json.loads(one.stdout.readline()) for one in self._begun]

    def end(self) -> None:
        for one in self._begun:
            one.communicate()


def _alone(case: str, quick: bool, updates: int) -> None:
    """Body of one of several processes: a turn whenever it is told to."""
    with tempfile.TemporaryDirectory() as folder:
        training = Training(config_of(case, quick=quick), Path(folder) / "run")
        training.updates = updates
        print(0, flush=True)
        for _ in sys.stdin:
            training.turn()
            print(training.wall.pop(), flush=True)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; of one value, that."""
    if len(values) < 2:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def measure(
    case: str, runs: list[tuple[int, int]], repeats: int, quick: bool, beside: int = 0
) -> tuple[list[Row], tuple[float, float, float]]:
    """Rows of a preset with each of some (shards, threads), in turns, and what so many processes
    do, times what the first of them does."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trainings = [
            Training(config_of(case, shards=s, threads=t, quick=quick), Path(folder) / f"{s}-{t}")
            for s, t in runs
        ]
        # What an update costs changes as training goes on: all measure the same ones.
        updates = min(training.updates for training in trainings)
        for training in trainings:
            training.updates = updates
        processes = Processes(case, beside, quick, updates) if beside else None
        apart: list[float] = []
        for _ in range(repeats * (1 if quick else ROUNDS)):
            for training in trainings:
                training.turn()
            if processes:
                apart.append(processes.turn())
        if processes:
            processes.end()
        first = trainings[0].wall
        for (_, threads), training in zip(runs, trainings, strict=True):
            config, wall = training.run.config, statistics.median(training.wall)
            env = config.env
            shards = training.agents
            if hasattr(config.algorithm, "shards_of"):
                shards = config.algorithm.shards_of(env.num_envs, env.rollout_steps)
            steps = env.num_envs * env.rollout_steps * training.agents
            cpu = statistics.median(training.cpu)
            times = quartiles([one / own for one, own in zip(first, training.wall, strict=True)])
            share = None
            if threads == beside:
                pairs = zip(apart, training.wall, strict=True)
                share = quartiles([one / beside / own for one, own in pairs])
            serial = training.serial
            rows.append(
                Row(case, shards, threads, updates, wall, cpu, steps / wall, serial, times, share)
            )
        both = quartiles(
            [beside * one / own for one, own in zip(first, apart, strict=False)] or [0.0]
        )
    return rows, both


def tables(args: Any, threads: list[int], shards: list[int]) -> list[dict[str, Any]]:
    """Measure, and print as Markdown."""
    document: list[dict[str, Any]] = []
    cases = [case for case in CASES if not args.only or case in args.only]
    if len(shards) > 1:
        print(
            "\nShards (0: the preset's): CPU time of one thread for an update; times that of one "
            "shard;\nserial share; times as fast that it promises with 16 cores\n"
        )
        print("| preset |", " | ".join(map(str, shards)), "|")
        print("|---|" + "---|" * len(shards), flush=True)
        for case in cases:
            rows, _ = measure(case, [(n, 1) for n in shards], args.repeats, args.quick)
            one = next((row.cpu for row in rows if row.shards == 1), rows[0].cpu)
            cells = [
                f"{row.shards}: {1e3 * row.cpu:.0f} ms, {row.cpu / one:.2f}, {row.serial:.1%}, "
                f"{row.promise(16) * one / row.cpu:.1f}"
                for row in rows
            ]
            print(f"| {case} |", " | ".join(cells), "|", flush=True)
            document += [asdict(row) for row in rows]
    if len(threads) > 1:
        print(
            "\nThreads: wall time of an update, times as fast (quartiles over the turns); and "
            "independent processes\n"
        )
        names = [f"{n} threads" for n in threads]
        beside = 2 if 2 in threads else threads[-1]
        print("| preset | shards |", " | ".join(names), f"| {beside} processes | share of them |")
        print("|---|---|" + "---|" * (len(threads) + 2), flush=True)
        for case in cases:
            runs = [(shards[0], n) for n in threads]
            rows, both = measure(case, runs, args.repeats, args.quick, beside)
            cells = [f"{1e3 * row.wall:.1f} ms {_told(row.times)}" for row in rows]
            share = next(row.share for row in rows if row.share)
            print(
                f"| {case} | {rows[0].shards} |",
                " | ".join(cells),
                f"| {_told(both)} | {_told([100 * x for x in share], '.0f')}% |",
                flush=True,
            )
            document += [asdict(row) for row in rows]
    return document


def _told(three: Sequence[float], digits: str = ".2f") -> str:
    """A median and its quartiles."""
    low, middle, high = (format(x, digits) for x in three)
    return middle if low == high else f"{middle} ({low} to {high})"


if __name__ == "__main__":
    keep_freed_memory()
    _alone(sys.argv[1], bool(int(sys.argv[2])), int(sys.argv[3]))
