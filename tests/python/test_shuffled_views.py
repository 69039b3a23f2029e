"""Views painted by byte shuffles are those painted cell by cell.

``SOCIALGRID_SIMD=off`` makes observers go the portable way. On a processor without AVX2 both are
the portable way.
"""

import numpy as np
import pytest

import socialgrid

MAP = ["#########", "#..D.K..#", "#.#####.#", "#...L...#", "#########"]
CASES = [
    ("GoalCycle-v0", {"num_agents": 3}),
    ("GoalCycle-v0", {"num_agents": 3, "hide": [["goal"], ["wall", "cycle"], []]}),
    ("GoalCycle-v0", {"num_agents": 2, "see_through_walls": True}),
    ("GoalCycle-v0", {"num_agents": 4, "view_offset": 3}),
    ("GoalCycle-v0", {"num_agents": 2, "view_offset": 6}),  # the viewer in the view's first row
    ("GoalCycle-v0", {"num_agents": 20, "hide": [["goal"]] * 20}),  # a crowd
    ("GoalCycle-v0", {"num_agents": 5, "grid_size": 4, "num_goals": 1, "num_clutter": 0}),
    ("GoalCycle-v0", {"num_agents": 3, "color": "red"}),  # few tiles: one byte each
    ("DoorKey-v0", {"num_agents": 2}),
    ("DoorKey-v0", {"map": MAP, "num_agents": 2}),
    ("Cluttered-v0", {"num_agents": 3}),
    ("FourRooms-v0", {"num_agents": 2}),
    ("Maze-v0", {"num_agents": 2}),
    ("Cleanup-v0", {}),
    ("Harvest-v0", {"num_agents": 9}),
    ("Harvest-v0", {"num_agents": 40}),  # more colours than a table has
    ("BoxTrapped-v0", {}),
]


def trace(game, config, obs_mode):
    """Everything that three episodes and a half show."""
    with socialgrid.make_vec(game, num_envs=5, seed=7, obs_mode=obs_mode, **config) as env:
        obs, info = env.reset()
        seen = [obs, info["visible"]]
        rng = np.random.default_rng(1)
        for _ in range(160):
            actions = rng.integers(0, env.action_counts, (env.num_envs, env.num_agents))
            obs, _, _, _, info = env.step(actions)
            seen += [obs, info["visible"], info["final_obs"]]
        return seen


@pytest.mark.parametrize("obs_mode", ["rgb", "tiles"])
@pytest.mark.parametrize(("game", "config"), CASES)
def test_both_ways_write_the_same_bytes(game, config, obs_mode, monkeypatch):
    """A short episode, so that endings are painted as well."""
    config = config | {"max_steps": 45}
    monkeypatch.setenv("SOCIALGRID_SIMD", "on")
    shuffled = trace(game, config, obs_mode)
    monkeypatch.setenv("SOCIALGRID_SIMD", "off")
    portable = trace(game, config, obs_mode)
    for one, other in zip(shuffled, portable, strict=True):
        assert np.array_equal(one, other)
