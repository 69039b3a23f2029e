"""Behaviour cloning as a run: live and from a file, refused, resumed, and played on with."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.python.train.runs import Silent, same_end, tiny

import socialgrid
from socialgrid.commands import cli
from socialgrid.config import UsageError, from_dict, load_preset
from socialgrid.data import read_trajectories
from socialgrid.report import read_metrics
from socialgrid.train import (
    build_learner,
    build_worlds,
    create_run,
    load_newest,
    phase_at,
    resume_run,
    settled,
)

CLONING = {"name": "behaviour-cloning", "num_minibatches": 2, "minibatch_sequences": 4,
           "sequence_length": 8, "learning_rate": 1e-2}  # fmt: skip


def cloning(tmp_path, kinds=("expert", "learner"), **changes):
    """Configuration of a tiny run in which the last ones imitate."""
    base = load_preset(tiny(tmp_path)).choose("behaviour-cloning")
    data = {"algorithm": CLONING, "players": {"kinds": list(kinds)}}
    for section, table in changes.items():
        data[section] = {**data.get(section, {}), **table}
    return from_dict(data, base)


def recorded(tmp_path, *words, name="expert.npz", players="expert"):
    path = tmp_path / name
    words = ["record", tiny(tmp_path), "--out", path, "--players", players, *words]
    assert cli.evaluate(list(map(str, words))) == 0
    return path


def refused(capsys, tmp_path, *words):
    """The one line that training ends with."""
    preset, run = tiny(tmp_path), tmp_path / "refused"
    given = [preset, "--run-dir", run, "--algorithm", "behaviour-cloning", *words]
    assert cli.train(list(map(str, given))) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert not run.exists()
    return error


def weights(run_dir):
    return load_newest(Path(run_dir) / "checkpoints")[1].weights


def test_a_learner_imitates_whoever_plays_beside_it(tmp_path):
    create_run(cloning(tmp_path), tmp_path / "one").train(Silent())
    rows = read_metrics(tmp_path / "one" / "metrics.jsonl")
    numbers = rows[-1]["agents"]
    assert set(numbers) == {"cross_entropy", "accuracy", "return", "return_std"}
    assert numbers["accuracy"][0] is None
    assert 0 < numbers["accuracy"][1] <= 1
    assert numbers["cross_entropy"][1] < rows[0]["agents"]["cross_entropy"][1]
    assert any(row["agents"]["return"][1] is not None for row in rows), "the learner plays as well"


def test_only_what_the_imitated_agent_does_counts(tmp_path):
    """The same imitated agent, and other learners' seeds of play: the same first gradient."""
    config = cloning(tmp_path, ["expert", "random", "learner"])
    worlds = build_worlds(config, phase_at(config, 0), 0)
    other = from_dict({"algorithm": {"imitates": 1}}, config)
    found = []
    for one in (config, other, config):
        trainer = create_run(one, tmp_path / f"run{len(found)}", fresh=True)
        trainer.begin()
        trainer.collect()
        if len(found) == 2:  # what the learner did itself, and what it was rewarded with
            trainer.rollout.action.fill_(0)
            trainer.rollout.taken[..., 2] = 0
            trainer.rollout.reward.fill_(9.0)
        trainer.learn()
        found.append(trainer.learner.tensors())
        trainer.worlds.close()
        trainer.lock.release()
    worlds.close()
    for name, x in found[0].items():
        assert torch.equal(x, found[2][name]), name
    assert not torch.equal(found[0]["model/lstm.weight_ih"], found[1]["model/lstm.weight_ih"])


@pytest.mark.parametrize("kind", ["live", "file"])
@pytest.mark.parametrize("mode", ["rgb", "tiles"])
def test_a_resumed_run_is_the_run_without_the_break(tmp_path, kind, mode):
    # Batches of 16 steps begin inside episodes of 24: what the network remembers goes on.
    changes = {"env": {"obs_mode": mode}}
    kinds = ("learner", "expert", "learner")
    if kind == "file":
        path = recorded(tmp_path, "--episodes", 10, "--worlds", 5, "--obs-mode", mode)
        changes["algorithm"] = {"trajectories": str(path)}
        kinds = ("learner", "learner")
    whole = cloning(tmp_path, kinds, **changes)
    create_run(whole, tmp_path / "whole").train(Silent())
    half = cloning(tmp_path, kinds, **changes, run={"total_steps": 512})
    create_run(half, tmp_path / "half").train(Silent())
    trainer, messages = resume_run(tmp_path / "half", 1024)
    assert not messages
    trainer.train(Silent())
    same_end(tmp_path / "whole", tmp_path / "half")
    arrays = load_newest(tmp_path / "half" / "checkpoints")[1].arrays
    memory = arrays["carried/imitation/memory"]
    assert memory.shape == (5 if kind == "file" else 8, 2, 16)
    assert np.abs(memory).sum() > 0


