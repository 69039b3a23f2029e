"""Several seeds from one command line, and folders of runs named as one."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.python.train.runs import command, run, tiny

from socialgrid.commands import cli
from socialgrid.commands.words import join_lists
from socialgrid.config import (
    from_dict,
    group_key,
    load_config,
    load_preset,
    parse_train,
    run_files,
    to_dict,
)
from socialgrid.report import RunCurves, read_metrics


def returns_of(folder):
    return [row["agents"]["return"] for row in read_metrics(folder / "metrics.jsonl")]


def test_every_seed_is_the_run_that_it_is_alone_and_the_same_command_goes_on(tmp_path):
    preset, folder = tiny(tmp_path), tmp_path / "sweep"
    words = [preset, "--run-dir", folder, "--seeds", "3,5", "--jobs", "2", "--total-steps"]
    done = run("train", *words, 256)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 seeds, 2 at a time" in done.stdout
    assert "seed 5: done in" in done.stdout
    assert "| GoalCycle-v0 | 2 | 256 |" in done.stdout, "no mean over seeds"
    assert sorted(path.name for path in folder.iterdir()) == [
        "seed3", "seed3.log", "seed5", "seed5.log",
    ]  # fmt: skip
    assert load_config(folder / "seed3").run.seed == 3
    assert returns_of(folder / "seed3") != returns_of(folder / "seed5")

    other = run("train", *words, 256, "--learning-rate", "0.5")
    assert other.returncode == 2
    assert f"{folder / 'seed3'}: holds a run with other options" in other.stderr

    further = run("train", *words, 384, "--run.keep-checkpoints", "7", "--logging.curves")
    assert further.returncode == 0, further.stdout + further.stderr
    assert (
        "seed 3, 5: goes on with the run.keep_checkpoints, logging.curves that it was begun with"
    ) in further.stdout
    alone = ["--run-dir", str(tmp_path / "alone"), "--seed", "5", "--total-steps", "384"]
    assert cli.train([preset, *alone]) == 0
    assert returns_of(folder / "seed5") == returns_of(tmp_path / "alone")
    assert len(RunCurves.all_named([str(folder), f"one={folder}"])) == 4

    whole = run("train", "--resume", folder)
    assert whole.returncode == 2
    assert f"{folder}: holds seed3, seed5: resume one of them" in whole.stderr

    less = run("train", *words, 128)
    assert less.returncode == 0, less.stdout + less.stderr
    assert "seed 3, 5: has gone 384 steps already, more than the 128 asked for" in less.stdout
    assert load_config(folder / "seed5").run.total_steps == 384
    assert "seed 5: done" not in less.stdout, "begun for nothing"


def test_a_signal_is_passed_on_and_all_seeds_go_on_later(tmp_path):
    folder = tmp_path / "sweep"
    words = [tiny(tmp_path), "--run-dir", folder, "--seeds", "0-2", "--jobs", "2"]
    process = subprocess.Popen(
        command("train", *words, "--total-steps", 10**8), stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    while not all(list(folder.glob(f"seed{seed}/checkpoints/step-*")) for seed in (0, 1)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"the same command with --run-dir {folder} goes on" in said
    assert not (folder / "seed2").exists(), "begun after the signal"
    for seed in (0, 1):
        assert list(folder.glob(f"seed{seed}/checkpoints/step-*"))
        assert "stopping after this update" in (folder / f"seed{seed}.log").read_text()


def test_a_seed_that_fails_is_told_and_the_others_are_trained(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "seed0").write_text("no folder")
    done = run("train", tiny(tmp_path), "--run-dir", folder, "--seeds", "0-1", "--total-steps", 128)
    assert done.returncode == 2
    assert "seed 0: exit code 2: socialgrid-train: " in done.stdout
    assert "exists and is not a directory" in done.stdout
    assert len(returns_of(folder / "seed1")) == 1


@pytest.fixture
def pretended(monkeypatch):
    """Processes that say something and end at once: by seed what, and with which code."""
    ends = {}

    class Process:
        def __init__(self, words, *, stdout, **_):
            option = "--resume" if "--resume" in words else "--run.run-dir"
            said, self.code = ends[Path(words[words.index(option) + 1]).name]
            stdout.write(said.encode())

        def poll(self):
            if self.code == 128 + signal.SIGTERM:
                signal.raise_signal(signal.SIGINT)
            return self.code

        def send_signal(self, number):
            assert number == signal.SIGTERM

    monkeypatch.setattr(subprocess, "Popen", Process)
    return ends


def test_the_first_failure_counts_and_is_told_by_its_complaint(tmp_path, capsys, pretended):
    progress = "step 1,024  return 0.5\n"
    pretended["seed0"] = f"socialgrid-train: seed0: another process is at it\n{progress}", 2
    pretended["seed1"] = "socialgrid-train: odd\nTraceback (most recent call last):\nBusy: 7\n", 1
    pretended["seed2"] = progress, 0
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "seed1.log").write_text("socialgrid-train: of another time\n")
    words = [tiny(tmp_path), "--run-dir", str(folder), "--seeds", "0-2", "--jobs", "3"]
    assert cli.train(words) == 2
    told = capsys.readouterr().out
    assert "seed 0: exit code 2: socialgrid-train: seed0: another process is at it" in told
    assert "seed 1: exit code 1: Busy: 7" in told
    assert "seed 2: done" in told


def test_who_stops_is_told_of_no_failure(tmp_path, capsys, pretended):
    pretended["seed0"] = "seed0/curves.png\n", 128 + signal.SIGTERM
    words = [tiny(tmp_path), "--run-dir", str(tmp_path / "sweep"), "--seeds", "0-1"]
    assert cli.train(words) == 128 + signal.SIGINT
    told = capsys.readouterr().out
    assert "seed 0: stopped" in told
    assert "curves.png" not in told


@pytest.mark.parametrize(
    ("preset", "change", "message"),
    [
        ("room-21", {"players": {"groups": 3}}, "seed0: holds a run with other options"),
        ("tiny", {"run": {"total_steps": 10**6}}, "has gone 2,000 steps already, more than the"),
    ],
)
def test_what_a_run_that_goes_on_cannot_take_is_told(
    tmp_path, capsys, pretended, preset, change, message
):
    preset = tiny(tmp_path) if preset == "tiny" else preset
    folder = tmp_path / "sweep" / "seed0"
    folder.mkdir(parents=True)
    run_files.write_config(folder, to_dict(from_dict(change, load_preset(preset).config)), "")
    (folder / "metrics.jsonl").write_text(json.dumps({"env_steps": 2000}) + "\n")
    pretended["seed0"] = "", 0
    cli.train([preset, "--run-dir", str(folder.parent), "--seeds", "0"])
    told = capsys.readouterr()
    assert message in told.out + told.err


def test_runs_with_agents_of_others_go_on(tmp_path, capsys, pretended):
    """Their records say what is hidden from those, the command need not."""
    folder, hide = tmp_path / "sweep", [[], ["goal"], []]
    (folder / "seed0").mkdir(parents=True)
    words = ["--players", "expert", f"checkpoint:{tmp_path}", "learner"]
    data = to_dict(parse_train(words, load_preset(tiny(tmp_path)), "x"))
    data["env"]["options"]["hide"] = hide
    run_files.write_config(folder / "seed0", data, "")
    pretended["seed0"] = "", 0
    words = [tiny(tmp_path), "--run-dir", str(folder), "--seeds", "0", *words]
    assert cli.train(words) == 0
    assert "goes on with" not in capsys.readouterr().out
    assert cli.train([*words, "--set", "hide=[]"]) == 2
    assert "holds a run with other options" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seeds 4-0", "'4-0' is no seed and no range"),
        ("--seeds", "'' is no seed"),
        ("--seeds 0..4", "as in 0-4 or 0,1,7"),
        ("--seeds 0-99999", "is no seed and no range"),
        ("--seeds 0-4 --jobs none", "'none' is not a number of runs"),
        ("--seeds 0-4 --jobs 0", "'0' is not a number of runs"),
        ("--jobs 2", "of which seeds?"),
        ("--seeds 0-4 --seed 3", "--seeds names all seeds"),
        ("--seeds 0-4 --run.seed=3", "--seeds names all seeds"),
        ("--seeds 0-4 --learning-rat 1", "did you mean --learning-rate?"),
    ],
)
def test_what_is_no_list_of_seeds_is_refused(tmp_path, capsys, words, message):
    folder = tmp_path / "sweep"
    assert cli.train([tiny(tmp_path), "--run-dir", str(folder), *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not folder.exists()


def test_how_a_run_is_computed_and_logged_makes_it_no_other_arm():
    same = group_key(from_dict({}))
    for change in (
        {"run": {"threads": 3, "seed": 4, "keep_checkpoints": 9}},
        {"env": {"num_threads": 2}},
        {"logging": {"video": False}},
        {"evaluation": {"interval": 9}},
    ):
        assert group_key(from_dict(change)) == same
    replayed = {"algorithm": {"name": "dqn"}, "evaluation": {"interval": 9}}
    assert group_key(from_dict(replayed)) != group_key(from_dict({"algorithm": {"name": "dqn"}}))
    assert group_key(from_dict({"env": {"num_envs": 2}})) != same


def test_a_folder_of_runs_means_all_of_them_in_the_order_of_their_numbers(tmp_path):
    for name in ("seed10", "seed9", "other"):
        (tmp_path / name).mkdir()
        if name != "other":
            config = from_dict({"run": {"seed": int(name.removeprefix("seed"))}})
            run_files.write_config(tmp_path / name, to_dict(config), "")
    (tmp_path / "seed9.log").write_text("")
    found = run_files.runs_in(tmp_path)
    assert [path.name for path in found] == ["seed9", "seed10"]
    assert run_files.runs_in(found[0]) == [found[0]]
    assert run_files.runs_in(tmp_path / "other") == [tmp_path / "other"]
    row = {"env_steps": 1, "agents": {"return": [1.0]}}
    for path in found:
        (path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    runs = RunCurves.all_named([f"a=b={tmp_path}", str(found[0])])
    assert [(one.label, one.run_dir.name) for one in runs] == [
        ("a=b", "seed9"), ("a=b", "seed10"), ("", "seed9"),
    ]  # fmt: skip


def test_evaluation_takes_ranges_of_seeds_too():
    names = ("seeds", "players")
    for written in (["--seeds", "0-2,7"], ["--seeds=0-2,7"], ["--seeds", "0", "1-2", "7"]):
        assert join_lists(written, names) == ["--seeds", "0", "1", "2", "7"]
    kept = ["--players", "room-2", "--seeds", "x", "2-1"]
    assert join_lists(kept, names) == kept
