"""Phases of the pretended device (``pretend.py``): what is recorded of them, and done again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from tests.python.pretend import Pretend


class Recorded:
    """``Recording`` of the device."""

    def __init__(self, device: Pretend) -> None:
        self._device = device
        self._pieces: list[list[Callable[[], object]] | Callable[[], None]] = [[]]
        self._made: dict[int, torch.UntypedStorage] = {}
        self._given: dict[int, tuple[int, str]] = {}  # by address: as which it is held; who reads

    def add(self, work: Callable[[], object]) -> None:
        """Something was started."""
        piece = self._pieces[-1]
        assert isinstance(piece, list)
        piece.append(work)

    def reads(self, far: list[Any]) -> None:
        """It reads or writes this memory."""
        for x in far:
            place, storage = place_of(x.inner), x.inner.untyped_storage()._cdata
            known = place in self._made or place in self._given
            # What was made before the device was entered is not known to it.
            if place and not known and self._device.memory.holds(storage):
                self._given[place] = storage, at_work()

    def makes(self, out: Any) -> None:
        """This came out."""
        for x in tensors_of(out):
            if (place := place_of(x)) and place not in self._given:
                self._made[place] = x.untyped_storage()

    def cut(self, work: Callable[[], None]) -> None:
        """See ``Recording``."""
        self._pieces += [work, []]

    def repeat(self) -> None:
        """See ``Recording``."""
        for storage, place in self._given.values():
            if not self._device.memory.holds(storage):
                raise RuntimeError(f"a phase repeats {place} with memory that nobody holds")
        for piece in self._pieces:
            if not isinstance(piece, list):
                piece()
                continue
            self._device.launches += 1
            for work in piece:
                work()
        for storage in self._made.values():
            storage.fill_(255)  # numbers that are none


class Graphs:
    """``Engine`` of the device."""

    def __init__(self, device: Pretend) -> None:
        self._device = device

    def recording(self, device: torch.device) -> contextlib.AbstractContextManager[Recorded]:
        """See ``Engine``."""
        return self._device.recording()

    def mark(self, device: torch.device) -> Callable[[], None]:
        """See ``Engine``."""
        return self._device.mark()


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """Those that an operation is given, or gives. PyTorch's own trees take thrice as long."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, tuple | list):
        return []
    return [x for part in tree for x in tensors_of(part)]


def with_each(tree: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same with other tensors."""
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return {name: with_each(part, change) for name, part in tree.items()}
    if not isinstance(tree, tuple | list):
        return tree
    parts = [with_each(part, change) for part in tree]
    return parts if isinstance(tree, list) else tuple(parts)


def place_of(x: Any) -> int:
    place: int = x.untyped_storage().data_ptr()
    return place


def at_work() -> str:
    """The line of the package that is at work."""
    frame = sys._getframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if "/socialgrid/" in file and "/tests/" not in file:
            return f"{file.rpartition('/socialgrid/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "the test"
