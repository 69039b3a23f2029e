"""Runs commands, each in a process of its own that is forked with everything imported.

``runs.run`` starts it, which sends a line for each command and is sent its exit code. It is started
as commands are, and what runs in a child is the main module's last line, as in theirs.
"""

import json
import os
import socket
import sys

import rich.live  # noqa: F401
import safetensors.torch  # noqa: F401
import torch  # noqa: F401
import tyro  # noqa: F401

from socialgrid.commands import cli
from socialgrid.report import RunCurves, summarise  # noqa: F401
from socialgrid.train import AsyncTrainer, Trainer, create_run  # noqa: F401


def next_command(link: socket.socket) -> str:
    """In a child, once everything is set up for it: which command is to be run."""
    for line in link.makefile():
        given = json.loads(line)
        if (child := os.fork()) == 0:
            link.close()
            os.chdir(given["folder"])
            for number, name in enumerate((os.devnull, given["stdout"], given["stderr"])):
                os.dup2(os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY), number)
            sys.argv[1:] = given["words"]
            return str(given["command"])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        link.sendall(f"{code}\n".encode())
    raise SystemExit


if __name__ == "__main__":
    sys.exit(getattr(cli, next_command(socket.socket(fileno=int(sys.argv[1]))))())
