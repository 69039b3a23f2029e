"""A run's directory and its ends: owned by one process, read with suspicion, never lost."""

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

import gymnasium
import pytest
import torch
from tests.python.train.runs import Silent, tiny

from socialgrid.commands import cli
from socialgrid.commands.evaluate import evaluate
from socialgrid.config import (
    CheckpointError,
    UsageError,
    from_dict,
    load_config,
    load_preset,
    run_files,
    to_dict,
)
from socialgrid.config.evaluation import EvalOptions
from socialgrid.report import PlainConsole, RichConsole, read_metrics
from socialgrid.train import checkpoint, create_run, resolved, resume_run


@pytest.fixture
def config(tmp_path):
    return load_preset(tiny(tmp_path)).config


def of_steps(config, steps, **run):
    return from_dict({"run": {"total_steps": steps, **run}}, config)


@pytest.fixture
def run(tmp_path, config):
    """A finished run of two updates."""
    create_run(of_steps(config, 256), tmp_path / "run").train(Silent())
    return tmp_path / "run"


def steps_of(run_dir):
    return [path.name for path in checkpoint.found(run_dir / "checkpoints")]


# -- whose directory it is --------------------------------------------------------------------


def test_runs_of_one_name_get_a_directory_each_and_failures_leave_none(tmp_path, config):
    first, second = (create_run(config, tmp_path / "a" / "b", fresh=True) for _ in range(2))
    assert (first.run_dir, second.run_dir) == (tmp_path / "a" / "b", tmp_path / "a" / "b-2")
    bad = from_dict({"env": {"options": {"penalty": "high"}}}, config)
    with pytest.raises(UsageError):
        create_run(bad, tmp_path / "c" / "d")
    assert not (tmp_path / "c").exists()


def test_a_run_that_goes_on_belongs_to_its_process(tmp_path, config):
    trainer = create_run(config, tmp_path / "run")
    with pytest.raises(UsageError, match=rf"being trained already, by process {os.getpid()} on"):
        resume_run(tmp_path / "run")
    with pytest.raises(UsageError, match="being trained already"):
        create_run(config, tmp_path / "run")
    del trainer
    resume_run(tmp_path / "run")


def test_a_killed_process_holds_no_lock(tmp_path):
    code = (
        "import sys, pathlib\nfrom socialgrid.config.run_files import RunLock\n"
        "lock = RunLock(pathlib.Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match=f"by process {process.pid}"):
        run_files.RunLock(tmp_path)
    process.kill()
    process.communicate()
    lock = run_files.RunLock(tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []


# -- what is read -----------------------------------------------------------------------------


def test_a_changed_configuration_is_refused_and_may_begin_a_new_run(tmp_path, run, config):
    path = run / "config.json"
    text = path.read_text()
    path.write_text(text.replace('"learning_rate": 0.01', '"learning_rate": 0.02'))
    for use in (resume_run, load_config, lambda run: evaluate(run, EvalOptions(), {})):
        with pytest.raises(UsageError, match=r"config\.json: damaged or edited"):
            use(run)
    assert load_preset(str(path)).config.algorithm.learning_rate == 0.02
    # A whole configuration of another run does not fit these checkpoints.
    other = create_run(from_dict({"algorithm": {"learning_rate": 0.02}}, config), tmp_path / "b")
    shutil.copy(other.run_dir / "config.json", path)
    with pytest.raises(CheckpointError, match="belongs to another configuration"):
        resume_run(run)
    # A longer goal is the same run.
    path.write_text(text)
    assert resume_run(run, 512)[1] == []
    assert load_config(run).run.total_steps == 512
    assert resume_run(run)[1] == []


def test_runs_and_checkpoints_of_before_are_refused_in_a_line_that_says_what_reads_them(run):
    path, (folder,) = run / "config.json", (run / "checkpoints").glob("step-*256")
    for file in (path, folder / "manifest.json"):
        text = file.read_text()
        assert '"format": 3' in text
        file.write_text(text.replace('"format": 3', '"format": 2'))
        with pytest.raises(UsageError) as error:
            load_config(run) if file == path else checkpoint.load(folder)
        assert f"{file}: of format 2, this version reads 3; the last commit that reads it is" in (
            str(error.value)
        )
        assert "\n" not in str(error.value)
        file.write_text(text)
    # The oldest ones said nothing of formats.
    data = json.loads(path.read_text())
    del data["integrity"]
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=r"of format 1, .* reads it is 9487337"):
        load_config(run)
    # Another commit's format is refused as well.
    path.write_text(json.dumps(data | {"integrity": {"format": 4}}))
    with pytest.raises(UsageError, match=r"of format 4, this version reads 3$"):
        load_config(run)


def test_a_run_whose_checkpoints_are_gone_keeps_its_metrics(run):
    before = (run / "metrics.jsonl").read_bytes()
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UsageError, match="its checkpoints are gone"):
        resume_run(run)
    assert (run / "metrics.jsonl").read_bytes() == before
    # Killed before its first checkpoint, a run has a row at most.
    (run / "metrics.jsonl").write_bytes(before[: before.index(b"\n") + 1])
    trainer, messages = resume_run(run)
    assert messages == ["no checkpoint yet: starting from the beginning"]
    assert trainer.train(Silent()) == 0


