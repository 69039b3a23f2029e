"""Scripted players of Room and Hallway: an expert, and an adversary that gives wrong advice.

Paper: Derstroff et al. 2024, "Peer Learning: Learning Complex Policies in Groups from Scratch via
Action Recommendations": scripted peers beside the ones that learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from socialgrid.players import Player
from socialgrid.players.room import opposite, walk_towards

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_GOAL = ord("G")
_WAY = 64


class RoomExpert(Player):
    """Walks the shortest path to the goal and stays on it."""

    name = "expert"

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        rows, cols = env.grid_shape
        goal = env.worlds(["cells"])["cells"].reshape(self.num_envs, -1) == _GOAL
        goals = np.stack(np.divmod(goal.argmax(axis=1), cols), axis=1)
        axes = slice(0 if rows > 1 else 1, 2)
        return walk_towards(
            pos[:, axes] / (cols - 1),
            self.target(goals[:, axes] / (cols - 1)),
            self._words(_WAY),
        )

    def target(self, goal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where it goes, [E, D] in [0, 1], when the goal is at ``goal``."""
        return goal


class RoomAdversary(RoomExpert):
    """Goes to the corner farthest from the goal as the expert goes to the goal; never collects."""

    name = "adversary"

    def target(self, goal: NDArray[np.float64]) -> NDArray[np.float64]:
        return opposite(goal)
