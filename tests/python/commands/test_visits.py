"""Evaluations of on-policy runs: while they go on, and of any checkpoint that they have kept."""

import json
import time

import pytest
import torch
from tests.python.train.runs import Silent, same_end, tiny

from socialgrid.commands import cli
from socialgrid.config import load_config, load_preset, parse_train
from socialgrid.config.evaluation import EvalOptions, evaluation_config
from socialgrid.report import read_metrics
from socialgrid.train import checkpoint, create_run, eyes_of, seats_of

INTERVAL = 300
WORLDS = ["--evaluation.interval", str(INTERVAL), "--evaluation.episodes", "6"]
RETURNS = ("learners_return", "learners_return_alone", "others_return")
ALL = ["--keep-checkpoints", "99"]


def train(folder, name, *words, preset=None):
    line = [preset or tiny(folder), "--run-dir", str(folder / name), *ALL, *words]
    assert cli.train(line) == 0
    return folder / name


def four(folder):
    path = folder / "four.toml"
    path.write_text(
        f'base = "{tiny(folder)}"\n[env.options]\nnum_goals = 4\n'
        '[players]\nkinds = ["expert", "learner", "learner"]\n'
    )
    return str(path)


def evaluated(run):
    rows = read_metrics(run / "metrics.jsonl")
    return {row["env_steps"]: row["evaluations"] for row in rows if "evaluations" in row}


@pytest.fixture(scope="module")
def visited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("visits")
    return train(folder, "run", *WORLDS, "--evaluation.worlds", f"training,{four(folder)}")


