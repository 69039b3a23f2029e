"""What people write and read: names, numbers, paths and consoles of any kind; terminals."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
import tomllib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from tests.python.train.runs import command, tiny

from socialgrid.commands import cli
from socialgrid.config import (
    UsageError,
    about,
    closest,
    from_dict,
    load_config,
    plain_line,
    read_value,
    whole_number,
)
from socialgrid.train import GymnasiumTasks


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("name", ["schn\u00e9e \u2603.toml", "\udcff.toml", "\x1b[31m\r\x85.toml"])
def test_any_console_can_show_any_name_in_one_line(monkeypatch, encoding, name):
    errors = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stderr", errors)
    typed = os.fsdecode(name.encode(errors="surrogateescape"))
    assert cli.train([typed]) == 2
    errors.flush()
    said = errors.buffer.getvalue()
    assert said.count(b"\n") == 1
    assert said.endswith(b".toml: no such file\n")
    assert b"\x1b" not in said
    assert b"\r" not in said


def test_commands_do_without_outputs():
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command("train", "--list")], check=False
    )
    assert done.returncode == 0


def test_names_that_are_no_text_or_too_long_cost_a_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preset, long = tiny(tmp_path), "x" * 256
    for entry, words in (
        (cli.train, [preset, "--game", "\udcff"]),
        (cli.play, ["\udcff"]),
        (cli.train, [preset, "--run-dir", long]),
        (cli.train, [preset, "--run-dir", f"new/{long}"]),
        (cli.train, ["--resume", long]),
        (cli.train, [f"{long}.toml"]),
        (cli.evaluate, [long]),
        (cli.plot, [long]),
        (cli.train, [preset, "--total-steps", "1.5"]),
        (cli.train, [preset, "--learning-rate", "[/x]"]),
        (cli.train, [preset, "--players", "[/x],learner"]),
    ):
        assert entry(words) == 2, words
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "---" not in error
        assert not list(tmp_path.glob("*/config.json"))


def test_whole_numbers_may_be_powers_of_ten(tmp_path):
    assert whole_number("1e6") == "1000000"
    assert whole_number("2.5E+1") == "25"
    for other in ("1e-1", "1.5", "1e999", "e6", "1e6x", "nan", "12"):
        assert whole_number(other) == other
    assert read_value("1e3") == 1000
    assert isinstance(read_value("1e3"), int)
    assert from_dict({"run": {"total_steps": 1e6}}).run.total_steps == 1_000_000
    with pytest.raises(UsageError, match="not of type int"):
        from_dict({"run": {"total_steps": 1.5}})
    words = [tiny(tmp_path), "--total-steps=1.28e2", "--set", "max_steps=1e1", "--run-dir"]
    assert cli.train([*words, str(tmp_path / "run")]) == 0
    config = load_config(tmp_path / "run")
    assert (config.run.total_steps, config.env.options["max_steps"]) == (128, 10)
    assert cli.train(["--resume", str(tmp_path / "run"), "--total-steps", "2.56e2"]) == 0


def test_runs_may_have_any_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    preset, name = tiny(tmp_path), os.fsdecode("~/q[/x]#1=2 \u2603".encode() + b"\xff")
    words = [preset, "--total-steps", "128", "--tensorboard", "--run-dir"]
    assert cli.train([*words, name]) == 0
    assert (tmp_path / name[2:] / "metrics.jsonl").exists()
    kinds = f"checkpoint:{name},checkpoint:{name}#1,learner"
    assert cli.train([*words, "second", "--players", kinds]) == 0
    assert cli.plot([f"a=b={name}", "second", "--out", "~/c.png"]) == 0
    assert (tmp_path / "c.png").exists()
    assert cli.evaluate([name, "--episodes", "1", "--seeds", "0"]) == 0
    capsys.readouterr()
    assert cli.train([*words, "third", "--players", "checkpoint:nowhere#x,learner"]) == 2
    assert "'x' after # is not the number of a slot" in capsys.readouterr().err


def test_messages_name_things_once_and_ask_only_where_it_is_near(tmp_path, capsys):
    assert about("Maze-v0", ValueError("Maze-v0 has no option")) == "Maze-v0 has no option"
    assert about("Maze-v0", ValueError("no such option")) == "Maze-v0: no such option"
    assert cli.train([tiny(tmp_path), "--set", "penalti=1", "--run-dir", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err.count("GoalCycle-v0") == 1
    known = ("GoalCycle-v0", "total_steps", "moa", "env")
    mistyped = ("goalcicle-v0", "total_stepz", "mao", "enviroment")
    assert tuple(closest(name, known) for name in mistyped) == known
    for name in ("Walker2d-v5", "seed", "x", "", "steps_of_nothing", "moist"):
        assert closest(name, known) is None
    assert plain_line("a\x1b[3mb\n\tc\u202e\udcff") == "a\\x1b[3mb c\\u202e\\udcff"


def test_advice_to_install_names_extras_that_exist():
    root = Path(__file__).parents[3]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    known = set(extras["optional-dependencies"])
    files = [*root.glob("python/**/*.py"), *root.glob("examples/**/*.py"), root / "README.md"]
    named = {
        extra
        for path in files
        for group in re.findall(r"socialgrid\[([a-z0-9,]+)\]", path.read_text())
        for extra in group.split(",")
    }
    assert {"train", "video", "plot", "mujoco"} <= named <= known


class Odd(gymnasium.Env):
    """An environment that differs from what is usual in one thing."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, **odd):
        self.odd = odd
        self.observation_space = odd.get("space", spaces.Box(-1, 1, (2,), np.float32))
        self.action_space = odd.get("actions", spaces.Discrete(2))

    def _obs(self):
        return self.odd.get("obs", np.zeros(self.observation_space.shape, np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._obs(), {}

    def step(self, action):
        if "fails" in self.odd:
            raise RuntimeError("on\nfire")
        return (
            self._obs(), self.odd.get("reward", 1.0), self.odd.get("terminated", False),
            self.odd.get("truncated", True), {},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"space": spaces.Box(-1, 1, (), np.float32)}, "observations have the shape ()"),
        ({"space": spaces.Box(-1, 1, (0,), np.float32)}, "observations have the shape (0,)"),
        ({"actions": spaces.Box(-1, 1, (), np.float32)}, "actions have the shape ()"),
        ({"actions": spaces.Discrete(2, start=1)}, "Discrete from 0 on"),
        ({"actions": spaces.MultiDiscrete([2, 2])}, "they must be Discrete"),
        ({"space": spaces.Discrete(3)}, "they must be a Box"),
        ({"obs": np.zeros(3, np.float32)}, "an observation has the shape (3,)"),
        ({"obs": ["a", "b"]}, "an observation is of type"),
        ({"reward": np.array([1.0])}, "its reward is array([1.])"),
        ({"reward": float("nan")}, "its reward is nan"),
        ({"reward": None}, "its reward is None"),
        ({"terminated": np.array([True])}, "terminated is array([ True])"),
        ({"truncated": 1}, "truncated is 1"),
        ({"fails": True}, "a first step fails: on fire"),
    ],
)
def test_odd_tasks_are_refused_before_training(odd, message):
    gymnasium.register("Odd-v0", Odd)
    try:
        with pytest.raises(UsageError) as error:
            GymnasiumTasks("Odd-v0", 1, 1, odd, seed=0)
    finally:
        gymnasium.registry.pop("Odd-v0")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def canonical(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ICANON)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_play_gives_the_terminal_back(number):
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        command("play", "Empty-v0"), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    try:
        wait_for(lambda: not canonical(theirs))
        if number == signal.SIGTERM:  # it may be stopped and go on, too
            process.send_signal(signal.SIGTSTP)
            wait_for(lambda: canonical(theirs))
            process.send_signal(signal.SIGCONT)
            wait_for(lambda: not canonical(theirs))
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()


