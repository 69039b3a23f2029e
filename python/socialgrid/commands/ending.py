"""What commands print to, and how one ends that something went wrong for: with a line, or in
silence."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from socialgrid.config.errors import plain_line

CLOSED = 141  # exit code where nobody reads the output any more: 128 and SIGPIPE's number


def show_anything() -> None:
    """Let the console show whatever a text holds: what its encoding lacks, by its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(prog: str, text: str) -> int:
    """Print one line and return the exit code for it."""
    with contextlib.suppress(OSError):
        print(plain_line(f"{prog}: {text}"), file=sys.stderr)
    return 2


def mute() -> None:
    """Let nothing more be written where nobody reads, not even when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
