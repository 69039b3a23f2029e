"""What rows of on-policy runs hold: means over episodes, numbers by slot, rows of workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[Any]


def mean_outcomes(episodes: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Mean of each metric over the episodes that have a number for it; None if none has."""
    means: dict[str, float | None] = {}
    for name in dict.fromkeys(name for episode in episodes for name in episode):
        numbers = [episode[name] for episode in episodes if math.isfinite(episode[name])]
        means[name] = float(np.mean(numbers)) if numbers else None
    return means


def mean_returns(returns: list[Array], num_agents: int) -> list[float | None]:
    """Each agent's mean return over episodes ``[N]``; None if it was in play in none."""
    return [float(np.mean(own)) if len(own) else None for own in _known(returns, num_agents)]


def std_returns(returns: list[Array], num_agents: int) -> list[float | None]:
    """Their deviation, likewise."""
    return [float(np.std(own)) if len(own) else None for own in _known(returns, num_agents)]


def _known(returns: list[Array], num_agents: int) -> list[Array]:
    """Each agent's returns, of the episodes in which it was in play."""
    if not returns:
        return [np.zeros(0)] * num_agents
    return [own[~np.isnan(own)] for own in np.array(returns).T]


def per_pair(table: Tensor, slots: tuple[int, ...], num_agents: int) -> list[list[float | None]]:
    """Spread a learner's table ``[A, N]`` over all agents ``[N][N]``; None where there is no
    number, nor anything that an agent could do to itself.
    """
    spread: list[list[float | None]] = [[None] * num_agents for _ in range(num_agents)]
    for slot, values in zip(slots, table.tolist(), strict=True):
        spread[slot] = [
            value if other != slot and math.isfinite(value) else None
            for other, value in enumerate(values)
        ]
    return spread


def per_slot(values: Tensor, slots: tuple[int, ...], num_agents: int) -> list[float | None]:
    """Spread a learner's metrics ``[A]`` over all agents; None where there is no number."""
    spread: list[float | None] = [None] * num_agents
    for slot, value in zip(slots, values.tolist(), strict=True):
        spread[slot] = value if math.isfinite(value) else None
    return spread


_COUNTS = ("episodes_finished", "solo_episodes_finished")
_OWN = ("worker", "steps", "stepping", "staleness", "dropped")


def merged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of several workers as one: counts add up, numbers of episodes are means over episodes,
    everything else over workers; what a worker has no number for (None) does not count.
    """
    finished = [float(sum(row[name] for name in _COUNTS)) for row in rows]
    row: dict[str, Any] = {}
    for name in rows[0]:
        values = [r[name] for r in rows]
        if name in _COUNTS:
            row[name] = sum(values)
        elif name not in _OWN:
            equal = name in ("learner", "pairs", "time") or not any(finished)
            row[name] = _mean(values, [1.0] * len(rows) if equal else finished)
    return row


def _mean(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """Weighted mean of numbers, lists or tables of them, element by element."""
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    if not known:
        return None
    first = known[0][0]
    if isinstance(first, Mapping):
        names = dict.fromkeys(name for v, _ in known for name in v)
        return {
            name: _mean([v.get(name) for v, _ in known], [w for _, w in known]) for name in names
        }
    if isinstance(first, list):
        parts = zip(*(v for v, _ in known), strict=True)
        return [_mean(part, [w for _, w in known]) for part in parts]
    if isinstance(first, bool | str):
        return known[-1][0]
    total = sum(w for _, w in known)
    if total == 0:
        return first
    return sum(v * w for v, w in known) / total
