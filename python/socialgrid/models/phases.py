"""Phases by name: what an accelerator repeats by itself, made anew when that is needed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

from socialgrid.data.exchange import Board, sent
from socialgrid.models.captured import Captured

T = TypeVar("T")
_MOST = 16  # functions of tensors on one device; those of further shapes are computed as they come


class Phases:
    """What is repeated on one device, each a phase (see ``captured``) by its name.

    On a CPU everything is called as it is.
    """

    def __init__(self, device: torch.device) -> None:
        """Nothing is known yet."""
        self._device = device
        self._known: dict[Hashable, tuple[object, Captured[Any]]] = {}
        self._boards: dict[Hashable, Board] = {}

    def run(self, name: Hashable, function: Callable[[], T], baked: object = None) -> T:
        """Do the work of a phase.

        Args:
            name: tells it from others.
            function: does it. The one that came first is repeated as long as ``baked`` is the same.
            baked: all that may change and that is no memory which stays.
        """
        known = self._known.get(name)
        if known is None or known[0] != baked:
            known = self._known[name] = (baked, Captured(function, self._device))
        found: T = known[1]()
        return found

    def apply(self, name: Hashable, work: Callable[..., Tensor], *given: Tensor) -> Tensor:
        """``work(*given)``, a new tensor, whose operations hang on ``name`` and on shapes alone.

        Args:
            name: tells ``work`` from others.
            work: of tensors on the device; see ``captured`` for what it may do.
            given: from the CPU, all in one copy, or from the device.
        """
        device = self._device
        if device.type == "cpu":
            return work(*given)
        kinds = {str(i): (tuple(x.shape), x.dtype) for i, x in enumerate(given)}
        key = name, *kinds.values()
        if key not in self._boards:
            if len(self._boards) >= _MOST:
                return work(*sent(device, *given))
            self._boards[key] = Board(kinds, device)
        board = self._boards[key]
        board.write({str(i): x for i, x in enumerate(given)})
        return self.run(key, lambda: work(*(board[name] for name in kinds))).clone()

    def __deepcopy__(self, memo: object) -> Phases:
        return Phases(self._device)
