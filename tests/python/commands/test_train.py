"""Training from the command line: several at a time, and what comes from environments and tools.

Everything here is seen as a user sees it: words, exit codes, lines and files.
"""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import gymnasium
import pytest
from tests.python.train.runs import command, run, tiny

from socialgrid.commands import cli
from socialgrid.commands.pictures import leave_pictures
from socialgrid.config import UsageError, from_dict
from socialgrid.train.off_policy import greedy

STARTED_TOGETHER = """
import sys, time
from socialgrid.commands import cli
from socialgrid.train.off_policy import greedy
own, *words = sys.argv[1:]
assert cli.train([words[0], "--run-dir", own, "--total-steps", "128"]) == 0  # all is loaded now
print("ready", flush=True)
sys.stdin.readline()
time.sleep(1.05 - time.time() % 1)  # to the start of a second
sys.exit(cli.train(words))
"""


def rows_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def checkpoints_of(run_dir):
    return sorted(path.name for path in (run_dir / "checkpoints").glob("step-*"))


def test_runs_of_one_name_that_start_in_the_same_second_have_a_directory_each(tmp_path):
    preset, rates = tiny(tmp_path), [1e-3, 1e-4, 1e-5]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", STARTED_TOGETHER, f"loaded-{rate}", preset,
             "--learning-rate", str(rate), "--total-steps", "384"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rate in rates
    ]  # fmt: skip
    for process in processes:
        while process.stdout.readline().strip() != "ready":
            assert process.poll() is None, process.stderr.read()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == len(rates)
    configs = [json.loads((one / "config.json").read_text()) for one in runs]
    assert sorted(c["algorithm"]["learning_rate"] for c in configs) == sorted(rates)
    for one in runs:
        assert [row["env_steps"] for row in rows_of(one)] == [128, 256, 384]
        assert checkpoints_of(one)[-1] == "step-000000000384"


