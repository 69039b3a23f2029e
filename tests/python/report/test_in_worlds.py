"""What agents come to in several worlds, drawn, with numbers that can be worked out by hand."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.python.report.test_comparison import written

from socialgrid.commands import cli
from socialgrid.measures import Bounds, interval_over_runs
from socialgrid.report import RunCurves, bars_of, bars_table

T_95 = 4.302653  # Student's, two degrees of freedom


def evaluation(mean, *, alone=None):
    found = {"episodes": 4, "learners_return": [mean, mean - 1, mean + 1]}
    return found | ({} if alone is None else {"learners_return_alone": [alone, alone, alone]}) | {
        "others_return": [9.0, 8.0, 10.0]
    }  # fmt: skip


def curve(means):
    """Every second row has an evaluation."""
    rows = []
    for i, mean in enumerate(means):
        row = {"env_steps": 10 * (i + 1), "agents": {"return": [0.0, 0.0]}}
        if i % 2:
            row["evaluations"] = {"training": evaluation(mean, alone=mean / 2), "maze": None}
            row["evaluations"]["four-goals"] = evaluation(-mean)
        rows.append(row)
    return rows


@pytest.fixture
def drawn(monkeypatch):
    """Figures are kept instead of written."""
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: kept.append(self))
    return kept


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def test_worlds_of_one_run_have_a_panel_each_with_the_interval_over_episodes(tmp_path, drawn):
    run = written(tmp_path / "run", curve([1.0, 2.0, 3.0, 4.0]))
    assert RunCurves(run).worlds()["four-goals"] == ["learners_return", "others_return"]
    assert cli.plot(["worlds", str(run)]) == 0
    found = panels(drawn[0])
    assert list(found) == ["training", "training, alone", "four-goals"]
    assert found["training"].xaxis.get_major_formatter()(2_000_000) == "2M"
    line = next(one for one in found["four-goals"].lines if len(one.get_xdata()) == 2)
    np.testing.assert_array_equal(line.get_xdata(), [20, 40])
    np.testing.assert_array_equal(line.get_ydata(), [-2, -4])
    heights = found["four-goals"].collections[-1].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (-5, -1), "a band of 1 above and below"
    np.testing.assert_array_equal(found["training, alone"].lines[0].get_ydata(), [1, 2])


def test_worlds_of_arms_have_intervals_over_runs(tmp_path, drawn):
    runs = [written(tmp_path / f"run{seed}", curve([0.0, seed]), seed=seed) for seed in range(3)]
    assert cli.plot(["worlds", *(f"social={run}" for run in runs)]) == 0
    axes = panels(drawn[0])["training"]
    (thick,) = [line for line in axes.lines if line.get_linewidth() == 2.0]
    assert thick.get_ydata() == 1.0
    assert "social (n=3 training runs" in thick.get_label()
    half = T_95 / np.sqrt(3)
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(1 + half, abs=1e-5)


def test_runs_without_evaluations_are_none_of_those_that_are_drawn(tmp_path, drawn):
    runs = [written(tmp_path / f"run{seed}", curve([0.0, seed]), seed=seed) for seed in range(3)]
    runs += [written(tmp_path / "without", [{"env_steps": 20, "agents": {}}], seed=3)]
    assert cli.plot(["worlds", *(f"social={run}" for run in runs)]) == 0
    assert "social (n=3 training runs" in drawn[0].legends[0].get_texts()[0].get_text()
    assert cli.plot(["worlds", f"social={runs[0]}", f"social={runs[3]}"]) == 0
    assert "n=1 training run, 95% interval over episodes" in (
        drawn[1].legends[0].get_texts()[0].get_text()
    )


def test_runs_that_were_not_evaluated_are_told_how(tmp_path, capsys):
    run = written(tmp_path / "run", [{"env_steps": 1, "agents": {}}])
    assert cli.plot(["worlds", str(run)]) == 2
    assert "not evaluated while it went on; --evaluation.interval" in capsys.readouterr().err


def found_in(run, world, mean, *, half=0.5, others=None, step=None):
    def one(mean, half):
        interval = {"mean": mean, "low": mean - half, "high": mean + half}
        return {"over_episodes": interval}

    group = {"learners_return": one(mean, half)}
    if others is not None:
        group["others_return"] = one(others, 0.0)
    (run / f"eval-{world}.json").write_text(json.dumps({"group": group, "checkpoint_step": step}))


@pytest.fixture
def arms(tmp_path):
    words = []
    for arm, base in (("social", 5.0), ("solo", 1.0)):
        for seed in range(3):
            run = written(tmp_path / f"{arm}{seed}", curve([0.0]), seed=seed)
            found_in(run, "four-goals", base + seed, others=8.0)
            found_in(run, "maze", base / 10)
            words.append(f"{arm}={run}")
    return words


def test_bars_are_means_over_runs_with_every_run_as_a_cross(arms, drawn, capsys):
    assert cli.plot(["bars", *arms, "--worlds", "maze,four-goals"]) == 0
    maze, four = panels(drawn[0])["maze"], panels(drawn[0])["four-goals"]
    assert list(panels(drawn[0])) == ["maze", "four-goals"], "in the order asked for"
    assert [bar.get_height() for bar in four.patches] == [6.0, 2.0]
    assert [bar.get_height() for bar in maze.patches] == pytest.approx([0.5, 0.1])
    crosses = [line.get_ydata() for line in four.lines if line.get_marker() == "x"]
    np.testing.assert_array_equal(crosses, [[5, 6, 7], [1, 2, 3]])
    half = T_95 / np.sqrt(3)
    line = next(x for x in capsys.readouterr().out.splitlines() if "solo" in x and "four" in x)
    assert f"2.00 [{2 - half:.3f}, {2 + half:.3f}] over 3 runs" in line
    assert line.endswith("each: 1.00, 2.00, 3.00  others 8.00")


def test_bars_of_shares_have_intervals_of_shares(arms):
    means = (0.9, 0.99, 0.999)
    for word, mean in zip(arms[:3], means, strict=True):
        path = RunCurves.named(word).run_dir / "eval-maze.json"
        data = json.loads(path.read_text())
        data["group"]["equality"] = {
            "over_episodes": {"mean": mean, "low": None, "high": None},
            "bounds": {"low": 0.0, "high": 1.0},
        }
        path.write_text(json.dumps(data))
    (bar,) = bars_of([RunCurves.named(word) for word in arms[:3]], ["maze"], "equality")
    whole = interval_over_runs([[mean] for mean in means], bounds=Bounds(0.0, 1.0))
    assert (bar.interval, bar.interval.high < 1.0) == (whole, True)


def test_bars_of_single_runs_have_intervals_over_their_episodes(arms):
    runs = [RunCurves.named(arms[0]), RunCurves.named(arms[3])]
    found = bars_of(runs, ())
    assert [(bar.world, bar.arm, *bar.interval) for bar in found[:2]] == [
        ("four-goals", "social", 5.0, 4.5, 5.5), ("four-goals", "solo", 1.0, 0.5, 1.5)
    ]  # fmt: skip
    assert "over episodes" in bars_table(found)


def test_bars_say_of_each_arm_what_its_interval_is_over(arms, drawn):
    assert cli.plot(["bars", *arms[:4]]) == 0
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert "social (n=3 training runs, 95% interval over them)" in labels
    assert "solo (n=1 training run, 95% interval over episodes)" in labels
    assert drawn[0].get_supylabel() == "learners return"


def test_evaluations_of_older_checkpoints_are_drawn_if_they_are_asked_for(arms, tmp_path, capsys):
    run = tmp_path / "social0"
    for step in (50, 100):
        (run / "checkpoints" / f"step-{step:012d}").mkdir(parents=True)
    found_in(run, "maze", 3.0, step=100)
    assert bars_of([RunCurves(run)], ["maze"])[0].each == (3.0,)
    for word in arms:
        found_in(RunCurves.named(word).run_dir, "maze-step-50", 2.0, step=50)
    found = bars_of([RunCurves.named(word) for word in arms], ())
    assert {bar.world for bar in found} == {"four-goals", "maze"}
    assert bars_of([RunCurves(run)], ["maze-step-50"])[0].each == (2.0,)
    found_in(run, "maze", 3.0, step=50)
    assert cli.plot(["bars", *arms]) == 2
    assert "eval-maze.json: of step 50, but the run has gone on to 100" in capsys.readouterr().err


def test_bars_over_runs_that_were_not_trained_for_the_same_time_say_so(arms):
    runs = [RunCurves.named(word) for word in arms]
    for run, step in zip(runs[:3], (100, 100, 50), strict=True):
        found_in(run.run_dir, "maze", 1.0, step=step)
    for run in runs[3:]:
        found_in(run.run_dir, "maze", 1.0, step=70)
    told = bars_table(bars_of(runs, ["maze"])).splitlines()
    assert [line.strip() for line in told if "same time" in line] == [
        "not trained for the same time; steps: 100, 100, 50"
    ]
    assert "social" in told[1]
    assert "same time" in told[2]


def test_bars_say_what_is_missing(arms, tmp_path, capsys):
    assert cli.plot(["bars", *arms, "--worlds", "four-rooms"]) == 2
    assert "--world four-rooms writes it" in capsys.readouterr().err
    assert cli.plot(["bars", *arms, "--metric", "equality"]) == 2
    assert "no equality; there are learners_return, others_return" in capsys.readouterr().err
    (tmp_path / "solo0" / "eval-maze.json").write_text("[]")
    assert cli.plot(["bars", *arms]) == 2
    assert "eval-maze.json: not what socialgrid-eval writes" in capsys.readouterr().err
    (tmp_path / "solo0" / "eval-maze.json").unlink()
    found = bars_of([RunCurves.named(word) for word in arms], ())
    assert {bar.world for bar in found} == {"four-goals"}, "worlds that all runs have"
