"""A scripted player of one's own: it keeps a hand on the wall to its left, as in a dark maze.

cd examples
socialgrid-train goal-cycle-mini --game Maze-v0 --import my_player --players wall-follower,learner
socialgrid-play Maze-v0 --import my_player --players me,wall-follower --set num_agents=2
"""

import numpy as np

from socialgrid.players import Player, register_player

LEFT, RIGHT, FORWARD = range(3)  # the first actions of the games that one walks about in
STEPS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # (row, col) by direction


class WallFollower(Player):
    """Turns left where there is no wall, walks on where it can, and turns right otherwise."""

    def __init__(self, env, agent=0, seed=0, *, error_rate=0.0):
        super().__init__(env, agent, seed, error_rate=error_rate)
        self.turned = np.zeros(env.num_envs, bool)  # left, in the step before

    def choose(self, env, pos, direction, content):
        cells = env.worlds(["cells"])["cells"]

        def free(toward):
            row, col = (pos + STEPS[toward % 4]).T
            return cells[np.arange(env.num_envs), row, col] != ord("#")

        self.turned = ~self.turned & free(direction - 1)
        return np.where(self.turned, LEFT, np.where(free(direction), FORWARD, RIGHT))

    def forget(self, env_mask):  # another episode begins in these environments
        super().forget(env_mask)
        self.turned[env_mask] = False

    def memory(self):  # what a run has to save of it
        return {"turned": self.turned}


register_player("wall-follower", WallFollower, ["Maze-v0", "FourRooms-v0", "Empty-v0"])
