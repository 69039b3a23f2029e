"""Do messages and actions hang together (Jaques et al. 2019, sections 5.1 and 10.4.4)?

Symbols and actions are numbers from 0; entropies and mutual information are in nats. Estimates from
counts are biased: with M samples, the mutual information of independent variables of x and y
values comes out near ``(x - 1) (y - 1) / (2 M)`` instead of 0. Compare like with like.

    >>> messages = np.array([[[0, 0]], [[1, 0]], [[0, 0]], [[1, 0]]])  # [T, E, A]; agent 1 is mute
    >>> actions = np.array([[[0, 1]], [[1, 0]], [[0, 1]], [[1, 0]]])   # agent 1 does as it was told
    >>> done = np.zeros((4, 1), bool)
    >>> heard = instantaneous_coordination(messages, actions, done, num_signals=2, num_actions=2)
    >>> heard.round(3)
    array([[  nan, 0.637],
           [0.   ,   nan]])
    >>> speaker_consistency(messages, actions, num_symbols=2, num_actions=2)
    array([1. , 0.5])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.measures.names import Values, declare

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

declare("speaker_consistency", values=Values.SHARE)
declare("influenced_reward_correlation", values=Values.CORRELATION)


def joint_counts(first: Array, second: Array, num_first: int, num_second: int) -> Counts:
    """How often each pair of values occurs.

    Args:
        first: integers in ``[0, num_first)``, any shape.
        second: integers in ``[0, num_second)``, the same shape.
        num_first: number of rows.
        num_second: number of columns.

    Returns:
        int64 ``[num_first, num_second]``.

    Raises:
        ValueError: shapes differ, or a value is out of range.
    """
    if first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ")
    for values, number in ((first, num_first), (second, num_second)):
        if values.size and not 0 <= values.min() <= values.max() < number:
            raise ValueError(
                f"values from {values.min()} to {values.max()}: must be in [0, {number})"
            )
    pairs = first.astype(np.int64).ravel() * num_second + second.ravel()
    return np.bincount(pairs, minlength=num_first * num_second).reshape(num_first, num_second)


def entropy(counts: npt.ArrayLike) -> Floats:
    """Entropy of the distribution that counts along the last axis estimate.

    Args:
        counts: ``[..., n]``, not negative.

    Returns:
        nats, float64 ``[...]``; nan where nothing was counted.
    """
    table = np.asarray(counts, np.float64)
    total = table.sum(-1, keepdims=True)
    share = np.divide(table, total, out=np.full(table.shape, math.nan), where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    result: Floats = -(share * logs).sum(-1) + 0.0  # no minus zero
    return result


def mutual_information(counts: npt.ArrayLike) -> Floats:
    """Mutual information ``H(x) + H(y) - H(x, y)`` of a table of joint counts.

    Args:
        counts: ``[..., x, y]``, not negative.

    Returns:
        nats, float64 ``[...]``, not negative; nan where nothing was counted.
    """
    table = np.asarray(counts, np.float64)
    joint = entropy(table.reshape(*table.shape[:-2], -1))
    result: Floats = np.maximum(entropy(table.sum(-1)) + entropy(table.sum(-2)) - joint, 0.0)
    return result


def speaker_consistency(
    messages: Array,
    actions: Array,
    *,
    num_symbols: int,
    num_actions: int,
    average: bool = True,
) -> Floats:
    """How far each agent's symbols and its own actions of the same step determine each other.

    Eq. 8: for an agent, half of ``1 - H(actions given symbol c) / log num_actions`` over symbols
    c plus half of ``1 - H(symbols given action a) / log num_symbols`` over actions a. As printed,
    these are sums, over agents too; yet the paper calls the result a score in [0, 1]. So the
    default averages over the symbols and actions that occur: 1 for a one-to-one correspondence,
    near 0 for independence; its mean over agents is the group's score. What never occurs has no
    entropy and does not count. Somebody who always says the same scores at least 0.5 so: look at
    the entropy of messages as well. With one symbol to choose from, symbols tell nothing: 0.

    Args:
        messages: integers ``[T, E, A]``.
        actions: integers ``[T, E, A]``.
        num_symbols: size of the vocabulary.
        num_actions: number of actions.
        average: False gives the summands of eq. 8 as printed.

    Returns:
        float64 ``[A]``; nan if there are no steps.

    Raises:
        ValueError: shapes differ, or a value is out of range.
    """
    _same_shape(messages=messages, actions=actions)
    scores = np.empty(messages.shape[-1])
    for k in range(len(scores)):
        counts = joint_counts(messages[..., k], actions[..., k], num_symbols, num_actions)
        halves = []
        for rows, number in ((counts, num_actions), (counts.T, num_symbols)):
            occurring = rows[rows.sum(-1) > 0]
            sure = 1 - entropy(occurring) / math.log(number) if number > 1 else np.zeros(1)
            halves.append(sure.sum() / (max(1, len(sure)) if average else 1))
        scores[k] = 0.5 * sum(halves) if messages.size else math.nan
    return scores


def influential_moments(influence: Array) -> Bools:
    """Steps in which an agent's influence is at least its mean (Jaques et al. 2019, section 5.1).

    Who never has any, as those who are led, has no such steps.

    Args:
        influence: float ``[T, E, A]``, of each agent on the others together.

    Returns:
        bool ``[T, E, A]``.
    """
    often: Bools = influence >= influence.mean((0, 1), dtype=np.float64)
    moments: Bools = often & (influence != 0).any((0, 1))
    return moments


def instantaneous_coordination(
    signals: Array,
    actions: Array,
    done: Array,
    *,
    num_signals: int,
    num_actions: int,
    moments: Array | None = None,
) -> Floats:
    """Mutual information of what one agent signals and what another one does a step later.

    ``I(m_t^k; a_(t+1)^j)`` where signals are messages, ``I(a_t^k; a_(t+1)^j)`` where they are the
    actions themselves (Jaques et al. 2019, section 5.1). Steps are counted over the whole
    recording; an episode's last step has no next one. The paper's figure is the largest value of
    any two agents: ``strongest_pair``.

    Args:
        signals: integers ``[T, E, A]``.
        actions: integers ``[T, E, A]``.
        done: bool ``[T, E]``: the episode ended in step t.
        num_signals: number of different signals.
        num_actions: number of actions.
        moments: bool ``[T, E, A]``: count only signals given in these steps,
            ``influential_moments``; all by default. A signal's influence belongs to the step that
            gave it, as the learners record it; eq. 2 books a message's a step later.

    Returns:
        float64 ``[A, A]``, row k signals and column j responds; nan on the diagonal, and where
        nothing is counted.

    Raises:
        ValueError: shapes differ, or a value is out of range.
    """
    _same_shape(signals=signals, actions=actions)
    if moments is not None:
        _same_shape(signals=signals, moments=moments)
    if done.shape != signals.shape[:2]:
        raise ValueError(f"done {done.shape}: expected {signals.shape[:2]}")
    agents = signals.shape[-1]
    result = np.full((agents, agents), math.nan)
    goes_on = ~done[:-1].astype(bool)
    for k in range(agents):
        counted = goes_on
        if moments is not None:
            counted = goes_on & moments[:-1, :, k]
        signal = signals[:-1, :, k][counted]
        for j in range(agents):
            if j != k:
                response = actions[1:, :, j][counted]
                counts = joint_counts(signal, response, num_signals, num_actions)
                result[k, j] = mutual_information(counts)
    return result


def strongest_pair(coordination: Array) -> float:
    """The largest of ``instantaneous_coordination``; nan if there is none."""
    known = coordination[~np.isnan(coordination)]
    return float(known.max()) if known.size else math.nan


def correlation(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Pearson's correlation of two arrays of the same shape.

    Returns:
        a number in [-1, 1]; nan where one of them does not vary.

    Raises:
        ValueError: shapes differ.
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    _same_shape(x=first, y=second)
    if first.size < 2:
        return math.nan
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float((first**2).sum()) * float((second**2).sum()))
    return min(1.0, max(-1.0, float((first * second).sum()) / scale)) if scale > 0 else math.nan


def influenced_reward_correlation(influenced: Array, reward: Array, done: Array) -> float:
    """Are those who are influenced more also rewarded more (Jaques et al. 2019, section 5.1)?

    One point is one agent in one episode, or in the part of it that was recorded: its mean
    influence received and its mean reward, both per step. Agents on whom nobody ever has any
    influence, as those who lead and scripted players, are no points. The paper's points are whole
    runs with different settings; for those, give ``correlation`` one number of each kind per run
    and agent.

    Args:
        influenced: float ``[T, E, A]``, influence of the others on each agent.
        reward: float ``[T, E, A]``, of the environment.
        done: bool ``[T, E]``: the episode ended in step t.

    Returns:
        Pearson's correlation over all points; nan where one of the two does not vary.

    Raises:
        ValueError: shapes differ.
    """
    _same_shape(influenced=influenced, reward=reward)
    if done.shape != reward.shape[:2]:
        raise ValueError(f"done {done.shape}: expected {reward.shape[:2]}")
    # Number the episodes: within an environment by the ends before a step, then across them.
    earlier = np.cumsum(done, 0) - done
    _, episode = np.unique(earlier * done.shape[1] + np.arange(done.shape[1]), return_inverse=True)
    label = episode.ravel()
    steps = np.bincount(label)
    columns = np.flatnonzero((influenced != 0).any((0, 1)))
    if not len(columns):
        return math.nan

    def per_episode(values: Array) -> Floats:
        return np.stack([np.bincount(label, values[..., k].ravel()) / steps for k in columns])

    return correlation(per_episode(influenced), per_episode(reward))


def _same_shape(**arrays: Array) -> None:
    (first, one), (second, other) = arrays.items()
    if one.shape != other.shape:
        raise ValueError(f"{first} {one.shape} and {second} {other.shape}: shapes must be equal")
