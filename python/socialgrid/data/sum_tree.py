"""Sums over priorities of many items, kept while single priorities change."""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid import _core

# Changing priorities pays per level, so nodes have many children: a million items, five levels. An
# accelerator would rather add up more numbers than start more operations: two levels.
_CHILDREN, _CHILDREN_THERE = 16, 1024


def priority_dtype(device: torch.device) -> torch.dtype:
    """Of priorities on a device: float64 wherever there is that."""
    return torch.float32 if device.type == "mps" else torch.float64


class SumTree:
    """Priorities ``[A, capacity]`` of ``priority_dtype`` with a tree of partial sums over each row.

    Changing B priorities or finding B items by their cumulative priority takes O(B log capacity)
    for all agents at once (Schaul et al. 2016, appendix B.2.1).
    """

    def __init__(self, num_agents: int, capacity: int, device: torch.device | str = "cpu") -> None:
        """All priorities 0."""
        self.num_agents, self.capacity = num_agents, capacity
        self.device = torch.device(device)
        self.dtype = priority_dtype(self.device)
        near = self.device.type == "cpu"
        self._children = children = _CHILDREN if near else _CHILDREN_THERE
        sizes = [-(-capacity // children) * children]
        while sizes[-1] > children:
            above = sizes[-1] // children
            sizes.append(-(-above // children) * children)
        self._levels = [
            torch.zeros((num_agents, size), dtype=self.dtype, device=device) for size in sizes
        ]
        self._agent = torch.arange(num_agents, device=device)[:, None]

    @property
    def total(self) -> Tensor:
        """Sum of all priorities, ``[A]``."""
        return self._levels[-1].sum(1)

    def get(self, index: Tensor) -> Tensor:
        """Priorities ``[A, B]`` of the items ``index`` int64 ``[A, B]``."""
        return self._levels[0].gather(1, index)

    def clear(self) -> None:
        """All priorities 0 again."""
        for level in self._levels:
            level.zero_()

    def set(self, index: Tensor, priority: Tensor) -> None:
        """Change priorities.

        Args:
            index: int64 ``[A, B]``; an item that occurs twice must have the same priority twice.
            priority: ``[A, B]``, not negative.
        """
        self._levels[0][self._agent, index] = priority.to(self.dtype)
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            index = index // self._children
            level[self._agent, index] = self._below(below, index).sum(-1)

    def find(self, mass: Tensor) -> Tensor:
        """The items at which the cumulative priority first exceeds ``mass``.

        Args:
            mass: ``[A, B]`` from 0 to the total.

        Returns:
            int64 ``[A, B]``; never an item of priority 0, if any other exists.
        """
        if self.device.type == "cpu":
            levels = [level.numpy() for level in self._levels]
            masses = mass.contiguous().numpy()
            return torch.from_numpy(_core.find_by_priority(levels, self._children, masses))
        top, *rest = reversed(self._levels)
        sums = top.cumsum(-1)
        node = _where_exceeded(sums, mass)
        mass = mass - _before(sums, node)
        for level in rest:
            sums, mass = self._below(level, node).cumsum(-1), mass.unsqueeze(-1)
            child = _where_exceeded(sums, mass)
            mass = (mass - _before(sums, child)).squeeze(-1)
            node = node * self._children + child.squeeze(-1)
        return node

    def _below(self, level: Tensor, node: Tensor) -> Tensor:
        """Entries below nodes ``[A, B]`` of the level above: ``[A, B, children]``."""
        return level.view(self.num_agents, -1, self._children)[self._agent, node]


def _where_exceeded(sums: Tensor, mass: Tensor) -> Tensor:
    """Which of the sums along the last axis first exceeds each mass there."""
    found = torch.searchsorted(sums, mass, right=True)
    # Rounding may leave a mass at or beyond the sum: the last child that has any, then.
    return torch.minimum(found, torch.searchsorted(sums, sums[..., -1:].contiguous()))


def _before(sums: Tensor, place: Tensor) -> Tensor:
    """The sum before each place along the last axis."""
    return torch.where(place > 0, sums.gather(-1, (place - 1).clamp(min=0)), 0.0)
