"""Whole runs: killed and resumed, interrupted, with every kind of player and schedule."""

import dataclasses
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.python.train.runs import Silent, command, run, tiny

from socialgrid.commands import cli
from socialgrid.config import (
    CheckpointError,
    UsageError,
    from_dict,
    load_preset,
    preset_names,
    to_dict,
)
from socialgrid.models import NonFiniteError
from socialgrid.report import read_metrics
from socialgrid.train import Trainer, checkpoint, create_run, phase_at, resume_run


def tiny_config(tmp_path, changes=None):
    return from_dict(changes or {}, load_preset(tiny(tmp_path)).config)


def final(run_dir):
    _, stored, complaints = checkpoint.load_newest(Path(run_dir) / "checkpoints")
    assert not complaints
    return stored


def without_times(rows):
    return [{k: v for k, v in row.items() if "second" not in k and k != "time"} for row in rows]


def assert_same_end(one, other):
    first, second = final(one), final(other)
    assert first.weights.keys() == second.weights.keys()
    for name, tensor in first.weights.items():
        assert torch.equal(tensor, second.weights[name]), name
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name], err_msg=name)
    rows, others = (read_metrics(Path(path) / "metrics.jsonl") for path in (one, other))
    assert [row["update"] for row in rows] == list(range(1, len(rows) + 1))
    assert without_times(rows) == without_times(others)


def test_kill_minus_nine_at_random_moments_then_resume_equals_an_uninterrupted_run(tmp_path):
    preset = tiny(tmp_path)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    done = run("train", preset, "--run-dir", straight, "--total-steps", 6144)
    assert done.returncode == 0, done.stderr
    assert "last tenth" in done.stdout
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    random.seed(20)
    kills = []
    words = command("train", preset, "--run-dir", killed, "--total-steps", 6144)
    for _ in range(3):
        before = checkpoint.found(killed / "checkpoints")
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        while process.poll() is None and checkpoint.found(killed / "checkpoints") == before:
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.2))  # a few updates, each with its checkpoint
        process.kill()
        if process.wait() == -signal.SIGKILL:
            kills.append(checkpoint.found(killed / "checkpoints")[0].name)
        words = command("train", "--resume", killed)
    assert len(kills) >= 2, f"the run ended before it could be killed: {kills}"
    assert kills == sorted(set(kills)), "every resumed run got further than the one before"
    resumed = run("train", "--resume", killed)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_end(straight, killed)


def test_resume_after_any_update_is_bit_for_bit(tmp_path):
    # Rollouts shorter than episodes: memory, views and returns must cross the boundary.
    config = tiny_config(tmp_path)
    straight = create_run(config, tmp_path / "straight")
    straight.train(Silent())
    for updates in (1, 5):
        part = tmp_path / f"part{updates}"
        goal = {"run": {"total_steps": 128 * updates}}
        create_run(from_dict(goal, config), part).train(Silent())
        trainer, messages = resume_run(part, config.run.total_steps)
        assert not messages
        trainer.train(Silent())
        assert_same_end(tmp_path / "straight", part)


def test_neither_threads_nor_halves_change_a_bit(tmp_path):
    config = from_dict({"algorithm": {"shards": 4}}, tiny_config(tmp_path))
    create_run(config, tmp_path / "one").train(Silent())
    shared = from_dict({"run": {"threads": 3, "total_steps": 512}}, config)
    create_run(shared, tmp_path / "three").train(Silent())
    trainer, _ = resume_run(tmp_path / "three", 1024)
    assert trainer.threads == 3
    trainer.learner.workers.threads = 2
    trainer.train(Silent())
    assert_same_end(tmp_path / "one", tmp_path / "three")
    halves = from_dict({"run": {"threads": 2}, "env": {"double_buffer": True}}, config)
    create_run(halves, tmp_path / "halves").train(Silent())
    first, second = (
        checkpoint.load_newest(tmp_path / name / "checkpoints")[1].weights
        for name in ("one", "halves")
    )
    for name, x in first.items():
        assert torch.equal(x, second[name]), name


