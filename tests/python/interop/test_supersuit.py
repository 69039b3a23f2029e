"""SuperSuit: its vector environments and its common wrappers."""

import gymnasium
import numpy as np
import pytest
import supersuit
from pettingzoo.test import api_test, parallel_api_test
from tests.python.interop.cases import GAMES, make_single, small

import socialgrid
from socialgrid.adapters.pettingzoo import aec_env, parallel_env

WRAPPERS = {
    "agent_indicator": supersuit.agent_indicator_v0,
    "clip_reward": supersuit.clip_reward_v0,
    "color_reduction": supersuit.color_reduction_v0,
    "delay": lambda env: supersuit.delay_observations_v0(env, 2),
    "dtype": lambda env: supersuit.dtype_v0(env, np.float32),
    "flatten": supersuit.flatten_v0,
    "frame_skip": lambda env: supersuit.frame_skip_v0(env, 3),
    "frame_stack": lambda env: supersuit.frame_stack_v2(env, 3),
    "max_observation": lambda env: supersuit.max_observation_v0(env, 2),
    "nan_noop": lambda env: supersuit.nan_noop_v0(env, 0),
    "nan_random": supersuit.nan_random_v0,
    "normalize": lambda env: supersuit.normalize_obs_v0(supersuit.dtype_v0(env, np.float32)),
    "pad_actions": supersuit.pad_action_space_v0,
    "pad_observations": supersuit.pad_observations_v0,
    "reshape": lambda env: supersuit.reshape_v0(env, (21 * 21, 3)),
    "resize": lambda env: supersuit.resize_v1(env, 10, 8),
    "sticky_actions": lambda env: supersuit.sticky_actions_v0(env, 0.5),
}
# Agents reach the goal one after the other here, so that some leave before the others.
CROWD = {"num_agents": 3, "grid_size": 5, "max_steps": 30}


@pytest.mark.filterwarnings("ignore:Observation numpy array is all zeros")  # delay begins so
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_environments_pass_pettingzoos_tests(wrapper):
    parallel_api_test(WRAPPERS[wrapper](parallel_env("Empty-v0", **CROWD)), num_cycles=60)
    api_test(WRAPPERS[wrapper](aec_env("Empty-v0", **CROWD)), num_cycles=60)


def test_the_departed_see_black():
    env = supersuit.black_death_v3(parallel_env("Empty-v0", **CROWD))
    parallel_api_test(env, num_cycles=60)
    views, _ = env.reset(seed=1)
    base = env.unwrapped
    rng = np.random.default_rng(0)
    while env.agents and len(base.agents) == 3:
        actions = {agent: int(rng.integers(3)) for agent in env.agents}
        views, *_ = env.step(actions)
    assert 0 < len(base.agents) < 3
    views, *_ = env.step(dict.fromkeys(env.agents, 0))
    for agent in env.possible_agents:
        assert views[agent].any() == (agent in base.agents)


@pytest.mark.parametrize("skips", [3, (2, 4)])
def test_skipped_frames_go_on_without_the_departed(skips):
    env = supersuit.frame_skip_v0(parallel_env("Empty-v0", **CROWD), skips)
    rng = np.random.default_rng(3)
    left_early = 0
    for seed in range(10):
        env.reset(seed=seed)
        while env.agents:
            before = list(env.agents)
            _, _, terminated, truncated, _ = env.step(
                {agent: int(rng.integers(3)) for agent in before}
            )
            assert list(terminated) == before
            left = [agent for agent in before if not (terminated[agent] or truncated[agent])]
            assert env.agents == left
            left_early += 0 < len(left) < len(before)
    assert left_early > 0


@pytest.mark.parametrize("game", GAMES)
def test_agents_become_the_rows_of_a_batch(game):
    options = small(game, max_steps=7)
    envs = supersuit.pettingzoo_env_to_vec_env_v1(
        supersuit.black_death_v3(parallel_env(game, **options))
    )
    views, infos = envs.reset(seed=4)
    agents = envs.num_envs
    direct = socialgrid.make_vec(game, num_envs=1, autoreset="disabled", **options)
    expected, _ = direct.reset(seed=4)
    np.testing.assert_array_equal(views, expected[0])
    assert len(infos) == agents
    rng = np.random.default_rng(1)
    for _ in range(7):
        actions = rng.integers(envs.action_space.n, size=agents)
        active = direct.worlds(["agent_active"])["agent_active"][0]
        views, reward, *_ = envs.step(actions)
        own = actions < direct.action_counts
        played = actions if own.all() else np.where(own, actions, direct.idle_actions)
        expected, expected_reward, _, _, info = direct.step(played[None])
        np.testing.assert_array_equal(reward, expected_reward[0])
        for agent in np.flatnonzero(active):
            np.testing.assert_array_equal(views[agent], expected[0, agent])
        if info["done"][0]:
            break


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it forks beside threads
@pytest.mark.parametrize("num_cpus", [0, 2])
def test_copies_of_a_batch_play_their_own_episodes(num_cpus):
    options = {"num_agents": 2, "max_steps": 9}
    batch = supersuit.pettingzoo_env_to_vec_env_v1(parallel_env("GoalCycle-v0", **options))
    envs = supersuit.concat_vec_envs_v1(batch, 3, num_cpus=num_cpus)
    assert envs.num_envs == 6
    unseeded = [envs.reset()[0].reshape(3, 2, -1) for _ in range(5)]
    assert any(not np.array_equal(views[0], views[1]) for views in unseeded)
    # With processes it counts seeds by process, and two of the three copies share the first.
    seeds = [5, 6, 7] if num_cpus == 0 else [5, 6, 6]
    views, _ = envs.reset(seed=5)
    direct = [socialgrid.make_vec("GoalCycle-v0", num_envs=1, **options) for _ in seeds]
    expected = [env.reset(seed=seed)[0][0] for env, seed in zip(direct, seeds, strict=True)]
    np.testing.assert_array_equal(views, np.concatenate(expected))
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(7, size=6)
        results = [
            env.step(part[None]) for env, part in zip(direct, actions.reshape(3, 2), strict=True)
        ]
        views, reward, terminated, truncated, _ = envs.step(actions)
        for seen, index in ((views, 0), (reward, 1), (terminated, 2), (truncated, 3)):
            np.testing.assert_array_equal(seen, np.concatenate([r[index][0] for r in results]))
    envs.close()


@pytest.mark.filterwarnings("ignore:The `render_mode` attribute is not defined")  # by SuperSuit
def test_a_batch_trains_with_stable_baselines():
    from stable_baselines3 import PPO

    batch = supersuit.pettingzoo_env_to_vec_env_v1(parallel_env("GoalCycle-v0", max_steps=20))
    envs = supersuit.concat_vec_envs_v1(batch, 2, base_class="stable_baselines3")
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=64, n_epochs=1, device="cpu")
    model.learn(192)
    assert model.num_timesteps == 192


def test_copies_of_single_environments():
    envs = supersuit.gym_vec_env_v0(make_single("Maze-v0").unwrapped, 2)
    assert isinstance(envs, gymnasium.vector.VectorEnv)
    envs.reset()
    first, second = (env.unwrapped.simulator.get_layout(0).cells for env in envs.envs)
    assert first != second
    for wrapper in ("flatten", "frame_skip", "frame_stack", "resize", "sticky_actions"):
        env = WRAPPERS[wrapper](make_single("Maze-v0").unwrapped)
        views, _ = env.reset(seed=0)
        assert env.observation_space.contains(views)
        assert env.observation_space.contains(env.step(0)[0])
