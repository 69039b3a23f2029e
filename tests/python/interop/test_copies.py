"""Pickled and copied, everything goes on from the same state, as Ray and tree search need it."""

import copy
import pickle
import subprocess
import sys

import cloudpickle
import gymnasium
import numpy as np
import pytest
from tests.python.interop.cases import GAMES, MODES, make_rows, make_single, small

from socialgrid.adapters.gymnasium import AgentRowsEnv
from socialgrid.adapters.pettingzoo import aec_env, parallel_env
from socialgrid.adapters.stable_baselines3 import RowsVecEnv

WAYS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "cloudpickle": lambda thing: cloudpickle.loads(cloudpickle.dumps(thing)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def play_single(env, steps):
    """What a single environment does with actions from its own space, over ends of episodes."""
    for _ in range(steps):
        result = env.step(env.action_space.sample())
        yield result
        if result[2] or result[3]:
            yield env.reset()
            yield env.unwrapped.np_random.integers(1000)


def play_parallel(env, steps):
    for _ in range(steps):
        if not env.agents:
            yield env.reset()
            yield env.np_random.integers(1000)
        result = env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        yield *result, list(env.agents), env.state()


def play_aec(env, steps):
    for _ in range(steps):
        if not env.agents:
            env.reset()
        *seen, terminated, truncated, info = env.last()
        yield env.agent_selection, *seen, terminated, truncated, info
        over = terminated or truncated
        env.step(None if over else env.action_space(env.agent_selection).sample())


def play_rows(envs, steps):
    for _ in range(steps):
        result = envs.step(envs.action_space.sample())
        info = {key: list(value) for key, value in result[-1].items()}  # some of them are objects
        yield *result[:-1], info
        over = (result[2] | result[3]).reshape(2, -1)
        if envs.autoreset_mode is gymnasium.vector.AutoresetMode.DISABLED and over.all(1).any():
            mask = np.repeat(over.all(1), over.shape[1])
            yield envs.reset(options={"reset_mask": mask})


def play_sb3(envs, steps):
    rng = np.random.default_rng(0)
    for _ in range(steps):
        yield envs.step(rng.integers(envs.action_space.n, size=envs.num_envs))


def assert_goes_on(original, play, way, before=7, after=20):
    """A copy in mid-play does what the original does, and neither disturbs the other."""
    for _ in play(original, before):
        pass
    early, late = WAYS[way](original), WAYS[way](original)
    expected = list(play(original, after))
    np.testing.assert_equal(list(play(early, after)), expected)
    np.testing.assert_equal(list(play(late, after)), expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("game", GAMES)
def test_parallel_environments(game, way):
    env = parallel_env(game, **small(game))
    env.reset(seed=1)
    for i, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(i)
    assert_goes_on(env, play_parallel, way)


@pytest.mark.parametrize("way", WAYS)
def test_agent_by_agent_environments(way):
    env = aec_env("Empty-v0", num_agents=3, grid_size=5, max_steps=12)
    env.reset(seed=1)
    for i, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(i)
    assert_goes_on(env, play_aec, way, before=8, after=60)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("game", GAMES)
def test_single_environments(game, way):
    env = make_single(game).unwrapped
    env.reset(seed=1)
    env.action_space.seed(2)
    assert_goes_on(env, play_single, way)


@pytest.mark.parametrize("way", ["pickle", "cloudpickle", "deepcopy"])  # Gymnasium shares in copy
def test_wrapped_environments_with_scripted_company(way):
    env = gymnasium.wrappers.RecordEpisodeStatistics(
        make_single("GoalCycle-v0", players=["expert", "random"], render_mode="rgb_array")
    )
    env.reset(seed=1)
    env.action_space.seed(2)
    for _ in range(5):
        env.step(env.action_space.sample())
    twin = WAYS[way](env)
    for _ in range(7):
        action = env.action_space.sample()
        np.testing.assert_equal(twin.step(action)[:4], env.step(action)[:4])
    np.testing.assert_array_equal(env.render(), twin.render())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("game", ["GoalCycle-v0", "Cleanup-v0", "BoxTrapped-v0", "Room-v0"])
def test_rows(game, mode, way):
    envs = make_rows(game, autoreset=mode)
    envs.reset(seed=1)
    envs.action_space.seed(2)
    assert_goes_on(envs, play_rows, way)


@pytest.mark.parametrize("way", WAYS)
def test_rows_for_stable_baselines(way):
    envs = RowsVecEnv("GoalCycle-v0", 2, **small("GoalCycle-v0"))
    envs.seed(1)
    envs.reset()
    assert_goes_on(envs, play_sb3, way)


@pytest.mark.parametrize("way", WAYS)
def test_copies_of_what_nobody_has_seeded_begin_in_worlds_of_their_own(way):
    for env in (
        parallel_env("GoalCycle-v0", num_agents=1),
        make_single("GoalCycle-v0").unwrapped,
        AgentRowsEnv(1, "GoalCycle-v0", num_agents=1),
    ):
        worlds = []
        for one in (env, WAYS[way](env), WAYS[way](env)):
            one.reset()
            worlds.append("".join(one.simulator.get_layout(0).cells))
        assert len(set(worlds)) == 3


@pytest.mark.parametrize("way", WAYS)
def test_an_ended_episode_has_ended_in_the_copy(way):
    env = parallel_env("GoalCycle-v0", max_steps=3)
    env.reset(seed=0)
    for _ in range(3):
        env.step(dict.fromkeys(env.agents, 2))
    assert not env.agents
    twin = WAYS[way](env)
    assert not twin.agents
    np.testing.assert_array_equal(twin.state(), env.state())
    np.testing.assert_equal(twin.reset(), env.reset())


def test_another_process_goes_on():
    env = parallel_env("Cleanup-v0", num_agents=2, max_steps=12)
    env.reset(seed=1)
    for i, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(i)
    for _ in play_parallel(env, 5):
        pass
    program = (
        "import cloudpickle, sys; env, play = cloudpickle.load(sys.stdin.buffer); "
        "sys.stdout.buffer.write(cloudpickle.dumps(list(play(env, 20))))"
    )
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=cloudpickle.dumps((env, play_parallel)),
        capture_output=True,
        check=True,
    )
    np.testing.assert_equal(cloudpickle.loads(done.stdout), list(play_parallel(env, 20)))
