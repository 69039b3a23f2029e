"""What advice is worth: terms as they are added up, targets, and values that move towards them."""

from __future__ import annotations

import torch
from torch import Tensor


def by_range(values: Tensor) -> Tensor:
    """Move and scale to [-1, 1] along the last axis, the lowest to -1 and the highest to 1.

    Where all are the same, they become 0; where one is no number, none is. Derstroff et al.
    (2024), footnote 4.
    """
    halves = values / 2  # differences of the largest numbers there are stay finite
    low = halves.amin(-1, keepdim=True)
    half = halves.amax(-1, keepdim=True) - low
    scaled = (halves - low) / torch.where(half > 0, half, torch.ones_like(half)) * 2 - 1
    return torch.where(half == 0, torch.zeros_like(values), scaled)


def by_largest(values: Tensor) -> Tensor:
    """Divide by the largest absolute value along the last axis; zeros stay zeros."""
    largest = values.abs().amax(-1, keepdim=True)
    return values / torch.where(largest > 0, largest, torch.ones_like(largest))


def advice_targets(
    reward: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    gamma: float,
    value: Tensor | None = None,
) -> Tensor:
    """omega of eq. 5, or of eq. 8 where the ``value`` of the own action is given; all one shape."""
    target = reward + gamma * next_value * ~terminated
    return target if value is None else target - value


def moved_values(values: Tensor, targets: Tensor, places: Tensor, rate: float) -> Tensor:
    """Move values towards the mean target of each member, turn by turn (eqs. 4 and 7).

    Args:
        values: float32 ``[..., P]``.
        targets: omega, float32 ``[..., T, N]``, N for each of T turns.
        places: int64 ``[..., T, N]``, the member each target belongs to.
        rate: alpha.

    Returns:
        the new values; a turn leaves those of members without a target unchanged.
    """
    shape = (*targets.shape[:-1], values.shape[-1])
    sums = targets.new_zeros(shape).scatter_add_(-1, places, targets)
    counts = targets.new_zeros(shape).scatter_add_(-1, places, torch.ones_like(targets))
    means, rates = sums / counts.clamp(min=1.0), (counts > 0) * rate
    for mean, share in zip(means.unbind(-2), rates.unbind(-2), strict=True):
        values = values + share * (mean - values)
    return values