def test_a_goal_that_is_behind_already_is_refused_before_anything_is_written(run, capsys):
    create_run(of_steps(load_config(run), 250), run.parent / "odd").train(Silent())
    for folder, goal in ((run, 255), (run.parent / "odd", 249)):
        files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert cli.train(["--resume", str(folder), "--total-steps", str(goal)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"total-steps: {goal} is less than the 256 steps that {folder} has done" in error
        assert files == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # It ended six steps behind its goal, which may be named again; a run on its way may end sooner.
    assert resume_run(run.parent / "odd", 250)[0].over()
    resume_run(run, 10_000)[0].lock.release()
    nearer, _ = resume_run(run, 384)
    assert nearer.train(Silent()) == 0
    assert nearer.env_steps == load_config(run).run.total_steps == 384


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoints", "STEP", ".lock"])
def test_nothing_is_read_or_written_through_links(tmp_path, run, name):
    path = checkpoint.found(run / "checkpoints")[0] if name == "STEP" else run / name
    target = tmp_path / "elsewhere"
    if path.exists():
        path.rename(target)
    else:
        target.write_text("precious")
    kept = target.read_bytes() if target.is_file() else None
    path.symlink_to(target)
    for old in checkpoint.found(run / "checkpoints")[1:] if name == "STEP" else []:
        shutil.rmtree(old)
    with pytest.raises(UsageError, match="symbolic link"):
        resume_run(run, 512)[0].train(Silent())
    assert kept is None or target.read_bytes() == kept


def test_sizes_are_looked_at_before_anything_is_read(tmp_path, run):
    newest = checkpoint.found(run / "checkpoints")[0]
    with (run / "metrics.jsonl").open("ab") as file:
        file.truncate(30 << 30)
    weights = newest / "weights.safetensors"
    with weights.open("ab") as file:
        file.truncate(30 << 30)
    manifest = json.loads((newest / "manifest.json").read_text())
    manifest["files"][weights.name]["bytes"] = 30 << 30
    (newest / "manifest.json").write_text(json.dumps(manifest))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    begin = time.process_time()
    with pytest.raises(CheckpointError, match="are on the disk"):
        checkpoint.load(newest)
    with pytest.raises(UsageError, match=r"metrics\.jsonl: line 3 is not JSON"):
        read_metrics(run / "metrics.jsonl")
    with pytest.raises(UsageError, match="not a regular file"):
        read_metrics(fifo)
    with (run / "config.json").open("ab") as file:
        file.truncate(30 << 30)
    with pytest.raises(UsageError, match="at most"):
        load_config(run)
    assert time.process_time() - begin < 2


def test_a_header_with_a_hundred_thousand_sides_takes_no_time(tmp_path):
    shape = [(1 << 61) - 1] * 100_000
    header = json.dumps({"w": {"dtype": "U8", "shape": shape, "data_offsets": [0, 4]}}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(4)
    path = checkpoint.save(tmp_path, 1, checkpoint.Checkpoint({"w": torch.zeros(4)}, {}, {}))
    (path / "weights.safetensors").write_bytes(data)
    manifest = json.loads((path / "manifest.json").read_text())
    digest = hashlib.sha256(data).hexdigest()
    manifest["files"]["weights.safetensors"] = {"bytes": len(data), "sha256": digest}
    (path / "manifest.json").write_text(json.dumps(manifest))
    begin = time.process_time()
    with pytest.raises(CheckpointError, match="impossible"):
        checkpoint.load(path)
    assert time.process_time() - begin < 1


def rewritten(run_dir, change):
    """Write the newest checkpoint again, changed, with a manifest that agrees."""
    path = checkpoint.found(run_dir / "checkpoints")[0]
    stored = checkpoint.load(path)
    weights, arrays, state = dict(stored.weights), dict(stored.arrays), dict(stored.state)
    text = change(weights, arrays, state) or json.dumps(state)
    identity = json.loads((path / "manifest.json").read_text())["config"]
    shutil.rmtree(run_dir / "checkpoints")
    stand_in = json.loads(text, parse_constant=lambda _: 0, parse_float=lambda _: 0.0)
    saved = checkpoint.Checkpoint(weights, arrays, stand_in)
    checkpoint.save(run_dir / "checkpoints", 256, saved, config=identity)
    if "Infinity" in text or "1e999" in text:
        manifest = json.loads((path / "manifest.json").read_text())
        (path / "state.json").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        manifest["files"]["state.json"] = {"bytes": len(text), "sha256": digest}
        (path / "manifest.json").write_text(json.dumps(manifest))


def first_weight(weights):
    return next(name for name in weights if name.startswith("model/"))


@pytest.mark.parametrize(
    "change",
    [
        lambda w, a, s: json.dumps(s | {"env_steps": float("inf")}),
        lambda w, a, s: json.dumps(s).replace('"seconds": ', '"seconds": 1e999, "s": '),
        lambda w, a, s: s.update(env_steps=10**400),
        lambda w, a, s: s.update(options=[1, 2]),
        lambda w, a, s: s.update(learner=3),
        lambda w, a, s: w.update({first_weight(w): w[first_weight(w)].half()}),
        lambda w, a, s: w.update({first_weight(w): w[first_weight(w)][..., :1].contiguous()}),
        lambda w, a, s: w.pop(first_weight(w)) is None and None,
        lambda w, a, s: w.update(more=torch.zeros(1)),
        lambda w, a, s: a.update(returns=a["returns"][:1]),
        lambda w, a, s: a.pop("memory/0") is None,
    ],
)
def test_foreign_numbers_in_a_checkpoint_cost_one_line(run, capsys, change):
    rewritten(run, change)
    assert cli.train(["--resume", str(run), "--total-steps", "512"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "step-000000000256" in error


def test_a_module_is_never_imported_because_a_record_names_it(tmp_path, monkeypatch, capsys):
    mark = tmp_path / "ran"
    (tmp_path / "nobodys_tasks.py").write_text(
        f"import gymnasium\nopen({str(mark)!r}, 'w').close()\n"
        "gymnasium.register('Nobodys-v0', 'gymnasium.envs.classic_control:CartPoleEnv', "
        "max_episode_steps=9)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    game, run_dir = "gymnasium:nobodys_tasks:Nobodys-v0", tmp_path / "run"
    data = {
        "run": {"total_steps": 40, "device": "cpu", "threads": 1},
        "env": {"game": game, "num_envs": 1, "rollout_steps": 20},
        "algorithm": {"name": "dqn", "hidden": [4], "batch_size": 4, "learning_starts": 10},
        "logging": {"tensorboard": False, "curves": False, "video": False},
    }
    create_run(from_dict(data), run_dir).train(Silent())
    mark.unlink()
    sys.modules.pop("nobodys_tasks")
    gymnasium.registry.pop("Nobodys-v0")
    for command, words in (
        (cli.train, ["--resume", str(run_dir), "--total-steps", "60"]),
        (cli.evaluate, [str(run_dir), "--episodes", "1", "--seeds", "0"]),
        (cli.train, [str(run_dir / "config.json"), "--run-dir", str(tmp_path / "again")]),
    ):
        assert command(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "--import nobodys_tasks" in error
        assert not mark.exists()
        allowed = game if command is cli.evaluate else "nobodys_tasks"
        assert command([*words, "--import", allowed]) == 0
        assert mark.exists()
        mark.unlink()
        sys.modules.pop("nobodys_tasks")
        gymnasium.registry.pop("Nobodys-v0")
    capsys.readouterr()
    assert cli.evaluate([str(run_dir), "--import"]) == 2


# -- the ends of runs -------------------------------------------------------------------------


class Breaking:
    """A stream whose reader leaves after some lines."""

    def __init__(self, lines):
        self.lines = lines

    def write(self, text):
        self.lines -= text.count("\n")
        if self.lines < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return len(text)

    def flush(self):
        pass


def test_a_reader_that_leaves_ends_the_run_with_a_checkpoint(tmp_path, config):
    slow = of_steps(config, 10**6, checkpoint_minutes=60)
    trainer = create_run(slow, tmp_path / "run")
    assert trainer.train(PlainConsole(trainer.names, 0, Breaking(3))) == 141
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == 4
    assert steps_of(tmp_path / "run")[0] == f"step-{4 * 128:012}"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signals_are_answered_inside_long_updates_and_lose_nothing(tmp_path, config, number):
    straight = create_run(of_steps(config, 512), tmp_path / "straight")
    straight.train(Silent())
    trainer = create_run(of_steps(config, 512, checkpoint_minutes=60), tmp_path / "run")
    learn, sent = trainer.learn, []

    def long_learn():
        metrics = learn()
        time.sleep(0.5)
        if trainer.update == 2:
            sent.append(time.monotonic())
            os.kill(os.getpid(), number)
            while True:
                time.sleep(0.01)
        return metrics

    trainer.learn = long_learn
    assert trainer.train(Silent()) == 128 + number
    assert time.monotonic() - sent[0] < 20, "it was given up, as it would not have ended"
    assert steps_of(tmp_path / "run")[0] == "step-000000000256"
    assert resume_run(tmp_path / "run", 512)[0].train(Silent()) == 0
    first, second = (checkpoint.load_newest(tmp_path / name / "checkpoints")[1]
                     for name in ("straight", "run"))  # fmt: skip
    for name, tensor in first.weights.items():
        assert torch.equal(tensor, second.weights[name]), name


def test_ignored_signals_stay_ignored(tmp_path, config):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer = create_run(of_steps(config, 256), tmp_path / "run")
        threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGHUP)).start()
        assert trainer.train(Silent()) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_directory_that_vanishes_is_noticed_at_the_next_checkpoint(tmp_path, config):
    class Vandal(Silent):
        def update(self, row, total_steps):
            if row["update"] == 2:
                shutil.rmtree(tmp_path / "run")

    trainer = create_run(of_steps(config, 10**9, checkpoint_minutes=0), tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"removed or replaced.*metrics\.jsonl"):
        trainer.train(Vandal())
    assert trainer.update == 2
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_told_with_the_file(tmp_path, config, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "run" / "config.json"
    assert cli.train([tiny(tmp_path), "--run-dir", str(path.parent)]) == 2
    assert capsys.readouterr().err == f"socialgrid-train: {path}: No space left on device\n"


def test_what_fails_after_training_costs_a_line(tmp_path, capsys, monkeypatch):
    from socialgrid.report import video

    def broken(path, frames, fps=10):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(video, "write_video", broken)
    words = [tiny(tmp_path), "--run-dir", str(tmp_path / "run"), "--video", "--total-steps", "128"]
    assert cli.train(words) == 0
    assert "no film: [Errno 32] Broken pipe" in capsys.readouterr().out


def test_a_row_cut_short_is_made_up_for_by_the_next_one(tmp_path):
    data = {
        "run": {"total_steps": 200, "device": "cpu", "threads": 1},
        "env": {"game": "gymnasium:CartPole-v1", "num_envs": 2, "rollout_steps": 50},
        "algorithm": {"name": "dqn", "hidden": [4], "batch_size": 4, "learning_starts": 10},
        "logging": {"tensorboard": False},
    }
    create_run(from_dict(data), tmp_path / "straight").train(Silent())
    trainer = create_run(from_dict(data), tmp_path / "run")
    play = trainer.tasks.step

    def interrupted(actions):
        if trainer.learner.steps == 58:  # two copies: this is the 30th step of each
            os.kill(os.getpid(), signal.SIGTERM)
        return play(actions)

    trainer.tasks.step = interrupted
    assert trainer.train(Silent()) == 128 + signal.SIGTERM
    assert resume_run(tmp_path / "run")[0].train(Silent()) == 0
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["env_steps"] for row in rows] == [60, 100, 200]
    first, second = (checkpoint.load_newest(tmp_path / name / "checkpoints")[1]
                     for name in ("straight", "run"))  # fmt: skip
    for name, tensor in first.weights.items():
        assert torch.equal(tensor, second.weights[name]), name


def test_a_path_that_looks_like_markup_is_shown_as_it_is(tmp_path):
    import io

    from rich.console import Console

    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=100)
    console = RichConsole(["agent0 checkpoint:/x[/x]#1"], terminal)
    row = {
        "env_steps": 1, "agent_steps_per_second": 1.0, "env_steps_per_second": 1.0, "episodes": 0,
        "seconds": 1.0, "return": [1.0], "learner": {},
    }  # fmt: skip
    console.update(row, 2)
    console.close()
    assert "checkpoint:/x[/x]#1" in out.getvalue()


# -- where it runs ----------------------------------------------------------------------------


def test_moved_runs_say_what_is_different(run):
    path = run / resolved.RESOLVED
    now = json.loads(path.read_text())["sessions"][-1]
    assert {"threads", "device", "precision", "instruction set", "torch"} <= now.keys()
    assert resume_run(run)[1] == []
    path.write_text(json.dumps({"sessions": [now | {"simulator threads": 77, "threads": 5}]}))
    (message,) = resume_run(run)[1]
    assert message.endswith(
        "threads 1 (was 5), simulator threads 1 (was 77): the bits stay the same"
    )
    path.write_text(json.dumps({"sessions": [now | {"torch": "1.0"}]}))
    (message,) = resume_run(run)[1]
    assert "(was 1.0)" in message
    assert "the bits can differ" in message
    assert len(json.loads(path.read_text())["sessions"]) == 2
    path.write_text("[" * 10_000)
    assert len(resume_run(run)[1]) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="an affinity is Linux's")
def test_affinity_bounds_the_threads_of_simulator_and_learner():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import torch, socialgrid\nfrom socialgrid.train.device import prepare_torch, threads_of\n"
        "from socialgrid.config import RunConfig\n"
        "torch.set_num_threads(4)\nprepare_torch(RunConfig())\n"
        "print(socialgrid.make_vec('Empty-v0').num_threads, torch.get_num_threads(),\n"
        "      threads_of(RunConfig()), threads_of(RunConfig(threads=7)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "1 1 1 7\n"


def test_the_record_holds_every_option(run):
    assert from_dict(run_files.read_config(run)[0]) == load_config(run)
    assert to_dict(load_config(run)) == run_files.read_config(run)[0]