@pytest.mark.parametrize("algorithm", ["dqn", "recurrent-dqn"])
def test_threads_change_no_bit_of_off_policy_runs_either(tmp_path, algorithm):
    changes = {
        "algorithm": {"learning_starts": 100},
        "env": {"rollout_steps": 150, "num_threads": 1},
        "evaluation": {"interval": 0},
    }
    base = load_preset("room-mini" if algorithm == "dqn" else "goal-cycle-mini")
    found = []
    for threads in (1, 3):
        run_table = {"threads": threads, "device": "cpu"}
        config = from_dict({**changes, "run": run_table}, base.choose(algorithm, ()))
        trainer = create_run(config, tmp_path / str(threads))
        trainer.begin()
        rows = [trainer.step()["agents"] for _ in range(2)]
        assert trainer.threads == threads
        found.append((trainer.learner.tensors(), rows))
        trainer.lock.release()
    (tensors, rows), (others, their_rows) = found
    assert rows == their_rows
    assert rows[-1]["loss"] != [None] * len(rows[-1]["loss"]), "nothing was learnt"
    for name, x in tensors.items():
        assert torch.equal(x, others[name]), name


def test_a_damaged_newest_checkpoint_is_refused_loudly_and_the_run_ends_the_same(tmp_path):
    config = tiny_config(tmp_path)
    create_run(config, tmp_path / "straight").train(Silent())
    create_run(from_dict({"run": {"total_steps": 512}}, config), tmp_path / "hurt").train(Silent())
    newest = checkpoint.found(tmp_path / "hurt" / "checkpoints")[0] / "weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1] + b"\xff")
    trainer, messages = resume_run(tmp_path / "hurt", 1024)
    assert "refused a damaged checkpoint" in messages[0]
    assert "SHA-256" in messages[0]
    trainer.train(Silent())
    assert_same_end(tmp_path / "straight", tmp_path / "hurt")


def test_schedules_change_the_worlds_and_resume_with_them(tmp_path):
    changes = {
        "schedule": {
            "solo_fraction": "0:0, 16:0.5, 40:1",
            "options": {"penalty": "0:0.25, 24:1.0"},
        },
        "env": {"double_buffer": True, "rollout_steps": 24},
        "run": {"total_steps": 8 * 24 * 8},
    }
    config = tiny_config(tmp_path, changes)
    create_run(config, tmp_path / "straight").train(Silent())
    rows = read_metrics(tmp_path / "straight" / "metrics.jsonl")
    assert [row["options"]["penalty"] for row in rows] == [0.25] * 3 + [1.0] * 5
    assert [row["solo_episodes_finished"] for row in rows] == [0] * 2 + [4] * 3 + [8] * 3
    assert [row["episodes"] for row in rows] == [8 * (i + 1) for i in range(8)]
    assert rows[3]["agents"]["solo_return"][0] is None
    assert rows[3]["agents"]["solo_return"][1] is not None
    assert rows[-1]["agents"]["return"] == [None] * 3
    part = {"run": {"total_steps": 8 * 24 * 4}}
    create_run(from_dict(part, config), tmp_path / "part").train(Silent())
    resume_run(tmp_path / "part", config.run.total_steps)[0].train(Silent())
    assert_same_end(tmp_path / "straight", tmp_path / "part")


def test_scripted_players_do_not_act_in_solo_worlds_and_returns_are_true(tmp_path):
    config = tiny_config(
        tmp_path, {"schedule": {"solo_fraction": "0.5"}, "env": {"rollout_steps": 24}}
    )
    trainer = create_run(config, tmp_path / "run")
    trainer.start()
    row = trainer.step()
    active, reward = trainer.rollout.active[:-1], trainer.rollout.reward
    assert active[:, :4].all()
    assert not active[:, 4:, 0].any()
    assert active[:, 4:, 1:].all()
    # Episodes are as long as the rollout: returns are sums over it.
    np.testing.assert_allclose(row["agents"]["return"], reward[:, :4].sum(0).mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        row["agents"]["solo_return"][1:], reward[:, 4:, 1:].sum(0).mean(0), rtol=1e-5
    )
    learnt = {name: x for name, x in row["agents"].items() if not name.startswith("return")}
    assert learnt.keys() > {"solo_return", "policy_loss"}
    assert all(values[0] is None for values in learnt.values())


