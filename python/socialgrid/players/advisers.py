"""Scripted members of a group that say what they would do where somebody else stands.

Unlike the players of a batch they see nothing but observations, so they can be asked about any
state that a learner is in, and several at once.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from socialgrid import _core

from .streams import as_choice, as_unit, random_words

if TYPE_CHECKING:
    from socialgrid.models.task_spec import TaskSpec

_MASK = (1 << 64) - 1
_SALT = 0x41445649  # so that an adviser and a player of the same seed draw different numbers


class ScriptedAdviser(ABC):
    """Answers observations with actions; see :func:`make_adviser`.

    Its random numbers depend on the seed, the number of calls and the row alone.
    """

    def __init__(self, seed: int, task: TaskSpec) -> None:
        self._seed = seed
        self._task = task
        self._calls = 0

    def __call__(self, obs: ArrayLike) -> NDArray[Any]:
        """What it would do in each of M states.

        Args:
            obs: [M, \\*obs_shape], the task's observations.

        Returns:
            int64 [M], or float32 [M, D] in the environment's units where actions are continuous.

        Raises:
            ValueError: observations of another shape.
        """
        seen = np.asarray(obs)
        if seen.shape[1:] != self._task.obs_shape or seen.ndim == 0:
            raise ValueError(
                f"obs must be [M, {', '.join(map(str, self._task.obs_shape))}], "
                f"got {list(seen.shape)}"
            )
        actions = self.choose(seen)
        self._calls += 1
        return actions

    @abstractmethod
    def choose(self, obs: NDArray[Any]) -> NDArray[Any]:
        """Actions for observations of the right shape."""

    def state(self) -> NDArray[np.int64]:
        """All that changes as it is asked: the number of calls, int64 [1]."""
        return np.array([self._calls], dtype=np.int64)

    def set_state(self, state: ArrayLike) -> None:
        """Go on as after :meth:`state`, in an adviser of the same game, kind and seed.

        Raises:
            ValueError: not such a state.
        """
        given = np.asarray(state)
        if given.shape != (1,) or given.dtype.kind not in "iu" or given[0] < 0:
            raise ValueError(
                f"an adviser's state is one number of calls, int64 [1], got {given.dtype} "
                f"{list(given.shape)}"
            )
        self._calls = int(given[0])

    def _words(self, rows: int, purpose: int = 0) -> NDArray[np.uint64]:
        index = np.arange(rows, dtype=np.uint64)
        return random_words(self._seed, _SALT, index, self._calls, purpose)


class RandomAdviser(ScriptedAdviser):
    """Uniformly random actions, whatever it sees."""

    def choose(self, obs: NDArray[Any]) -> NDArray[Any]:  # noqa: D102
        task = self._task
        if not task.continuous:
            return as_choice(self._words(len(obs)), task.num_actions).astype(np.int64)
        low, high = np.array([task.action_low, task.action_high])
        words = [self._words(len(obs), component) for component in range(len(low))]
        drawn: NDArray[np.float32] = (low + (high - low) * as_unit(np.stack(words, axis=1))).astype(
            np.float32
        )
        return drawn


class RoomExpertAdviser(ScriptedAdviser):
    """Uniformly one of the ways that bring it closer to the goal; there, pressing on the wall."""

    opposite: ClassVar[bool] = False
    """Whether it goes to the corner farthest from the goal instead."""

    def choose(self, obs: NDArray[Any]) -> NDArray[Any]:  # noqa: D102
        seen = np.ascontiguousarray(obs, np.float32 if obs.dtype == np.float32 else np.float64)
        return _core.room_advice(seen, self.opposite, self._seed & _MASK, _SALT, self._calls)


class RoomAdversaryAdviser(RoomExpertAdviser):
    """The expert's way to the corner farthest from the goal."""

    opposite = True


# By game: the shape of the observations they read, and who reads them.
_READERS: dict[str, tuple[tuple[int, ...], dict[str, type[ScriptedAdviser]]]] = {
    "Room-v0": ((4,), {"expert": RoomExpertAdviser, "adversary": RoomAdversaryAdviser}),
    "Hallway-v0": ((2,), {"expert": RoomExpertAdviser}),
}


def list_advisers(game: str) -> list[str]:
    """Kinds of advisers that :func:`make_adviser` has for a game, or for any other task."""
    return [*_READERS.get(game, ((), {}))[1], "random"]


def make_adviser(game: str, kind: str, seed: int, task: TaskSpec) -> ScriptedAdviser:
    """A scripted adviser for a task.

    Args:
        game: such as ``"Room-v0"``; any other name stands for a task of which only ``task`` is
            known.
        kind: one of ``list_advisers(game)``.
        seed: of its own random numbers.
        task: observations and actions.

    Raises:
        ValueError: no such kind for this game, or observations that the kind cannot read.
    """
    known = list_advisers(game)
    if kind not in known:
        close = difflib.get_close_matches(kind, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no adviser {kind!r} for {game}: there are {', '.join(known)}{hint}")
    if kind == "random":
        return RandomAdviser(seed, task)
    shape, readers = _READERS[game]
    if task.obs_shape != shape:
        raise ValueError(
            f"adviser {kind!r} for {game} reads vector observations {list(shape)}, but the task "
            f'has {list(task.obs_shape)}: use obs_mode "vector"'
        )
    return readers[kind](seed, task)
