"""Keys in a plain text terminal, and drawings beside one another."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import os
import select
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
    woken, wakes = _wakeup(in_main)

    def read_key() -> str:
        # A signal that comes just before a read would wait for the next key; it writes to a pipe.
        while descriptor not in select.select([descriptor, woken], [], [])[0]:
            os.read(woken, 1024)
        return os.read(descriptor, 1).decode(errors="replace")

    try:
        tty.setcbreak(descriptor)
        yield read_key
    finally:
        give_back()
        for number, handler in previous.items():
            signal.signal(number, handler)
        if in_main:
            signal.set_wakeup_fd(-1)
        os.close(woken)
        os.close(wakes)


def _wakeup(in_main: bool) -> tuple[int, int]:
    """A pipe's ends: the first can be read from once a signal has come."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    if in_main:
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    return woken, wakes
