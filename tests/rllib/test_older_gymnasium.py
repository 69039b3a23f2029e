"""The adapters on a Gymnasium before 1.4, which this environment has because RLlib pins it."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import vector as wrappers

import socialgrid

NAME = "socialgrid:socialgrid/Empty-v0"


def test_it_is_an_older_one():
    assert tuple(map(int, gymnasium.__version__.split(".")[:2])) < (1, 4)


def test_episodes_are_counted_right_where_finished_environments_wait():
    envs = wrappers.RecordEpisodeStatistics(
        gymnasium.make_vec(NAME, num_envs=4, max_steps=10, autoreset="next_step")
    )
    envs.reset(seed=0)
    for _ in range(34):
        envs.step(np.zeros(4, int))  # turns on the spot
    assert list(envs.length_queue) == [10] * 12


def test_the_same_step_comes_with_a_warning():
    with pytest.warns(UserWarning, match=r"Gymnasium 1\.4"):
        gymnasium.make_vec(NAME, num_envs=2)


@pytest.mark.filterwarnings("ignore")  # it is told of newer versions of some games
@pytest.mark.parametrize("game", socialgrid.list_games())
def test_single_environments_pass_its_checker(game):
    players = ["random"] if game.startswith("BoxTrapped") else []
    check_env(gymnasium.make(f"socialgrid/{game}", players=players, max_steps=12).unwrapped)


def test_observation_wrappers_work():
    envs = wrappers.FlattenObservation(
        gymnasium.make_vec(NAME, num_envs=2, max_steps=5, autoreset="next_step")
    )
    views, _ = envs.reset(seed=0)
    assert views in envs.observation_space
    for _ in range(8):
        assert envs.step([0, 0])[0] in envs.observation_space
