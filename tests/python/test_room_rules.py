"""The rooms' rules, seen from Python: what is told, what is drawn, what goes into own memory."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.python.random_play import flat, make, random_actions

import socialgrid

DOWN, UP, RIGHT, LEFT = range(4)
GAMES = {"Room-v0": 4, "Hallway-v0": 2}  # and how many numbers tell where agent and goal are
each_game = pytest.mark.parametrize("game", GAMES)


def placed(rows, agent, **config):
    """One room, or hallway, with the goal where `rows` say and the agent at `agent`."""
    game = "Room-v0" if len(rows) > 1 else "Hallway-v0"
    env = socialgrid.make_vec(game, num_envs=1, length=len(rows[0]), **config)
    env.reset()
    env.set_layout(0, socialgrid.Layout(rows, [agent], [0]))
    return env


def test_the_actions_have_names():
    assert make("Room-v0", {}).action_names == ("down", "up", "right", "left")
    assert make("Hallway-v0", {}).action_names == ("right", "left")


@each_game
def test_what_the_agent_is_told_is_what_the_world_holds(game):
    env = make(game, {"length": 9, "max_steps": 30}, num_envs=40)
    for actions in [None, *random_actions(env, 100)]:
        obs = (env.reset() if actions is None else env.step(actions))[0]
        world = env.worlds(["agent_pos", "cells"])
        which, row, col = np.nonzero(world["cells"] == ord("G"))
        np.testing.assert_array_equal(which, np.arange(40), "one goal each")
        places = np.column_stack([world["agent_pos"][:, 0], row, col])
        told = places[:, [0, 1, 2, 3] if game == "Room-v0" else [1, 3]]
        np.testing.assert_array_equal(obs[:, 0], told.astype(np.float32) / np.float32(8))


@each_game
def test_every_step_pays_for_where_it_ends(game):
    env = make(game, {"length": 5, "max_steps": 10**6}, num_envs=30)
    env.reset()
    paid = 0
    for actions in random_actions(env, 60):
        obs, reward, terminated, truncated, _ = env.step(actions)
        half = GAMES[game] // 2
        on_goal = (obs[..., :half] == obs[..., half:]).all(axis=-1)
        np.testing.assert_array_equal(reward, np.where(on_goal, 1, np.float32(-0.001)))
        assert not (terminated | truncated).any()
        paid += on_goal.sum()
    assert paid > 30


@each_game
def test_only_where_asked_the_goal_ends_the_episode(game):
    env = make(game, {"length": 5, "terminate_on_goal": True, "max_steps": 50}, num_envs=30)
    env.reset()
    ended = 0
    for actions in random_actions(env, 60):
        _, reward, terminated, _, info = env.step(actions)
        np.testing.assert_array_equal(terminated, reward == 1)
        half = GAMES[game] // 2
        last = info["final_obs"][terminated[:, 0], 0]
        np.testing.assert_array_equal(last[:, :half], last[:, half:])
        ended += len(last)
    assert ended > 10


@each_game
def test_the_goal_is_at_either_end_about_equally(game):
    env = make(game, {}, num_envs=4000)
    goals = env.reset()[0][:, 0, GAMES[game] // 2 :]
    ends = [(goals == end).any(axis=1).mean() for end in (0, 1)]
    # In the room the other coordinate is 0 in one of 20, too.
    low, high = (0.5 + 0.5 / 20, 0.5) if game == "Room-v0" else (0.5, 0.5)
    np.testing.assert_allclose(ends, [low, high], atol=0.03)
    np.testing.assert_array_equal(((goals == 0) | (goals == 1)).any(axis=1), True)


@each_game
def test_numbers_are_what_a_game_shows_unless_told_otherwise(game):
    for env in (make(game, {}), make(game, {}, obs_mode=None), make(game, {}, obs_mode="vector")):
        assert env.obs_mode == "vector"
        space = env.single_observation_space
        assert (space.shape, space.dtype) == ((GAMES[game],), np.float32)
        assert (space.low.min(), space.high.max()) == (0, 1)
        assert space.contains(env.reset()[0][0, 0])
    assert "obs_mode='vector'" in repr(env)


@each_game
def test_the_ways_to_see_a_game_show_the_same_play(game):
    config = {"length": 6, "tile_size": 4, "max_steps": 15}
    envs = [make(game, config, obs_mode=mode) for mode in ("vector", "rgb", "tiles")]
    rows = 6 if game == "Room-v0" else 1
    assert [env.obs_shape for env in envs[1:]] == [(4 * rows, 24, 3), (rows, 6)]
    for actions in [None, *random_actions(envs[0], 40)]:
        played = [flat(env.reset() if actions is None else env.step(actions)) for env in envs]
        numbers, codes = played[0].pop("obs")[:, 0], played[2].pop("obs")[:, 0]
        played[1].pop("obs")
        for results in played:
            results.pop("final_obs", None)
        for other in played[1:]:
            for name, array in played[0].items():
                np.testing.assert_array_equal(other[name], array, err_msg=name)
        # Tile 1 is the goal, 2 the agent, 3 the agent on the goal.
        where = np.round(numbers * 5).astype(int)
        if game == "Hallway-v0":
            where = np.stack([np.zeros(13, int), where[:, 0], np.zeros(13, int), where[:, 1]], 1)
        expected = np.zeros_like(codes)
        expected[np.arange(13), where[:, 2], where[:, 3]] += 1
        expected[np.arange(13), where[:, 0], where[:, 1]] += 2
        np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("tile_size", [1, 2, 3, 8, 20])
def test_agent_and_goal_can_be_told_apart(tile_size):
    atlas = make("Room-v0", {"tile_size": tile_size}, obs_mode="tiles").tile_atlas
    assert atlas.shape == (4, tile_size, tile_size, 3)
    for one in range(4):
        for other in range(one):
            difference = atlas[one].astype(int) - atlas[other]
            assert abs(difference).max() >= 40, f"tiles {one} and {other} look alike"


def test_the_agent_is_drawn_over_the_goal():
    rows = ["...", "..G", "..."]
    env = placed(rows, (1, 1), obs_mode="rgb", tile_size=9)
    apart = env.observe()[0, 0]
    np.testing.assert_array_equal(env.render(0, 9), apart)
    goal, agent = apart[13, 22], apart[13, 13]
    assert not np.array_equal(goal, agent)
    (together,), *_ = env.step([[RIGHT]])
    np.testing.assert_array_equal(together[0, 13, 22], agent, "the agent's colour in the middle")
    np.testing.assert_array_equal(together[0, 9, 18], apart[9, 18], "the goal's around it")
    np.testing.assert_array_equal(together[0, 13, 13], apart[4, 4], "ground where it was")


def test_a_layout_puts_goal_and_agent():
    rows = [".....", ".....", "....G", ".....", "....."]
    env = placed(rows, (4, 0), max_steps=9)
    assert str(env.get_layout(0)).splitlines() == [*rows[:-1], ">...."]
    np.testing.assert_array_equal(env.observe()[0, 0], [1, 0, 0.5, 1])
    env.set_layout(0, dataclasses.replace(env.get_layout(0), step=8))
    _, _, _, truncated, info = env.step([[DOWN]])
    assert truncated.all()
    np.testing.assert_array_equal(info["final_obs"][0, 0], [1, 0, 0.5, 1])


def test_a_hallway_layout_puts_goal_and_agent():
    env = placed(["G....."], (0, 5))
    np.testing.assert_array_equal(env.observe()[0, 0], [1, 0])
    assert env.grid_shape == (1, 6)


def test_numbers_go_into_rows_of_a_tensor():
    env, twin = make("Room-v0", {"max_steps": 7}), make("Room-v0", {"max_steps": 7})
    env.reset()
    twin.reset()
    actions = random_actions(env, 20)
    rollout = torch.full((20, 13, 1, 4), -1.0)
    for step, chosen in enumerate(actions):
        env.send(chosen, out={"obs": rollout[step]})
        env.recv()
    expected = np.stack([twin.step(chosen)[0] for chosen in actions])
    np.testing.assert_array_equal(rollout.numpy(), expected)
