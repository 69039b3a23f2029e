"""Functions of tensors that an accelerator repeats by itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from socialgrid.data.exchange import Board, sent
from socialgrid.models.captured import Captured

_MOST = 16  # phases of one device; what is asked with other shapes is computed as it comes


class Phases:
    """Functions on one device, each a phase (see ``captured``) for every set of shapes it is given.

    On a CPU they are called as they are.
    """

    def __init__(self, device: torch.device) -> None:
        """Nothing is known yet."""
        self._device = device
        self._known: dict[Hashable, tuple[Board, Captured[Tensor]]] = {}

    def __call__(self, name: Hashable, work: Callable[..., Tensor], *given: Tensor) -> Tensor:
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
        if key not in self._known and len(self._known) >= _MOST:
            return work(*sent(device, *given))
        if key not in self._known:
            board = Board(kinds, device)
            places = [board[name] for name in kinds]
            self._known[key] = board, Captured(lambda: work(*places), device)
        board, phase = self._known[key]
        board.write({str(i): x for i, x in enumerate(given)})
        return phase().clone()
