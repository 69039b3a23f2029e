"""Memory that stays where it is from one batch to the next."""

from __future__ import annotations

import torch
from torch import Tensor


class Standing:
    """Tensors by name; what is put under a name lies where the last one lay.

    Phases that an accelerator repeats (``models.captured``) read and write the same memory every
    time. Elsewhere nothing needs to stay, and nothing is copied.

    Attributes:
        moves: how often something has got another place, because its shape changed.
    """

    def __init__(self, *, stays: bool) -> None:
        """Nothing is there yet.

        Args:
            stays: otherwise ``put`` gives back what it is given.
        """
        self.stays, self.moves = stays, 0
        self._places: dict[str, Tensor] = {}

    def put(self, name: str, x: Tensor) -> Tensor:
        """``x`` in its place, contiguous."""
        if not self.stays:
            return x
        place = self._places.get(name)
        if place is not None and (place.shape, place.dtype) == (x.shape, x.dtype):
            return place.copy_(x, non_blocking=True)
        self.moves += place is not None
        self._places[name] = x.clone(memory_format=torch.contiguous_format)
        return self._places[name]

    def rows(self, name: str) -> int:
        """How many rows there are under a name; 0: there is none."""
        place = self._places.get(name)
        return 0 if place is None else len(place)

    def __deepcopy__(self, memo: object) -> Standing:
        return Standing(stays=self.stays)
