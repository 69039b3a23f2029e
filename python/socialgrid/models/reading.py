"""From a device to the host, all at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from socialgrid.data.exchange import fetched


def read(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of one device on the CPU, in one copy, for which the host waits once."""
    found = fetched(*(x.detach() for x in tensors.values()))
    return dict(zip(tensors, found, strict=True))


def exact(device: torch.device) -> torch.dtype:
    """The most exact numbers that a device has: float64, but on Apple's float32."""
    return torch.float32 if device.type == "mps" else torch.float64
