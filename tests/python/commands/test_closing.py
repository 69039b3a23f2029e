"""The picture that a run with influence leaves of its last episodes."""

import math
from types import SimpleNamespace

import numpy as np

from socialgrid.commands import closing
from socialgrid.measures import Values, declare


def drawn(outcomes, tmp_path, monkeypatch):
    influence = np.random.default_rng(0).random((20, len(outcomes), 2, 2))
    found = SimpleNamespace(episodes=SimpleNamespace(influence=influence, outcomes=outcomes))
    config = SimpleNamespace(roster=SimpleNamespace(slots=(0, 2)))
    figures = []
    monkeypatch.setattr(closing, "save_figure", lambda figure, path: figures.append(figure) or path)
    assert closing.draw_moments(config, found, tmp_path / "moments.png") == tmp_path / "moments.png"
    return figures[0].axes


def test_moments_that_a_game_counts_are_drawn_by_what_is_declared(tmp_path, monkeypatch):
    declare("test_bell_step", values=Values.STEP, moment="the bell rings")
    episodes = [
        {"box_step": math.nan, "test_bell_step": 2.0, "length": 20.0},
        {"box_step": 5.0, "test_bell_step": 9.0, "length": 20.0},
    ]
    box, bell, influence = drawn(episodes, tmp_path, monkeypatch)
    assert box.get_title() == "the box opens: share of 2 sampled episodes"
    assert [bar.get_height() for bar in bell.patches][1::7] == [0.5, 0.5, 0.0]
    marked = {line.get_label(): line.get_xdata()[0] for line in influence.lines}
    assert marked["the box opens"] == 5.0  # of the episode in which both happened
    assert marked["the bell rings"] == 9.0
    assert {"agent0, one episode", "agent2, mean of all"} <= marked.keys()


def test_games_without_such_moments_have_influence_alone(tmp_path, monkeypatch):
    (influence,) = drawn([{"length": 20.0}], tmp_path, monkeypatch)
    assert [line.get_label() for line in influence.lines][::2] == [
        "agent0, one episode", "agent2, one episode"
    ]  # fmt: skip
