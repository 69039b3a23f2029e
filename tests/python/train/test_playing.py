"""Trained agents in a loop of one's own do what they do in the package's own loops."""

import numpy as np
import pytest
from tests.python.train.runs import Silent, tiny

from socialgrid.commands import cli
from socialgrid.config import UsageError, from_dict, load_preset, run_files, to_dict
from socialgrid.data import read_trajectories
from socialgrid.train import create_run, open_run

STEPS = 60  # more than two episodes


def trained(folder, **changes):
    config = from_dict({"run": {"total_steps": 256}, **changes}, load_preset(tiny(folder)).config)
    create_run(config, folder / "run").train(Silent())
    return folder / "run"


@pytest.fixture(scope="module")
def hearing(tmp_path_factory):
    """A run whose agents hear each other, and do not see everything."""
    options = {"hide": [[], ["cycle"], []]}
    return trained(
        tmp_path_factory.mktemp("hearing"),
        env={"options": options, "obs_mode": "tiles"}, social={"visible-actions": {}},
    )  # fmt: skip


def played(run, **options):
    """Actions and rewards of everybody, ``[T, E, A]`` each."""
    env, everybody = open_run(run, 2, seed=3, **options)
    obs, info = env.reset()
    found = []
    for _ in range(STEPS):
        actions = everybody.act(obs, info)
        obs, reward, _, _, info = env.step(actions)
        everybody.observe(reward, info)
        found.append((actions, reward))
    env.close()
    return [np.stack(each) for each in zip(*found, strict=True)]


def test_everybody_does_what_is_recorded_of_them(hearing, tmp_path):
    actions, rewards = played(hearing)
    assert actions.shape == (STEPS, 2, 3)
    for agent in range(3):
        out = tmp_path / f"{agent}.npz"
        words = ["record", hearing, "--out", out, "--seed", 3, "--worlds", 2, "--episodes", 6,
                 "--agent", agent, "--obs-mode", "tiles"]  # fmt: skip
        assert cli.evaluate(list(map(str, words))) == 0
        found = read_trajectories(out)
        np.testing.assert_array_equal(found.action[:STEPS], actions[..., agent])
        np.testing.assert_array_equal(found.reward[:STEPS], rewards[..., agent])


def test_seeds_players_and_options_are_the_callers(hearing):
    sampled, again, greedy = played(hearing), played(hearing), played(hearing, greedy=True)
    np.testing.assert_array_equal(sampled[0], again[0])
    assert (sampled[0] != greedy[0]).any()
    others = played(hearing, players=["random", "learner", "learner"])
    assert (sampled[0][..., 0] != others[0][..., 0]).any()
    env, everybody = open_run(hearing, penalty=2.0)
    assert env.config["penalty"] == 2.0
    assert env.config["num_clutter"] == 0, "the run's own"
    obs, info = env.reset()
    first = everybody.act(obs, info)
    everybody.begin()
    assert env.num_envs == 1
    np.testing.assert_array_equal(everybody.act(obs, info), first)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"players": ["exprt", "learner", "learner"]}, "did you mean 'expert'"),
        ({"players": ["expert"]}, "no networks among expert"),
        ({"grid_size": 2}, "grid_size = 2 is out of range"),
        ({"foo": 1}, "no option 'foo'"),
        ({"view_size": 5}, "networks fit only where views and actions are the same"),
        ({"device": "cuda:77"}, "'cuda:77' is not one of auto, cuda, mps, cpu"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(hearing, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        open_run(hearing, **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="not a run directory"):
        open_run("nowhere")


def test_peers_are_refused_before_anything_is_made(tmp_path):
    run_files.write_config(tmp_path, to_dict(load_preset("room-mini").choose(social=["peers"])), "")
    with pytest.raises(UsageError, match="tasks of their own"):
        open_run(tmp_path)
