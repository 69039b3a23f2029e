"""What became of a group in an episode: how much, how equally, how sustainably, how peacefully.

The social outcome metrics of Perolat et al. (2017), "A multi-agent reinforcement learning model of
common-pool resource appropriation", section 2.2, and of Jaques et al. (2019), section 10.5.3.

    >>> reward = np.array([[[1.0, 0.0]], [[2.0, 1.0]]])     # two steps, one environment, two agents
    >>> done = np.array([[False], [True]])
    >>> active = np.ones((2, 1, 2), bool)
    >>> events = np.zeros((2, 1, 2, 0), np.uint8)           # a game that counts none
    >>> ended = EpisodeMetrics(1, 2).update(reward, done, events, active)
    >>> for name in ("collective_return", "equality", "sustainability"): print(ended[name])
    [4.]
    [0.75]
    [1.75]
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.measures.intervals import Bounds
from socialgrid.measures.names import Place, Values, declare, measure

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# Events of which more is told than how often they were.
APPLES, HITS, OPENED = "apples", "hits", "opened"

declare("length", place=Place.FILE, values=Values.STEP)
declare(
    "collective_return",
    "collective return per episode",
    place=Place.LINE,
    digits=2,
    compared=True,
    values=Values.ANY,
)
declare(
    "equality", "equality of returns (1 - Gini)", place=Place.LINE, digits=2, values=Values.SHARE
)
declare("return_x_equality", "collective return x equality", values=Values.ANY)
declare("sustainability", "sustainability (mean step of collecting)", values=Values.STEP)
declare("peace", "peace (share of steps without a hit)", values=Values.SHARE)
declare(APPLES, "apples eaten per episode")
declare("cleaned", "waste cells cleaned per episode")
declare("shots", "fire beams per episode")
declare(HITS, "hits per episode")
declare("box_opened", "share of episodes in which the box was opened", values=Values.SHARE)
declare("box_step", "step in which the box was opened", values=Values.STEP, moment="the box opens")


def bounds_of(metric: str, max_steps: int, unbounded: Collection[str] = ()) -> Bounds:
    """What values a metric can have: of episodes, of coordination, or a game's count of events.

    Args:
        metric: its name; one that nobody has declared is a count.
        max_steps: steps of an episode at most.
        unbounded: names of those that can have any value in this run, whatever is declared.
    """
    values = Values.ANY if metric in unbounded else measure(metric).values
    return {
        Values.COUNT: Bounds(0.0),
        Values.SHARE: Bounds(0.0, 1.0),
        Values.STEP: Bounds(0.0, float(max_steps)),
        Values.CORRELATION: Bounds(-1.0, 1.0),
        Values.ANY: Bounds(),
    }[values]


def gini(returns: npt.ArrayLike) -> Floats:
    """Gini coefficient of the agents' returns (Jaques et al. 2019, eq. 9).

    ``sum_ij |R_i - R_j| / (2 N sum_i |R_i|)``. The papers divide by the sum of the returns itself,
    which is the same where nobody's is negative. They do not say what holds elsewhere, and fines
    make returns negative: eq. 9 then leaves [0, 1] or has no value. Dividing by absolute values, as
    Raffinetti et al. (2015) do, keeps it in [0, (N - 1) / N]. Equal returns have the coefficient 0,
    also where all are zero.

    Args:
        returns: ``[..., N]``.

    Returns:
        float64 ``[...]``.
    """
    values = np.asarray(returns, np.float64)
    gaps = np.abs(values[..., :, None] - values[..., None, :]).sum((-2, -1))
    return _ratio(gaps, 2 * values.shape[-1] * np.abs(values).sum(-1), otherwise=0.0)


def equality(returns: npt.ArrayLike) -> Floats:
    """``1 - gini``: 1 where all agents got the same.

    Args:
        returns: ``[..., N]``.

    Returns:
        float64 ``[...]``, in [0, 1].
    """
    return 1.0 - gini(returns)


def mean_outcomes(episodes: Mapping[str, npt.ArrayLike]) -> dict[str, float | None]:
    """Mean of each metric over the episodes that have a number for it; None if none has.

    Args:
        episodes: floats ``[n]`` by metric, as ``EpisodeMetrics.update`` gives them.
    """
    means: dict[str, float | None] = {}
    for name, values in episodes.items():
        numbers = np.asarray(values, np.float64)
        numbers = numbers[np.isfinite(numbers)]
        means[name] = float(np.mean(numbers)) if len(numbers) else None
    return means


def fewer(episodes: Mapping[str, npt.ArrayLike]) -> dict[str, int]:
    """How many episodes have a number, for each metric that some have none for: what a row of
    metrics has as ``episodes_with``, beside lists of how many of them each agent has had where
    some have had fewer.

    Args:
        episodes: floats ``[n]`` by metric.
    """
    there = {name: np.isfinite(np.asarray(x, np.float64)) for name, x in episodes.items()}
    found = {name: (int(np.count_nonzero(x)), len(x)) for name, x in there.items()}
    return {name: count for name, (count, every) in found.items() if count < every}


def episodes_with(row: Mapping[str, Any], metric: str, agent: int = 0) -> Any:
    """Of how many episodes a number in a row of metrics is the mean, as the row has it; ``None``
    where it does not say.

    Args:
        row: of ``metrics.jsonl``.
        metric: of the group, or of each agent.
        agent: whose, if it is of each agent.
    """
    counts = row.get("episodes_with")
    count = counts.get(metric) if isinstance(counts, Mapping) else None
    if isinstance(count, list):
        count = count[agent] if agent < len(count) else None
    solo = "solo_" if metric == "solo_return" else ""
    return row.get(f"{solo}episodes_finished") if count is None else count


class EpisodeMetrics:
    """Social outcomes of every episode, gathered over rollouts.

    A finished episode has these, all floats:

    - ``length``: steps.
    - ``collective_return``: sum of all agents' undiscounted rewards.
    - ``equality``: of the agents' returns.
    - ``return_x_equality``: their product (Jaques et al. 2019, figure 16).
    - ``sustainability``: the mean step at which an agent collects, averaged over the agents that
      collected anything (Perolat et al. 2017, S); nan if nobody did. The first step is 1. An
      agent collects when it has the event "apples" or, in games without, a positive reward.
    - ``peace``, in games with the event "hits": share of the agents' steps in play in which they
      were not hit. P of Perolat et al. counts steps in which an agent is not timed out after a
      hit; there is no time-out here.
    - the sum over agents and steps of each of the game's events: ``apples``, ``cleaned``,
      ``shots``, ``hits``, ...
    - for the event "opened", instead: ``box_opened``, 1 if it ever occurred, else 0, and
      ``box_step``, when first; nan if never.
    """

    def __init__(self, num_envs: int, num_agents: int, event_names: Sequence[str] = ()) -> None:
        """Start in the first step of all episodes.

        Args:
            num_envs: E.
            num_agents: N.
            event_names: K names of what the game counts, ``env.event_names``.
        """
        self.event_names = tuple(event_names)
        per_agent = (num_envs, num_agents)
        self._sums: dict[str, Array] = {
            "length": np.zeros(num_envs, np.int64),
            "returns": np.zeros(per_agent),
            "events": np.zeros((*per_agent, len(self.event_names)), np.int64),
            "collections": np.zeros(per_agent, np.int64),  # steps in which the agent collected
            "collection_times": np.zeros(per_agent, np.int64),  # sum of these steps' numbers
            "active_steps": np.zeros(num_envs, np.int64),  # over agents
            "calm_steps": np.zeros(num_envs, np.int64),
            "box_step": np.zeros(num_envs, np.int64),  # 0: not opened
        }

    def update(self, reward: Array, done: Array, events: Array, active: Array) -> dict[str, Floats]:
        """Go on with one rollout.

        Args:
            reward: float ``[T, E, N]``.
            done: bool ``[T, E]``: the episode ended in step t.
            events: integers ``[T, E, N, K]``, counts of each step.
            active: bool ``[T, E, N]``: in play before step t.

        Returns:
            each metric's values ``[n]`` of the episodes that ended, in the order of
            ``np.argwhere(done)``.

        Raises:
            ValueError: a shape differs from what it was made for.
        """
        lead = (len(reward), *self._sums["returns"].shape)
        for name, array, shape in (
            ("reward", reward, lead),
            ("done", done, lead[:2]),
            ("events", events, (*lead, len(self.event_names))),
            ("active", active, lead),
        ):
            if array.shape != shape:
                raise ValueError(f"{name} {array.shape}: expected {shape}")
        finished = list[dict[str, Floats]]()
        start = 0
        for last in np.flatnonzero(done.any(1)):
            stop = int(last) + 1
            self._add(reward[start:stop], events[start:stop], active[start:stop])
            finished.append(self._finish(np.flatnonzero(done[last])))
            start = stop
        self._add(reward[start:], events[start:], active[start:])
        if len(finished) == 1:
            return finished[0]
        finished = finished or [self._finish(np.zeros(0, np.intp))]
        return {name: np.concatenate([x[name] for x in finished]) for name in finished[0]}

    def get_state(self) -> dict[str, Array]:
        """Copies of the sums over unfinished episodes, for checkpoints."""
        return {name: array.copy() for name, array in self._sums.items()}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Take over what ``get_state`` gave.

        Raises:
            ValueError: other names, shapes or types.
        """
        if set(state) != set(self._sums):
            raise ValueError(f"sums {sorted(state)}: expected {sorted(self._sums)}")
        for name, own in self._sums.items():
            given = state[name]
            if given.shape != own.shape or given.dtype != own.dtype:
                raise ValueError(
                    f"{name}: {given.dtype}{given.shape}, expected {own.dtype}{own.shape}"
                )
        for name, own in self._sums.items():
            own[:] = state[name]

    def _event(self, events: Array, name: str) -> Array | None:
        """Counts ``[...]`` of one event, or None if the game has no such."""
        if name not in self.event_names:
            return None
        return np.asarray(events[..., self.event_names.index(name)])

    def _add(self, reward: Array, events: Array, active: Array) -> None:
        """Add steps in which no episode ends but in the last."""
        sums, steps = self._sums, len(reward)
        if not steps:
            return
        times = np.arange(1, steps + 1)
        apples = self._event(events, APPLES)
        collected = reward > 0 if apples is None else apples > 0
        collections = np.count_nonzero(collected, 0)
        sums["collections"] += collections
        sums["collection_times"] += sums["length"][:, None] * collections
        sums["collection_times"] += np.einsum("t,ten->en", times, collected)
        sums["returns"] += reward.sum(0, dtype=np.float64)
        sums["events"] += events.sum(0, dtype=np.int64)
        hits = self._event(events, HITS)
        sums["active_steps"] += np.count_nonzero(active, (0, 2))
        if hits is not None:
            sums["calm_steps"] += np.count_nonzero(active & (hits == 0), (0, 2))
        opened = self._event(events, OPENED)
        if opened is not None:
            now = (opened > 0).any(-1)
            first = now.any(0) & (sums["box_step"] == 0)
            sums["box_step"][first] = (sums["length"] + now.argmax(0) + 1)[first]
        sums["length"] += steps

    def _finish(self, envs: npt.NDArray[np.intp]) -> dict[str, Floats]:
        """Metrics of the episodes of these environments; their sums start anew."""
        sums = {name: array[envs] for name, array in self._sums.items()}
        returns, events = sums["returns"], sums["events"]
        collective = returns.sum(-1)
        when = _ratio(sums["collection_times"], sums["collections"], otherwise=0.0)
        columns: dict[str, Array] = {
            "length": sums["length"],
            "collective_return": collective,
            "equality": equality(returns),
            "return_x_equality": collective * equality(returns),
            "sustainability": _ratio(when.sum(-1), np.count_nonzero(sums["collections"], -1)),
        }
        if HITS in self.event_names:
            columns["peace"] = _ratio(sums["calm_steps"], sums["active_steps"])
        for name in self.event_names:
            if name == OPENED:
                opened = sums["box_step"] > 0
                columns["box_opened"] = opened
                columns["box_step"] = np.where(opened, sums["box_step"], np.nan)
            else:
                columns[name] = events[..., self.event_names.index(name)].sum(-1)
        for array in self._sums.values():
            array[envs] = 0
        return {name: column.astype(np.float64) for name, column in columns.items()}


def _ratio(top: npt.ArrayLike, bottom: npt.ArrayLike, otherwise: float = math.nan) -> Floats:
    """``top / bottom``, and ``otherwise`` where ``bottom`` is 0."""
    above, below = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    result = np.full(above.shape, otherwise)
    np.divide(above, below, out=result, where=below != 0)
    return result
