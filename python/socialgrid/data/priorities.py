"""Drawing by priority: shares, weights of importance, and priorities by temporal differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.data.exchange import sent
from socialgrid.data.sum_tree import SumTree, priority_dtype


@dataclass(frozen=True)
class Priorities:
    """Prioritised replay (Schaul et al. 2016), proportional variant.

    Transition i is drawn with probability p_i^alpha / sum_k p_k^alpha, p being the last absolute
    temporal difference plus ``eps`` (eq. 1), and weighs (N P(i))^-beta over the largest weight of
    its batch (section 3.4). New transitions get the largest priority so far.
    """

    alpha: float = 0.6
    eps: float = 1e-6


def in_shares(words: Tensor) -> Tensor:
    """One number in each of B equal shares of [0, 1), float64 ``[A, B]``, for random numbers from
    0 to 2^32 - 1, int64 ``[A, B]``.
    """
    count = words.shape[1]
    return (torch.arange(count) + words * 2.0**-32) / count


def importance(size: Tensor, priority: Tensor, total: Tensor, beta: float | Tensor) -> Tensor:
    """Weights of drawn items over the largest of each agent (Schaul et al. 2016, section 3.4).

    Args:
        size: int64 ``[A]``, items that can be drawn.
        priority: ``[A, B]`` of those that were.
        total: ``[A, 1]``, sum of all priorities.
        beta: exponent, a number or ``[A, 1]``.

    Returns:
        float32 ``[A, B]``; 1 for agents who have nothing.
    """
    nothing = total <= 0
    share = size[:, None] * priority / total.masked_fill(nothing, 1.0)
    weight = share.masked_fill(nothing, 1.0).pow(-beta)
    return (weight / weight.max(1, keepdim=True).values).float()


def largest_at_first(num_agents: int, device: torch.device) -> Tensor:
    """The largest priority of each agent before any is known, ``[A]``."""
    return torch.ones(num_agents, dtype=priority_dtype(device), device=device)


def raise_priorities(
    tree: SumTree,
    largest: Tensor,
    priorities: Priorities,
    index: Tensor,
    error: Tensor,
    agents: Sequence[bool] | Tensor | None,
) -> None:
    """Set priorities by temporal differences ``[A, B]`` of the agents that are meant, and raise
    the largest so far, ``[A]``.
    """
    index, error = index.to(tree.device), error.to(tree.device)
    priority = (error.to(tree.dtype).abs() + priorities.eps).pow(priorities.alpha)
    most = torch.maximum(largest, priority.max(1).values)
    if agents is not None:
        meant = agents if isinstance(agents, Tensor) else torch.tensor(list(map(bool, agents)))
        (meant,) = sent(tree.device, meant)
        priority = torch.where(meant[:, None], priority, tree.get(index))
        most = torch.where(meant, most, largest)
    tree.set(index, priority)
    largest.copy_(most)
