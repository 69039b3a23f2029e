"""Rows of numbers by kind, and who shows them: no name is known to any of them beforehand."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from torch import tensor

from socialgrid.config import UsageError, from_dict, run_files, to_dict
from socialgrid.measures import Place, declare, measure
from socialgrid.report import Events, RunCurves, draw_curves
from socialgrid.train import Numbers

KINDS = ["expert", "learner", "learner"]
nan = float("nan")


def numbers(update=1):
    """What agents 1 and 2 of three are measured to be and to do to the others."""
    found = Numbers(3, (1, 2))
    returns = [np.array([1.0, 3.0]), np.array([float(update)]), np.array([])]
    found.put_returns("return", returns)
    found.put_spreads("return_std", returns)
    found.log("shells", tensor([0.5, nan]))
    found.log("pearls", tensor([0.0, 0.0]))
    found.log_pairs("gaze", tensor([[0.25, 9.0, nan], [0.5, 0.75, 9.0]]))
    found.log_groups({"tide": float(update), "ebb": nan})
    return found


def made_up(folder, seed=0, **changes):
    """A run directory with ten such rows."""
    config = from_dict({"players": {"kinds": KINDS}, "run": {"seed": seed}})
    folder.mkdir()
    run_files.write_config(folder, to_dict(config), "")
    rows = [
        {"env_steps": 100 * update, **numbers(update).by_kind(), **changes}
        for update in range(1, 11)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_numbers_are_spread_over_all_agents_by_kind():
    assert numbers().by_kind() == {
        "agents": {
            "return": [2.0, 1.0, None],
            "return_std": [1.0, 0.0, None],
            "shells": [None, 0.5, None],
            "pearls": [None, 0.0, 0.0],
        },
        "pairs": {"gaze": [[None] * 3, [0.25, None, None], [0.5, 0.75, None]]},
        "groups": {"tide": 1.0, "ebb": None},
    }
    assert Numbers(2).by_kind() == {}


def test_what_a_group_has_each_of_its_agents_has():
    found = Numbers(4)
    found.log_members("trust", tensor([[1.0, 2.0], [3.0, nan], [5.0, 6.0], [7.0, 8.0]]))
    found.log_members("fame", tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert found.by_kind()["members"] == {
        "trust": [[1.0, 2.0], [3.0, None], [5.0, 6.0], [7.0, 8.0]],
        "fame": [[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [3.0, 4.0]],
    }


@pytest.fixture
def figures(monkeypatch):
    """Figures as they are saved."""
    found = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda own, *args, **more: (found.append(own), save(own, *args, **more)),
    )
    return found


def test_a_name_that_nobody_knows_has_a_panel_and_a_pair_a_square(tmp_path, figures):
    runs = [RunCurves(made_up(tmp_path / str(seed), seed)) for seed in (0, 1)]
    draw_curves(runs, tmp_path / "curves.png")
    titles = [one.get_title() or one.get_ylabel() for one in figures[0].axes]
    axes = {title: one for title, one in zip(titles, figures[0].axes, strict=True) if title}
    # pearls were zero throughout; spreads are for the file
    assert list(axes) == ["return per episode", "shells", "tide", "ebb", "gaze: row on column"]
    lines = [line for line in axes["shells"].lines if line.get_linewidth() > 1]
    assert [line.get_ydata().tolist() for line in lines] == [[0.5] * 10] * 2
    square = axes["gaze: row on column"].images[0].get_array()
    np.testing.assert_array_equal(
        np.ma.filled(square, nan), [[nan] * 3, [0.25, nan, nan], [0.5, 0.75, nan]]
    )


def looks(axes):
    """Colour and style of each line of a diagram that has a name, by name."""
    return {
        line.get_label(): (line.get_color(), line.get_linestyle())
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_agents_of_a_run_can_be_told_apart(tmp_path, figures):
    made_up(tmp_path / "run", agents={"return": [3.0, 1.0, 2.0], "shells": [None, 1.0, 2.0]})
    draw_curves([RunCurves(tmp_path / "run")], tmp_path / "curves.png")
    returns, shells, *groups = figures[0].axes[:-2]
    names = ["agent0 expert", "agent1 learner", "agent2 learner"]
    found = looks(returns)
    assert sorted(found) == names
    assert len({found[name][0] for name in names}) == 3, "two agents in one colour"
    assert [found[name][1] for name in names] == ["--", "-", "-"]
    assert looks(shells) == {name: found[name] for name in names[1:]}, "colours change with panels"
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == [
        "agent1 learner", "agent2 learner", "agent0 expert", "all agents",
    ]  # fmt: skip
    for axes in (returns, shells, *groups):
        assert axes.get_xlabel() == "environment steps"
        assert axes.get_ylabel()
        assert axes.xaxis.get_major_formatter()(250_000) == "250k"


def test_agents_of_several_arms_can_be_told_apart(tmp_path, figures):
    agents = {"return": [3.0, 1.0, 2.0]}
    runs = [RunCurves(made_up(tmp_path / arm, agents=agents), arm) for arm in ("one", "two")]
    draw_curves(runs, tmp_path / "curves.png")
    found = looks(figures[0].axes[0])
    assert len(found) == len(set(found.values())) == 6
    for arm in ("one", "two"):
        assert len({look[0] for name, look in found.items() if name.startswith(arm)}) == 1
    assert found["one: agent1 learner"][1] == found["two: agent1 learner"][1] == "-"


def test_who_declares_a_name_says_what_it_is_called_and_where_it_is_shown(tmp_path):
    declare("test_of_names", "found", "nats", Place.FILE)
    assert measure("test_of_names").heading == "found, nats"
    assert measure("test of nobody").place == Place.PANEL
    run = RunCurves(made_up(tmp_path / "run", groups={"test_of_names": 1.0, "tide": 2.0}))
    assert run.names("groups") == ["tide"]
    assert run.names("groups", Place.FILE) == ["test_of_names", "tide"]


def test_tensorboard_has_everything_under_names_free_of_slots(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    row = {"env_steps": 10, "episodes": 3, **numbers().by_kind()}
    row["evaluations"] = {"maze": {"episodes": 5, "learners_return": [4.0, 3.0, 5.0]}}
    tags = []
    for kinds in (KINDS, ["learner"]):
        folder = tmp_path / kinds[0]
        events = Events(folder, from_dict({"players": {"kinds": kinds}}), 0)
        events.write(row if kinds == KINDS else {**row, "agents": {"return": [1.0]}, "pairs": {}})
        events.close()
        reader = EventAccumulator(str(folder))
        reader.Reload()
        tags.append({tag: reader.Scalars(tag)[0].value for tag in reader.Tags()["scalars"]})
    assert tags[0] == {
        "agents/return/expert 0": 2.0, "agents/return/learner 0": 1.0,
        "agents/return_std/expert 0": 1.0, "agents/return_std/learner 0": 0.0,
        "agents/shells/learner 0": 0.5,
        "agents/pearls/learner 0": 0.0, "agents/pearls/learner 1": 0.0,
        "pairs/gaze/learner 0 on expert 0": 0.25,
        "pairs/gaze/learner 1 on expert 0": 0.5, "pairs/gaze/learner 1 on learner 0": 0.75,
        "groups/tide": 1.0, "run/episodes": 3.0, "evaluations/maze/learners_return": 4.0,
    }  # fmt: skip
    # Alone, the learner has the place of the expert and the same name.
    assert set(tags[1]) & set(tags[0]) >= {"agents/return/learner 0", "groups/tide"}


@pytest.mark.parametrize("kind", ["agents", "pairs", "groups", "members"])
def test_rows_that_hold_anything_else_are_refused(tmp_path, kind):
    with pytest.raises(UsageError, match="line 1 is not a row of metrics"):
        RunCurves(made_up(tmp_path / "run", **{kind: [1.0]}))
