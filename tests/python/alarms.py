"""A signal that comes while something is under way."""

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class RungError(Exception):
    """What the handler raises."""


def raise_rung(number: int, frame: Any) -> None:
    raise RungError


@contextmanager
def alarm(seconds: float, ring: Callable[[int, Any], None] = raise_rung) -> Iterator[None]:
    """Call ``ring`` in so many seconds, unless the block has ended.

    Nothing is collected meanwhile: what a handler raises in a callback of the collector, as
    Hypothesis has one, comes to nobody.
    """
    former, collecting = signal.signal(signal.SIGALRM, ring), gc.isenabled()
    gc.disable()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        if collecting:
            gc.enable()
