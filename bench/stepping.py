"""What a step of the simulator costs in any commit; ``against.py --what simulator`` compares."""

from __future__ import annotations

import json
from typing import Any

from checkouts import Checkout

# Name: game, environments and options. Names that begin alike are of one game.
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "GoalCycle, 3 agents, rgb": ("GoalCycle-v0", 256, {"num_agents": 3}),
    "GoalCycle, 3 agents, tiles": ("GoalCycle-v0", 256, {"num_agents": 3, "obs_mode": "tiles"}),
    "GoalCycle, 1 agent, rgb": ("GoalCycle-v0", 256, {"num_agents": 1}),
    "GoalCycle, 3 agents, views of 9, rgb": (
        "GoalCycle-v0", 256, {"num_agents": 3, "view_size": 9}
    ),
    "GoalCycle, 8 agents on 40 x 40, rgb": (
        "GoalCycle-v0", 256, {"num_agents": 8, "grid_size": 40}
    ),
    "GoalCycle, 255 agents on 40 x 40, rgb": (
        "GoalCycle-v0", 16, {"num_agents": 255, "grid_size": 40}
    ),
    "Maze, rgb": ("Maze-v0", 256, {}),
    "Maze, tiles": ("Maze-v0", 256, {"obs_mode": "tiles"}),
    "DoorKey, rgb": ("DoorKey-v0", 256, {}),
    "FourRooms, rgb": ("FourRooms-v0", 256, {}),
    "Harvest, 5 agents, rgb": ("Harvest-v0", 256, {"num_agents": 5}),
    "Harvest, 5 agents, tiles": ("Harvest-v0", 256, {"num_agents": 5, "obs_mode": "tiles"}),
    "Cleanup, 5 agents, rgb": ("Cleanup-v0", 256, {"num_agents": 5}),
    "Cleanup, 5 agents, tiles": ("Cleanup-v0", 256, {"num_agents": 5, "obs_mode": "tiles"}),
    "Room, vector": ("Room-v0", 256, {}),
}  # fmt: skip

# Runs in the checkout that is measured; says the seconds that an agent-step takes.
RUN = """
import json, sys, time
import numpy as np
import socialgrid
game, envs, options, threads, wall = json.loads(sys.argv[1])
clock = time.perf_counter if wall else time.process_time
env = socialgrid.make_vec(game, num_envs=envs, num_threads=threads, seed=1, **options)
shape = (64, envs, env.num_agents)
actions = np.random.default_rng(0).integers(0, env.action_counts, shape, dtype=np.int32)
env.reset()
def seconds(steps):
    begin = clock()
    for i in range(steps):
        results = env.step(actions[i % 64])
    return clock() - begin
steps = 16
while (spent := seconds(steps)) < 0.05:
    steps *= 2
best = min(seconds(2 * steps) for _ in range(3))
print(best / (2 * steps * envs * env.num_agents))
"""


def cost(checkout: Checkout, case: str, threads: int, wall: bool) -> float:
    """Seconds of CPU time (of the clock) that an agent-step of a case costs in a checkout.

    The best of three stretches of random play, each of a tenth of a second or more, in a process of
    its own. The results of a step are held until the next one's are there, as in any loop.
    """
    game, envs, options = CASES[case]
    words = json.dumps([game, envs, options, threads, wall])
    with checkout.start(RUN, words) as process:
        said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{checkout.name} cannot play {case}")
    return float(said)
