"""PettingZoo's own tests, and what they leave out."""

import copy
import functools
import types
import warnings

import gymnasium
import numpy as np
import pytest

import socialgrid

with warnings.catch_warnings():
    # Its tests import games of its own the way it now warns of.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        render_test,
        state_test,
    )

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
CROWD = {"num_agents": 3, "grid_size": 5, "max_steps": 60}  # some reach the goal before the others
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
    env = parallel_env("Empty-v0", **CROWD)
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
    assert [infos[agent]["events"].tolist() for agent in env.agents] == [[0] * 4] * 2
    *_, infos = env.step({"agent_0": 4, "agent_1": 7})
    shots = env.simulator.event_names.index("shots")
    assert [infos[agent]["events"][shots] for agent in env.agents] == [0, 1]
    assert infos["agent_0"]["events"].shape == (len(env.simulator.event_names),)
    env = parallel_env("Maze-v0")
    env.reset(seed=0)
    assert env.step({"agent_0": 0})[-1]["agent_0"].keys() == {"action_mask"}


@pytest.mark.parametrize("game", socialgrid.list_games())
def test_masks_tell_agents_their_own_actions(game):
    env = parallel_env(game, max_steps=2)
    _, infos = env.reset(seed=0)
    largest = max(env.simulator.action_counts)
    for _ in range(3):
        for agent, count in zip(env.possible_agents, env.simulator.action_counts, strict=True):
            assert env.action_space(agent) == gymnasium.spaces.Discrete(largest)
            mask = infos[agent]["action_mask"]
            assert mask.dtype == np.int8  # what Discrete.sample takes
            assert mask.tolist() == [1] * count + [0] * (largest - count)
            assert env.action_space(agent).sample(mask) < count
        if env.agents:
            *_, infos = env.step(dict.fromkeys(env.agents, 0))


def test_who_has_not_an_action_stays():
    env = parallel_env("BoxTrapped-v0")
    assert [env.simulator.action_counts] == [(8, 7)]
    stay = env.simulator.action_names.index("stay")
    trajectories = []
    for action in (7, stay):
        env.reset(seed=3)
        trajectories.append(
            [env.step({"agent_0": step % 8, "agent_1": action}) for step in range(20)]
        )
    assert_equal_deep(*trajectories)
    env.reset(seed=3)
    with pytest.raises(ValueError, match=r"agent_1: .*0\.\.7.*8"):
        env.step({"agent_0": 7, "agent_1": 8})


def test_actions_of_the_departed_are_ignored():
    env, twin = (parallel_env("Empty-v0", **CROWD) for _ in range(2))
    departed = 0
    for seed in range(10):
        env.reset(seed=seed)
        twin.reset(seed=seed)
        rng = np.random.default_rng(seed)
        while env.agents:
            actions = {agent: int(rng.integers(3)) for agent in env.agents}
            absent = [agent for agent in env.possible_agents if agent not in env.agents]
            departed += len(absent)
            more = dict(zip(absent, [99, None], strict=False))  # not even looked at
            assert_equal_deep(twin.step({**more, **actions}), env.step(actions))
        assert twin.step(dict.fromkeys(twin.possible_agents, 2)) == ({}, {}, {}, {}, {})
    assert departed > 10


@pytest.mark.parametrize("way", ["fresh", "copied"])
def test_nothing_happens_before_the_first_reset(way):
    env = parallel_env("GoalCycle-v0", num_agents=2)
    env = copy.copy(env) if way == "copied" else env
    for call in (lambda: env.step({"agent_0": 0, "agent_1": 0}), lambda: env.step({}), env.state):
        with pytest.raises(RuntimeError, match="reset"):
            call()
    env.reset()
    env.step({"agent_0": 0, "agent_1": 0})


@every_case
def test_the_state_and_its_space(game, config):
    state_test(aec_env(game, **config), parallel_env(game, **config), num_cycles=20)
    env = parallel_env(game, **config)
    _, state = env.reset(seed=0), env.state()
    tile = env.simulator.config["tile_size"]
    np.testing.assert_array_equal(state, env.simulator.render(0, tile))
    twin = parallel_env(game, **{**config, "obs_mode": "rgb"})
    twin.reset(seed=0)
    np.testing.assert_array_equal(state, twin.state())


