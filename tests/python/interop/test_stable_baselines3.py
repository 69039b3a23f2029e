"""Stable-Baselines3: its checker, and training on single environments and on the batch."""

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from tests.python.interop.cases import GAMES, make_single, small

import socialgrid
from socialgrid.adapters.gymnasium import AgentRowsEnv
from socialgrid.adapters.stable_baselines3 import RowsVecEnv


@pytest.mark.filterwarnings("ignore:The minimal resolution for an image")  # views are small
@pytest.mark.parametrize("game", GAMES)
def test_single_environments_pass_the_checker(game):
    check_env(make_single(game).unwrapped)


def test_single_environments_become_its_batches():
    envs = make_vec_env("socialgrid/Empty-v0", 2, seed=3, env_kwargs={"max_steps": 5})
    first = envs.reset()
    assert not np.array_equal(*first)
    for step in range(12):
        *_, done, infos = envs.step(np.full(2, step % 3))
        assert done.tolist() == [step % 5 == 4] * 2
        assert all(("terminal_observation" in info) == (step % 5 == 4) for info in infos)
    envs.seed(3)
    np.testing.assert_array_equal(envs.reset(), first)
    envs.close()


@pytest.mark.parametrize(
    ("game", "config"),
    [*((game, {}) for game in GAMES), ("Empty-v0", {"grid_size": 5, "max_steps": 30})],
)
def test_rows_tell_what_happened(game, config):
    options = small(game, **config)
    envs = RowsVecEnv(game, 3, seed=2, **options)
    rows = AgentRowsEnv(3, game, seed=2, **options)
    np.testing.assert_array_equal(envs.reset(), rows.reset()[0])
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(40):
        actions = rng.integers(envs.action_space.n, size=envs.num_envs)
        views, reward, terminated, truncated, info = rows.step(actions)
        seen, earned, done, infos = envs.step(actions)
        np.testing.assert_array_equal(seen, views)
        np.testing.assert_array_equal(earned, reward)
        np.testing.assert_array_equal(done, terminated | truncated)
        for row in range(envs.num_envs):
            assert ("terminal_observation" in infos[row]) == done[row]
            if done[row]:
                last = infos[row]["terminal_observation"]
                np.testing.assert_array_equal(last, info["final_obs"][row])
                assert infos[row]["TimeLimit.truncated"] == truncated[row] != terminated[row]
                ends += 1
    assert ends >= envs.num_envs


def test_rows_are_seeded_as_it_seeds():
    envs = RowsVecEnv("GoalCycle-v0", 2, num_agents=2)
    assert list(envs.seed(7)) == [7, 8, 9, 10]
    seeded = envs.reset()
    direct = socialgrid.make_vec("GoalCycle-v0", num_envs=2, num_agents=2)
    np.testing.assert_array_equal(seeded, direct.reset(seed=[7, 9])[0].reshape(seeded.shape))
    assert not np.array_equal(envs.reset(), seeded)  # a seed is for one reset


@pytest.mark.parametrize("name", ["autoreset", "autoreset_mode"])
def test_rows_begin_the_next_episode_in_the_same_step(name):
    with pytest.raises(ValueError, match="same step"):
        RowsVecEnv("Empty-v0", 2, **{name: "disabled"})


def test_rows_share_their_attributes_and_pictures():
    envs = RowsVecEnv("Empty-v0", 2, num_agents=2, render_mode="rgb_array", render_tile_size=4)
    envs.reset()
    assert envs.get_attr("num_envs") == [4] * 4
    assert envs.get_attr("num_envs", indices=[1, 2]) == [4] * 2
    assert not envs.has_attr("no_such_attribute")
    envs.set_attr("spirit", "high")
    assert envs.get_attr("spirit", indices=0) == ["high"]
    for call in (
        lambda: envs.set_attr("spirit", "low", indices=[1]),
        lambda: envs.env_method("render", indices=0),
    ):
        with pytest.raises(ValueError, match="one batch"):
            call()
    assert len(envs.get_images()) == 4
    assert envs.render().shape == (72, 72, 3)
    assert len(envs.env_method("render")) == 4
    assert envs.env_is_wrapped(VecMonitor) == [False] * 4
    with pytest.raises(RuntimeError, match="step_async"):
        envs.step_wait()
    envs.close()


def test_ppo_learns_on_rows():
    envs = VecMonitor(RowsVecEnv("Empty-v0", 8, seed=0, num_agents=2, grid_size=5, max_steps=20))
    model = PPO("MlpPolicy", envs, n_steps=16, batch_size=64, n_epochs=2, seed=0, device="cpu")
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(512)
    after = list(model.policy.parameters())
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert max(episode["l"] for episode in model.ep_info_buffer) == 20


def test_dqn_learns_from_numbers_in_its_own_batch():
    envs = VecNormalize(make_vec_env("socialgrid/Room-v0", 2, env_kwargs={"length": 5}))
    model = DQN("MlpPolicy", envs, learning_starts=64, buffer_size=500, seed=0, device="cpu")
    model.learn(300)
    assert model.num_timesteps >= 300
