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
    """Episodes that ended in a batch, n of them, by the step and then the environment.

    Attributes:
        when: int64 ``[n, 2]``, the step of the batch, and the environment's number in the run.
        alone: bool ``[n]``: it was solo.
        returns: float64 ``[n, N]``, NaN of agents that were never in play.
        outcomes: float64 ``[n]`` each, as ``EpisodeMetrics`` names them.
    """

    when: Array
    alone: Array
    returns: Array
    outcomes: Mapping[str, Array]

    def some(self, which: Array) -> Ended:
        """Those of a mask ``[n]``, or by number."""
        outcomes = {name: values[which] for name, values in self.outcomes.items()}
        return Ended(self.when[which], self.alone[which], self.returns[which], outcomes)

    @staticmethod
    def joined(parts: Sequence[Ended]) -> Ended:
        """Those of several parts of the environments."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0].outcomes
        both = Ended(
            np.concatenate([part.when for part in parts]),
            np.concatenate([part.alone for part in parts]),
            np.concatenate([part.returns for part in parts]),
            {name: np.concatenate([part.outcomes[name] for part in parts]) for name in names},
        )
        return both.some(np.lexsort(both.when.T[::-1]))


def by_agent(returns: Array) -> list[Array]:
    """Each agent's returns, of the episodes ``[n, N]`` in which it was in play."""
    return [own[~np.isnan(own)] for own in returns.T]


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
