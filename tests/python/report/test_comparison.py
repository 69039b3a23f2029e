"""Arms beside each other, with numbers that can be worked out by hand."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from socialgrid.commands import cli
from socialgrid.config import from_dict, run_files, to_dict
from socialgrid.report import (
    RunCurves,
    best_settings,
    comparison_table,
    correlated,
    influenced_in,
    trials_of,
    windowed,
    without_idle,
)

T_95, T_995 = 4.302653, 14.089046  # Student's, two degrees of freedom


def written(folder, rows, *, seed=0, kinds=("learner", "learner"), game="Harvest-v0", **options):
    """A run directory with these rows of metrics."""
    config = {
        "players": {"kinds": list(kinds)},
        "run": {"seed": seed},
        "env": {"game": game},
        "algorithm": {"name": "a3c"},
    }
    for section, values in options.items():
        config.setdefault(section, {}).update(values)
    folder.mkdir(parents=True)
    run_files.write_config(folder, to_dict(from_dict(config)), "")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def rows_of(values, own=None, episodes=None):
    """Ten thousand steps an update; everybody's return as given, both agents' own likewise."""
    return [
        {
            "env_steps": 10_000 * (i + 1),
            "episodes_finished": 1 if episodes is None else episodes[i],
            "groups": {"collective_return": value, "equality": 0.5},
            "agents": {"return": own or [value / 2, value / 2]},
        }
        for i, value in enumerate(values)
    ]


@pytest.fixture
def six(tmp_path):
    """Two arms of three seeds: 1, 2 and 3 at the end of one, ten times that of the other."""
    words = []
    for arm, scale in (("low", 1.0), ("high", 10.0)):
        for seed in range(3):
            values = [0.0] * 9 + [scale * (seed + 1)]
            run = written(tmp_path / f"{arm}{seed}", rows_of(values), seed=seed)
            words.append(f"{arm}={run}")
    return words


def read(words):
    return [RunCurves.named(word) for word in words]


def line_of(table, arm):
    """Cells of an arm's line."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {arm} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_has_every_arms_mean_interval_and_seeds(six, capsys):
    assert cli.plot(["table", *six]) == 0
    half = T_95 / np.sqrt(3)
    end = f"2.0 [{2 - half:.1f}, {2 + half:.1f}]"
    over = f"0.2 [{(2 - half) / 10:.1f}, {(2 + half) / 10:.1f}]"
    table = capsys.readouterr().out
    assert line_of(table, "low") == ["low", "3", "100,000", end, over, "1.0 2.0 3.0"]
    assert line_of(table, "high")[-1] == "10.0 20.0 30.0"
    assert table.startswith("| collective return per episode |")


def test_points_count_by_their_episodes(tmp_path):
    rows = rows_of([0.0] * 18 + [6.0, 2.0], episodes=[1] * 18 + [1, 3])
    run = written(tmp_path / "run", rows)
    _, (trial,) = trials_of(read([str(run)]))
    assert trial.final == pytest.approx((6 + 3 * 2) / 4)
    assert trial.over_training == pytest.approx((6 + 3 * 2) / 22)


@pytest.mark.parametrize("window", [1, 3, 4, 100])
def test_windows_hold_so_many_episodes(tmp_path, window):
    draws = np.random.default_rng(0)
    values, episodes = draws.normal(size=12).tolist(), draws.integers(1, 4, 12).tolist()
    run = written(tmp_path / "run", rows_of(values, episodes=episodes))
    _, (trial,) = trials_of(read([str(run)]))
    expected = []
    for end in range(12):
        start = end
        while start > 0 and sum(episodes[start : end + 1]) < window:
            start -= 1
        part = slice(start, end + 1)
        expected.append(np.average(values[part], weights=episodes[part]))
    np.testing.assert_allclose(windowed(trial, window).values, expected)