def test_a_run_under_way_cannot_be_resumed_from_elsewhere(tmp_path):
    run_dir = tmp_path / "run"
    words = [tiny(tmp_path), "--run-dir", run_dir, "--total-steps", 10**8]
    first = subprocess.Popen(
        command("train", *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not list(run_dir.glob("checkpoints/step-*")):
            assert time.monotonic() < deadline
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.05)
        second = run("train", "--resume", run_dir)
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"being trained already, by process {first.pid}" in second.stderr
    assert second.stdout == ""
    steps = [row["env_steps"] for row in rows_of(run_dir)]
    assert steps == list(range(128, 128 * (len(steps) + 1), 128))


@pytest.mark.parametrize("program", ["/nonexistent/ffmpeg", "false"])
def test_training_has_not_failed_where_only_its_film_does(tmp_path, program):
    words = [tiny(tmp_path), "--run-dir", tmp_path / "run", "--video", "--total-steps", 128]
    done = run("train", *words, environment={"IMAGEIO_FFMPEG_EXE": program})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "no film: " in done.stdout
    assert checkpoints_of(tmp_path / "run") == ["step-000000000128"]
    assert not list((tmp_path / "run").glob("*.mp4"))


def test_a_film_that_is_refused_is_said_to_be_one(tmp_path, monkeypatch):
    def refuse(trainer):
        raise UsageError("Harbour-v0: Harbour() takes no arguments")

    monkeypatch.setattr("socialgrid.commands.pictures.film", refuse)
    over = SimpleNamespace(config=from_dict({"logging": {"curves": False}}), run_dir=tmp_path)
    assert leave_pictures(over) == ["no film: Harbour-v0: Harbour() takes no arguments"]


# -- environments of one's own ----------------------------------------------------------------

TASKS = """
import gymnasium
import numpy as np
from gymnasium import spaces


class Plain(gymnasium.Env):
    observation_space = spaces.Box(-100, 100, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, reuse=False):
        self.reuse, self.array = reuse, np.zeros(2, np.float32)

    def seen(self):
        self.array[:] = self.time, 7
        return self.array if self.reuse else self.array.copy()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen(), {}

    def step(self, action):
        self.time += 1
        return self.seen(), float(action), False, self.time >= 5, {}


class Scalar(Plain):
    observation_space = spaces.Box(-100, 100, (), np.float32)

    def seen(self):
        return np.float32(self.time)


class RewardArray(Plain):
    def step(self, action):
        seen, reward, *rest = super().step(action)
        return seen, np.array([reward]), *rest


class Endless(Plain):
    def step(self, action):
        return self.seen(), 0.0, False, False, {}


for task in (Plain, Scalar, RewardArray, Endless):
    gymnasium.register(f"{task.__name__}-v0", entry_point=task)
"""


@pytest.fixture
def train_on(tmp_path, monkeypatch):
    """Train an agent for 200 steps on one of the tasks above, by command: (exit code, run)."""
    (tmp_path / "odd_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "dqn.toml").write_text("""
        [run]
        total_steps = 200
        device = "cpu"
        threads = 1
        [env]
        num_envs = 2
        rollout_steps = 50
        [algorithm]
        name = "dqn"
        hidden = [8]
        batch_size = 4
        learning_starts = 20
        [evaluation]
        interval = 100
        episodes = 2
        [logging]
        tensorboard = false
        curves = false
        video = false
    """)

    def train(task, *words, folder="run"):
        run_dir = tmp_path / folder
        game = f"gymnasium:odd_tasks:{task}-v0"
        whole = [str(tmp_path / "dqn.toml"), "--env.game", game, "--run-dir", str(run_dir)]
        return cli.train([*whole, *words]), run_dir

    yield train
    sys.modules.pop("odd_tasks", None)
    for task in ("Plain", "Scalar", "RewardArray", "Endless"):
        gymnasium.registry.pop(f"{task}-v0", None)


@pytest.mark.parametrize(
    ("task", "words"),
    [("Scalar", "observations have the shape"), ("RewardArray", "it must be a single finite")],
)
def test_environments_with_odd_numbers_are_refused_in_one_line(train_on, capsys, task, words):
    code, run_dir = train_on(task)
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    assert said.startswith(f"socialgrid-train: gymnasium:odd_tasks:{task}-v0: ")
    assert words in said
    assert not list(run_dir.glob("checkpoints/step-*"))


@pytest.mark.filterwarnings("ignore:.*share an object")  # Gymnasium's checker says so
def test_an_environment_that_reuses_its_array_teaches_the_same(train_on):
    runs = []
    for reuse in ("false", "true"):
        code, run_dir = train_on("Plain", "--env.options", f"reuse={reuse}", folder=reuse)
        assert code == 0
        runs.append(run_dir)
    rows = [[(row["env_steps"], row["agents"]) for row in rows_of(one)] for one in runs]
    assert rows[0] == rows[1]
    weights = [
        (one / "checkpoints" / "step-000000000200" / "weights.safetensors").read_bytes()
        for one in runs
    ]
    assert weights[0] == weights[1]


def test_an_evaluation_that_does_not_end_keeps_what_was_learnt(train_on, capsys, monkeypatch):
    monkeypatch.setattr(greedy, "LONGEST_EPISODE", 30)
    code, run_dir = train_on("Endless", "--checkpoint-minutes", "60")
    assert code == 2
    assert "has not ended after 30 steps: give the task a time limit" in capsys.readouterr().err
    assert checkpoints_of(run_dir) == ["step-000000000100"]
    assert [row["env_steps"] for row in rows_of(run_dir)] == [100]


def test_steps_after_an_agents_goal_are_not_counted_as_its_own(tmp_path):
    words = (
        "room-mini --env.game Empty-v0 --env.options grid_size=5 max_steps=100 "
        "--players learner,learner --social none --total-steps 1200 --learning-starts 1500 "
        "--device cpu --no-video --no-curves --no-tensorboard"
    )
    assert cli.train([*words.split(), "--run-dir", str(tmp_path / "run")]) == 0
    for row in rows_of(tmp_path / "run"):
        assert 0.3 < row["agent_steps"] / (2 * row["env_steps"]) < 0.95
