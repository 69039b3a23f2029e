"""TorchRL's wrappers and its own check of specifications."""

import contextlib
import copy
import multiprocessing
import warnings

import numpy as np
import pytest
import torch
from tests.python.interop.cases import GAMES, make_rows, make_single, small

from socialgrid.adapters.pettingzoo import parallel_env

start_method = multiprocessing.get_start_method(allow_none=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of TorchRL's own, on import
    from torchrl.envs import GymEnv, GymWrapper, PettingZooWrapper
    from torchrl.envs.utils import check_env_specs
multiprocessing.set_start_method(start_method, force=True)  # it sets another one for everybody


@contextlib.contextmanager
def quiet():
    """Without TorchRL's warning that it was tested with another PettingZoo."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PettingZoo in TorchRL is tested", UserWarning)
        yield


@pytest.mark.parametrize("game", GAMES)
def test_single_environments(game):
    check_env_specs(GymWrapper(make_single(game)), seed=0)


def test_environments_by_name():
    env = GymEnv("socialgrid/Maze-v0", max_steps=5)
    check_env_specs(env, seed=0)
    played = env.rollout(12, break_when_any_done=False)
    assert played["next", "done"].flatten().nonzero().flatten().tolist() == [4, 9]


@pytest.mark.parametrize("mode", ["same_step", "disabled"])  # those that TorchRL takes
@pytest.mark.parametrize("game", GAMES)
def test_batches(game, mode):
    check_env_specs(GymWrapper(make_rows(game, autoreset=mode)), seed=0)


@pytest.mark.parametrize("mode", ["same_step", "disabled"])
def test_what_a_batch_records_is_what_happened(mode):
    torch.manual_seed(0)
    options = {"seed": 0, "num_agents": 1, "grid_size": 5, "max_steps": 15}
    rows = make_rows("Empty-v0", 3, autoreset=mode, **options)
    envs = GymWrapper(rows)
    envs.rollout(2)  # it plays a little to learn what infos there are
    begun = envs.reset()
    direct = copy.copy(rows.simulator)
    played = envs.rollout(90, auto_reset=False, tensordict=begun, break_when_any_done=False)
    views = direct.observe()
    num_ends = 0
    for step in range(90):
        record = played[:, step]
        np.testing.assert_array_equal(record["observation"], views[:, 0])
        actions = record["action"].argmax(-1).reshape(3, 1).numpy()
        views, reward, terminated, truncated, info = direct.step(actions)
        last, after = views, record["next"]
        if (done := info["done"]).any():
            num_ends += 1
            # The view after an episode's last step is still its own.
            last = np.where(done[:, None, None, None, None], info["final_obs"], views)
            if mode == "disabled" or done.all():  # TorchRL resets what ends all at once, anyway
                views, _ = direct.reset(mask=done)
        np.testing.assert_array_equal(after["observation"], last[:, 0])
        np.testing.assert_array_equal(after["reward"][:, 0], reward[:, 0])
        np.testing.assert_array_equal(after["terminated"][:, 0], terminated[:, 0])
        np.testing.assert_array_equal(after["truncated"][:, 0], truncated[:, 0])
    assert num_ends > 6


@pytest.mark.parametrize("game", GAMES)
def test_groups_of_agents(game):
    with quiet():
        env = PettingZooWrapper(parallel_env(game, **small(game)), return_state=True, use_mask=True)
    check_env_specs(env, seed=0)


def test_a_group_has_its_masks_and_the_state():
    with quiet():
        env = PettingZooWrapper(parallel_env("BoxTrapped-v0"), return_state=True, use_mask=True)
    played = env.rollout(3)
    masks = played["agent", "action_mask"]
    assert masks.sum(-1).tolist() == [[8, 7]] * 3
    chosen = played["agent", "action"]
    assert masks.gather(-1, chosen.unsqueeze(-1)).all()
    assert played["state"].shape == (3, *env.state_space.shape)
