"""Writes the golden files of `tests/python/golden` from the reference.

`python -m tests.reference.record SCENE...` writes those scenes, without names all of them. Rewrite
one only for a new version of its game: files that change for any other reason say that a
trajectory has changed.
"""

import json
import sys
from pathlib import Path

import numpy as np

from tests.reference.env import ReferenceEnv
from tests.reference.step import FORWARD

FOLDER = Path(__file__).parents[1] / "python" / "golden"
SEED = 2024
NUM_ENVS = 2
STEPS = 40
FORWARD_SHARE = 0.5
STATE = ("cells", "agent_pos", "agent_dir", "agent_active", "agent_prestige", "agent_carrying")

SMALL_CLEANUP = [
    "@@@@@@@@@@@",
    "@HRH PP BB@",
    "@RHR  PBBB@",
    "@HRSSSSSBB@",
    "@RRH  P BB@",
    "@@@@@@@@@@@",
]
SMALL_HARVEST = ["@@@@@@@@@", "@PAAPAAP@", "@PA AAAP@", "@PAA AAP@", "@P  P  P@", "@@@@@@@@@"]
ONE_SWITCH = ["@@D@@", "@PPP@", "@PsP@", "@@@@@"]
SMALL_TRAP = ["@@@@@@@", "@PAA  @", "@AP ###", "@ A #T#", "@P  ###", "@@@@@@@"]
BOX_OF_TWO_WALLS = ["@@@@@@", "@ A#T@", "@P A#A", "@A P @", "@@@@@@"]
DOORS_AND_THINGS = ["#######", "#PPDGL#", "#PPB..#", "#KO#.D#", "#######"]
SCENES = {
    "empty": ("Empty-v0", {"grid_size": [5, 7], "max_steps": 12, "num_agents": 2}),
    "cluttered": ("Cluttered-v0", {"grid_size": 7, "max_steps": 11, "randomize_goal": True}),
    "door_key": ("DoorKey-v0", {"grid_size": [6, 5], "num_agents": 2, "ghost_mode": False}),
    "goal_cycle": ("GoalCycle-v0", {"max_steps": 25}),
    "goal_cycle_sigmoid": (
        "GoalCycle-v0",
        {
            "grid_size": 5,
            "prestige_mapping": "sigmoid",
            "prestige_decay": 0.99,
            "ghost_mode": False,
            "spawn_delay": [0, 3, 8],
            "hide": [[], ["goal"], ["wall"]],
            "reset_on_mistake": True,
        },
    ),
    "four_rooms": ("FourRooms-v0", {"grid_size": 9, "num_agents": 2, "max_steps": 20}),
    "maze": ("Maze-v0", {"grid_size": [5, 7], "num_agents": 2, "see_through_walls": True}),
    "doors_and_things": (
        "Empty-v0",
        {"map": DOORS_AND_THINGS, "num_agents": 3, "max_steps": 16, "tile_size": 12},
    ),
    "cleanup": ("Cleanup-v0", {"max_steps": 25}),
    "cleanup_small": (
        "Cleanup-v0",
        {
            "map": SMALL_CLEANUP,
            "num_agents": 9,
            "apple_spawn_probability": 0.3,
            "waste_spawn_probability": 0.05,
            "depletion_threshold": 0.6,
            "restoration_threshold": 0.1,
            "view_rotation": "public",
            "view_size": 7,
            "tile_size": 2,
        },
    ),
    "harvest": ("Harvest-v0", {"max_steps": 25}),
    "harvest_small": (
        "Harvest-v0",
        {
            "map": SMALL_HARVEST,
            "num_agents": 12,
            "apple_spawn_probabilities": [0.0, 0.1, 0.2, 0.5],
            "neighbourhood": "paper",
            "show_beams": False,
            "view_size": 5,
        },
    ),
    "switch": ("Switch-v0", {"map": ONE_SWITCH, "num_agents": 4, "max_steps": 30}),
    "box_trapped": ("BoxTrapped-v0", {"map": SMALL_TRAP, "max_steps": 15, "view_size": 7}),
    "box_trapped_v1": ("BoxTrapped-v1", {"map": BOX_OF_TWO_WALLS, "max_steps": 15, "view_size": 7}),
    "room": ("Room-v0", {"length": 5, "max_steps": 12}),
    "room_ends_on_goal": ("Room-v0", {"length": 3, "max_steps": 9, "terminate_on_goal": True}),
    "hallway": ("Hallway-v0", {"length": 8, "max_steps": 7}),
}


def choose_actions(num_envs, action_counts):
    """int32 [T, E, A]: half forward, the rest anything.

    Forward is 2 in most games; in a room that is to the right, and a hallway has less.
    """
    rng = np.random.default_rng(SEED)
    shape = (STEPS, num_envs, len(action_counts))
    anything = rng.integers(action_counts, size=shape, dtype=np.int32)
    forward = np.minimum(FORWARD, np.array(action_counts) - 1, dtype=np.int32)
    return np.where(rng.random(shape) < FORWARD_SHARE, forward, anything)


def replay(env, actions):
    """Everything an environment tells while it is reset and plays the actions."""
    obs, info = env.reset(seed=SEED)
    steps = [{"obs": obs, "visible": info["visible"], **env.worlds(STATE)}]
    for row in actions:
        obs, reward, terminated, truncated, info = env.step(row)
        told = {"obs": obs, "reward": reward, "terminated": terminated, "truncated": truncated}
        told |= {name: info[name] for name in ("done", "final_obs", "visible")}
        if env.event_names:
            told["events"] = info["events"]
        steps.append({**told, **env.worlds(STATE)})
    names = steps[-1]
    return {name: np.stack([step[name] for step in steps if name in step]) for name in names}


def record(names):
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        game, options = SCENES[name]
        env = ReferenceEnv(game, num_envs=NUM_ENVS, **options)
        actions = choose_actions(NUM_ENVS, env.action_counts)
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            game=game,
            options=json.dumps(options),
            actions=actions,
            **replay(env, actions),
        )


if __name__ == "__main__":
    record(sys.argv[1:] or SCENES)
