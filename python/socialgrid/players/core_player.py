"""Players whose choices the core makes, in the batch's threads.

What such a player remembers lies in numpy arrays of its own, which the core reads and writes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from socialgrid import _core

from .player import Player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv


STAY = 4
"""What agents do that do nothing, in the games in which one steps in any direction."""


class CorePlayer(Player):
    """Plays as the core's kind of that name does; see ``cpp/players``.

    The same for any number of threads, and as a :class:`Player` in Python would that chooses so.
    """

    kind: ClassVar[str]
    """What the core calls it."""

    def __init_subclass__(cls) -> None:
        """Refuse what would never be asked.

        Raises:
            TypeError: a subclass chooses or learns in Python.
        """
        super().__init_subclass__()
        for hook in ("choose", "learn"):
            if hook in vars(cls) and cls.act is CorePlayer.act:
                raise TypeError(
                    f"{cls.__name__}.{hook}: the core chooses and learns for "
                    f"{cls.__mro__[1].__name__}; a player of one's own is a subclass of Player"
                )

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        role = {
            "game": env.game,
            "num_envs": env.num_envs,
            "num_agents": env.num_agents,
            "agent": agent,
            "num_actions": self._num_actions,
            "idle_action": self.idle_action,
            "can_block": self._can_block,
            "seed": seed & ((1 << 64) - 1),
            "first_env_index": env.first_env_index,
            "error_rate": error_rate,
        }
        self._made_of: tuple[str, dict[str, Any], dict[str, float]] = (
            self.kind,
            role,
            self.numbers(env),
        )
        self._mind = _core.Mind(*self._made_of)
        self._slots = self._mind.slots()
        self._own: dict[str, NDArray[Any]] = {
            name: np.full((env.num_envs, *[self._slots] * rank), fallback, dtype)
            for name, dtype, rank, fallback in self._mind.columns()
        }
        self._bind()

    def numbers(self, env: VecEnv) -> dict[str, float]:
        """Hook: what the kind wants to know besides who plays where."""
        return {}

    def act(self, env: VecEnv, obs: object, info: Mapping[str, Any]) -> NDArray[np.int32]:  # noqa: D102
        self._check(env)
        while (action := self._mind.act(env._core, self._calls)) is None:
            self.make_room(env)
        self._calls += 1
        return action

    def observe(self, env: VecEnv, reward: NDArray[np.float32], info: Mapping[str, Any]) -> None:  # noqa: D102
        self._check(env)
        rewards = np.ascontiguousarray(reward)
        if rewards.dtype != np.float32:  # only signs matter, and they are to be kept
            rewards = np.sign(rewards).astype(np.float32)
        done = np.ascontiguousarray(info["done"], dtype=np.bool_)
        while not self._mind.observe(env._core, self._calls, rewards, done):
            self.make_room(env)

    @property
    def calls(self) -> tuple[_core.Mind, int]:
        """The mind, and how often it was called: for whoever calls it without Python."""
        return self._mind, self._calls

    def went_on(self, steps: int) -> None:
        """Take note of steps for which the mind was called so."""
        self._calls += steps

    def forget(self, env_mask: NDArray[np.bool_]) -> None:  # noqa: D102
        super().forget(env_mask)
        for name, _, _, fallback in self._mind.columns():
            self._own[name][env_mask] = fallback

    def memory(self) -> dict[str, NDArray[Any]]:  # noqa: D102
        return self._own

    def _bind(self) -> None:
        self._mind.bind(
            {
                "known": self._known,
                "pos": self._pos,
                "dir": self._dir,
                "action": self._action,
                "aside": self._aside,
                "restart": self._restart,
                **self._own,
            }
        )

    def make_room(self, env: VecEnv) -> None:
        """Where a world has more targets than there was room for, as a layout may have."""
        more = self._mind.slots_in(env._core) - self._slots
        for name, _, rank, fallback in self._mind.columns():
            wider = ((0, 0), *[(0, more)] * rank)
            self._own[name] = np.pad(self._own[name], wider, constant_values=fallback)
        self._slots += more
        self._bind()

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # nothing that changes is shared

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_mind"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._mind = _core.Mind(*self._made_of)
        self._bind()
