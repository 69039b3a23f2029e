"""Tiny real runs for the tests."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from socialgrid.report import read_metrics
from socialgrid.train import checkpoint

FILM = "episode.mp4" if importlib.util.find_spec("imageio_ffmpeg") else "episode.gif"
"""What a run's video is called here."""

TINY = """
description = "tiny"
[run]
total_steps = 1024
threads = 1
checkpoint_minutes = 0
device = "cpu"
[env]
game = "GoalCycle-v0"
num_envs = 8
rollout_steps = 16
num_threads = 1
[env.options]
grid_size = 6
num_clutter = 0
max_steps = 24
penalty = 0.5
[players]
kinds = ["trial-and-error", "learner", "learner"]
[network]
channels = [4]
features = [8]
memory = 8
heads = [8]
[variants.ppo.aux.prediction]
[algorithm]
num_minibatches = 2
minibatch_sequences = 4
sequence_length = 8
learning_rate = 1e-2
kl_target = "none"
kl_hard_limit = "none"
[logging]
console_seconds = 0
tensorboard = false
curves = false
video = false
"""

CODE = "import sys; from socialgrid.commands import cli; sys.exit(getattr(cli, sys.argv.pop(1))())"


def tiny(folder: Path, name: str = "tiny.toml", extra: str = "") -> str:
    """Write the preset and return its path."""
    path = folder / name
    path.write_text(TINY + extra)
    return str(path)


def command(*words: object) -> list[str]:
    """A command line that runs one of the commands in a process of its own, as installed: no
    modules are looked for in the working directory.
    """
    return [sys.executable, "-P", "-W", "error::UserWarning", "-c", CODE, *map(str, words)]


def run(
    *words: object, environment: Mapping[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with further variables in its environment."""
    whole = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, check=False,
        env=whole | dict(environment or {}), **options,
    )  # fmt: skip


class Silent:
    """A console that shows nothing."""

    def update(self, row: object, total_steps: int) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


def same_end(one: Path, other: Path) -> None:
    """Two runs have come to the same end: weights, memories and rows."""
    first, second = (checkpoint.load_newest(path / "checkpoints")[1] for path in (one, other))
    for name, tensor in first.weights.items():
        assert torch.equal(tensor, second.weights[name]), name
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name], err_msg=name)
    keys = ("update", "agents", "pairs", "groups")
    rows, others = (read_metrics(path / "metrics.jsonl") for path in (one, other))
    assert [[row.get(key) for key in keys] for row in rows] == [
        [row.get(key) for key in keys] for row in others
    ]