@pytest.mark.parametrize("solo", [False, True])
def test_what_is_no_mean_over_episodes_counts_the_same_in_every_row(tmp_path, solo):
    """Long episodes end in few rows; influence or a loss was measured in all of them."""
    draws = np.random.default_rng(0)
    values, episodes = draws.normal(size=40).tolist(), ([0] * 3 + [16]) * 10
    rows = rows_of([1.0] * 40, episodes=episodes)
    for row, value in zip(rows, values, strict=True):
        row["agents"]["entropy"] = [value, value + 1.0]
        if solo:
            row["solo_episodes_finished"], row["episodes_finished"] = row["episodes_finished"], 0
    run = written(tmp_path / "run", rows)
    _, (trial,) = trials_of(read([str(run)]), "entropy")
    plain = np.array(values) + 0.5
    assert trial.final == pytest.approx(plain[-4:].mean())
    assert trial.over_training == pytest.approx(plain.mean())
    smooth = windowed(trial, 32).values  # from the row in which the last episodes but one ended
    expected = [plain[max(0, end - 4 - (end + 1) % 4) : end + 1].mean() for end in range(3, 40)]
    np.testing.assert_allclose(smooth[3:], expected)


def test_windows_hold_so_many_rows_where_none_says_what_ended(tmp_path):
    rows = rows_of(range(12))
    for row in rows:
        del row["episodes_finished"]
    _, (trial,) = trials_of(read([str(written(tmp_path / "run", rows))]))
    np.testing.assert_allclose(windowed(trial, 3).values[2:], np.arange(1.0, 11.0))


def test_the_figure_has_means_and_the_level_that_was_asked_for(six, tmp_path, monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda own, *args, **more: (figures.append(own), save(own, *args, **more)),
    )
    out = tmp_path / "arms.png"
    words = [*six, "--measure", "collective_return,equality", "--level", "0.995", "--window", "1"]
    assert cli.plot(["arms", *words, "--out", str(out)]) == 0
    assert out.stat().st_size > 5_000
    first, second = figures[0].axes
    assert first.get_xlabel() == "environment steps", "A3C adds its environments' up"
    assert first.xaxis.get_major_formatter()(100_000) == "100k"
    assert first.get_title() == "Harvest-v0: collective return per episode"
    assert "equality" in second.get_title()
    thick = [line for line in first.lines if line.get_linewidth() == 2.0]
    assert [line.get_ydata()[-1] for line in thick] == pytest.approx([2.0, 20.0])
    low, _ = (band.get_paths()[0].vertices for band in first.collections)
    top = low[low[:, 0] == 100_000, 1].max()
    assert top == pytest.approx(2 + T_995 / np.sqrt(3), rel=1e-4)
    assert figures[0].legends[0].get_title().get_text() == (
        "mean over trainings, 99.5% interval over them"
    )
    first_of_each = [words[0], words[3]]
    assert cli.plot(["arms", *first_of_each, "--out", str(out)]) == 0
    assert "no interval" in figures[1].legends[0].get_title().get_text()


def test_titles_of_panels_side_by_side_do_not_overlap(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda own, *_, **__: figures.append(own))
    task = {"max_steps": 123_456, "agent_view_beside_and_behind": 7}
    runs = []
    for game in ("gymnasium:InvertedDoublePendulum-v5", "gymnasium:AnotherLongName-v5"):
        folder = tmp_path / game.rpartition(":")[2]
        env = {"game": game, "options": task, "num_envs": 1}
        sac = {"name": "sac"}
        rows = rows_of([0.0, 1.0])
        for row in rows:
            row["agents"] = {"evaluated_return": [1.0]}
            del row["groups"]
        runs.append(written(folder, rows, kinds=["learner"], env=env, algorithm=sac))
    assert cli.plot(["arms", *map(str, runs), "--out", str(tmp_path / "arms.png")]) == 0
    (figure,) = figures
    figure.canvas.draw()
    left, right = (axes.title.get_window_extent() for axes in figure.axes)
    assert left.x1 < right.x0
    assert right.x1 < figure.bbox.x1


