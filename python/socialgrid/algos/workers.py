"""Independent pieces of a computation on several CPU threads."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def _compute_alone() -> None:
    torch.set_num_threads(1)


class Workers:
    """Threads that compute whole pieces, each by itself.

    PyTorch shares every single operation among its threads and waits for the last one each time.
    Pieces that take milliseconds are better given out whole: less waiting, and other programs on
    the machine do less harm. Gradient mode is each thread's own: ``torch.no_grad`` belongs inside
    the function.

    Attributes:
        threads: how many; ``None``: as many as PyTorch would use.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._made_for = (0, 0)

    def count(self, device: torch.device) -> int:
        """How many pieces are computed at a time."""
        if device.type != "cpu":
            return 1
        return torch.get_num_threads() if self.threads is None else self.threads

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], device: torch.device
    ) -> list[Result]:
        """``[function(item) for item in items]``; the first error, in this order, is raised, once
        all are done.
        """
        threads = self.count(device)
        if threads == 1 or len(items) < 2:
            return [function(item) for item in items]
        found: dict[int, Result] = {}
        failed: dict[int, BaseException] = {}
        left = deque(enumerate(items))

        def some() -> None:
            with contextlib.suppress(IndexError):
                while True:
                    index, item = left.popleft()
                    try:
                        found[index] = function(item)
                    except BaseException as error:
                        failed[index] = error
                        if not isinstance(error, Exception):
                            left.clear()  # whoever interrupts does not want the others either

        # A caller that would only wait is on a core where one of the others could be, and systems
        # are slow to notice.
        takes_part = torch.get_num_threads() == 1
        others = min(threads, len(items)) - takes_part
        pool = self._threads(threads - takes_part)
        futures = [pool.submit(some) for _ in range(others)]
        if takes_part:
            some()
        wait(futures)
        if failed:
            raise failed[min(failed)]
        return [found[index] for index in range(len(items))]

    def _threads(self, threads: int) -> ThreadPoolExecutor:
        # A forked child inherits the pool's data but not its threads.
        key = (os.getpid(), threads)
        if self._pool is None or self._made_for != key:
            if self._pool is not None and self._made_for[0] == key[0]:
                self._pool.shutdown()
            self._pool = ThreadPoolExecutor(threads, "socialgrid-learner", _compute_alone)
            self._made_for = key
        return self._pool

    def __deepcopy__(self, memo: object) -> Workers:
        return Workers(self.threads)
