"""PettingZoo's own tests, and what they leave out."""

import warnings

import numpy as np
import pytest

import socialgrid

pytest.importorskip("pettingzoo")

with warnings.catch_warnings():
    # Its tests import games of its own the way it now warns of.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test

from socialgrid.adapters.pettingzoo import aec_env, parallel_env

AGENTS = {  # of games that are not for three
    "BoxTrapped-v0": 2,
    "BoxTrapped-v1": 2,
    "Room-v0": 1,
    "Hallway-v0": 1,
}
CASES = [
    *(
        (game, {"num_agents": AGENTS.get(game, 3), "max_steps": 30})
        for game in socialgrid.list_games()
    ),
    ("GoalCycle-v0", {"num_agents": 1, "max_steps": 30, "obs_mode": "tiles"}),
    ("Empty-v0", {"num_agents": 4, "grid_size": 5, "ghost_mode": False, "max_steps": 40}),
    ("GoalCycle-v0", {"num_agents": 3, "max_steps": 30, "spawn_delay": [0, 5, 40]}),
    ("Cleanup-v0", {"num_agents": 5, "max_steps": 30, "obs_mode": "tiles"}),
    ("Room-v0", {"length": 5, "terminate_on_goal": True, "max_steps": 30}),
]
every_case = pytest.mark.parametrize(("game", "config"), CASES)


@every_case
def test_the_parallel_api(game, config):
    parallel_api_test(parallel_env(game, **config), num_cycles=100)


@every_case
def test_the_agent_by_agent_api(game, config):
    api_test(aec_env(game, **config), num_cycles=100)


def trajectory(env, seed, episodes=3):
    """Everything that happens in whole episodes of random play."""
    seen = []
    for episode in range(episodes):
        obs, infos = env.reset(seed=seed if episode == 0 else None)
        seen.append((list(env.agents), obs, infos))
        if episode == 0:
            for i, agent in enumerate(env.possible_agents):
                env.action_space(agent).seed(seed + i)
        while env.agents:
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            seen.append((actions, *env.step(actions), list(env.agents)))
    return seen


def assert_equal_deep(left, right):
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal_deep(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_equal_deep(*pair)
    else:
        np.testing.assert_array_equal(left, right)


@every_case
def test_a_seed_decides_whole_episodes(game, config):
    env = parallel_env(game, **config)
    first = trajectory(env, seed=21)
    assert len(first) > 3 * 3
    assert_equal_deep(trajectory(parallel_env(game, **config), seed=21), first)
    # And in an environment that has lived before.
    assert_equal_deep(trajectory(env, seed=21), first)
    other = trajectory(parallel_env(game, **config), seed=22)
    with pytest.raises(AssertionError):
        assert_equal_deep(other, first)


def test_finished_agents_leave_and_the_others_play_on():
    env = parallel_env("Empty-v0", num_agents=3, grid_size=5, max_steps=60)
    left_early = 0
    for seed in range(20):
        env.reset(seed=seed)
        for i, agent in enumerate(env.possible_agents):
            env.action_space(agent).seed(seed + i)
        present = set(env.agents)
        assert present == set(env.possible_agents)
        while env.agents:
            before = list(env.agents)
            actions = {agent: env.action_space(agent).sample() for agent in before}
            obs, reward, terminated, truncated, info = env.step(actions)
            for result in (obs, reward, terminated, truncated, info):
                assert list(result) == before
            ended = [agent for agent in before if terminated[agent] or truncated[agent]]
            assert env.agents == [agent for agent in before if agent not in ended]
            for agent in before:
                assert not (terminated[agent] and truncated[agent])
                assert (reward[agent] > 0) == terminated[agent]
            left_early += bool(ended and env.agents)
        assert env.step({}) == ({}, {}, {}, {}, {})
    assert left_early > 5


def test_agents_are_told_their_own_events():
    env = parallel_env("Cleanup-v0", num_agents=2)
    _, infos = env.reset(seed=0)
    assert infos == {"agent_0": {}, "agent_1": {}}
    *_, infos = env.step({"agent_0": 4, "agent_1": 7})
    shots = env.simulator.event_names.index("shots")
    assert [infos[agent]["events"][shots] for agent in env.agents] == [0, 1]
    assert infos["agent_0"]["events"].shape == (len(env.simulator.event_names),)
    env = parallel_env("Maze-v0")
    env.reset(seed=0)
    assert env.step({"agent_0": 0})[-1] == {"agent_0": {}}


def test_agents_of_different_powers_have_different_choices():
    env = parallel_env("BoxTrapped-v0")
    assert [env.action_space(agent).n for agent in env.possible_agents] == [8, 7]
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"agent_1: .*0\.\.6.*7"):
        env.step({"agent_0": 7, "agent_1": 7})


def test_spaces_are_the_same_objects_and_hold_what_they_say():
    env = parallel_env("GoalCycle-v0", num_agents=2)
    assert env.num_agents == 0
    assert env.max_num_agents == 2
    obs, _ = env.reset(seed=0)
    assert env.num_agents == 2
    for agent in env.possible_agents:
        assert env.observation_space(agent) is env.observation_space(agent)
        assert env.action_space(agent) is env.action_space(agent)
        assert env.observation_space(agent).contains(obs[agent])
    assert env.action_space("agent_0") is not env.action_space("agent_1")


def test_wrong_actions_are_refused_and_change_nothing():
    env = parallel_env("GoalCycle-v0", num_agents=2)
    env.reset(seed=0)
    state = env.simulator.get_state()
    for actions, words in [
        ({"agent_0": 0}, "agent_1"),
        ({"agent_0": 0, "agent_1": 0, "agent_2": 0}, "agent_2"),
        ({"agent_0": 0, "agent_1": 7}, r"agent_1: .*0\.\.6.*7"),
        ({"agent_0": 0, "agent_1": 0.5}, "agent_1: .*0.5"),
        ({}, "agent_0"),
    ]:
        with pytest.raises(ValueError, match=words):
            env.step(actions)
        assert env.simulator.get_state() == state
    env.step({"agent_0": 0, "agent_1": 0})


def test_pictures_and_text():
    env = parallel_env("GoalCycle-v0", render_mode="rgb_array", render_tile_size=5)
    env.reset()
    assert env.render().shape == (65, 65, 3)
    env.close()
    env.close()
    text = parallel_env("GoalCycle-v0", render_mode="ansi")
    text.reset()
    assert len(text.render().splitlines()) == 13
    with pytest.raises(ValueError, match="human"):
        parallel_env("GoalCycle-v0", render_mode="human")
