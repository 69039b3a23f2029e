"""Scripted players of GoalCycle: one that knows the order, one that finds it out.

Paper: Ndousse et al. 2021, "Emergent Social Learning via Multi-agent Reinforcement Learning",
section 4: a novice learns from experts that have found the order of the goals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .navigation import HEADINGS, DistanceMaps, Terrain, Walker

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_DIGITS = b"0123456789"


def _terrain(env: VecEnv) -> Terrain:
    """Cycle tiles as targets; a tile on the way to another is a mistake, so walk round it."""
    cells = "".join(env.config.get("map") or [])
    tiles = sum(cells.count(chr(digit)) for digit in _DIGITS)
    return Terrain(
        targets=_DIGITS,
        walkable=b".",
        fallback=b"." + _DIGITS,
        num_targets=tiles or int(env.config["num_goals"]),
    )


class CycleExpert(Walker):
    """Knows the order of the tiles and every agent's next one (privileged)."""

    name = "expert"

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        self._terrain = _terrain(env)

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        maps = self.maps(env, self._terrain, content)
        last = env.worlds(["agent_last_tile"])["agent_last_tile"][:, self.agent]
        index = maps.character.astype(np.int32) - ord("0")
        cycle_length = np.where(maps.present, index, 0).max(axis=1) + 1
        wanted = (last + 1) % cycle_length
        candidates = maps.present & ((index == wanted[:, None]) | (last < 0)[:, None])
        slot = candidates.argmax(axis=1)
        rows = np.flatnonzero(np.count_nonzero(candidates, axis=1) > 1)
        if rows.size:
            slot[rows], _ = maps.nearest(rows, candidates[rows], pos[rows], direction[rows])
        return maps.lead(slot, pos, direction)[1]


class TrialAndErrorPlayer(Walker):
    """Discovers the order within the episode by its own rewards, as a trained expert does.

    It sees the map and where the tiles are, but not their indices: tiles are told apart by their
    place. It remembers which tile it entered and what reward came, goes to the nearest tile that
    may still be the next one, and once every successor is known keeps going round.
    """

    name = "trial-and-error"

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        self._terrain = _terrain(env)
        self._forgets_on_mistake = bool(env.config.get("reset_on_mistake", False))
        E, K = env.num_envs, self._terrain.num_targets
        self._last = np.full(E, -1, dtype=np.int32)
        self._goal = np.full(E, -1, dtype=np.int64)
        self._successor = np.full((E, K), -1, dtype=np.int32)
        self._refuted = np.zeros((E, K, K), dtype=np.bool_)

    def _make_room(self, num_tiles: int) -> None:
        more = num_tiles - self._successor.shape[1]
        if more > 0:
            self._successor = np.pad(self._successor, ((0, 0), (0, more)), constant_values=-1)
            self._refuted = np.pad(self._refuted, ((0, 0), (0, more), (0, more)))

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        maps = self.maps(env, self._terrain, content)
        self._make_room(maps.present.shape[1])
        rows = np.flatnonzero((self._goal < 0) & (pos[:, 0] >= 0))
        if rows.size:
            candidates = self._candidates(maps, rows)
            slot, reachable = maps.nearest(rows, candidates, pos[rows], direction[rows])
            self._goal[rows] = np.where(reachable, slot, -1)
        return maps.lead(np.maximum(self._goal, 0), pos, direction)[1]

    def _candidates(self, maps: DistanceMaps, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tiles, bool [N,K], that may be the next one, by all that was seen in the episode."""
        present = maps.present[rows]
        last = self._last[rows]
        N, K = present.shape
        each = np.arange(N)
        at = np.maximum(last, 0)
        known = self._successor[rows]  # [N,K]
        others = present.copy()
        if K > 1:
            others[each, at] &= last < 0
        possible = others & ~(self._refuted[rows, at] & (last >= 0)[:, None])
        # A tile follows one tile only, so successors of other tiles are out.
        follows = np.zeros((N, K), dtype=np.bool_)
        owner, column = np.nonzero(known >= 0)
        follows[owner, known[owner, column]] = True
        possible &= ~(follows & (last >= 0)[:, None])
        # The first tile of the chain that ends here closes the cycle: only once all are in it.
        start, length = at.copy(), np.ones(N, dtype=np.int64)
        for _ in range(K - 1):
            precedes = known == start[:, None]
            found = precedes.any(axis=1)
            start = np.where(found, precedes.argmax(axis=1), start).astype(np.int32)
            length += found
        early = (last >= 0) & (length < present.sum(axis=1))
        possible[each[early], start[early]] = False
        # Known for certain, and the way out when nothing is left (repeated tiles on a map).
        certain = (last >= 0) & (known[each, at] >= 0)
        possible[certain] = False
        possible[each[certain], known[each, at][certain]] = True
        return np.where(possible.any(axis=1, keepdims=True), possible, others)

    def learn(self, env: VecEnv, reward: NDArray[np.float32], done: NDArray[np.bool_]) -> None:
        world = env.worlds(["agent_pos", "content"])
        pos = world["agent_pos"][:, self.agent]
        maps = self.maps(env, self._terrain, world["content"])
        self._make_room(maps.present.shape[1])
        stepped = np.all(pos == self._pos + HEADINGS[self._dir], axis=1)
        on_tile = np.all(pos[:, None, :] == maps.position, axis=2) & maps.present
        rows = np.flatnonzero(self._known & ~done & stepped & on_tile.any(axis=1))
        if not rows.size:
            return
        tile = on_tile[rows].argmax(axis=1).astype(np.int32)
        last = self._last[rows]
        right = (reward[rows] > 0) & (last >= 0)
        wrong = (reward[rows] <= 0) & (last >= 0)
        self._successor[rows[right], last[right]] = tile[right]
        self._refuted[rows[wrong], last[wrong], tile[wrong]] = True
        moves_on = np.logical_or(~wrong, self._forgets_on_mistake)
        self._last[rows[moves_on]] = tile[moves_on]
        self._goal[rows] = -1

    def forget(self, env_mask: NDArray[np.bool_]) -> None:
        super().forget(env_mask)
        self._last[env_mask] = -1
        self._goal[env_mask] = -1
        self._successor[env_mask] = -1
        self._refuted[env_mask] = False

    def memory(self) -> dict[str, NDArray[Any]]:
        return {
            "last": self._last,
            "goal": self._goal,
            "successor": self._successor,
            "refuted": self._refuted,
        }
