"""The diagrams show the dilemma, and say what was measured."""

import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tyro")

from socialgrid.commands import cli
from socialgrid.commands.schelling import (
    PLAYERS,
    SchellingOptions,
    check,
    diagram_of,
    play_mixture,
    table,
    write,
)


def rises(values):
    """Whether each value, as far as its interval tells, is no less than the one before."""
    return all(later.high >= earlier.mean for earlier, later in pairwise(values))


@pytest.mark.parametrize("game", PLAYERS)
def test_everybody_gains_by_cooperators_and_each_by_defecting(game):
    options = SchellingOptions(game=game, episodes=8, max_steps=700, seed=1)
    returns = [play_mixture(options, cooperators) for cooperators in range(6)]
    points = diagram_of(returns)
    assert rises([point.cooperate for point in points])
    assert rises([point.defect for point in points])
    assert points[-1].cooperate.low > points[0].cooperate.high
    assert points[-1].defect.low > points[0].defect.high
    # All prefer a world of cooperators to a world of defectors ...
    assert points[-1].cooperate.low > points[0].defect.high
    # ... and yet, whatever most of the others do, it pays to defect.
    assert sum(point.defect.low > point.cooperate.high for point in points) >= 4
    # Who defects takes it from the others.
    assert points[-1].others_if_defect.mean < points[-1].others_if_cooperate.mean


def test_payoffs_are_means_over_agents_of_one_kind():
    # Two episodes, three agents; the number of cooperators is that of the mixture.
    returns = [
        np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]),
        np.array([[7.0, 1.0, 3.0], [9.0, 1.0, 5.0]]),
        np.array([[4.0, 6.0, 9.0], [4.0, 8.0, 9.0]]),
        np.array([[5.0, 5.0, 8.0], [5.0, 5.0, 8.0]]),
    ]
    none, one, two = diagram_of(returns)
    assert (none.cooperate.mean, none.defect.mean) == (8.0, 3.0)
    assert (one.cooperate.mean, one.defect.mean) == (5.5, 2.5)
    assert (two.cooperate.mean, two.defect.mean) == (6.0, 9.0)
    # Beside a defector of the mixture of one: a cooperator and the other defector.
    assert one.others_if_defect.mean == ((7 + 2) / 2 + (9 + 3) / 2) / 2
    assert one.others_if_cooperate.mean == ((5 + 9) / 2 + (6 + 9) / 2) / 2
    assert (two.defect.low, two.defect.high) == (9.0, 9.0)
    assert none.defect.low < 3.0 < none.defect.high
    assert [point.others_cooperating for point in (none, one, two)] == [0, 1, 2]


def test_an_agent_alone_and_an_episode_alone_have_no_interval(tmp_path):
    points = diagram_of([np.array([[2.0]]), np.array([[1.0]])])
    assert points[0].cooperate.mean == 1.0
    assert math.isnan(points[0].others_if_defect.mean)
    write(points, SchellingOptions(agents=1, episodes=1), tmp_path / "alone.json")
    point = json.loads((tmp_path / "alone.json").read_text())["points"][0]
    assert point["defect"] == {"mean": 2.0, "low": None, "high": None}
    assert point["others_if_defect"] == {"mean": None, "low": None, "high": None}


def test_every_mixture_meets_the_same_games():
    options = SchellingOptions(game="Harvest-v0", agents=2, episodes=3, max_steps=40, seed=3)
    np.testing.assert_array_equal(play_mixture(options, 1), play_mixture(options, 1))
    steps = []
    play_mixture(options, 0, steps.append)
    assert steps == list(range(1, 41))


def test_the_command_draws_writes_and_prints(tmp_path, capsys):
    out = tmp_path / "drawn.png"
    words = ["--game", "Harvest-v0", "--agents", "3", "--episodes", "2", "--max-steps", "30"]
    assert cli.plot(["schelling", *words, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    data = json.loads((tmp_path / "drawn.json").read_text())
    assert data["options"]["agents"] == 3
    assert (data["cooperator"], data["defector"]) == PLAYERS["Harvest-v0"]
    assert [point["others_cooperating"] for point in data["points"]] == [0, 1, 2]
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"{count} of 3 cooperate, 2 episodes: step 30 of 30" for count in range(4)
    ]
    options = SchellingOptions(game="Harvest-v0", agents=3, episodes=2, max_steps=30)
    expected = table(diagram_of([play_mixture(options, count) for count in range(4)]))
    assert printed.out.splitlines() == [
        *expected.splitlines(), str(out), str(tmp_path / "drawn.json")
    ]  # fmt: skip
    mean = data["points"][1]["defect"]["mean"]
    assert re.search(rf"^ +1 .* {mean:.1f} \+-", printed.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--game", "Harvets-v0"], "did you mean 'Harvest-v0'"),
        (["--game", "Maze-v0"], "Cleanup-v0, Harvest-v0"),
        (["--agents", "0"], "agents: 0"),
        (["--agents", "1000"], "agents"),
        (["--episodes", "0"], "episodes: 0"),
        (["--seed", "-1"], "seed: -1 is out of range"),
        (["--seed", "18446744073709551616"], "seed: 18446744073709551616 is out of range"),
        (["--max-steps", "-1"], "max-steps: -1"),
        (["--neighbours", "9"], "neighbours: 9"),
        (["--agent", "3"], "--agent"),
        (["--out", "/nowhere/at/all.png"], "/nowhere/at/all.png"),
        (["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(words, said, capsys):
    assert cli.plot(["schelling", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.startswith("socialgrid-plot: ")


def test_a_bad_game_is_refused_before_anything_is_played():
    with pytest.raises(ValueError, match="Switch-v0"):
        check(SchellingOptions(game="Switch-v0"))
