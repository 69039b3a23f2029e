"""Tensors to a device and back: many in one copy, which the host waits for only where it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_ALIGNED = 64  # bytes; kernels read what lies aligned in wide pieces

Kind = tuple[tuple[int, ...], torch.dtype]
"""Shape and type of a tensor."""


class Board:
    """Named tensors that stay where they are on a device, for the host to write in one copy."""

    def __init__(self, kinds: Mapping[str, Kind], device: torch.device) -> None:
        """Zeros.

        Args:
            kinds: by name.
            device: where they are.
        """
        self.device = device
        self.kinds = dict(kinds)
        places, size = _layout(self.kinds.values())
        self._places = dict(zip(self.kinds, places, strict=True))
        self._block = torch.zeros(size, dtype=torch.uint8, device=device)
        self._tensors = {
            name: _typed(self._block, self._places[name], kind) for name, kind in self.kinds.items()
        }

    def __getitem__(self, name: str) -> Tensor:
        """The tensor itself."""
        return self._tensors[name]

    def write(self, given: Mapping[str, Tensor]) -> None:
        """Overwrite all of them by tensors of the CPU or of the device; the host does not wait."""
        near = _staging(len(self._block), self.device)
        for name, kind in self.kinds.items():
            if given[name].device.type == "cpu":
                _typed(near, self._places[name], kind).copy_(given[name])
        self._block.copy_(near, non_blocking=pins(self.device))
        for name, x in given.items():
            if x.device.type != "cpu":
                self._tensors[name].copy_(x)


def sent(device: torch.device, *tensors: Tensor) -> list[Tensor]:
    """Tensors on a device, those of the CPU in one copy that the host does not wait for.

    What may be changed later on the CPU has been copied; on the CPU itself they are as they are.
    """
    if device.type == "cpu":
        return list(tensors)
    near = [x for x in tensors if x.device.type == "cpu"]
    if not near:
        return list(tensors)
    kinds = [(tuple(x.shape), x.dtype) for x in near]
    places, size = _layout(kinds)
    block = _staging(size, device)
    for x, place, kind in zip(near, places, kinds, strict=True):
        _typed(block, place, kind).copy_(x)
    there = block.to(device, non_blocking=pins(device))
    found = iter([_typed(there, place, kind) for place, kind in zip(places, kinds, strict=True)])
    return [next(found) if x.device.type == "cpu" else x for x in tensors]


def fetched(*tensors: Tensor) -> list[Tensor]:
    """Tensors on the CPU, those of a device in one copy: the host waits once."""
    far = [x for x in tensors if x.device.type != "cpu"]
    if len(far) < 2:
        return [x.cpu() for x in tensors]
    order = sorted(range(len(far)), key=lambda i: -far[i].element_size())
    whole = torch.cat([far[i].reshape(-1).view(torch.uint8) for i in order]).cpu()
    found: dict[int, Tensor] = {}
    start = 0
    for i in order:
        kind = tuple(far[i].shape), far[i].dtype
        found[i] = _typed(whole, start, kind)
        start += _size(kind)
    ready = iter([found[i] for i in range(len(far))])
    return [x if x.device.type == "cpu" else next(ready) for x in tensors]


def _staging(size: int, device: torch.device) -> Tensor:
    """Bytes of the CPU that are copied from while the host goes on.

    The allocator of pinned memory does not give them away before the copy is done.
    """
    return torch.empty(size, dtype=torch.uint8, pin_memory=pins(device))


def pins(device: torch.device) -> bool:
    """Whether there is pinned memory for a device, without which the host waits for each copy."""
    return device.type not in ("cpu", "mps")


def _layout(kinds: Iterable[Kind]) -> tuple[list[int], int]:
    """Where tensors begin that lie one after the other, and the bytes of all."""
    places, end = [], 0
    for kind in kinds:
        places.append(end)
        end += -(-_size(kind) // _ALIGNED) * _ALIGNED
    return places, end


def _size(kind: Kind) -> int:
    return torch.Size(kind[0]).numel() * kind[1].itemsize


def _typed(block: Tensor, place: int, kind: Kind) -> Tensor:
    """A tensor that lies in a block of bytes."""
    return block[place : place + _size(kind)].view(kind[1]).view(kind[0])