def test_the_first_measures_axis_begins_where_it_is_told(six, tmp_path, monkeypatch, capsys):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda own, *_, **__: figures.append(own))
    words = ["arms", *six, "--measure", "collective_return,equality", "--bottom", "1"]
    assert cli.plot([*words, "--out", str(tmp_path / "arms.png")]) == 0
    assert cli.plot([*words[:-2], "--out", str(tmp_path / "whole.png")]) == 0
    told, beside, whole, _ = (axes for figure in figures for axes in figure.axes)
    assert told.get_ylim()[0] == 1.0
    assert beside.get_ylim()[0] < 0.5
    assert whole.get_ylim()[0] < 0.0
    for word in ("1000", "nan", "-inf"):
        assert cli.plot([*words[:-1], word]) == 2
        assert f"bottom: {word}: must be below" in capsys.readouterr().err
    assert told.get_subplotspec().rowspan == beside.get_subplotspec().rowspan, "one task: in a row"


@pytest.mark.parametrize("bottom", [None, "0"])
def test_a_wide_band_leaves_the_lines_the_axis(tmp_path, monkeypatch, bottom):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda own, *_, **__: figures.append(own))
    for seed, end in enumerate((400.0, 420.0)):
        written(tmp_path / str(seed), rows_of([-3000.0, 300.0, end]), seed=seed)
    words = ["arms", f"x={tmp_path / '0'}", f"x={tmp_path / '1'}", "--level", "0.995"]
    words += ["--window", "1", *(["--bottom", bottom] if bottom else [])]
    assert cli.plot([*words, "--out", str(tmp_path / "arms.png")]) == 0
    (axes,) = figures[0].axes
    (band,) = axes.collections
    top = band.get_paths()[0].vertices[:, 1].max()
    assert top > 1_500.0, "Student's t of one degree of freedom is 127"
    if bottom is None:
        assert axes.get_ylim()[0] < -3_000.0
        assert axes.get_ylim()[1] > top, "what fits is shown"
    else:
        assert axes.get_ylim() == pytest.approx((0.0, 420.0 + 0.5 * (420.0 - 300.0)))


def test_only_the_best_settings_of_an_arm_count(tmp_path):
    words = []
    for rate, ends in ((0.1, [5.0, 5.0]), (0.2, [9.0, 3.0]), (0.3, [0.0, 4.0])):
        for seed, end in enumerate(ends):
            run = written(
                tmp_path / f"{rate}-{seed}",
                rows_of([end]),
                seed=seed,
                algorithm={"learning_rate": rate},
            )
            words.append(f"moa={run}")
    _, trials = trials_of(read(words))
    assert [trial.final for trial in best_settings(trials, 1)] == [9.0, 3.0]
    assert [trial.final for trial in best_settings(trials, 2)] == [9.0, 3.0, 5.0, 5.0]
    assert len(best_settings(trials, 7)) == 6


def test_seeds_in_which_somebody_learnt_nothing_can_be_left_out(tmp_path, capsys):
    fair = written(tmp_path / "fair", rows_of([20.0], own=[12.0, 8.0]))
    idle = written(tmp_path / "idle", rows_of([90.0], own=[90.0, 0.5]), seed=1)
    _, trials = trials_of(read([str(fair), str(idle)]))
    assert [trial.final for trial in without_idle(trials, 1.0)[0]] == [20.0]
    assert cli.plot(["table", str(fair), str(idle), "--drop-below", "1"]) == 0
    told = capsys.readouterr()
    assert "1 trainings left out" in told.err
    assert "90.0" not in told.out
    assert cli.plot(["table", str(idle), "--drop-below", "1"]) == 2
    assert "leaves no training" in capsys.readouterr().err


