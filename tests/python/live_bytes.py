"""How many bytes of tensors live at once."""

from __future__ import annotations

import weakref
from typing import Any

import torch


class LiveBytes:
    """Memory that tensors hold, each storage counted once however many tensors look into it.

    Attributes:
        now: bytes that live.
        peak: the most that ever lived at once, with the pool.
        pool: bytes that phases share: the most that any of them needs at once. It stays.
        recording: whether what is made is one of a phase, and comes from the pool.
    """

    def __init__(self) -> None:
        self.now = self.peak = self.pool = self._inside = 0
        self.recording = False
        self._holders: dict[int, int] = {}  # tensors by storage
        self._pooled: dict[int, bool] = {}
        self._references: dict[int, weakref.ref[Any]] = {}

    def _add(self, size: int, *, inside: bool) -> None:
        if inside:
            self._inside += size
            self.pool = max(self.pool, self._inside)
        else:
            self.now += size
        self.peak = max(self.peak, self.now + self.pool)

    def hold(self, tensor: Any, inner: torch.Tensor) -> None:
        """Count the memory of ``inner`` for as long as ``tensor`` lives."""
        storage = inner.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        inside = self._pooled.setdefault(key, self.recording)
        if key not in self._holders:
            self._add(size, inside=inside)
        self._holders[key] = self._holders.get(key, 0) + 1

        def gone(_: Any, own: int = id(tensor)) -> None:
            self._references.pop(own, None)
            self._holders[key] -= 1
            if not self._holders[key]:
                del self._holders[key]
                del self._pooled[key]
                self._add(-size, inside=inside)

        self._references[id(tensor)] = weakref.ref(tensor, gone)

    def holds(self, storage: int) -> bool:
        """Whether a storage, by its address, has a tensor that lives."""
        return storage in self._holders
