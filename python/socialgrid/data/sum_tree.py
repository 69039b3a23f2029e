"""Sums over priorities of many items, kept while single priorities change."""

from __future__ import annotations

import torch
from torch import Tensor

# A vectorised look-up pays per level, so nodes have many children: a million items, five levels.
_CHILDREN = 16


class SumTree:
    """Priorities float64 ``[A, capacity]`` with a tree of partial sums over each row.

    Changing B priorities or finding B items by their cumulative priority takes O(B log capacity)
    for all agents at once (Schaul et al. 2016, appendix B.2.1).
    """

    def __init__(self, num_agents: int, capacity: int, device: torch.device | str = "cpu") -> None:
        """All priorities 0."""
        self.num_agents, self.capacity = num_agents, capacity
        sizes = [-(-capacity // _CHILDREN) * _CHILDREN]
        while sizes[-1] > _CHILDREN:
            above = sizes[-1] // _CHILDREN
            sizes.append(-(-above // _CHILDREN) * _CHILDREN)
        self._levels = [
            torch.zeros((num_agents, size), dtype=torch.float64, device=device) for size in sizes
        ]
        self._agent = torch.arange(num_agents, device=device)[:, None]

    @property
    def total(self) -> Tensor:
        """Sum of all priorities, float64 ``[A]``."""
        return self._levels[-1].sum(1)

    def get(self, index: Tensor) -> Tensor:
        """Priorities float64 ``[A, B]`` of the items ``index`` int64 ``[A, B]``."""
        return self._levels[0].gather(1, index)

    def set(self, index: Tensor, priority: Tensor) -> None:
        """Change priorities.

        Args:
            index: int64 ``[A, B]``; an item that occurs twice must have the same priority twice.
            priority: ``[A, B]``, not negative.
        """
        self._levels[0].scatter_(1, index, priority.to(torch.float64))
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            index = index // _CHILDREN
            level.scatter_(1, index, self._children(below, index).sum(-1))

    def find(self, mass: Tensor) -> Tensor:
        """The items at which the cumulative priority first exceeds ``mass``.

        Args:
            mass: float64 ``[A, B]`` from 0 to the total.

        Returns:
            int64 ``[A, B]``; never an item of priority 0, if any other exists.
        """
        node = torch.zeros(mass.shape, dtype=torch.int64, device=mass.device)
        for level in reversed(self._levels):
            cumulative = self._children(level, node).cumsum(-1)
            # Rounding may leave a mass at or beyond the sum: the last child that has any, then.
            last = (cumulative < cumulative[..., -1:]).sum(-1)
            child = torch.minimum((cumulative <= mass.unsqueeze(-1)).sum(-1), last)
            before = cumulative.gather(-1, (child - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1)
            mass = mass - torch.where(child > 0, before, 0.0)
            node = node * _CHILDREN + child
        return node

    def _children(self, level: Tensor, node: Tensor) -> Tensor:
        """Entries below nodes ``[A, B]`` of the level above: ``[A, B, children]``."""
        return level.view(self.num_agents, -1, _CHILDREN)[self._agent, node]