def test_steps_in_play_are_counted_and_late_players_remember_nothing(tmp_path):
    config = load_preset(tiny(tmp_path)).config
    options = {"grid_size": 6, "max_steps": 15, "spawn_delay": [0, 3]}
    env = dataclasses.replace(config.env, game="Empty-v0", options=options, rollout_steps=20)
    config = dataclasses.replace(config, env=env)
    config = from_dict({"players": {"kinds": ["learner", "learner"]}}, config)
    trainer = create_run(config, tmp_path / "run")
    played, entered = 0, 0
    learn = trainer.learn

    def watched():
        nonlocal played, entered
        rollout = trainer.rollout
        active = rollout.active
        played += int(active[:-1].sum())
        comes = active[1:-1] & ~(active[:-2] & ~rollout.done[:-1, :, None])
        assert not rollout.state[1:][comes].any(), "what went in before"
        entered += int(comes[..., 1].sum())
        return learn()

    trainer.learn = watched
    trainer.start()
    for _ in range(4):
        row = trainer.step()
        assert row["agent_steps"] == trainer.agent_steps == played < 2 * row["env_steps"]
        assert len(row["agents"]["return"]) == 2
    assert entered > 20


def test_agents_that_were_never_in_play_have_no_return(tmp_path):
    config = load_preset(tiny(tmp_path)).config
    options = {"grid_size": 6, "max_steps": 15, "spawn_delay": [0, 15]}
    env = dataclasses.replace(config.env, game="Empty-v0", options=options)
    config = dataclasses.replace(config, env=env)
    config = from_dict({"players": {"kinds": ["learner", "learner"]}}, config)
    trainer = create_run(config, tmp_path / "run")
    trainer.start()
    row = trainer.step()
    assert row["episodes_finished"] > 0
    assert row["agents"]["return"][0] is not None
    assert row["agents"]["return"][1] is row["agents"]["return_std"][1] is None
    assert row["agent_steps"] <= row["env_steps"]


def test_frozen_players_play_and_stay_as_they_are(tmp_path):
    first = create_run(tiny_config(tmp_path), tmp_path / "first")
    first.train(Silent())
    kinds = [f"checkpoint:{tmp_path / 'first'}#2", "random", f"learner:{tmp_path / 'first'}",
             "learner"]  # fmt: skip
    trainer = create_run(tiny_config(tmp_path, {"players": {"kinds": kinds}}), tmp_path / "second")
    before = {name: tensor.clone() for name, tensor in trainer.learner.tensors().items()}
    taught = final(tmp_path / "first").weights
    models = [name for name in before if name.startswith("model/")]
    assert models
    trainer.train(Silent())
    after = trainer.learner.tensors()
    for name in models:
        assert torch.equal(before[name][0], taught[name][1])
        assert torch.equal(before[name][1], taught[name][0])
        assert torch.equal(after[name][0], before[name][0])
    for learning in (1, 2):
        assert any(not torch.equal(after[n][learning], before[n][learning]) for n in models)
    # The run has all weights itself from here on.
    shutil.rmtree(tmp_path / "first")
    resumed, _ = resume_run(tmp_path / "second")
    for name in models:
        assert torch.equal(resumed.learner.tensors()[name], after[name])


def test_novices_do_not_see_what_is_hidden_from_them(tmp_path):
    config = tiny_config(
        tmp_path, {"players": {"kinds": ["expert", "learner"], "hide_from_learners": ["goal"]}}
    )
    assert phase_at(config, 0).options["hide"] == [[], ["goal"]]
    trainer = Trainer(config, tmp_path / "run")
    trainer.start()
    yellow = np.array([255, 255, 0], np.uint8)
    seen = (trainer.rollout.obs[0].numpy() == yellow).all(-1).any((-1, -2))
    assert seen[:, 0].any()
    assert not seen[:, 1].any()


