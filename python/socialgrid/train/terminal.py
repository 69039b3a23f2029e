"""Keys in a plain text terminal, and drawings beside one another."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
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

    def give_back() -> None:
        with contextlib.suppress(termios.error, OSError):  # the terminal may be gone
            termios.tcsetattr(descriptor, termios.TCSANOW, before)

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)  # through whoever has something to put back

    def pause(number: int, frame: FrameType | None) -> None:
        give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        tty.setcbreak(descriptor)  # when it goes on

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGQUIT: end, signal.SIGTSTP: pause}
    in_main = threading.current_thread() is threading.main_thread()
    previous = {n: signal.signal(n, h) for n, h in handlers.items()} if in_main else {}
    try:
        tty.setcbreak(descriptor)
        yield lambda: os.read(descriptor, 1).decode(errors="replace")
    finally:
        give_back()
        for number, handler in previous.items():
            signal.signal(number, handler)