def _drain(descriptor):
    while True:
        try:
            os.read(descriptor, 1 << 16)
        except OSError:
            return


def test_bounds_lacking_memory_and_near_names_cost_a_line(tmp_path, capsys):
    from socialgrid.commands import cli
    from socialgrid.config import errors

    for words, said in (
        (["--threads", "1000000"], "run.threads: 1000000 is out of range, must be at most 1024"),
        (["--num-envs", "8", "--rollout-steps", "1e12"], "out of memory"),
        (["--run-dir", "a\0b"], "a path has no NUL in it"),
        (["--env", "GoalCycl-v0"], "socialgrid-train: there is no game 'GoalCycl-v0'; did you"),
        (["--env", "Foo-v0"], "there is no game 'Foo-v0'; games: Empty-v0"),
    ):
        options = ["--players", "learner", "--run-dir", str(tmp_path / "run"), *words]
        assert cli.train(["goal-cycle-mini", *options]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    for said in ("only 2 of 3 threads could be started: none left", "can't start new thread"):
        assert errors.lacking(RuntimeError(said)) == said
    assert errors.lacking(RuntimeError("the size of a thread must match")) is None
    hint = "\nCUDA kernel errors might be asynchronously reported"
    for said, told in (
        ("CUDA error: out of memory", "out of memory: "),
        ("CUDA error: no CUDA-capable device is detected", "the card cannot be used (any more): "),
        ("CUDA error: uncorrectable ECC error encountered", "the card cannot be used (any more): "),
    ):
        assert errors.lacking(RuntimeError(said + hint)) == told + said
    assert errors.lacking(RuntimeError("CUDA error: an illegal memory access" + hint)) is None
    assert errors.closest("Foo-v0", ["Room-v0", "Pong-v5"]) is None
    assert errors.closest("Pendulm-v1", ["Room-v0", "Pendulum-v1"]) == "Pendulum-v1"