def test_agents_of_other_runs_see_what_they_saw_there(tmp_path):
    masked = {"kinds": ["expert", "learner"], "hide_from_learners": ["goal"]}
    first = create_run(tiny_config(tmp_path, {"players": masked}), tmp_path / "first")
    first.train(Silent())
    source = tmp_path / "first"

    def hidden(run_dir, kinds, **changes):
        changed = {"players": {"kinds": kinds, **changes.pop("players", {})}, **changes}
        trainer = create_run(tiny_config(tmp_path, changed), tmp_path / run_dir)
        return trainer, trainer.worlds.env.config["hide"]

    kinds = [f"checkpoint:{source}", "expert", "learner", f"learner:{source}#1"]
    trainer, hide = hidden("frozen", kinds)
    assert hide == [["goal"], [], [], ["goal"]]
    trainer.train(Silent())
    assert hidden("both", kinds, players={"hide_from_learners": ["wall"]})[1] == [
        ["goal"], [], ["wall"], ["goal"],
    ]  # fmt: skip
    told = {"env": {"options": {"hide": []}}}
    assert hidden("told", kinds, **told)[1] == [], "the option counts"
    shutil.rmtree(source)
    resumed, _ = resume_run(tmp_path / "frozen", 2048)
    assert resumed.worlds.env.config["hide"] == hide


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"obs_mode": "tiles"}},
        {"aux": {"prediction": None}},
        {"aux": {"prediction": None, "reconstruction": {}}},
        {"env": {"double_buffer": True}},
        {"players": {"kinds": ["learner"]}},
        {"env": {"game": "Maze-v0", "options": {}}, "players": {"kinds": ["expert", "learner"]}},
    ],
)
def test_every_way_of_running_runs_and_resumes(tmp_path, changes):
    data = to_dict(tiny_config(tmp_path))
    if changes.get("env", {}).get("game"):
        data["env"]["options"] = {"max_steps": 24}
    config = from_dict(changes, from_dict(data))
    if changes.get("env", {}).get("game"):
        for name in ("grid_size", "num_clutter", "penalty"):
            config.env.options.pop(name, None)
    create_run(from_dict({"run": {"total_steps": 256}}, config), tmp_path / "a").train(Silent())
    create_run(from_dict({"run": {"total_steps": 128}}, config), tmp_path / "b").train(Silent())
    resume_run(tmp_path / "b", 256)[0].train(Silent())
    assert_same_end(tmp_path / "a", tmp_path / "b")


def test_ctrl_c_ends_cleanly_with_a_checkpoint(tmp_path):
    preset = tiny(tmp_path)
    process = subprocess.Popen(
        command("train", preset, "--run-dir", tmp_path / "run", "--total-steps", 10**9,
                "--checkpoint-minutes", 60),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "stopping after this update" in out
    assert "last tenth" in out
    updates = [row["update"] for row in read_metrics(metrics)]
    assert final(tmp_path / "run").state["update"] == updates[-1]


def test_a_network_that_stops_being_finite_stops_the_run_without_a_checkpoint(tmp_path, capsys):
    trainer = create_run(tiny_config(tmp_path), tmp_path / "run")
    trainer.start()
    tensors = trainer.learner.tensors()
    name = next(n for n in tensors if n.startswith("model/") and "bias" not in n)
    tensors[name][1].fill_(float("nan"))
    trainer.learner.load_tensors(tensors)
    with pytest.raises(NonFiniteError) as error:
        trainer.train(Silent())
    assert error.value.agent == 1
    assert error.value.dump is not None
    assert error.value.dump.exists()
    assert checkpoint.found(tmp_path / "run" / "checkpoints") == []
    with pytest.raises(CheckpointError, match="not finite"):
        checkpoint.save(tmp_path / "c", 1, checkpoint.Checkpoint(trainer.learner.tensors(), {}, {}))


def test_a_reward_that_is_not_finite_stops_the_run_with_a_dump(tmp_path, monkeypatch):
    trainer = create_run(tiny_config(tmp_path), tmp_path / "run")
    trainer.start()
    collect = trainer.collect

    def spoiled():
        result = collect()
        trainer.rollout.reward[3, 2, 1] = float("inf")
        return result

    monkeypatch.setattr(trainer, "collect", spoiled)
    with pytest.raises(NonFiniteError, match="non-finite reward in update 1, agent 1") as error:
        trainer.step()
    assert error.value.dump.exists()


def test_a_full_disk_stops_the_run_in_one_line(tmp_path, capsys, monkeypatch):
    flush = os.fsync

    def full(descriptor):
        if list(tmp_path.glob("run/checkpoints/.writing-*")):
            raise OSError(28, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert cli.train([tiny(tmp_path), "--run-dir", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert "No space left" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "unknown preset 'nowhere'"),
        (["goal-cycle-mimi"], "did you mean 'goal-cycle-mini'?"),
        (["TINY", "--players", "exprt,learner"], "exprt"),
        (["TINY", "--players", "expert"], "nobody in expert learns"),
        (["TINY", "--players", "lerner"], "(did you mean 'learner'?)"),
        (["TINY", "--players", "checkpoint:nowhere,learner"], "not a run directory"),
        (["TINY", "--game", "GoalCicle-v0"], "GoalCycle-v0"),
        (["TINY", "--set", "penalti=1"], "penalty"),
        (["TINY", "--set", "num_goals=99"], "num_goals"),
        (["TINY", "--set", "penalty=high"], "penalty"),
        (["TINY", "--run-dir", "/proc/nothing/here"], "/proc/nothing/here"),
        (["TINY", "--run-dir", "OCCUPIED"], "holds a run already"),
        (["TINY", "--run-dir", "FILE"], "is not a directory"),
        (["--resume", "nowhere"], "not a run directory"),
        (["--resume", "x", "--set", "penalty=1"], "--set: a run keeps what it was begun with"),
        (["--resume", "x", "--learning-rate=1"], "--learning-rate: a run keeps"),
        (["--resume", "x", "--total-step", "9"], "did you mean --total-steps?"),
        (["--resume"], "which run?"),
        (["--seed", "3"], "the preset comes first"),
        ([], "which preset?"),
        (["TINY", "--learning-rate", "1e-3,1e-3,1e-3"], "3"),
        (["TINY", "--channels", "8,8,8,8,8"], "view"),
    ],
)
def test_mistakes_cost_one_line_and_exit_code_two(tmp_path, capsys, words, message):
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "config.json").write_text("{}")
    (tmp_path / "file").write_text("")
    names = {"TINY": tiny(tmp_path), "OCCUPIED": str(occupied), "FILE": str(tmp_path / "file")}
    words = [names.get(word, word) for word in words]
    if "--run-dir" not in words and words and words[0].endswith(".toml"):
        words += ["--run-dir", str(tmp_path / "run")]
    assert cli.train(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if load_preset(name).config.regime.name == "on-policy"]
)
def test_every_preset_makes_its_worlds_and_learners(name, tmp_path):
    config = load_preset(name).config
    small = {"env": {"num_envs": 4, "rollout_steps": 32, "num_threads": 1}}
    trainer = Trainer(from_dict(small, config), tmp_path)
    trainer.start()
    assert len(trainer.slots) >= 1
    assert trainer.learner.model.parameters_per_agent() > 10_000
    trainer.worlds.close()


