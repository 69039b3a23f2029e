"""Independent pieces of a computation on several CPU threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def _compute_alone() -> None:
    torch.set_num_threads(1)


class Workers:
    """As many threads as PyTorch would use, each computing whole pieces by itself.

    PyTorch shares every single operation among its threads and waits for the last one each time.
    Pieces that take milliseconds are better given out whole: less waiting, and other programs on
    the machine do less harm. Gradient mode is each thread's own: ``torch.no_grad`` belongs inside
    the function.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._made_for = (0, 0)

    @staticmethod
    def count(device: torch.device) -> int:
        """How many pieces are worth having."""
        return torch.get_num_threads() if device.type == "cpu" else 1

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], device: torch.device
    ) -> list[Result]:
        """``[function(item) for item in items]``; the first error, in this order, is raised."""
        threads = self.count(device)
        if threads == 1 or len(items) < 2:
            return [function(item) for item in items]
        return list(self._threads(threads).map(function, items))

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
        return Workers()
