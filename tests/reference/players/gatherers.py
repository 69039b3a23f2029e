"""Players that gather apples: greedily, sustainably, and after opening the box for another.

The pairs of cooperators and defectors are those of the Schelling diagrams: Jaques et al. 2019,
"Social Influence as Intrinsic Motivation for Multi-Agent Deep Reinforcement Learning",
section 10.2 and figure 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from socialgrid.players import Player

from .strides import STAY, USE, Scene

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_APPLE = ord("A")
_BOX = ord("#")
_WAY = 32

# (rows, columns) from a cell to those whose apples count when apples grow in it.
_NEIGHBOURHOODS = {
    name: [
        (row, col)
        for row in range(-2, 3)
        for col in range(-2, 3)
        if 0 < row * row + col * col <= radius_squared
    ]
    for name, radius_squared in (("public", 2), ("paper", 4))
}


class Gatherer(Player):
    """Walks to the nearest apple, whatever comes of it; stays where there is none."""

    idle_action = STAY

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        scene = Scene(env, self.agent, pos, direction)
        return scene.walk(scene.cells == _APPLE, self._words(_WAY))[0]


class SustainableGatherer(Player):
    """Leaves apples whose neighbours are too few to grow them again.

    It eats only apples with at least ``neighbours`` others around them, counted as the game counts
    them when it grows apples (option ``neighbourhood`` of Harvest), and walks round the rest.
    """

    idle_action = STAY

    def __init__(
        self,
        env: VecEnv,
        agent: int = 0,
        seed: int = 0,
        *,
        error_rate: float = 0.0,
        neighbours: int = 3,
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        self._around = _NEIGHBOURHOODS[env.config.get("neighbourhood", "public")]
        if not 0 <= neighbours <= len(self._around):
            raise ValueError(f"neighbours must lie in [0, {len(self._around)}], got {neighbours}")
        self._neighbours = neighbours

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        scene = Scene(env, self.agent, pos, direction)
        apples = scene.cells == _APPLE
        spared = apples & (self._count_around(apples, scene.width) < self._neighbours)
        return scene.walk(apples & ~spared, self._words(_WAY), avoid=spared)[0]

    def _count_around(self, apples: NDArray[np.bool_], width: int) -> NDArray[np.uint8]:
        """Apples around every cell, uint8 [E, C]."""
        single = apples.view(np.uint8).reshape(-1)
        count = np.zeros_like(single)
        for row, col in self._around:
            shift = row * width + col
            # Between two rows lie two cells of frame, so that no neighbour is of another row.
            if shift > 0:
                count[:-shift] += single[shift:]
            else:
                count[-shift:] += single[:shift]
        return count.reshape(apples.shape)


class BoxOpener(Player):
    """Box Trapped: agent 0 first lets agent 1 out, then both go from apple to apple.

    A box that must be held open it opens for as long as agent 1 is on its start cell.
    """

    idle_action = STAY

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        rows: list[str] = env.config["map"]
        self._trap = next((row, line.index("T")) for row, line in enumerate(rows) if "T" in line)
        self._held = bool(env.config.get("held", False))

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        scene = Scene(env, self.agent, pos, direction, solid=b"@#")
        action, _ = scene.walk(scene.cells == _APPLE, self._words(_WAY))
        if self._num_actions <= USE:
            return action
        if self._held:
            others = env.worlds(["agent_pos"])["agent_pos"][:, 1]
            opens = (others == self._trap).all(axis=1)
        else:
            opens = (scene.cells == _BOX).any(axis=1)
        return np.where(opens, USE, action).astype(np.int32)
