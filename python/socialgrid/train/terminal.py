"""Keys in a plain text terminal, and drawings beside one another."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}


def beside(left: list[str], left_width: int, right: list[str], gap: int = 3) -> list[str]:
    """Put two drawings next to each other; ``left_width`` is in characters."""
    height = max(len(left), len(right))
    lines = left + [" " * left_width] * (height - len(left))
    return [
        f"{line}{' ' * gap}{right[i]}" if i < len(right) else line for i, line in enumerate(lines)
    ]


@contextlib.contextmanager
def keys(stream: TextIO) -> Iterator[Callable[[], str | None]]:
    """Read single key presses.

    Yields:
        a function that returns the next key: a character, "up", "down", "left" or "right";
        ``None`` at the end of the input.
    """
    if stream.isatty():
        with _raw(stream) as read:
            yield _decoder(read)
    else:
        yield _decoder(lambda: stream.read(1))


def _decoder(read: Callable[[], str]) -> Callable[[], str | None]:
    def next_key() -> str | None:
        key = read()
        if not key:
            return None
        if key == "\x1b" and read() in ("[", "O"):
            return _ARROWS.get(read(), "")
        return key

    return next_key


@contextlib.contextmanager
def _raw(stream: TextIO) -> Iterator[Callable[[], str]]:
    if sys.platform == "win32":
        import msvcrt

        def read() -> str:
            key = msvcrt.getwch()
            if key in ("\x00", "\xe0"):
                return {"H": "w", "P": "s", "K": "a", "M": "d"}.get(msvcrt.getwch(), ".")
            return key

        yield read
        return
    import termios
    import tty

    descriptor = stream.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda: os.read(descriptor, 1).decode(errors="replace")
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