def test_several_tasks_are_normalised_each_by_its_own_range(tmp_path):
    words = []
    for game, worst, best in (("Harvest-v0", -100.0, 100.0), ("Cleanup-v0", 0.0, 10.0)):
        for arm, shares in (("a", (0.5, 1.0)), ("b", (0.25, 0.75))):
            for seed, share in enumerate(shares):
                values = [worst, worst + share * (best - worst)]
                run = written(
                    tmp_path / f"{game}{arm}{seed}", rows_of(values), seed=seed, game=game
                )
                words.append(f"{arm}={run}")
    name, trials = trials_of(read(words))
    table = comparison_table(name, trials)
    cells = line_of(table, "a")
    assert cells[3].startswith("50.0 [")  # of -100 to 100
    assert cells[4].startswith("7.5 [")  # of 0 to 10
    assert cells[5].startswith("75.0 [")
    assert cells[6].startswith("37.5 [")
    assert line_of(table, "b")[5].startswith("50.0 [")


def test_tasks_are_told_apart_by_their_options(tmp_path):
    words = [
        str(written(tmp_path / f"{steps}", rows_of([1.0]), env={"options": {"max_steps": steps}}))
        for steps in (50, 60)
    ]
    _, trials = trials_of(read(words))
    assert [trial.task for trial in trials] == ["max_steps=50", "max_steps=60"]
    assert [trial.arm for trial in trials] == ["mechanisms=none"] * 2


def test_labels_that_have_an_option_each_are_arms_of_one_task(tmp_path):
    words = [
        f"{name}={written(tmp_path / name, rows_of([end]), env={'options': {'max_steps': steps}})}"
        for name, steps, end in (("short", 50, 1.0), ("long", 60, 2.0), ("longer", 70, 3.0))
    ]
    name, trials = trials_of(read(words))
    assert [trial.task for trial in trials] == ["Harvest-v0"] * 3
    assert [line_of(comparison_table(name, trials), arm)[3] for arm in ("short", "long")] == [
        "1.0", "2.0"
    ]  # fmt: skip
    both = written(tmp_path / "both", rows_of([1.0]), env={"options": {"max_steps": 60}}, seed=1)
    _, apart = trials_of(read([*words, f"short={both}"]))
    assert len({trial.task for trial in apart}) == 3, "short is tried in two of them"


def test_an_option_that_only_some_runs_have_tells_them_apart(tmp_path):
    """As in a preset and the same with --set: they are no two seeds of one arm."""
    given = (("x", {}), ("y", {"penalty": 0.5}), ("z", {"penalty": 0.5, "reset_on_mistake": True}))
    words = [
        str(written(tmp_path / name, rows_of([1.0]), game="GoalCycle-v0", seed=seed,
                    env={"game": "GoalCycle-v0", "options": options}))
        for seed, (name, options) in enumerate(given)
    ]  # fmt: skip
    _, trials = trials_of(read(words[:2]))
    assert [trial.task for trial in trials] == ["GoalCycle-v0", "penalty=0.5"]
    _, trials = trials_of(read(words))
    assert len({(trial.task, trial.arm) for trial in trials}) == 3
    blind = [f"{path}-blind" for path in words[:2]]
    for seed, (path, hide) in enumerate(zip(blind, ({}, {"hide": ["goal"]}), strict=True)):
        env = {"game": "GoalCycle-v0", "options": hide}
        written(tmp_path / path, rows_of([1.0]), game="GoalCycle-v0", seed=seed, env=env)
    _, trials = trials_of(read(blind))
    assert {trial.task for trial in trials} == {"GoalCycle-v0"}, "it is the same unseen"
    assert [trial.arm for trial in trials] == ["GoalCycle-v0", "hide=goal"]