def test_a_row_that_passes_a_multiple_of_the_interval_has_an_evaluation(visited):
    rows = read_metrics(visited / "metrics.jsonl")
    steps = [row["env_steps"] for row in rows]
    due = [now for now in steps if now // INTERVAL > (now - 128) // INTERVAL]
    assert list(evaluated(visited)) == due == [384, 640, 1024]
    for found in evaluated(visited).values():
        assert list(found) == ["training", "four"]
        for world in found.values():
            assert world["episodes"] == 6
            for name in RETURNS:
                mean, low, high = world[name]
                assert low <= mean <= high
    assert all(("evaluate" in row["time"]) == ("evaluations" in row) for row in rows)
    assert len({json.dumps(one) for one in evaluated(visited).values()}) == 3, "weights changed"


def test_training_goes_on_as_if_nobody_had_looked(tmp_path, visited):
    same_end(visited, train(tmp_path, "unseen"))


@pytest.mark.parametrize("world", ["training", "four"])
def test_a_row_says_what_the_command_finds_in_the_checkpoint_of_its_step(world, visited, capsys):
    preset = str(visited.parent / "four.toml")
    words = [] if world == "training" else ["--world", preset]
    step, found = list(evaluated(visited).items())[1]
    out = visited.parent / "one.json"
    words += ["--checkpoint", f"{step:_}", "--seeds", "0", "--episodes", "6", "--json", str(out)]
    assert cli.evaluate([str(visited), *words]) == 0
    assert f"checkpoint of step {step:,}" in capsys.readouterr().out
    group = json.loads(out.read_text())["group"]
    for name in RETURNS:
        assert found[world][name] == list(group[name]["over_episodes"].values()), name


def test_a_resumed_run_finds_what_it_would_have_found(tmp_path, visited):
    words = [*WORLDS, "--evaluation.worlds", f"training,{four(tmp_path)}"]
    run = train(tmp_path, "run", *words, "--total-steps", "512")
    assert list(evaluated(run)) == [384]
    assert cli.train(["--resume", str(run), "--total-steps", "1024"]) == 0
    assert evaluated(run) == evaluated(visited)
    same_end(run, visited)


@pytest.mark.parametrize("synchronous", [False, True])
def test_workers_wait_while_the_main_process_evaluates(tmp_path, synchronous):
    text = (tmp_path / tiny(tmp_path)).read_text()
    preset = tmp_path / "a3c.toml"
    preset.write_text(text[: text.index("[variants.ppo")] + text[text.index("[logging]") :])
    further = ["--algorithm", "a3c", "--workers", "2", "--evaluation.worlds", "training,maze"]
    further += ["--algorithm.synchronous"] if synchronous else []
    config = parse_train([*WORLDS, *further, *ALL], load_preset(str(preset)), "socialgrid-train")
    trainer = create_run(config, tmp_path / "run")
    find, seen = trainer.visits.found, []

    def found(weights):
        before = {name: tensor.clone() for name, tensor in weights.items()}
        time.sleep(0.3)
        result = find(weights)
        assert int(trainer.shared.env_steps.sum()) == trainer.env_steps
        assert all(torch.equal(tensor, before[name]) for name, tensor in weights.items())
        seen.append(trainer.env_steps)
        return result

    trainer.visits.found = found
    assert trainer.train(Silent()) == 0
    assert list(evaluated(trainer.run_dir)) == seen
    assert len(seen) >= 2
    found_later = evaluated_by_command(trainer.run_dir, seen[0])["training"]
    assert evaluated(trainer.run_dir)[seen[0]]["training"] == found_later


def test_clones_are_evaluated_on_the_way_too(tmp_path):
    run = train(tmp_path, "run", "--algorithm", "behaviour-cloning", *WORLDS)
    assert list(evaluated(run)) == [384, 640, 1024]


def test_all_checkpoints_are_evaluated_each_into_a_file(tmp_path, visited, capsys):
    steps = checkpoint.steps_of(visited)
    assert len(steps) == 8
    words = ["--episodes", "4", "--seeds", "0"]
    assert cli.evaluate([str(visited), "--checkpoint", "all", *words]) == 0
    files = {step: visited / f"eval-training-world-step-{step}.json" for step in steps}
    found = {step: json.loads(path.read_text()) for step, path in files.items()}
    returns = {step: one["group"]["learners_return"] for step, one in found.items()}
    assert len({json.dumps(one) for one in returns.values()}) > 1, "weights changed"
    assert cli.evaluate([str(visited), *words]) == 0
    newest = json.loads((visited / "eval-training-world.json").read_text())
    assert newest["checkpoint_step"] == max(steps)
    for step, path in files.items():
        assert json.loads(path.read_text())["checkpoint_step"] == step
    assert newest["group"]["learners_return"] == returns[steps[-1]]
    capsys.readouterr()
    assert cli.evaluate([str(visited), "--checkpoint", "130"]) == 2
    assert "no checkpoint of step 130; there are those of 128, 256," in capsys.readouterr().err
    assert cli.evaluate([str(visited), "--checkpoint", "first"]) == 2
    assert "'first' is not newest, all, or steps of some" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--evaluation.episodes", "3"], "evaluation.interval says how often before"),
        (["--evaluation.interval", "9", "--evaluation.worlds", "maize"], "unknown preset 'maize'"),
        (["--evaluation.interval", "9", "--evaluation.worlds", "none"], "at least one is needed"),
        (
            ["--evaluation.interval", "9", "--evaluation.worlds", "maze,maze"],
            "two of them have the same name",
        ),
        (
            ["--evaluation.interval", "9", "--evaluation.worlds", "training,cleanup"],
            "evaluation.worlds: cleanup: players: 5 learners, ",
        ),
        (
            ["--evaluation.interval", "9", "--evaluation.worlds", "box-trapped"],
            "evaluation.worlds: box-trapped: ",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_told_before_anything_is_learnt(tmp_path, words, told, capsys):
    assert cli.train([tiny(tmp_path), "--run-dir", str(tmp_path / "run"), *words]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists(), "nothing was written"


def test_agents_with_tasks_of_their_own_are_evaluated_nowhere_else(tmp_path, capsys):
    words = ["room-mini", "--run-dir", str(tmp_path / "run"), "--evaluation.worlds", "maze"]
    assert cli.train(words) == 2
    assert "evaluation.worlds: dqn is evaluated where it learns" in capsys.readouterr().err


def test_agents_are_evaluated_as_they_learnt_last(tmp_path):
    preset = tmp_path / "shown.toml"
    preset.write_text(
        f'base = "{tiny(tmp_path)}"\n[env.options]\nhide = [[], ["goal"], ["goal"]]\n'
        "[phases.hidden]\nsteps = 512\n[phases.shown]\nsteps = 512\n"
        "[phases.shown.options]\nhide = [[], [], []]\npenalty = 3.0\n"
    )
    run = train(tmp_path, "run", *WORLDS, preset=str(preset))
    config = evaluation_config(load_config(run), EvalOptions(), {})
    assert config.env.options["penalty"] == 3.0
    seats = seats_of(run, load_config(run), config.players.kinds)
    assert eyes_of(seats, config.env.options) == [[], [], []]
    assert evaluated(run)[1024] == evaluated_by_command(run, 1024), "the row and the command agree"
    maze = evaluation_config(load_config(run), EvalOptions(world="maze"), {})
    assert "penalty" not in maze.env.options


def evaluated_by_command(run, step):
    out = run / "found.json"
    words = ["--seeds", "0", "--episodes", "6", "--checkpoint", str(step), "--json", str(out)]
    assert cli.evaluate([str(run), *words]) == 0
    group = json.loads(out.read_text())["group"]
    found = {name: list(group[name]["over_episodes"].values()) for name in RETURNS}
    return {"training": {"episodes": 6, **found}}


def test_any_checkpoint_of_agents_with_tasks_of_their_own_is_evaluated(tmp_path):
    words = [
        *("room-mini", "--run-dir", str(tmp_path / "run"), *ALL, "--total-steps", "400"),
        *("--learning-starts", "100", "--rollout-steps", "200", "--evaluation.interval", "0"),
        *("--checkpoint-minutes", "0", "--device", "cpu", "--logging.no-tensorboard"),
        *("--logging.no-curves", "--logging.no-video", "--num-envs", "1"),
    ]
    assert cli.train(words) == 0
    run = tmp_path / "run"
    first, last = checkpoint.steps_of(run)
    assert cli.evaluate([str(run), "--checkpoint", "all", "--episodes", "8"]) == 0
    assert cli.evaluate([str(run), "--episodes", "8"]) == 0
    found = {
        name: json.loads((run / f"eval-training-world{name}.json").read_text())["results"]
        for name in ("", f"-step-{first}", f"-step-{last}")
    }
    assert found[""] == found[f"-step-{last}"] != found[f"-step-{first}"]