def test_the_state_of_an_ended_episode_is_its_last():
    env = parallel_env("GoalCycle-v0", max_steps=4)
    longer = parallel_env("GoalCycle-v0", max_steps=5)
    for one in (env, longer):
        one.reset(seed=2)
        for _ in range(4):
            one.step(dict.fromkeys(one.agents, 2))
    assert not env.agents
    assert longer.agents
    np.testing.assert_array_equal(env.state(), longer.state())


def test_wrappers_have_random_numbers():
    env, twin = (parallel_env("GoalCycle-v0", num_agents=1) for _ in range(2))
    assert env.np_random.integers(2**60) != twin.np_random.integers(2**60)
    first, _ = env.reset(seed=5)
    drawn = env.np_random.integers(2**60)
    env.reset()
    assert env.np_random.integers(2**60) != drawn
    again, _ = env.reset(seed=5)
    assert_equal_deep(again, first)  # the game draws its own
    assert env.np_random.integers(2**60) == drawn


def test_max_cycles_is_max_steps():
    module = types.SimpleNamespace(
        parallel_env=functools.partial(parallel_env, "GoalCycle-v0"),
        env=functools.partial(aec_env, "GoalCycle-v0"),
    )
    max_cycles_test(module)
    assert parallel_env("Empty-v0", max_cycles=7).simulator.max_steps == 7
    with pytest.raises(socialgrid.ConfigError, match=r"max_cycles=5 and max_steps=6.*one of them"):
        parallel_env("Empty-v0", max_cycles=5, max_steps=6)


def test_spaces_are_the_same_objects_and_hold_what_they_say():
    env = parallel_env("GoalCycle-v0", num_agents=2)
    assert env.num_agents == 0
    assert env.max_num_agents == 2
    obs, _ = env.reset(seed=0)
    assert env.num_agents == 2
    for agent in env.possible_agents:
        assert env.observation_space(agent) is env.observation_spaces[agent]
        assert env.action_space(agent) is env.action_spaces[agent]
        assert env.observation_space(agent).contains(obs[agent])
    for spaces in (env.observation_spaces, env.action_spaces):
        assert list(spaces) == env.possible_agents
        assert spaces["agent_0"] == spaces["agent_1"]
        assert spaces["agent_0"] is not spaces["agent_1"]  # each is sampled on its own
    for space in (env.observation_space, env.action_space):
        with pytest.raises(KeyError, match=r"agent_2.*agent_0"):
            space("agent_2")


def test_wrong_actions_are_refused_and_change_nothing():
    env = parallel_env("GoalCycle-v0", num_agents=2)
    env.reset(seed=0)
    state = env.simulator.get_state()
    for actions, words in [
        ({"agent_0": 0}, "agent_1"),
        ({"agent_0": 0, "agent_1": 0, "agent_2": 0}, r"\['agent_2'\].*agent_0"),
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
    with pytest.raises(ValueError, match=r"human.*'film'"):
        parallel_env("GoalCycle-v0", render_mode="film")


@pytest.mark.parametrize("game", ["GoalCycle-v0", "Cleanup-v0"])
def test_every_render_mode(game, capsys):
    render_test(functools.partial(aec_env, game, num_agents=2))
    assert "\u2580" in capsys.readouterr().out  # drawn in the terminal


def test_pictures_are_drawn_when_asked_for(monkeypatch):
    env = parallel_env("GoalCycle-v0", render_mode="rgb_array", max_steps=20)
    drawn = []
    render = type(env.simulator).render
    monkeypatch.setattr(
        type(env.simulator), "render", lambda *args, **kw: drawn.append(1) or render(*args, **kw)
    )
    env.reset(seed=0)
    while env.agents:
        env.step(dict.fromkeys(env.agents, 2))
    assert not drawn
    last = env.render()
    assert len(drawn) == 1
    env.reset()
    assert not np.array_equal(env.render(), last)
