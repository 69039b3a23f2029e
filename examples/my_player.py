"""A scripted player of one's own: it keeps a hand on the wall to its left, as in a dark maze.

cd examples
socialgrid-train goal-cycle-mini --game Maze-v0 --import my_player --players wall-follower,learner
socialgrid-play Maze-v0 --import my_player --players me,wall-follower --set num_agents=2
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from socialgrid import VecEnv
from socialgrid.players import Player, register_player

LEFT, RIGHT, FORWARD = range(3)  # the first actions of the games that one walks about in
STEPS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # (row, col) by direction


class WallFollower(Player):
    """Turns left where there is no wall, walks on where it can, and turns right otherwise."""

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        super().__init__(env, agent, seed, error_rate=error_rate)
        self.turned = np.zeros(env.num_envs, bool)  # left, in the step before

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],  # [E, 2], row and col
        direction: NDArray[np.int32],  # [E]
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        cells = env.worlds(["cells"])["cells"]

        def free(toward: NDArray[np.int32]) -> NDArray[np.bool_]:
            row, col = (pos + STEPS[toward % 4]).T
            wall: NDArray[np.bool_] = cells[np.arange(env.num_envs), row, col] == ord("#")
            return ~wall

        self.turned = ~self.turned & free(direction - 1)
        straight = np.where(free(direction), FORWARD, RIGHT)
        return np.where(self.turned, LEFT, straight).astype(np.int32)

    def forget(self, env_mask: NDArray[np.bool_]) -> None:  # another episode begins in these
        super().forget(env_mask)
        self.turned[env_mask] = False

    def memory(self) -> dict[str, NDArray[Any]]:  # what a run has to save of it
        return {"turned": self.turned}


register_player("wall-follower", WallFollower, ["Maze-v0", "FourRooms-v0", "Empty-v0"])
