"""How many bytes of tensors live at once."""

from __future__ import annotations

import weakref
from typing import Any

import torch


class LiveBytes:
    """Memory that tensors hold, each storage counted once however many tensors look into it.

    Attributes:
        now: bytes that live.
        peak: the most that ever lived at once.
    """

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._holders: dict[int, int] = {}  # tensors by storage
        self._references: dict[int, weakref.ref[Any]] = {}

    def hold(self, tensor: Any, inner: torch.Tensor) -> None:
        """Count the memory of ``inner`` for as long as ``tensor`` lives."""
        storage = inner.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._holders:
            self.now += size
            self.peak = max(self.peak, self.now)
        self._holders[key] = self._holders.get(key, 0) + 1

        def gone(_: Any, own: int = id(tensor)) -> None:
            self._references.pop(own, None)
            self._holders[key] -= 1
            if not self._holders[key]:
                del self._holders[key]
                self.now -= size

        self._references[id(tensor)] = weakref.ref(tensor, gone)
