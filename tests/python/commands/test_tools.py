"""Evaluation, play, curves, predicted views, videos: everything around a finished run."""

import io
import itertools
import json
import os
import subprocess

import numpy as np
import pytest
from tests.python.train.runs import FILM, command, tiny

from socialgrid import make_vec
from socialgrid.commands import cli
from socialgrid.commands.evaluate import evaluate
from socialgrid.commands.play import PlayOptions, play
from socialgrid.config.evaluation import EvalOptions
from socialgrid.report import enlarge, fit_into, view_image


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two seeds of one tiny run, made by the command itself."""
    folder = tmp_path_factory.mktemp("runs")
    preset = tiny(folder)
    runs = []
    for seed in (0, 1):
        runs.append(folder / f"seed{seed}")
        words = [preset, "--run-dir", str(runs[-1]), "--seed", str(seed), "--total-steps", "512",
                 "--curves", "--video", "--set", "max_steps=12"]  # fmt: skip
        assert cli.train(words) == 0
    return runs


def test_a_run_leaves_curves_and_a_video(finished):
    for run in finished:
        assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert (run / FILM).stat().st_size > 1000


def test_the_video_shows_every_step_once(finished):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

    frames, seconds = imageio_ffmpeg.count_frames_and_secs(finished[0] / "episode.mp4")
    assert frames == 12
    assert seconds == pytest.approx(1.2, abs=0.11)


def test_a_frame_holds_the_grid_every_view_and_captions():
    import socialgrid
    from socialgrid.report import frame

    env = socialgrid.make_vec("GoalCycle-v0", num_envs=1, seed=5)
    obs, _ = env.reset()
    picture = frame(env, obs, ["first 1.0", "second", "third"], "step 0", height=260)
    assert picture.shape[0] == 276
    assert picture.shape[1] % 2 == 0
    np.testing.assert_array_equal(picture[:260, :260], env.render(0, tile_size=20))
    column = 260 + 6
    view = enlarge(obs[0, 0], 3)  # 260 // 3 - 22 = 64 pixels hold 21 three times
    np.testing.assert_array_equal(picture[0:63, column : column + 63], view)
    assert (picture[64:84, column:] > 128).any(), "no caption"


def test_a_frame_shows_where_agents_have_been():
    import socialgrid
    from socialgrid.report import frame, go_on

    env = socialgrid.make_vec("GoalCycle-v0", num_envs=1, seed=5, num_agents=2)
    obs, _ = env.reset()
    words = (env, obs, ["first", "second"], "step 3")
    trails = [[(2, 2), (2, 3), (3, 3)], []]
    plain, marked = (frame(*words, height=260, trails=one) for one in ((), trails))
    changed = (plain[:260, :260] != marked[:260, :260]).any(-1)
    rows, cols = np.nonzero(changed)
    assert 40 <= rows.min() <= rows.max() < 80  # cells of 20 pixels: rows 2 and 3
    assert 40 <= cols.min() <= cols.max() < 80
    np.testing.assert_array_equal(frame(*words, height=130, trails=trails),
                                  frame(*words, height=130))  # fmt: skip
    trail = [(2, 2)]
    for place, want in (((2, 3), [(2, 2), (2, 3)]), ((7, 7), [(7, 7)]), ((-1, -1), [])):
        go_on(trail, place)
        assert trail == want


def test_evaluation_tells_returns_with_and_without_the_others(finished, capsys):
    words = [str(finished[0]), "--episodes", "3", "--seeds", "5,6"]
    assert cli.evaluate(words) == 0
    out = capsys.readouterr().out
    assert out.count("\ntogether ") == 6
    assert out.count("\nalone ") == 4
    assert "one training run: intervals range over evaluation episodes" in out
    assert "learners return alone" in out
    data = json.loads((finished[0] / "eval-training-world.json").read_text())
    assert {entry["seed"] for entry in data["results"]} == {5, 6}
    assert all(len(entry["returns"]) == 3 for entry in data["results"])
    again = evaluate(finished[0], EvalOptions(episodes=3, seeds=(5, 6)), {})
    assert [list(result.returns) for result in again.results] == [
        r["returns"] for r in data["results"]
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["--world", "four-goals"],
        ["--world", "four-rooms", "--set", "max_steps=20"],
        ["--game", "Maze-v0", "--players", "expert,learner,learner", "--set", "max_steps=20"],
        ["--set", "num_goals=2", "max_steps=9"],
        ["--players", "learner"],
        ["--greedy", "--players", "expert,learner,random"],
    ],
)
def test_evaluation_in_other_worlds(finished, capsys, words):
    if "four-goals" in words:
        words = [*words, "--set", "max_steps=20"]
    assert cli.evaluate([str(finished[1]), "--episodes", "2", "--seeds", "0", *words]) == 0
    assert "together" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "not a run directory"),
        ([], "which run?"),
        (["RUN", "--world", "four-gaols"], "four-goals"),
        (["RUN", "--game", "Maze"], "Maze-v0"),
        (["RUN", "--game", "Maze-v0"], "no player 'trial-and-error' for Maze-v0"),
        (["RUN", "--players", "trial-and-eror,learner"], "did you mean 'trial-and-error'?"),
        (["RUN", "--players", "learner,checkpoint:nowhere"], "nowhere: not a run directory"),
        (["RUN", "--players", "learner,learner:nowhere#1"], "nowhere: not a run directory"),
        (["RUN", "--players", "learner,checkpoint:RUN#0"], "agent 0 has no network"),
        (["RUN", "--players", "learner,checkpoint:"], "of which run?"),
        (["RUN", "--episodes", "0"], "episodes: 0"),
        (["RUN", "--players", "learner,learner,learner"], "3 learners"),
        (["RUN", "--episodez", "3"], "did you mean --episodes?"),
        (["RUN", "--seeds", "a"], "--seeds: 'a' is nothing that it takes"),
        (["RUN", "--seeds", "-1"], "seeds: -1 is out of range"),
        (["RUN", "--seeds", "3,4,3"], "seeds: 3 is named twice"),
        (["RUN", "--set", "penalti=1"], "penalty"),
        (["RUN", "--json", "/proc/no/where.json"], "/proc/no/where.json"),
    ],
)
def test_mistakes_in_evaluation_cost_one_line(finished, capsys, words, message):
    words = [word.replace("RUN", str(finished[0])) for word in words]
    if "--json" in words:
        words += ["--episodes", "1", "--seeds", "0"]
    assert cli.evaluate(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_curves_of_several_seeds_in_one_picture(finished, tmp_path, capsys):
    out = tmp_path / "both.png"
    assert cli.plot([*map(str, finished), "--out", str(out)]) == 0
    assert out.stat().st_size > 10_000
    capsys.readouterr()
    assert cli.plot([str(finished[0]), "--out", str(tmp_path / "bare")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'bare.png'}\n"
    assert (tmp_path / "bare.png").exists()
    assert cli.plot([str(tmp_path)]) == 2
    assert cli.plot([str(finished[0]), "--out", "/proc/no/where.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_predicted_views_for_each_action(finished):
    from socialgrid.commands.predictions import watch

    assert cli.plot([str(finished[0]), "--predictions"]) == 0
    assert (finished[0] / "predictions.png").stat().st_size > 10_000
    agent, moments = watch(finished[0], seed=1)
    assert agent == 1
    assert len(moments) >= 10
    for earlier, later in itertools.pairwise(moments):
        np.testing.assert_array_equal(earlier.next_view, later.view)
        assert list(earlier.predicted) == ["turn left", "turn right", "forward"]
        assert earlier.predicted["turn left"].shape == earlier.view.shape
        assert earlier.action.replace(" ", "_") in make_vec("GoalCycle-v0").action_names


def test_a_seed_that_no_episode_has_is_refused_before_anything_is_drawn(finished, tmp_path, capsys):
    words = [str(finished[0]), "--predictions", "--out", str(tmp_path / "curves.png")]
    assert cli.plot([*words, "--seed", "-1"]) == 2
    assert capsys.readouterr().err == (
        "socialgrid-plot: seed: -1 is out of range, must be at least 0\n"
    )
    assert not (tmp_path / "curves.png").exists()


def test_a_person_plays_through_a_pipe():
    out = io.StringIO()
    options = PlayOptions(agent=1, players=("expert", "expert", "random"), seed=3)
    returns = play("GoalCycle-v0", options, {"max_steps": 9}, io.StringIO("w" * 50), out)
    assert len(returns) == 3
    assert returns[0] >= 1
    assert "agent 1 (you)" in out.getvalue()
    assert "step 8/9" in out.getvalue()
    assert "\u2580" in out.getvalue()


def test_play_stops_at_q_and_ignores_other_keys():
    out = io.StringIO()
    returns = play("Empty-v0", PlayOptions(view_only=True), {}, io.StringIO("zz\x1b[Aq"), out)
    assert len(returns) == 1
    assert "step 1/" in out.getvalue()
    assert "step 2/" not in out.getvalue()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which game?"),
        (["Goal"], "GoalCycle-v0"),
        (["Empty-v0", "--agent", "4"], "agent: 4"),
        (["Empty-v0", "--players", "exprt,me", "--agent", "1"], "expert"),
        (["Empty-v0", "--set", "grid_size=1"], "grid_size"),
        (["Empty-v0", "--num-agents", "2"], "an option of Empty-v0: --set num_agents=VALUE"),
        (["Empty-v0", "--set", "map=nowhere.txt"], "map: nowhere.txt: No such file"),
        (["Empty-v0", "--episodes", "0"], "episodes: 0"),
    ],
)
def test_mistakes_in_play_cost_one_line(capsys, words, message):
    assert cli.play(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_pictures_are_scaled_without_blur():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = enlarge(image, 3)
    assert large.shape == (6, 6, 3)
    assert (large[:3, :3] == image[0, 0]).all()
    boxed = fit_into(image, 5, 7)
    assert boxed.shape == (5, 7, 3)
    np.testing.assert_array_equal(boxed[0:4, 1:5], enlarge(image, 2))


def test_tile_views_are_drawn_as_their_pixels():
    import socialgrid

    pixels = socialgrid.make_vec("GoalCycle-v0", num_envs=1, seed=5)
    tiles = socialgrid.make_vec("GoalCycle-v0", num_envs=1, seed=5, obs_mode="tiles")
    views, numbers = pixels.reset()[0], tiles.reset()[0]
    for agent in range(3):
        np.testing.assert_array_equal(
            view_image(tiles, numbers[0, agent]), view_image(pixels, views[0, agent])
        )


def test_a_reader_who_has_seen_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command("train", "--list"), stdout=writing, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", ["train", "evaluate", "play", "plot"])
def test_every_command_says_which_version_it_is(name, capsys):
    import socialgrid

    assert getattr(cli, name)(["--version"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("socialgrid-")
    assert said.endswith(f" {socialgrid.__version__}\n")
