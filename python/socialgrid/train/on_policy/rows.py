"""What rows of on-policy runs are made of: episodes, and rows of workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.measures.episodes import episodes_with

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Ended:
    """An episode that ended in a batch.

    Attributes:
        when: the step of the batch, and the environment's number in the run.
        alone: it was solo.
        returns: ``[N]``, NaN of agents that were never in play.
        outcomes: as ``EpisodeMetrics`` names them.
    """

    when: tuple[int, int]
    alone: bool
    returns: Array
    outcomes: Mapping[str, float]


def mean_outcomes(episodes: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Mean of each metric over the episodes that have a number for it; None if none has."""
    means: dict[str, float | None] = {}
    for name in dict.fromkeys(name for episode in episodes for name in episode):
        numbers = [episode[name] for episode in episodes if math.isfinite(episode[name])]
        means[name] = float(np.mean(numbers)) if numbers else None
    return means


def by_agent(returns: list[Array], num_agents: int) -> list[Array]:
    """Each agent's returns, of the episodes in which it was in play."""
    if not returns:
        return [np.zeros(0)] * num_agents
    return [own[~np.isnan(own)] for own in np.array(returns).T]


_COUNTS = ("episodes_finished", "solo_episodes_finished")
_OWN = ("worker", "steps", "stepping", "staleness", "dropped")


def merged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of several workers as one: counts add up, numbers of episodes are means over those
    episodes that have one (a spread is that of all of them together), everything else over steps;
    what a worker has no number for (None) does not count.
    """
    steps = [float(r["steps"]) for r in rows]
    row: dict[str, Any] = {}
    for name in dict.fromkeys(name for r in rows for name in r):
        values = [r.get(name) for r in rows]
        if name in _COUNTS:
            row[name] = sum(values)
        elif name == "episodes_with":
            counted = dict.fromkeys(metric for own in values for metric in own or ())
            row[name] = {metric: _sum(_counts(rows, metric)) for metric in counted}
        elif name == "groups":
            row[name] = {
                metric: _mean(
                    [(own or {}).get(metric) for own in values],
                    [float(episodes_with(r, metric)) for r in rows],
                )
                for metric in dict.fromkeys(metric for own in values for metric in own or ())
            }
        elif name not in _OWN:
            row[name] = _mean(values, steps)
    agents = row["agents"]
    for name in ("return", "solo_return"):
        if name in agents:
            agents[name] = _of_agents([r["agents"].get(name) for r in rows], _counts(rows, name))
    if "return_std" in agents:
        squares = [_squares(r["agents"]) for r in rows]
        means = _of_agents(squares, _counts(rows, "return"))
        pairs = zip(means, agents["return"], strict=True)
        agents["return_std"] = [
            None if square is None else math.sqrt(max(0.0, square - mean * mean))
            for square, mean in pairs
        ]
    return row


def _counts(rows: Sequence[Mapping[str, Any]], metric: str) -> list[Any]:
    """Of how many episodes a number of each row is the mean: of all together, or by agent."""
    if metric not in ("return", "solo_return"):
        return [episodes_with(r, metric) for r in rows]
    sizes = [len(r["agents"].get(metric) or ()) for r in rows]
    return [
        [episodes_with(r, metric, agent) for agent in range(size)]
        for r, size in zip(rows, sizes, strict=True)
    ]


def _sum(counts: Sequence[Any]) -> Any:
    """Sum of counts, or of lists of as many counts."""
    if not any(isinstance(count, list) for count in counts):
        return sum(counts)
    return list(map(sum, zip(*(count for count in counts if count), strict=True)))


def _of_agents(values: Sequence[Any], counts: Sequence[Sequence[float]]) -> list[Any]:
    """Means of every agent's numbers over rows, by how many episodes they are of."""
    there = [(own, n) for own, n in zip(values, counts, strict=True) if own is not None]
    agents = range(len(there[0][0]))
    return [_mean([own[a] for own, _ in there], [float(n[a]) for _, n in there]) for a in agents]


def _squares(agents: Mapping[str, Any]) -> list[float | None]:
    """Each agent's mean of squared returns, from their mean and spread."""
    pairs = zip(agents["return"], agents["return_std"], strict=True)
    return [None if mean is None else mean * mean + spread * spread for mean, spread in pairs]


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
