"""Tiny real runs for the tests."""

import atexit
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
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

COMMAND = [sys.executable, "-P", "-W", "error::UserWarning", "-c"]
SECONDS = 120  # that a command may take
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
    return [*COMMAND, CODE, *map(str, words)]


def run(
    *words: object, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with further variables in its environment.

    Where there are none, everything has been imported already: see ``command_server``.
    """
    whole = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    whole.pop("PYTEST_CURRENT_TEST", None)
    if environment is None and sys.platform == "linux" and (served := server(whole)):
        return served.run(list(map(str, words)), cwd)
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=SECONDS, check=False,
        env=whole | dict(environment or {}), cwd=cwd,
    )  # fmt: skip


class Server:
    """Runs commands that share their imports."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.link, theirs = socket.socketpair()
        self.link.settimeout(SECONDS)
        code = Path(__file__).with_name("command_server.py").read_text(encoding="utf-8")
        self.process = subprocess.Popen(
            [*COMMAND, code, str(theirs.fileno())], env=environment, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        atexit.register(self.close)

    def run(self, words: list[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
        """See ``run``."""
        with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr:
            request = {
                "command": words[0], "words": words[1:], "folder": str(folder or os.getcwd()),
                "stdout": stdout.name, "stderr": stderr.name,
            }  # fmt: skip
            try:
                self.link.sendall(json.dumps(request).encode() + b"\n")
                code = int(self.link.recv(64))
            except (OSError, ValueError):  # it takes too long, or the server is gone
                self.close()
                SERVERS.clear()
                raise
            said = stdout.read().decode(), stderr.read().decode()
            return subprocess.CompletedProcess(words, code, *said)

    def close(self) -> None:
        """End it, and whatever it runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.link.close()


SERVERS: list[Server] = []  # one at the most


def server(environment: Mapping[str, str]) -> Server | None:
    """The one that runs commands in this environment; ``None`` where it has another one."""
    if not SERVERS:
        SERVERS.append(Server(environment))
    return SERVERS[0] if SERVERS[0].environment == environment else None


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
