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


def test_a_name_that_nobody_knows_has_a_panel_and_a_pair_a_square(tmp_path, monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda own, *args, **more: (figures.append(own), save(own, *args, **more)),
    )
    runs = [RunCurves(made_up(tmp_path / str(seed), seed)) for seed in (0, 1)]
    draw_curves(runs, tmp_path / "curves.png")
    axes = {one.get_title(): one for one in figures[0].axes if one.get_title()}
    # pearls were zero throughout; spreads are for the file
    assert list(axes) == ["return per episode", "shells", "tide", "ebb", "gaze: row on column"]
    lines = [line for line in axes["shells"].lines if line.get_linewidth() > 1]
    assert [line.get_ydata().tolist() for line in lines] == [[0.5] * 10] * 2
    square = axes["gaze: row on column"].images[0].get_array()
    np.testing.assert_array_equal(
        np.ma.filled(square, nan), [[nan] * 3, [0.25, nan, nan], [0.5, 0.75, nan]]
    )


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
        "groups/tide": 1.0, "run/episodes": 3.0,
    }  # fmt: skip
    # Alone, the learner has the place of the expert and the same name.
    assert set(tags[1]) & set(tags[0]) >= {"agents/return/learner 0", "groups/tide"}


@pytest.mark.parametrize("kind", ["agents", "pairs", "groups", "members"])
def test_rows_that_hold_anything_else_are_refused(tmp_path, kind):
    with pytest.raises(UsageError, match="line 1 is not a row of metrics"):
        RunCurves(made_up(tmp_path / "run", **{kind: [1.0]}))
