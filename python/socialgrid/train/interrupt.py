"""Signals that end a run: remembered between updates, and answered in time inside long ones."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from socialgrid.report.console import Console

_TICK = 0.2  # seconds between looks at whether an update takes too long
PATIENCE = 1.2  # seconds that an update has to end after a signal where it can be given up
_CLOSED = 13  # SIGPIPE's number: whoever read the output has gone


class Abandoned(BaseException):
    """The work in progress is given up, so that a signal is answered in time."""


class Interrupt:
    """Remembers Ctrl-C, SIGTERM and SIGHUP, and that nobody reads the output any more.

    The second signal stops at once.

    Attributes:
        signal: number of the signal that came; ``None``: none yet.
    """

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.signal: int | None = None
        self._since = 0.0
        self._patience: float | None = None

    @contextmanager
    def watching(self, console: Console) -> Iterator[None]:
        """Catch the signals inside the block; those that are ignored, as nohup does, stay so."""

        def catch(number: int, frame: FrameType | None) -> None:
            if self.signal is not None:
                raise KeyboardInterrupt
            self.signal, self._since = number, time.monotonic()
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # in the middle of a print
                console.say("stopping after this update, with a checkpoint; again to stop at once")

        def tick(number: int, frame: FrameType | None) -> None:
            patience = self._patience
            if patience is not None and time.monotonic() - self._since >= patience:
                self._patience = None
                raise Abandoned

        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform != "win32":
            numbers.append(signal.SIGHUP)
        handlers = {n: catch for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
        if sys.platform != "win32":
            handlers[signal.SIGALRM] = tick
        previous = {n: signal.signal(n, handler) for n, handler in handlers.items()}
        try:
            yield
        finally:
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, before in previous.items():
                signal.signal(number, before)

    @contextmanager
    def giving_up(self, patience: float) -> Iterator[None]:
        """Inside the block ``Abandoned`` is raised so many seconds after a signal came."""
        before, self._patience = self._patience, patience
        try:
            yield
        finally:
            self._patience = before

    def telling(self, tell: Callable[[], None]) -> None:
        """Print something; where that is impossible, the run has to end as if by a signal."""
        try:
            tell()
        except (OSError, ValueError):  # the latter of a stream that was closed
            self.signal = self.signal or _CLOSED
