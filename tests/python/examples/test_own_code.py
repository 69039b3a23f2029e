"""Code from outside the package, by the commands: what CONTRIBUTING shows, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
from tests.python.train.runs import run, tiny

from socialgrid.algos import A3C, DQN, PPO, SAC
from socialgrid.players import Player
from socialgrid.social import Mechanism

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    """A directory with the examples' own modules, in which the commands are run."""
    for path in (ROOT / "examples").glob("my_*.py"):
        shutil.copy(path, tmp_path)
    tiny(tmp_path)
    return tmp_path


def done(folder, *words, code=0):
    """Run a command where the modules lie; what it said, in all or as an error of one line."""
    finished = run(*words, cwd=folder)
    assert finished.returncode == code, finished.stderr + finished.stdout
    if code:
        assert finished.stderr.count("\n") == 1, finished.stderr
        return finished.stderr
    return finished.stdout


def rows_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def check_commands(folder, module, *words, preset="tiny.toml", steps=(256, 512)):
    """A run with code of one's own trains, goes on and is evaluated, if it is named each time."""
    first, goal = map(str, steps)
    done(folder, "train", preset, *words, "--import", module, "--run-dir", "run",
         "--total-steps", first)  # fmt: skip
    record = json.loads((folder / "run" / "config.json").read_text())
    assert record["run"]["imports"] == [module]
    resumed = "train", "--resume", "run", "--total-steps", goal
    for line in (resumed, ("evaluate", "run", "--episodes", "2", "--seeds", "1")):
        said = done(folder, *line, code=2)
        assert f"module {module}," in said
        assert said.endswith(f"add --import {module}\n")
        done(folder, *line, "--import", module)
    rows = rows_of(folder / "run")
    assert rows[-1]["env_steps"] == int(goal)
    return rows


MAZE = (
    "--env.game", "Maze-v0", "--env.options", "grid_size=9", "max_steps=24",
    "--players", "wall-follower,learner",
)  # fmt: skip


def test_a_player_of_ones_own(folder):
    check_commands(folder, "my_player", *MAZE)
    for line in (("plot", "run"), ("train", "run/config.json", "--run-dir", "again")):
        assert "--import my_player" in done(folder, *line, code=2)
    done(folder, "plot", "run", "--import", "my_player")
    assert (folder / "run" / "curves.png").exists()
    done(folder, "train", "run/config.json", "--run-dir", "again", "--total-steps", "128",
         "--import", "my_player")  # fmt: skip
    # It is saved in the middle of episodes: the run is that of a run without a break.
    done(folder, "train", "tiny.toml", *MAZE, "--import", "my_player", "--run-dir", "whole",
         "--total-steps", "512")  # fmt: skip
    broken, whole = (
        [(row["env_steps"], row["agents"]) for row in rows_of(folder / name)]
        for name in ("run", "whole")
    )
    assert broken == whole


def test_a_mechanism_of_ones_own(folder):
    words = "--social", "envy,visible-actions", "--envy.weight", "0.5"
    rows = check_commands(folder, "my_mechanism", *words)
    assert all(row["agents"]["envied"][0] is None for row in rows)  # the scripted player's
    said = done(folder, "train", "tiny.toml", "--import", "my_mechanism", "--envy.weight", "0.5",
                code=2)  # fmt: skip
    assert "--envy.weight" in said  # it is not chosen
    assert "--social envy" in said
    # What agents learn from is less by half of what the others get.
    done(folder, "train", "tiny.toml", *words[:3], "0", "--import", "my_mechanism",
         "--run-dir", "content", "--total-steps", "128")  # fmt: skip
    content, envious = rows_of(folder / "content")[0]["agents"], rows[0]["agents"]
    for agent in (1, 2):
        less = content["reward_mean"][agent] - 0.5 * envious["envied"][agent]
        assert envious["reward_mean"][agent] == pytest.approx(less, abs=1e-6)
    assert any(envious["envied"][1:])


def test_an_algorithm_of_ones_own(folder):
    words = "--algorithm", "awr", "--algorithm.sharpness", "2", "--learning-rate", "0.01"
    check_commands(folder, "my_algorithm", *words)
    record = json.loads((folder / "run" / "config.json").read_text())
    assert record["algorithm"]["name"] == "awr"
    assert record["algorithm"]["sharpness"] == 2.0
    # Several actor-learners, in processes of their own, have it as well.
    done(folder, "train", "tiny.toml", *words, "--import", "my_algorithm", "--run-dir", "workers",
         "--workers", "2", "--total-steps", "512")  # fmt: skip


