"""Harvest with five agents: A3C with one process or several, and PPO."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socialgrid.config import from_dict, load_preset
from socialgrid.report import read_metrics
from socialgrid.train import make_trainer


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