def test_runs_without_labels_are_arms_by_what_they_differ_in(tmp_path):
    words = [
        str(written(tmp_path / name, rows_of([1.0]), social=table, seed=seed))
        for name, table, seed in (
            ("x", {}, 0), ("y", {}, 1), ("z", {"visible-actions": {}}, 0),
        )
    ]  # fmt: skip
    _, trials = trials_of(read(words))
    arms = [trial.arm for trial in trials]
    assert arms[0] == arms[1] != arms[2]
    assert arms[2] == "mechanisms=visible-actions"


def test_the_same_training_counts_once(tmp_path, capsys):
    for seed in (0, 1):
        written(tmp_path / "runs" / f"seed{seed}", rows_of([4.0 + seed]), seed=seed)
    folder, again = str(tmp_path / "runs"), tmp_path / "again"
    assert cli.plot(["table", f"a={folder}", f"a={folder}/seed0"]) == 0
    assert line_of(capsys.readouterr().out, "a")[1] == "2"
    written(again, rows_of([4.0]), seed=0, run={"total_steps": 7})
    for words in ([f"a={folder}", f"a={again}"], [folder, str(again)]):
        assert cli.plot(["table", *words]) == 2
        assert f"{again}: the same training as {folder}/seed0" in capsys.readouterr().err
    assert cli.plot(["table", f"a={folder}", f"b={again}"]) == 0, "beside each other, they may be"


def test_seeds_that_have_measured_nothing_yet_are_left_out(tmp_path, capsys):
    nothing = rows_of([1.0])
    nothing[0]["groups"]["collective_return"] = None
    for seed, rows in enumerate((rows_of([4.0]), [], nothing)):
        written(tmp_path / "runs" / f"seed{seed}", rows, seed=seed)
    words = [str(tmp_path / "runs"), "--measure", "collective_return"]
    assert cli.plot(["table", *words]) == 0
    told = capsys.readouterr()
    assert "seed1: left out: no updates yet" in told.err
    assert "seed2: left out: no collective_return" in told.err
    assert told.out.splitlines()[2].split(" | ")[1] == "1"
    for seed, message in ((1, "no updates yet"), (2, "no collective_return has been")):
        assert cli.plot(["table", f"{words[0]}/seed{seed}", *words[1:]]) == 2
        assert message in capsys.readouterr().err


def test_a_seed_counts_for_all_tasks_if_every_task_has_it_whatever_its_settings(tmp_path):
    def trial(game, seed, end, rate):
        folder = tmp_path / f"{game}{seed}{rate}"
        rows, more = rows_of([0.0, end]), {"algorithm": {"learning_rate": rate}}
        return f"a={written(folder, rows, seed=seed, game=game, **more)}"

    words = [trial("Harvest-v0", 0, 100.0, 0.1), trial("Harvest-v0", 0, 50.0, 0.2)]
    words += [trial("Harvest-v0", 1, 10.0, 0.1), trial("Cleanup-v0", 1, 5.0, 0.1)]
    name, trials = trials_of(read(words))
    table = comparison_table(name, trials)
    assert line_of(table, "a")[5] == "55.0", "10 of 100 and 5 of 5: seed 1 alone"
    assert "without seeds that not every task has: a, 0" in table
    words += [trial("Cleanup-v0", 0, 4.25, 0.1)]
    table = comparison_table(*trials_of(read(words)))
    assert line_of(table, "a")[5].startswith("67.5 ["), "75 and 85; 10 and 100"
    assert "without seeds" not in table


def test_the_best_settings_are_those_of_the_first_measure(tmp_path, capsys):
    words = []
    for rate, end, equality in ((0.1, 9.0, 0.2), (0.2, 3.0, 0.7)):
        rows = rows_of([end])
        rows[0]["groups"]["equality"] = equality
        run = written(tmp_path / str(rate), rows, algorithm={"learning_rate": rate})
        words.append(f"a={run}")
    words += ["--best", "1", "--measure", "collective_return,equality"]
    assert cli.plot(["table", *words]) == 0
    told = capsys.readouterr()
    first, second = told.out.split("\n\n| ")
    assert line_of(first, "a")[3] == "9.0"
    assert line_of(f"| {second}", "a")[3] == "0.2"
    assert "best 1 settings of each arm by collective_return" in told.err