def test_an_adviser_of_ones_own(folder):
    words = (
        "--peers", "3", "--social", "majority", "--majority.least", "3", "--learning-starts", "50",
        "--rollout-steps", "50", "--evaluation.interval", "100", "--device", "cpu",
        "--run.threads", "1", "--no-tensorboard", "--no-curves", "--no-video",
    )  # fmt: skip
    rows = check_commands(folder, "my_adviser", *words, preset="room-mini", steps=(200, 400))
    assert all(len(row["agents"]["changed"]) == 3 for row in rows)


def test_a_player_that_nobody_imported_is_unknown(folder):
    said = done(folder, "train", "tiny.toml", *MAZE, code=2)
    assert "no player 'wall-follower' for Maze-v0" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "ModuleNotFoundError: No module named 'nobodys'"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of"),
        ("def (", "SyntaxError: invalid syntax (nobodys.py, line 1)"),
        ("raise ValueError('first\\nsecond')", "ValueError: first"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(folder, text, words):
    if text is not None:
        (folder / "nobodys.py").write_text(text)
    said = done(folder, "train", "tiny.toml", "--import", "nobodys", code=2)
    assert said.startswith(f"socialgrid-train: --import nobodys: cannot be imported: {words}")


def test_the_working_directory_replaces_nothing_of_pythons_own(folder):
    (folder / "random.py").write_text("raise RuntimeError('this is not the random module')")
    (folder / "tests_of_names.py").write_text("import random\nassert random.random\n")
    said = done(folder, "train", "--resume", "nowhere", "--import", "tests_of_names", code=2)
    assert "not a run directory" in said


def test_a_record_cannot_choose_code_by_any_door(folder):
    done(folder, "train", "tiny.toml", "--run-dir", "run", "--total-steps", "128")
    mark = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()")
    record = json.loads((folder / "run" / "config.json").read_text())
    record["run"]["imports"] = ["evil"]
    (folder / "other.json").write_text(json.dumps(record))
    (folder / "own.toml").write_text("base = 'tiny.toml'\n[run]\nimports = ['evil']\n")
    for words in (["other.json"], ["own.toml"], ["tiny.toml", "--run.imports", "evil"]):
        said = done(folder, "train", *words, "--run-dir", "again", code=2)
        assert "add --import evil" in said
        assert not mark.exists()
    assert not (folder / "again").exists()


def rewritten(name, *changes):
    """An example's text with something changed in it."""
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("my_mechanism", "weight: float = 0.1", "weight: float", "weight needs a default value"),
        ("my_mechanism", "@dataclass(frozen=True)\n", "", "@dataclass(frozen=True) is missing"),
        ("my_algorithm", "@dataclass(frozen=True)\n", "", "@dataclass(frozen=True) is missing"),
    ],
)
def test_options_that_cannot_be_set_are_refused_at_the_door(folder, name, old, new, words):
    (folder / "changed.py").write_text(rewritten(name, (old, new)))
    said = done(folder, "train", "tiny.toml", "--import", "changed", code=2)
    assert words in said


@pytest.mark.parametrize(
    ("base", "method", "meant"),
    [
        (Mechanism, "chanels", "channels"),
        (Player, "forgets", "forget"),
        (A3C, "policy_los", "policy_loss"),
        (PPO, "advantage", "advantages"),
        (DQN, "_lern", "_learn"),
        (SAC, "critic_los", "critic_loss"),
    ],
)
def test_methods_that_nobody_calls_are_told(base, method, meant):
    with pytest.warns(UserWarning, match=rf"^Own\.{method}: .* did you mean {meant}\?$"):
        type("Own", (base,), {method: lambda self: None})
    type("Own", (base,), {method: lambda self: None, meant: lambda self: None})  # it has both


def test_what_is_logged_has_the_shape_of_steps_environments_and_agents(folder):
    text = rewritten("my_mechanism", ('"envied", others)', '"envied", others[0])'),
                     ('"my_mechanism:', '"changed:'))  # fmt: skip
    (folder / "changed.py").write_text(text)
    finished = run("train", "tiny.toml", "--import", "changed", "--social", "envy", "--run-dir",
                   "run", "--total-steps", "128", cwd=folder)  # fmt: skip
    assert finished.returncode != 0
    assert "ValueError: envied: what is logged must have shape (" in finished.stderr
