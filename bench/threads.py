"""What threads make of learning, and what shards cost: called by ``training.py``.

    python bench/training.py --threads 1,2,4      # wall time by threads, beside two processes
    python bench/training.py --shards 0,1,4,8,16  # CPU time of one thread by shards

Both train presets as ``socialgrid-train`` does, update by update, and take turns, so that whatever
else the machine does falls on all alike. Batches are shorter where a preset's are long, with as
many gradient passes for every step and as many sequences in a minibatch. Off-policy learners have
no shards: agents are what threads share, and a row of metrics stands for an update.

What of an update is neither in a shard nor in playing is serial: with it the second table
says how many times as fast sixteen cores can be at most, if nothing else stands in their way
(memory, and the interpreter's lock).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
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
TURN_SECONDS = 4.0  # of updates that count as one turn, at least


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

    def promise(self, cores: int) -> float:
        """Times as fast with so many cores, by Amdahl's law."""
        return 1.0 / (self.serial + (1.0 - self.serial) / min(cores, self.shards))


def measure(case: str, runs: list[tuple[int, int]], repeats: int, quick: bool) -> list[Row]:
    """Rows of a preset with each of some (shards, threads), in turn."""
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
        for _ in range(repeats):
            for training in trainings:
                training.turn()
        for (_, threads), training in zip(runs, trainings, strict=True):
            config, wall = training.run.config, statistics.median(training.wall)
            env = config.env
            shards = training.agents
            if hasattr(config.algorithm, "shards_of"):
                shards = config.algorithm.shards_of(env.num_envs, env.rollout_steps)
            steps = env.num_envs * env.rollout_steps * training.agents
            cpu = statistics.median(training.cpu)
            speed = steps / wall
            row = Row(case, shards, threads, updates, wall, cpu, speed, training.serial)
            rows.append(row)
    return rows


def processes(case: str, count: int, repeats: int, quick: bool, updates: int) -> float:
    """Agent-steps a second of all of some independent processes with a thread each, in turns of so
    many updates."""
    numbers = (repeats, int(quick), count, updates)
    words = [sys.executable, __file__, case, *map(str, numbers)]
    with tempfile.TemporaryDirectory() as folder:
        begun = [
            subprocess.Popen([*words, folder], stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        told = [one.communicate()[0] for one in begun]
    return sum(json.loads(text) for text in told)


def _alone(case: str, repeats: int, quick: bool, count: int, updates: int, meeting: Path) -> None:
    """Body of one of several processes: it measures while all others compute, too."""
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(case, quick=quick)
        training = Training(config, Path(folder) / "run")
        training.updates = updates
        (meeting / str(os.getpid())).touch()
        while len(list(meeting.iterdir())) < count:
            time.sleep(0.01)
        for _ in range(repeats):
            training.turn()
        training_wall = statistics.median(training.wall)
        training.turn()  # the others may still count
    steps = config.env.num_envs * config.env.rollout_steps * training.agents
    print(json.dumps(steps / training_wall))


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
            rows = measure(case, [(n, 1) for n in shards], args.repeats, args.quick)
            one = next((row.cpu for row in rows if row.shards == 1), rows[0].cpu)
            cells = [
                f"{row.shards}: {1e3 * row.cpu:.0f} ms, {row.cpu / one:.2f}, {row.serial:.1%}, "
                f"{row.promise(16) * one / row.cpu:.1f}"
                for row in rows
            ]
            print(f"| {case} |", " | ".join(cells), "|", flush=True)
            document += [asdict(row) for row in rows]
    if len(threads) > 1:
        print("\nThreads: wall time of an update, times as fast; and independent processes\n")
        names = [f"{n} threads" for n in threads]
        print("| preset | shards |", " | ".join(names), "| 2 processes | share of them |")
        print("|---|---|" + "---|" * (len(threads) + 2), flush=True)
        for case in cases:
            rows = measure(case, [(shards[0], n) for n in threads], args.repeats, args.quick)
            cells = [f"{1e3 * row.wall:.1f} ms {rows[0].wall / row.wall:.2f}" for row in rows]
            both = processes(case, 2, args.repeats, args.quick, rows[0].updates)
            one, two = (
                next((r.agent_steps_per_second for r in rows if r.threads == n), float("nan"))
                for n in (1, 2)
            )
            print(
                f"| {case} | {rows[0].shards} |",
                " | ".join(cells),
                f"| {both / one:.2f} | {two / both:.0%} |",
                flush=True,
            )
            document += [asdict(row) for row in rows]
    return document


if __name__ == "__main__":
    keep_freed_memory()
    given, (turns, quickly, runs, each) = sys.argv[1], map(int, sys.argv[2:6])
    _alone(given, turns, bool(quickly), runs, each, Path(sys.argv[6]))
