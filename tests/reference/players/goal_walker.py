"""Experts of the games with a goal to walk to: Empty, Cluttered, FourRooms, Maze and DoorKey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .navigation import (
    FORWARD,
    HEADINGS,
    NOOP,
    PICKUP,
    TOGGLE,
    UNREACHABLE,
    DistanceMaps,
    Terrain,
    Walker,
)

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_LOCKED, _CLOSED, _OPEN = range(3)


def _count(env: VecEnv, character: str) -> int:
    return max(1, "".join(env.config.get("map") or []).count(character))


def _to_nearest(
    maps: DistanceMaps, pos: NDArray[np.int32], direction: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cost and first action, int32 [E], to the nearest goal."""
    slot = np.zeros(len(pos), dtype=np.int64)
    if maps.present.shape[1] > 1:
        slot, _ = maps.nearest(np.arange(len(pos)), maps.present, pos, direction)
    return maps.lead(slot, pos, direction)


class GoalExpert(Walker):
    """Walks the shortest path to the nearest goal; never over lava."""

    name = "expert"

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        self._terrain = Terrain(b"G", b".", b".G", _count(env, "G"))

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        return _to_nearest(self.maps(env, self._terrain, content), pos, direction)[1]


class DoorKeyExpert(Walker):
    """Fetches the key, opens the door, walks to the goal.

    Made for maps with one door and its key. What state the door is in it infers from what came of
    its own actions: with other agents about it may close an open door once before passing.
    """

    name = "expert"

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        self._key = Terrain(b"K", b".", b".D", 1)
        self._door = Terrain(b"D", b".", b".", 1)
        self._goal = Terrain(b"G", b".D", b".DG", _count(env, "G"))
        self._lock = np.full(env.num_envs, _LOCKED, dtype=np.int32)

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        key, door, goal = (
            self.maps(env, terrain, content) for terrain in (self._key, self._door, self._goal)
        )
        carrying = env.worlds(["agent_carrying"])["agent_carrying"][:, self.agent] == ord("K")
        self._infer_lock(door, pos, carrying, key.present[:, 0])

        only = np.zeros(len(pos), dtype=np.int64)
        to_key, key_action = key.lead(only, pos, direction)
        to_door, door_action = door.lead(only, pos, direction)
        to_goal, goal_action = _to_nearest(goal, pos, direction)

        at_key = (to_key == 1) & (key_action == FORWARD)
        at_door = (to_door == 1) & (door_action == FORWARD)
        fetch = np.where(at_key, PICKUP, key_action)
        unlock = np.where(at_door, TOGGLE, door_action)
        walk = np.where(
            at_door & (goal_action == FORWARD) & (self._lock != _OPEN), TOGGLE, goal_action
        )
        locked = door.present[:, 0] & (self._lock == _LOCKED)
        action = np.where(locked, np.where(carrying, unlock, fetch), walk)
        return np.where(locked | (to_goal < UNREACHABLE), action, NOOP).astype(np.int32)

    def _infer_lock(
        self,
        door: DistanceMaps,
        pos: NDArray[np.int32],
        carrying: NDArray[np.bool_],
        key_lies_about: NDArray[np.bool_],
    ) -> None:
        faced = (self._pos + HEADINGS[self._dir] == door.position[:, 0]).all(axis=1)
        faced &= self._known & door.present[:, 0]
        toggled = faced & (self._action == TOGGLE)
        lock = self._lock
        after = np.select(
            [lock == _LOCKED, lock == _CLOSED],
            [np.where(carrying, _CLOSED, _LOCKED), np.full_like(lock, _OPEN)],
            _CLOSED,
        )
        lock[toggled] = after[toggled]
        bumped = faced & (self._action == FORWARD) & (pos == self._pos).all(axis=1)
        lock[bumped & (lock == _OPEN)] = _CLOSED
        # Somebody else has the key, so the door may be open by now: try.
        lock[(lock == _LOCKED) & ~carrying & ~key_lies_about] = _OPEN

    def forget(self, env_mask: NDArray[np.bool_]) -> None:
        super().forget(env_mask)
        self._lock[env_mask] = _LOCKED

    def memory(self) -> dict[str, NDArray[Any]]:
        return {"lock": self._lock}
