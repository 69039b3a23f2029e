"""What was measured, as the numbers of a row of metrics by kind (``socialgrid.measures.names``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

_Returns = Sequence[np.ndarray[Any, Any]]


class Numbers:
    """The numbers of one row, put in by kind; what is not finite becomes None.

    Attributes:
        num_agents: A, agents that lists in rows have an entry for.
    """

    def __init__(self, num_agents: int, slots: Sequence[int] | None = None) -> None:
        """Nothing has been measured yet.

        Args:
            num_agents: A.
            slots: which of these agents a learner's numbers are of; by default all.
        """
        self.num_agents = num_agents
        self._slots = tuple(range(num_agents)) if slots is None else tuple(slots)
        self._agents: dict[str, list[float | None]] = {}
        self._pairs: dict[str, list[list[float | None]]] = {}
        self._groups: dict[str, float | None] = {}
        self._members: dict[str, list[list[float | None]]] = {}

    def put(self, name: str, values: Sequence[float | None]) -> None:
        """Put in a number of each agent."""
        self._agents[name] = list(map(_known, values))

    def put_returns(self, name: str, returns: _Returns) -> None:
        """Put in the mean over those of each agent's episodes that have ended, None of nothing."""
        self.put(name, [float(np.mean(own)) if len(own) else None for own in returns])

    def put_spreads(self, name: str, returns: _Returns) -> None:
        """Put in their standard deviation."""
        self.put(name, [float(np.std(own)) if len(own) else None for own in returns])

    def log(self, name: str, values: Tensor) -> None:
        """Put in a learner's number of each of its agents, ``[len(slots)]``; None of the others."""
        spread: list[float | None] = [None] * self.num_agents
        for slot, value in zip(self._slots, values.tolist(), strict=True):
            spread[slot] = value
        self.put(name, spread)

    def log_pairs(self, name: str, table: Tensor) -> None:
        """Put in what a learner measured of its agents with regard to all, ``[len(slots), A]``.

        Nothing is kept of an agent with regard to itself.
        """
        count = self.num_agents
        spread: list[list[float | None]] = [[None] * count for _ in range(count)]
        for slot, values in zip(self._slots, table.tolist(), strict=True):
            spread[slot] = [_known(x) if other != slot else None for other, x in enumerate(values)]
        self._pairs[name] = spread

    def log_groups(self, numbers: Mapping[str, float | None]) -> None:
        """Put in numbers of all agents together."""
        self._groups |= {name: _known(value) for name, value in numbers.items()}

    def log_members(self, name: str, table: Tensor) -> None:
        """Put in what each agent, or each group ``[G, P]``, has of each member, ``[A, P]``.

        What a group has, each of its agents has.
        """
        rows = [list(map(_known, row)) for row in table.tolist()]
        each = self.num_agents // len(rows)
        self._members[name] = [list(row) for row in rows for _ in range(each)]

    def by_kind(self) -> dict[str, Any]:
        """Everything put in, as a row has it; kinds of which there is nothing are left out."""
        kinds = {
            "agents": self._agents,
            "pairs": self._pairs,
            "groups": self._groups,
            "members": self._members,
        }
        return {kind: numbers for kind, numbers in kinds.items() if numbers}


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
