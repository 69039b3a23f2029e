"""Shortest paths for a whole batch: distance maps that are kept until a world's cells change.

A walker on a grid turns and steps forward, so a path is measured in actions, over states
(direction, row, column). The maps come from :func:`socialgrid.action_distances`; this module
keeps them per environment and target cell, and turns them into the next action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

import socialgrid
from socialgrid.players import Player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, NOOP = range(7)

UNREACHABLE = np.int32(2**30)
"""Cost of a target that no path leads to."""

HEADINGS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]], dtype=np.int32)
"""(row, col) step of the directions 0 right, 1 down, 2 left, 3 up."""

_PAIRS_PER_CALL = 4096

# Added to a distance that crosses cells of the fallback: no detour is as bad as that.
_FAR = 2**14

# Headings in the order in which ties are broken (ahead, left, right, back), seen from the
# present direction; the actions it takes to enter the cell there; and the first of these.
_RELATIVE = np.array([0, 3, 1, 2], dtype=np.int64)
_ACTIONS_TO_ENTER = np.array([1, 2, 2, 3], dtype=np.int32)
_FIRST_ACTION = np.array([FORWARD, LEFT, RIGHT, RIGHT], dtype=np.int32)


def char_table(chars: bytes) -> NDArray[np.bool_]:
    """Look-up table, bool [256]: which character codes are among ``chars``."""
    table = np.zeros(256, dtype=np.bool_)
    table[np.frombuffer(chars, dtype=np.uint8)] = True
    return table


@dataclass(frozen=True)
class Terrain:
    """What a walker looks for and where it may walk, as layout characters.

    ``targets`` are the cells to enter; ``walkable`` the cells it likes to cross on the way;
    ``fallback`` those it crosses when no way over ``walkable`` cells exists. There is room for
    ``num_targets`` target cells per environment, or for more where a world has more.
    """

    targets: bytes
    walkable: bytes
    fallback: bytes
    num_targets: int


class DistanceMaps:
    """Distances to every target cell of every environment of a batch, K targets in row-major order.

    Built for the environments whose content has changed since; see :meth:`refresh`.
    """

    def __init__(self, env: VecEnv, terrain: Terrain) -> None:
        self.terrain = terrain
        E, K = env.num_envs, terrain.num_targets
        self.present = np.zeros((E, K), dtype=np.bool_)
        """bool [E,K]: which target slots are in use."""
        self.position = np.zeros((E, K, 2), dtype=np.int32)
        """int32 [E,K,2]: (row, col) of the targets."""
        self.character = np.zeros((E, K), dtype=np.uint8)
        """uint8 [E,K]: their layout characters."""
        self._content = np.full(E, -1, dtype=np.int64)
        self._distance: NDArray[np.int16] | NDArray[np.int32] | None = None
        self._is_target = char_table(terrain.targets)
        self._walkable = char_table(terrain.walkable)
        self._crossable = char_table(terrain.fallback)

    def refresh(self, env: VecEnv, content: NDArray[np.int64]) -> None:
        """Bring the maps up to date; ``content`` is ``env.worlds(["content"])``."""
        rows = np.flatnonzero(content != self._content)
        if rows.size:
            cells: NDArray[np.uint8] = env.worlds(["cells"])["cells"]
            self._locate(rows, cells[rows])
            self._measure(rows, cells[rows])
            self._content = content.copy()

    def _locate(self, rows: NDArray[np.int64], cells: NDArray[np.uint8]) -> None:
        width = cells.shape[2]
        found = self._is_target[cells].reshape(len(rows), -1)
        which, cell = np.nonzero(found)
        # np.nonzero lists one environment after the other, each in row-major order.
        slot = np.arange(which.size) - np.searchsorted(which, which, side="left")
        if which.size:
            self._make_room(int(slot.max()) + 1)
        self.present[rows] = False
        self.present[rows[which], slot] = True
        self.position[rows[which], slot, 0] = cell // width
        self.position[rows[which], slot, 1] = cell % width
        self.character[rows[which], slot] = cells.reshape(len(rows), -1)[which, cell]

    def _make_room(self, num_targets: int) -> None:
        missing = num_targets - self.present.shape[1]
        if missing <= 0:
            return
        E = len(self.present)
        self.present = np.hstack([self.present, np.zeros((E, missing), np.bool_)])
        self.position = np.hstack([self.position, np.zeros((E, missing, 2), np.int32)])
        self.character = np.hstack([self.character, np.zeros((E, missing), np.uint8)])
        if self._distance is not None:
            shape = (E, missing, *self._distance.shape[2:])
            self._distance = np.hstack([self._distance, np.full(shape, -1, self._distance.dtype)])

    def _measure(self, rows: NDArray[np.int64], cells: NDArray[np.uint8]) -> None:
        if self._distance is None:
            shape = (*self.present.shape, 4, *cells.shape[1:])
            small = 4 * cells[0].size < _FAR
            self._distance = np.full(shape, -1, dtype=np.int16 if small else np.int32)
        walkable, crossable = self._walkable[cells], self._crossable[cells]
        # A target is entered in any case, so the fallback needs another cell that only it crosses.
        itself = int(self._crossable[self._is_target].all())
        spare = np.count_nonzero(crossable & ~walkable, axis=(1, 2)) > itself
        local, slot = np.nonzero(self.present[rows])
        self._distance[rows] = -1
        for start in range(0, local.size, _PAIRS_PER_CALL):
            part = slice(start, start + _PAIRS_PER_CALL)
            here, which = local[part], slot[part]
            target = self.position[rows[here], which]
            distance = socialgrid.action_distances(walkable[here], target)
            wider = spare[here]
            if wider.any():
                by_any_way = socialgrid.action_distances(crossable[here[wider]], target[wider])
                far = np.where(by_any_way < 0, -1, by_any_way + _FAR)
                distance[wider] = np.where(distance[wider] < 0, far, distance[wider])
            self._distance[rows[here], which] = distance

    def lead(
        self, slot: NDArray[np.int64], pos: NDArray[np.int32], direction: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The way to one target in every environment.

        Args:
            slot: int64 [E], which target.
            pos: int32 [E,2], (row, col) of one walker per environment.
            direction: int32 [E].

        Returns:
            cost int32 [E], the fewest actions to enter the target (:data:`UNREACHABLE` where there
            is no way or no target), and action int32 [E], the first of them (a no-op there).
            A way over ``walkable`` cells is preferred, however long, to one over ``fallback``
            cells.
        """
        cost, action = self._costs(np.arange(len(pos)), slot[:, None], pos, direction)
        return cost[:, 0], action[:, 0]

    def nearest(
        self,
        rows: NDArray[np.int64],
        candidates: NDArray[np.bool_],
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The nearest of several targets, in some of the environments.

        Args:
            rows: int64 [N], the environments.
            candidates: bool [N,K], the targets to choose from.
            pos: int32 [N,2], (row, col) of the walkers.
            direction: int32 [N].

        Returns:
            slot int64 [N], ties going to the target further up and left, and bool [N], whether
            there is a way to it.
        """
        slots = np.broadcast_to(np.arange(candidates.shape[1]), candidates.shape)
        cost, _ = self._costs(rows, slots, pos, direction)
        cost = np.where(candidates, cost, UNREACHABLE)
        slot = cost.argmin(axis=1)
        return slot, cost[np.arange(len(rows)), slot] < UNREACHABLE

    def _costs(
        self,
        rows: NDArray[np.int64],
        slots: NDArray[np.int64],
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Cost and first action, int32 [N,M], to the targets in slots [N,M].

        The best of the four headings: turn to face it, step, then follow the map. Looking one
        step ahead instead of reading the walker's own state keeps the answer right on cells that
        the map does not walk over, such as a wrong goal the walker stands on.
        """
        assert self._distance is not None, "refresh() comes first"
        height, width = self._distance.shape[-2:]
        heading = (direction[:, None] + _RELATIVE) & 3  # [N,4]
        row = pos[:, :1] + HEADINGS[:, 0][heading]
        col = pos[:, 1:] + HEADINGS[:, 1][heading]
        outside = (row < 0) | (row >= height) | (col < 0) | (col >= width)
        cell = row * width + col
        cell[outside] = 0
        state = (heading * (height * width) + cell)[:, None, :]  # [N,1,4]
        target = self.position[rows[:, None], slots]  # [N,M,2]
        target_cell = (target[..., 0] * width + target[..., 1])[..., None]
        by_state = self._distance.reshape(*self._distance.shape[:2], -1)
        onward = by_state[rows[:, None, None], slots[..., None], state]
        enters = cell[:, None, :] == target_cell
        cost = np.where(enters, 0, onward.astype(np.int32))  # [N,M,4]
        closed = (cost < 0) | outside[:, None, :] | ~self.present[rows[:, None], slots][..., None]
        cost = np.where(closed, UNREACHABLE, cost + _ACTIONS_TO_ENTER)
        best = cost.argmin(axis=2)
        best_cost = cost.min(axis=2)
        action = np.where(best_cost < UNREACHABLE, _FIRST_ACTION[best], NOOP)
        return best_cost, action.astype(np.int32)


_shared: WeakKeyDictionary[Any, dict[Terrain, DistanceMaps]] = WeakKeyDictionary()


def current_maps(env: VecEnv, terrain: Terrain, content: NDArray[np.int64]) -> DistanceMaps:
    """The maps of one batch and terrain, up to date; one object for all players that need them.

    ``content`` int64 [E] is ``env.worlds(["content"])``.
    """
    maps = _shared.setdefault(env, {})
    if terrain not in maps:
        maps[terrain] = DistanceMaps(env, terrain)
    maps[terrain].refresh(env, content)
    return maps[terrain]


class Walker(Player):
    """A player that goes where distance maps lead; knows the map, like the games' experts."""

    def maps(self, env: VecEnv, terrain: Terrain, content: NDArray[np.int64]) -> DistanceMaps:
        """The batch's maps for a terrain, up to date: of ``env.worlds(["content"])``."""
        return current_maps(env, terrain, content)
