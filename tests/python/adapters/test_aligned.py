"""What adapters hand out begins at multiples of 64 bytes too, whatever row or agent it is of."""

import gymnasium
import numpy as np
import pytest

from socialgrid.adapters.aligned import aligned_rows
from socialgrid.adapters.gymnasium import AgentRowsEnv
from socialgrid.adapters.pettingzoo import parallel_env


def arrays(result, name="result"):
    """Every array in a result, with the way there."""
    if isinstance(result, np.ndarray) and result.dtype == object:
        result = [view for view in result if view is not None]
    if isinstance(result, np.ndarray):
        yield name, result
    elif isinstance(result, dict):
        for key, value in result.items():
            yield from arrays(value, f"{name}.{key}")
    elif isinstance(result, list | tuple):
        for index, value in enumerate(result):
            yield from arrays(value, f"{name}[{index}]")


def assert_aligned(*results):
    found = dict(arrays(results))
    assert found
    for name, array in found.items():
        assert array.ctypes.data % 64 == 0, name
        assert array.flags.c_contiguous, name
        assert array.flags.writeable, name
    assert not any(
        np.shares_memory(left, right)
        for left in found.values()
        for right in found.values()
        if left is not right
    )


@pytest.mark.parametrize("game", ["BoxTrapped-v0", "Cleanup-v0", "GoalCycle-v0"])
@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("autoreset", ["same_step", "next_step", "disabled"])
def test_rows(game, num_envs, autoreset):
    envs = AgentRowsEnv(num_envs, game, num_agents=2, max_steps=3, autoreset=autoreset)
    assert_aligned(envs.reset(seed=0))
    for _ in range(2):
        envs.step(np.zeros(envs.num_envs, int))
    result = envs.step(np.zeros(envs.num_envs, int))
    assert ("final_obs" in result[4]) == (autoreset == "same_step")
    assert_aligned(result)
    assert_aligned(envs.reset(options={"reset_mask": np.ones(envs.num_envs, bool)}))


@pytest.mark.parametrize("game", ["BoxTrapped-v0", "Cleanup-v0", "GoalCycle-v0", "Room-v0"])
def test_agents(game):
    agents = 1 if game == "Room-v0" else 2
    env = parallel_env(game, num_agents=agents, obs_mode="tiles" if game == "Room-v0" else "rgb")
    assert_aligned(env.reset(seed=0))
    assert_aligned(env.step(dict.fromkeys(env.agents, 0)), env.state())


@pytest.mark.parametrize("game", ["Cleanup-v0", "GoalCycle-v0", "Room-v0"])
def test_single_environments(game):
    env = gymnasium.make(f"socialgrid:socialgrid/{game}", render_mode="rgb_array")
    assert_aligned(env.reset(seed=0))
    assert_aligned(env.step(0), env.render())


def test_rows_that_fill_no_multiple():
    rows = np.arange(30, dtype=np.int32).reshape(2, 3, 5)
    found = aligned_rows(rows)
    np.testing.assert_array_equal(found, rows)
    assert_aligned(list(found))


def test_a_seed_restarts_the_random_numbers_of_wrappers():
    envs = AgentRowsEnv(2, "GoalCycle-v0")
    drawn = []
    for seed in (5, np.int64(5), 6):
        envs.reset(seed=seed)
        drawn.append(envs.np_random.integers(2**40))
    assert drawn[0] == drawn[1] != drawn[2]
    assert envs.np_random_seed == 6
