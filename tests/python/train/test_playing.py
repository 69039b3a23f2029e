"""Trained agents in a loop of one's own do what they do in the package's own loops."""

import numpy as np
import pytest
from tests.python.train.runs import Silent, tiny

import socialgrid
from socialgrid.commands import cli
from socialgrid.config import UsageError, from_dict, load_preset, run_files, to_dict
from socialgrid.data import read_trajectories
from socialgrid.train import create_run, open_run

STEPS = 60  # more than two episodes
TINY_WORLD = {"grid_size": 6, "num_clutter": 0, "max_steps": 24, "penalty": 0.5}


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


OFF_POLICY = {
    "recurrent-dqn": {"hidden": [8], "batch_size": 4, "burn_in": 2, "sequence_length": 4,
                      "buffer_size": 400, "learning_starts": 20, "epsilon_steps": 200,
                      "learning_rate": 0.03},
    "sac": {"hidden": [8], "batch_size": 8, "buffer_size": 1000, "learning_starts": 20},
}  # fmt: skip


@pytest.fixture(scope="module", params=OFF_POLICY)
def off_policy(request, tmp_path_factory):
    """A run of agents that learn from a memory, in the world of ``hearing``."""
    config = load_preset("goal-cycle-mini").choose(request.param, ())
    changes = {
        "algorithm": OFF_POLICY[request.param],
        "env": {"num_envs": 2, "rollout_steps": 20, "options": TINY_WORLD},
        "players": {"kinds": ["trial-and-error", "learner", "learner"]},
        "network": {"channels": [4], "features": [8], "memory": 8, "heads": [8]},
        "logging": {"curves": False, "video": False, "tensorboard": False},
        "run": {"total_steps": 60, "threads": 1, "device": "cpu"},
        "evaluation": {"interval": 0},
    }
    run = tmp_path_factory.mktemp(request.param) / "run"
    create_run(from_dict(changes, config), run).train(Silent())
    return run


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


def test_agents_that_learn_from_a_memory_do_what_is_recorded_of_them(off_policy, tmp_path):
    actions, rewards = played(off_policy)
    for agent in (1, 2):
        out = tmp_path / f"{agent}.npz"
        words = ["record", off_policy, "--out", out, "--seed", 3, "--worlds", 2, "--episodes", 6,
                 "--agent", agent]  # fmt: skip
        assert cli.evaluate(list(map(str, words))) == 0
        found = read_trajectories(out)
        np.testing.assert_array_equal(found.action[:STEPS], actions[..., agent])
        np.testing.assert_array_equal(found.reward[:STEPS], rewards[..., agent])


def test_runs_and_folders_are_found_where_a_shell_finds_them(hearing, monkeypatch):
    monkeypatch.setenv("HOME", str(hearing.parent))
    monkeypatch.setenv("USERPROFILE", str(hearing.parent))
    env, _ = open_run(f"~/{hearing.name}")
    env.close()


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
def test_what_cannot_be_played_is_refused_in_one_line(hearing, monkeypatch, options, said):
    made, make_vec = [], socialgrid.make_vec
    monkeypatch.setattr(
        socialgrid, "make_vec", lambda *a, **k: made.append(make_vec(*a, **k)) or made[-1]
    )
    with pytest.raises(UsageError, match=said) as caught:
        open_run(hearing, **options)
    assert "\n" not in str(caught.value)
    assert all(env.closed for env in made), "its threads go on"
    with pytest.raises(UsageError, match="not a run directory"):
        open_run("nowhere")


def test_peers_are_refused_before_anything_is_made(tmp_path):
    run_files.write_config(tmp_path, to_dict(load_preset("room-mini").choose(social=["peers"])), "")
    with pytest.raises(UsageError, match="tasks of their own"):
        open_run(tmp_path)