def test_an_agent_of_which_no_return_is_known_has_failed(tmp_path):
    run = written(tmp_path / "run", rows_of([20.0], own=[12.0, None]))
    assert without_idle(trials_of(read([str(run)]))[1], 1.0) == ([], 1)


def influence_rows(received, returns):
    """Agent 0 influences all others by what they receive, and nobody influences it."""
    nobody = [0.0] + [None] * len(received)
    table = [[None, *received], *[nobody] * len(received)]
    return [
        {
            "env_steps": 1000,
            "episodes_finished": 1,
            "agents": {"return": [0.0, *returns]},
            "pairs": {"influence": table},
        }
    ]


def test_influence_and_return_are_correlated_within_runs(tmp_path):
    draws = np.random.default_rng(1)
    runs, xs, ys = [], [], []
    for seed in range(12):
        received = draws.uniform(size=4)
        returns = 100.0 * seed + received + 0.5 * draws.normal(size=4)
        rows = influence_rows(received.tolist(), returns.tolist())
        runs.append(written(tmp_path / str(seed), rows, seed=seed, kinds=["learner"] * 5))
        for values, into in ((received, xs), (returns, ys)):
            into.append((values - values.mean()) / values.std())
    found = [influenced_in(run) for run in read(map(str, runs))]
    rho, p, agents = correlated(found)
    assert agents == 48
    assert rho == pytest.approx(np.corrcoef(np.ravel(xs), np.ravel(ys))[0, 1])
    assert p == 1e-4 if rho > 0.6 else p < 0.05
    chance = [type(one)(one.group, one.influence, draws.permutation(one.reward)) for one in found]
    assert correlated(chance)[1] > 0.01


def test_correlation_is_drawn_for_one_game(tmp_path, capsys):
    rows = influence_rows([0.1, 0.2, 0.4], [1.0, 2.0, 3.0])
    kinds = ["learner"] * 4
    run = written(tmp_path / "run", rows, kinds=kinds)
    out = tmp_path / "found.png"
    assert cli.plot(["correlation", str(run), "--out", str(out)]) == 0
    assert "within 1 runs, 3 agents: rho 0.98" in capsys.readouterr().out
    assert out.stat().st_size > 5_000
    other = written(tmp_path / "other", rows, kinds=kinds, game="Cleanup-v0")
    assert cli.plot(["correlation", str(run), str(other)]) == 2
    assert "one game at a time" in capsys.readouterr().err
    assert cli.plot(["correlation", f"a={run}", f"b={run}"]) == 2
    assert "the same training as" in capsys.readouterr().err
    same = written(tmp_path / "same", influence_rows([0.1, 0.1], [1.0, 2.0]), kinds=kinds[1:])
    assert cli.plot(["correlation", str(same)]) == 2
    assert "no run two agents were influenced, differently" in capsys.readouterr().err
    assert not (same / "correlation.png").exists()
    plain = written(tmp_path / "plain", rows_of([1.0]))
    assert cli.plot(["correlation", str(plain)]) == 2
    assert "no influence was measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table"], "which runs?"),
        (["arms", "RUN", "--level", "1.5"], "between 0 and 1"),
        (["arms", "RUN", "--window", "0"], "1 or more"),
        (["table", "RUN", "--best", "-1"], "0 or more"),
        (["table", "RUN", "--measure", "collective_retrun"], "did you mean 'collective_return'?"),
        (["table", "RUN", "--measure", "x"], "'x' was not measured; known: "),
        (["table", "RUN", "--out", "x"], "out"),
        (["table", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_cost_one_line(tmp_path, capsys, words, message):
    run = written(tmp_path / "run", rows_of([1.0]))
    assert cli.plot([str(run) if word == "RUN" else word for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
