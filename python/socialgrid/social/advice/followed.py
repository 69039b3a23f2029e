"""Steps in which somebody was followed, as they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def room_for(
    agents: int, capacity: int, shape: Sequence[int], dtype: torch.dtype
) -> dict[str, Tensor]:
    """A buffer of steps ``[A, capacity, ...]``: what is drawn together lies together."""
    lead = (agents, capacity)
    return {
        "seen": torch.zeros((*lead, 2, *shape), dtype=dtype),  # next_obs and obs
        "number": torch.zeros((*lead, 2)),  # reward and whether it terminated
        "followed": torch.zeros(lead, dtype=torch.int64),
    }


def by_name(buffer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Its parts by the names that steps have, live."""
    seen, number = buffer["seen"], buffer["number"]
    return {
        "obs": seen[:, :, 1],
        "next_obs": seen[:, :, 0],
        "reward": number[..., 0],
        "terminated": number[..., 1],
        "followed": buffer["followed"],
    }