def test_list_names_every_preset(capsys):
    assert cli.train(["--list"]) == 0
    out = capsys.readouterr().out
    assert "goal-cycle-mini" in out
    assert "Traceback" not in out


def test_words_are_read_without_torch():
    asked = [
        ("train", "--list"), ("train", "--help"), ("train", "room-mini", "--help"),
        ("train", "room-mini", "--nothing", "1"), ("train", "nowhere"), ("train", "--resume", "no"),
        ("evaluate", "--help"), ("evaluate", "--nothing"), ("evaluate", "nowhere"),
        ("evaluate", "matrix", "--help"), ("evaluate", "matrix", "one"),
        ("play", "--help"), ("play", "--nothing"), ("play", "nowhere"),
        ("plot", "--help"), ("plot", "--nothing"), ("plot", "nowhere"),
        ("plot", "groups", "--help"), ("plot", "schelling", "--help"),
    ]  # fmt: skip
    code = (
        "import sys, socialgrid\nfrom socialgrid.commands import cli\n"
        f"for command, *words in {asked!r}:\n"
        "    try:\n        code = getattr(cli, command)(words)\n"
        "    except SystemExit as end:\n        code = end.code\n"
        "    assert (code or 0) == (0 if {'--help', '--list'} & set(words) else 2), words\n"
        "    assert 'torch' not in sys.modules, (command, words)\n"
    )
    words = [sys.executable, "-c", code]
    found = subprocess.run(words, timeout=60, capture_output=True, text=True, check=False)
    assert not found.returncode, found.stderr


def test_without_the_extra_the_commands_name_it(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for entry in (cli.train, cli.evaluate, cli.play, cli.plot):
        assert entry(["x"]) == 2
        error = capsys.readouterr().err
        assert 'pip install "socialgrid[train]"' in error
        assert error.count("\n") == 1


def test_the_configuration_left_behind_repeats_the_run(tmp_path):
    create_run(tiny_config(tmp_path), tmp_path / "one").train(Silent())
    again = load_preset(str(tmp_path / "one" / "config.json")).config
    create_run(again, tmp_path / "two").train(Silent())
    assert_same_end(tmp_path / "one", tmp_path / "two")
    assert json.loads((tmp_path / "one" / "config.json").read_text())["run"]["seed"] == 0


def test_a_learner_wants_weights_that_fit(tmp_path):
    create_run(tiny_config(tmp_path), tmp_path / "one").train(Silent())
    other = tiny_config(
        tmp_path,
        {"players": {"kinds": [f"learner:{tmp_path / 'one'}"]}, "network": {"memory": 9}},
    )
    with pytest.raises(UsageError, match="differs from this run's"):
        create_run(other, tmp_path / "two")
