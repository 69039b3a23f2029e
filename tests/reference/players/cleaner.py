"""The cooperator of Cleanup: keeps the river clean, and eats apples in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from socialgrid.players import Player

from .strides import CLEAN, STAY, TURN_TOWARDS, Scene

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_WASTE, _RIVER, _APPLE = (ord(character) for character in "HRA")
_WAY = 32
_BEAM_LENGTH = 5
_TURNS = np.array([0, 1, 2, 1], dtype=np.int64)
"""Actions that it takes to turn, by quarter turns clockwise."""


class Cleaner(Player):
    """Cleans when the river holds much waste, until it holds little; otherwise gathers apples.

    Args:
        env, agent, seed, error_rate: as for every player.
        begin: share of waste among the river's cells above which it goes to clean.
        until: share at which it has done enough.
    """

    idle_action = STAY

    def __init__(
        self,
        env: VecEnv,
        agent: int = 0,
        seed: int = 0,
        *,
        error_rate: float = 0.0,
        begin: float = 0.25,
        until: float = 0.05,
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        if not 0.0 <= until <= begin <= 1.0:
            raise ValueError(f"0 <= until <= begin <= 1 is needed: until={until}, begin={begin}")
        self._begin, self._until = begin, until
        self._on_duty = np.zeros(self.num_envs, dtype=np.bool_)

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        scene = Scene(env, self.agent, pos, direction)
        waste = scene.cells == _WASTE
        num_waste = np.count_nonzero(waste, axis=1)
        num_river = np.count_nonzero(scene.cells == _RIVER, axis=1)
        share = num_waste / np.maximum(num_waste + num_river, 1)
        self._on_duty = np.where(self._on_duty, share > self._until, share > self._begin)
        useful = self._on_duty & (num_waste > 0)
        targets = (scene.cells == _APPLE) & ~self._on_duty[:, None]
        rows = np.flatnonzero(useful)
        spot, towards = _best_shot(scene, waste, rows)
        targets[rows, spot] = True
        action, _ = scene.walk(targets, self._words(_WAY))
        there = rows[spot == scene.own[rows]]
        quarter = (towards - direction[rows])[spot == scene.own[rows]] & 3
        action[there] = np.where(quarter == 0, CLEAN, TURN_TOWARDS[quarter])
        return action

    def forget(self, env_mask: NDArray[np.bool_]) -> None:
        super().forget(env_mask)
        self._on_duty[env_mask] = False

    def memory(self) -> dict[str, NDArray[Any]]:
        return {"on_duty": self._on_duty}


def _best_shot(
    scene: Scene, waste: NDArray[np.bool_], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where to shoot the cleaning beam from, and which way: the most waste for an action.

    Actions are those of walking there, turning and shooting.

    Args:
        scene: of the cleaner.
        waste: bool [E, C].
        rows: int64 [N], the environments to look at.

    Returns:
        cell int64 [N] and direction int64 [N].
    """
    width = scene.width
    free = ~(scene.solid[rows] | scene.occupied[rows])
    dirty = (waste[rows] & free).view(np.uint8)
    cell = np.arange(dirty.shape[1])
    own = scene.own[rows, None]
    walk = np.abs(cell // width - own // width) + np.abs(cell % width - own % width)  # [N, C]
    best = np.zeros((4, len(rows)))
    spot = np.zeros((4, len(rows)), dtype=np.int64)
    for towards in range(4):
        step, side = int(scene.steps[towards]), int(scene.steps[(towards + 1) & 3])
        # Whether a ray that starts in a cell meets waste, with nothing in between.
        ray = dirty.copy()
        for _ in range(_BEAM_LENGTH - 1):
            ray = dirty | (_shifted(ray, step) & free)
        cleaned = _shifted(ray, step) + _shifted(ray, side) + _shifted(ray, -side)
        turns = _TURNS[(towards - scene.direction[rows]) & 3]
        worth = np.where(free, cleaned / (walk + turns[:, None] + 1), 0.0)
        spot[towards] = worth.argmax(axis=1)
        best[towards] = worth.max(axis=1)
    chosen = best.argmax(axis=0)
    return spot[chosen, np.arange(len(rows))], chosen


def _shifted(cells: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """For every cell of [N, C] the value ``step`` cells further on; the frame's are wrong."""
    return np.roll(cells, -step, axis=1)
