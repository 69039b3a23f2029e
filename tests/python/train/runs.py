"""Tiny real runs for the tests."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

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
    """A command line that runs one of the commands in a process of its own."""
    return [sys.executable, "-W", "error::UserWarning", "-c", CODE, *map(str, words)]


def run(
    *words: object, environment: Mapping[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with further variables in its environment."""
    whole = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, check=False,
        env=whole | dict(environment or {}), **options,
    )  # fmt: skip
