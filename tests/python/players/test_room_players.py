"""The scripted players of Room and Hallway earn what they must, in every kind of view."""

import numpy as np
import pytest

import socialgrid
from socialgrid.players import list_players, make_player


def play(env, player, steps):
    """Rewards float32 [steps, E] of an episode, with distances int [E] to the goal at its start."""
    env.reset(seed=5)
    player.reset(env)
    world = env.worlds(["agent_pos", "cells"])
    goals = np.argwhere(world["cells"] == ord("G"))
    distance = np.abs(world["agent_pos"][:, 0] - goals[:, 1:]).sum(axis=1)
    rewards = []
    for _ in range(steps):
        _, reward, _, _, info = env.step(player.act(env, None, {})[:, None])
        player.observe(env, reward, info)
        rewards.append(reward[:, 0])
    return np.array(rewards), distance


def test_who_plays():
    own = {
        game: [name for name in list_players(game) if not name.startswith("test-")]
        for game in ("Room-v0", "Hallway-v0")
    }
    assert own == {"Room-v0": ["expert", "adversary", "random"], "Hallway-v0": ["expert", "random"]}


@pytest.mark.parametrize("obs_mode", ["vector", "rgb", "tiles"])
@pytest.mark.parametrize(
    ("game", "length"), [("Room-v0", 21), ("Room-v0", 8), ("Hallway-v0", 21), ("Hallway-v0", 6)]
)
def test_the_expert_arrives_by_the_shortest_way_and_collects_from_then_on(game, length, obs_mode):
    batch = {"num_envs": 50, "length": length, "max_steps": 60, "tile_size": 2}
    env = socialgrid.make_vec(game, obs_mode=obs_mode, **batch)
    rewards, distance = play(env, make_player("expert", env, seed=1), 60)
    collected = np.arange(1, 61)[:, None] >= distance
    np.testing.assert_array_equal(rewards, np.where(collected, 1, np.float32(-0.001)))


@pytest.mark.parametrize("length", [3, 8, 21])
def test_the_adversary_never_collects(length):
    env = socialgrid.make_vec("Room-v0", num_envs=200, length=length)
    rewards, _ = play(env, make_player("adversary", env, seed=1), 100)
    assert (rewards == np.float32(-0.001)).all()


def test_the_expert_ends_episode_after_episode():
    env = socialgrid.make_vec("Room-v0", num_envs=20, terminate_on_goal=True, length=9)
    rewards, _ = play(env, make_player("expert", env), 80)
    # From the middle to a wall it takes 4 to 8 steps.
    assert (rewards == 1).sum(axis=0).min() >= 80 // 8
    assert (rewards == 1).sum(axis=0).max() <= 80 // 4


def test_errors_make_an_expert_worse_and_chance_is_worst():
    returns = []
    for name, options in [("expert", {}), ("expert", {"error_rate": 0.5}), ("random", {})]:
        env = socialgrid.make_vec("Room-v0", num_envs=100)
        rewards, _ = play(env, make_player(name, env, seed=2, **options), 100)
        returns.append(rewards.sum(axis=0).mean())
    expert, sloppy, random = returns
    assert expert > 80
    assert expert - 15 > sloppy > random + 15


def test_a_player_continues_from_its_state():
    env = socialgrid.make_vec("Room-v0", num_envs=30, length=33)
    env.reset(seed=1)
    player = make_player("expert", env, seed=3)
    for _ in range(5):
        env.step(player.act(env, None, {})[:, None])
    world, state = env.get_state(), player.get_state()

    def go_on(with_player):
        env.set_state(world)
        with_player.set_state(state)
        actions = []
        for _ in range(10):
            actions.append(with_player.act(env, None, {}))
            env.step(actions[-1][:, None])
        return actions

    np.testing.assert_array_equal(go_on(player), go_on(make_player("expert", env, seed=3)))
