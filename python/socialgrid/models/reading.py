"""From a device to the host, all at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def read(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of one device on the CPU, in one copy, for which the host waits once.

    What is on the CPU already is not copied.
    """
    far = {name: x for name, x in tensors.items() if x.device.type != "cpu"}
    # The widest numbers first, so that all lie where numbers of their type may.
    order = sorted(far, key=lambda name: -far[name].element_size())
    parts = [far[name].detach().reshape(-1).view(torch.uint8) for name in order]
    found = dict(tensors)
    if parts:
        sizes = [len(part) for part in parts]
        for name, part in zip(order, torch.split(torch.cat(parts).cpu(), sizes), strict=True):
            found[name] = part.view(far[name].dtype).view(far[name].shape)
    return found


def exact(device: torch.device) -> torch.dtype:
    """The most exact numbers that a device has: float64, but on Apple's float32."""
    return torch.float32 if device.type == "mps" else torch.float64
