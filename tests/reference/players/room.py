"""Scripted players of Room and Hallway: an expert, and an adversary that gives wrong advice.

Paper: Derstroff et al. 2024, "Peer Learning: Learning Complex Policies in Groups from Scratch via
Action Recommendations": scripted peers beside the ones that learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from socialgrid.players import Player
from socialgrid.players.streams import as_choice

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_GOAL = ord("G")
_WAY = 64


def walk_towards(
    position: NDArray[Any], goal: NDArray[Any], words: NDArray[np.uint64]
) -> NDArray[np.int32]:
    """Actions int32 [M] of someone who walks to the goal and stays there by pressing on the wall.

    Off the goal it is uniformly one of the directions that bring it closer.

    Args:
        position: [M, D], in [0, 1] along each of the D axes; action 2k goes up along axis k,
            2k + 1 down.
        goal: likewise; at 0 or 1 along at least one axis.
        words: uint64 [M], random.
    """
    closer = np.stack([position < goal, position > goal], axis=2).reshape(len(position), -1)
    wanted = as_choice(words, np.maximum(np.count_nonzero(closer, axis=1), 1))
    rank = np.cumsum(closer, axis=1) - 1
    step = (closer & (rank == wanted[:, None])).argmax(axis=1)
    axis = np.abs(goal - 0.5).argmax(axis=1)
    press = 2 * axis + (goal[np.arange(len(goal)), axis] < 0.5)
    action: NDArray[np.int32] = np.where(closer.any(axis=1), step, press).astype(np.int32)
    return action


def opposite(goal: NDArray[Any]) -> NDArray[Any]:
    """Where the adversary goes instead: the corner [M, D] farthest from the goal [M, D]."""
    return 1 - np.round(goal)


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
