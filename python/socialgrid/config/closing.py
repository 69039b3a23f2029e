"""What a run plays and tells when it is over. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from socialgrid.config.errors import UsageError
from socialgrid.config.overrides import TABLES

_OF_AGENTS = ("return", "rewarded")


@dataclass(frozen=True)
class ConditionConfig:
    """In which company and world the trained agents play."""

    players: tuple[str, ...] = ()
    """Who plays, learners in the slots that they learnt in; as in training by default."""
    alone: bool = False
    """Only agents with networks are there."""
    greedy: bool = False
    """The most probable actions instead of samples."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the game that differ from training."""


@dataclass(frozen=True)
class ClosingConfig:
    """What on-policy agents play when the run is over, for its last lines and ``closing.json``."""

    trials: int = 0
    """Episodes in each condition; 0: nothing is played."""
    measures: tuple[str, ...] = ()
    """Columns: return:SLOT, rewarded:SLOT (share of episodes with any positive reward), or a
    metric of the group (box_opened, collective_return, ...)."""
    conditions: Mapping[str, Any] = field(default_factory=dict, metadata=TABLES)
    """Rows by name, each a ``ConditionConfig``; as in training by default."""
    reference: Mapping[str, Any] = field(default_factory=dict)
    """Measured earlier, by name: tables of measures, and the source in words."""
    notes: tuple[str, ...] = ()
    """What a reader must know."""

    def __post_init__(self) -> None:
        if self.trials < 0:
            raise UsageError(f"closing.trials: {self.trials} is out of range, must be at least 0")
        for measure in self.measures:
            name, colon, slot = measure.partition(":")
            if (name in _OF_AGENTS) != bool(colon) or (colon and not slot.isdecimal()):
                raise UsageError(
                    f"closing.measures: {measure!r} is not return:SLOT, rewarded:SLOT or a metric"
                )

    def fitting(self, num_agents: int) -> tuple[str, ...]:
        """Measures of agents that there are, and of the group."""
        slots = {measure: measure.partition(":")[2] for measure in self.measures}
        return tuple(m for m, slot in slots.items() if not slot or int(slot) < num_agents)
