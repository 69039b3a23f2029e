"""Parts of an update that an accelerator repeats by itself, made anew when that is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from socialgrid.models.captured import Captured

T = TypeVar("T")


class Repeated:
    """Phases of a learner, by name."""

    def __init__(self, device: torch.device) -> None:
        """There is none yet."""
        self._device = device
        self._known: dict[str, tuple[object, Captured[Any]]] = {}

    def run(self, name: str, function: Callable[[], T], baked: object) -> T:
        """Do the work of a phase, see ``Captured``.

        Args:
            name: of the phase.
            function: does it. The one that came first is repeated as long as ``baked`` is the same.
            baked: all that may change and that is no memory which stays.
        """
        known = self._known.get(name)
        if known is None or known[0] != baked:
            known = self._known[name] = (baked, Captured(function, self._device))
        found: T = known[1]()
        return found

    def __deepcopy__(self, memo: object) -> Repeated:
        return Repeated(self._device)