def test_memories_follow_the_imitated_agent_from_batch_to_batch(tmp_path):
    """Learning rates of 0: the memory carried is the network's, run over all that was seen."""
    config = cloning(tmp_path, algorithm={"learning_rate": 0.0})
    trainer = create_run(config, tmp_path / "run")
    trainer.begin()
    state = trainer.learner.initial_state(8)
    for _ in range(3):
        trainer.collect()
        trainer.learn()
        rollout = trainer.rollout
        for t in range(rollout.num_steps):
            obs, reset = rollout.obs[t][:, :1], rollout.reset[t][:, :1]
            state = trainer.learner.act(obs, state, reset, greedy=True).state
        carried = trainer.learner.carried()["imitation/memory"]
        torch.testing.assert_close(carried, state, atol=1e-5, rtol=1e-4)
        rollout.carry_over()
    trainer.worlds.close()
    trainer.lock.release()


def test_a_clone_is_evaluated_and_imitated_and_goes_on_with_ppo(tmp_path, capsys):
    one = tmp_path / "one"
    create_run(cloning(tmp_path), one).train(Silent())
    assert cli.evaluate([str(one), "--episodes", "4", "--seeds", "0"]) == 0
    assert "alone" in capsys.readouterr().out
    frozen = cloning(tmp_path, ["learner", f"checkpoint:{one}"])
    create_run(frozen, tmp_path / "two").train(Silent())
    for name, x in weights(tmp_path / "two").items():
        if name.startswith("model/"):
            assert torch.equal(x[1], weights(one)[name][0]), "the frozen one stays as it is"
    assert weights(tmp_path / "two")["optimiser/steps"].tolist() == [16, 0]
    config = from_dict(
        {"players": {"kinds": ["expert", f"learner:{one}"]}, "aux": {"prediction": {}}},
        load_preset(tiny(tmp_path)).config,
    )
    worlds = build_worlds(config, phase_at(config, 0), 0)
    learner = build_learner(settled(config), worlds.env, torch.device("cpu"))
    worlds.close()
    tensors = learner.tensors()
    for name, x in weights(one).items():
        if name.startswith("model/"):
            assert torch.equal(tensors[name][0], x[0]), name
    assert any(name.startswith("model/branches.prediction.") for name in tensors)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--players", "learner"], "nobody in learner can be imitated"),
        (["--players", "expert,learner", "--imitates", 1], "slot 1 is a learner"),
        (["--players", "expert,learner", "--imitates", 2], "no slot 2, only 0 to 1"),
        (["--imitates", -1], "imitates -1: must be 0 or more"),
        (["--imitates", 0, "--trajectories", "x"], "learnt from alone"),
        (["--hide-from-learners", "goal"], "goal hidden from one of them"),
        (["--social", "visible-actions"], "behaviour-cloning has no visible-actions; ppo, a3c"),
        (["--gamma", 0.5], "gamma: only ppo"),
        (["--num-minibatches", 0], "num_minibatches 0: must be at least 1"),
        (["--sequence-length", 17], "longer than env.rollout_steps 16"),
        (["--trajectories", "nowhere.npz"], "nowhere.npz: no such file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, capsys, words, said):
    assert said in refused(capsys, tmp_path, *words)


def test_agents_that_choose_among_other_actions_are_not_imitated(tmp_path, capsys):
    words = ["--env", "BoxTrapped-v1", "--players", "expert,learner", "--set", "tile_size=3"]
    assert "it chooses among left" in refused(capsys, tmp_path, *words)


def test_files_of_other_worlds_are_refused(tmp_path, capsys):
    path = recorded(tmp_path, "--episodes", 2)
    tiles = recorded(tmp_path, "--episodes", 2, "--obs-mode", "tiles", name="tiles.npz")
    for words, said in (
        (["--trajectories", tiles], "obs_mode tiles; here it is rgb"),
        (["--trajectories", path, "--env", "FourRooms-v0"], "GoalCycle-v0; here it is FourRooms"),
        (["--trajectories", path, "--set", "view_size=5"], "views (21, 21, 3); here it is"),
        (["--trajectories", path, "--set", "view_offset=0"], "view_offset 1; here it is 0"),
        (["--trajectories", path, "--set", "hide=goal"], "hide"),
    ):
        assert said in refused(capsys, tmp_path, "--players", "learner", *words)


def test_a_file_that_shards_cannot_share_is_refused(tmp_path, capsys):
    path = recorded(tmp_path, "--episodes", 3)
    words = ("--players", "learner", "--trajectories", path, "--algorithm.shards", 2)
    assert "expert.npz: 2 shards cannot share its 3 worlds" in refused(capsys, tmp_path, *words)


def test_a_run_goes_on_with_the_file_that_it_began_with(tmp_path):
    path = recorded(tmp_path, "--episodes", 2)
    config = cloning(tmp_path, ["learner"], algorithm={"trajectories": str(path)})
    create_run(config, tmp_path / "one").train(Silent())
    recorded(tmp_path, "--episodes", 2, "--seed", 1)
    with pytest.raises(UsageError, match="not the file that the run has learnt from so far"):
        resume_run(tmp_path / "one", 4096)
    path.unlink()
    with pytest.raises(UsageError, match="no such file"):
        resume_run(tmp_path / "one", 4096)
    assert cli.evaluate([str(tmp_path / "one"), "--episodes", "2", "--seeds", "0"]) == 0


def test_phases_change_numbers_but_not_whom_to_imitate(tmp_path):
    phases = {
        "first": {"steps": 512, "algorithm": {"learning_rate": 0.02}},
        "second": {"algorithm": {"learning_rate": 0.0, "num_minibatches": 1}},
    }
    create_run(cloning(tmp_path, phases=phases), tmp_path / "one").train(Silent())
    rows = read_metrics(tmp_path / "one" / "metrics.jsonl")
    assert [row["phase"] for row in rows].count("second") == 4
    phases["second"]["algorithm"]["imitates"] = 0
    with pytest.raises(UsageError, match="imitates: cannot change in a run"):
        cloning(tmp_path, phases=phases)


def test_learning_rates_are_annealed(tmp_path):
    options = {"learning_rate_end": 0.0, "learning_rate_steps": 512}
    create_run(cloning(tmp_path, algorithm=options), tmp_path / "one").train(Silent())
    assert weights(tmp_path / "one")["optimiser/rate"].tolist() == [0.0]


def test_what_is_recorded_is_what_the_agent_saw_and_did(tmp_path):
    path = recorded(tmp_path, "--episodes", 6, "--worlds", 3, players="random,expert")
    found = read_trajectories(path)
    assert found.obs.shape == (48, 3, 21, 21, 3), "two episodes of 24 steps in three worlds"
    assert found.done.sum(0).tolist() == [2, 2, 2]
    assert found.reset[[0, 24]].all()
    assert not found.reset[1:24].any()
    assert found.about["player"] == "random"
    assert found.about["players"] == ["random", "expert"]
    again = read_trajectories(
        recorded(tmp_path, "--episodes", 6, "--worlds", 3, players="random,expert", name="again")
    )
    np.testing.assert_array_equal(found.action, again.action)
    other = read_trajectories(
        recorded(tmp_path, "--episodes", 6, "--worlds", 3, "--agent", 1, players="random,expert")
    )
    assert other.about["player"] == "expert"
    assert not np.array_equal(found.action, other.action)
    np.testing.assert_array_equal(found.done, other.done)  # the same episodes: they go together


@pytest.mark.parametrize("mode", ["rgb", "tiles"])
def test_what_is_recorded_is_what_the_simulator_gives_for_these_actions(tmp_path, mode):
    one = ["--episodes", 4, "--worlds", 2, "--obs-mode", mode]
    kinds = "random,random"
    both = [
        read_trajectories(
            recorded(tmp_path, *one, "--agent", agent, players=kinds, name=f"{agent}.npz")
        )
        for agent in (0, 1)
    ]
    about = both[0].about
    options = {"seed": about["world_seed"], "obs_mode": about["obs_mode"], **about["options"]}
    env = socialgrid.make_vec(about["game"], 2, **options)
    obs, _ = env.reset()
    seen, rewards, lasts = [], [], []
    for t in range(both[0].num_steps):
        seen.append(obs.copy())
        obs, reward, _, truncated, info = env.step(np.stack([x.action[t] for x in both], 1))
        rewards.append(reward)
        assert np.array_equal(truncated[:, 0], both[0].truncated[t])
        lasts += [view for view, done in zip(info["final_obs"], info["done"], strict=True) if done]
    for agent, found in enumerate(both):
        np.testing.assert_array_equal(found.obs, np.stack(seen)[:, :, agent])
        np.testing.assert_array_equal(found.reward, np.stack(rewards)[..., agent])
        np.testing.assert_array_equal(found.last_obs, np.stack(lasts)[:, agent])
        plays = [*found.plays()]
        assert [len(one) for one in plays] == [24] * 4
        assert not any(one.terminated for one in plays)
        np.testing.assert_array_equal(plays[3].obs[:-1], found.obs[24:, 1])
        assert found.pixels(plays[0].obs).shape == (25, 21, 21, 3)
    env.close()


def test_agents_of_runs_are_recorded(tmp_path, capsys):
    one = tmp_path / "one"
    create_run(cloning(tmp_path), one).train(Silent())
    out = tmp_path / "clone.npz"
    words = ["record", str(one), "--out", str(out), "--agent", "1", "--episodes", "2"]
    assert cli.evaluate(words) == 0
    assert read_trajectories(out).about["player"] == f"{one}#1"
    preset = tiny(tmp_path)
    for given, said in (
        ([preset], "out: where to?"),
        ([preset, "--out", out, "--players", "learner"], "of which run?"),
        ([preset, "--out", out, "--agent", 7], "agent: 7 is out of range"),
        ([preset, "--out", tmp_path / "no" / "x.npz", "--episodes", 1], "No such file"),
        ([preset, "--out", out, "--episodes", 0], "episodes: 0 is out of range"),
        ([], "what to play?"),
    ):
        capsys.readouterr()
        assert cli.evaluate(["record", *map(str, given)]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
