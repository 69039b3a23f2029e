"""Ray's RLlib, which needs an older gymnasium, so an environment of its own: CONTRIBUTING.md."""

import gymnasium
import numpy as np
import pytest
import ray
from pettingzoo.utils import BaseParallelWrapper
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env

from socialgrid.adapters.pettingzoo import parallel_env

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own
ROOM = {"length": 5, "max_steps": 7}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def ppo():
    return (
        PPOConfig()
        .training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=1)
        .debugging(seed=4)
    )


def in_room(mode, **options):
    return (
        ppo()
        .environment("socialgrid:socialgrid/Room-v0", env_config={**ROOM, **options})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=3, gym_env_vectorize_mode=mode)
        .rl_module(model_config={"fcnet_hiddens": [8]})
    )


@pytest.mark.parametrize(
    ("mode", "options"), [("vector_entry_point", {"autoreset": "next_step"}), ("sync", {})]
)
def test_recorded_episodes_are_what_happened(mode, options):
    """The goal stays in its place, and every step is the move that was chosen, the last one too."""
    runner = SingleAgentEnvRunner(config=in_room(mode, **options), worker_index=0)
    episodes = runner.sample(num_episodes=25, random_actions=True)
    assert len(episodes) >= 25
    moves = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) / 4  # down, up, right, left
    for episode in [episode for episode in episodes if episode.is_done]:
        views, actions = episode.get_observations(), episode.get_actions()
        assert len(actions) == 7
        assert episode.is_truncated
        np.testing.assert_array_equal(views[0, :2], 0.5)
        np.testing.assert_array_equal(views[:, 2:], np.tile(views[0, 2:], (8, 1)))
        np.testing.assert_allclose(
            views[1:, :2], np.clip(views[:-1, :2] + moves[actions], 0, 1), atol=1e-6
        )


@pytest.mark.parametrize(
    ("mode", "options"), [("vector_entry_point", {"autoreset": "next_step"}), ("sync", {})]
)
def test_ppo_learns_alone(mode, options):
    algorithm = in_room(mode, **options).build_algo()
    results = algorithm.train()
    assert results["env_runners"]["episode_len_mean"] == 7
    algorithm.stop()


class Numbers(BaseParallelWrapper):
    """Views as rows of numbers, which RLlib's networks take."""

    def observation_space(self, agent):
        size = int(np.prod(self.env.observation_space(agent).shape))
        return gymnasium.spaces.Box(0, 1, (size,), np.float32)

    def reset(self, seed=None, options=None):
        views, infos = self.env.reset(seed=seed, options=options)
        return self._numbers(views), infos

    def step(self, actions):
        views, *rest = self.env.step(actions)
        return self._numbers(views), *rest

    def _numbers(self, views):
        return {agent: view.reshape(-1).astype(np.float32) / 255 for agent, view in views.items()}


@pytest.mark.parametrize("game", ["Switch-v0", "BoxTrapped-v0"])
def test_ppo_learns_in_company(game):
    register_env(
        "company",
        lambda options: ParallelPettingZooEnv(
            Numbers(parallel_env(game, num_agents=2, max_cycles=16, **options))
        ),
    )
    algorithm = (
        ppo()
        .environment("company")
        .env_runners(num_env_runners=0, rollout_fragment_length=64)
        .multi_agent(policies={"all"}, policy_mapping_fn=lambda agent, *args, **kwargs: "all")
        .rl_module(model_config={"fcnet_hiddens": [8]})
        .build_algo()
    )
    results = algorithm.train()
    assert results["env_runners"]["episode_len_mean"] == 16
    algorithm.stop()


def test_actors_get_copies_that_go_on():
    env = parallel_env("Cleanup-v0", num_agents=2)
    env.reset(seed=3)
    env.step(dict.fromkeys(env.agents, 2))

    @ray.remote
    def play(env):
        return [env.step(dict.fromkeys(env.agents, 2)) for _ in range(5)]

    there = ray.get(play.remote(env))
    here = [env.step(dict.fromkeys(env.agents, 2)) for _ in range(5)]
    np.testing.assert_equal(there, here)
