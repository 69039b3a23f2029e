"""Programs of bench/ that train through the command line ask it for what it knows."""

import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.python.train.runs import Silent

from socialgrid.config import load_preset, parse_train
from socialgrid.report import read_metrics
from socialgrid.train import create_run

BENCH = Path(__file__).parents[3] / "bench"


def module(name):
    """One of those programs, imported."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look there
    sys.path.insert(0, str(BENCH))  # as where it is started
    try:
        spec.loader.exec_module(loaded)
    finally:
        sys.path.remove(str(BENCH))
    return loaded


peers, dilemmas, search = module("peers"), module("dilemmas"), module("search")
learning, threads = module("learning"), module("threads")


def understood(preset, words):
    return parse_train(words, load_preset(preset), "socialgrid-train")


@pytest.mark.parametrize("name", peers.EXPERIMENTS)
def test_arms_of_peers_are_understood_and_all_different(name):
    experiment = peers.EXPERIMENTS[name]
    arms = [*experiment.arms, *experiment.more]
    found = [understood(experiment.preset, experiment.words(arm)) for arm in arms]
    assert len({repr(config) for config in found}) == len(arms)
    assert experiment.published.keys() <= set(arms)
    for arm, config in zip(arms, found, strict=True):
        assert ("adversary" in arm) == ("adversary" in config.players.kinds)
        assert config.players.groups >= 3


def test_how_far_arms_of_peers_differ_is_told_beside_their_groups():
    two = np.array([46.5, 22.8, 33.6, 45.1, 42.2])
    alone = np.array([21.4, 35.7, 13.7, 6.9, 23.4])
    t, p = peers.unlikely(two, alone)
    assert t == pytest.approx(17.82 / np.sqrt((9.90**2 + 10.85**2) / 5), abs=0.01)
    assert p == pytest.approx(12 / 252)  # six sums of five are that large, six that small
    assert peers.unlikely(alone, two) == pytest.approx((-t, p))
    assert peers.unlikely(two, two)[1] == 1.0
    assert peers.unlikely(np.array([4.0, 5, 6]), np.array([1.0, 2, 3]))[1] == pytest.approx(0.1)
    assert peers.unlikely(np.array([9.0, 8]), np.array([1.0, 2, 3, 4]))[1] == pytest.approx(1 / 15)


@pytest.mark.parametrize("name", dilemmas.EXPERIMENTS)
def test_arms_of_dilemmas_are_understood_and_have_one_budget(name):
    experiment = dilemmas.EXPERIMENTS[name]
    arms = [*experiment.arms, *experiment.more]
    words = [experiment.words(arm) for arm in arms]
    found = [understood(preset, options) for preset, *options in words]
    assert len({repr(config) for config in found}) == len(arms)
    assert len({(config.run.total_steps, config.env.num_envs) for config in found}) == 1


def test_a_search_draws_the_same_settings_again_and_within_its_ranges():
    settings = [search.drawn(3, number, True, 1_000_000) for number in range(20)]
    assert settings == [search.drawn(3, number, True, 1_000_000) for number in range(20)]
    assert settings[0] != search.drawn(4, 0, True, 1_000_000)
    assert len({tuple(words) for words in settings}) == 20
    for words in settings:
        config = understood("harvest", ["--social", "moa-paper", *words])
        options = config.social.options[-1]
        assert {"kl", "pmi", "jsd"} >= {options.divergence}
        assert 0.1 <= options.influence_weight <= 5.0
        assert 0.1 <= options.curriculum <= 1.0
        assert 4e-4 <= config.algorithm.learning_rate <= 3e-3
    assert "--divergence" not in search.drawn(3, 0, False, 1_000_000)


@pytest.mark.parametrize(
    ("program", "words", "folder", "preset"),
    [
        (dilemmas, ["box-trapped", "--seeds", "1"], "box-trapped/influence-0", "box-trapped"),
        (peers, ["room-mini", "--arms", "2 peers"], "room-mini/2-peers", "room-mini"),
        (
            search,
            ["box-trapped", "influence", "--settings", "1", "--seeds", "1"],
            "box-trapped-influence-seed0/0-0",
            "box-trapped",
        ),
    ],
    ids=["dilemmas", "peers", "search"],
)
def test_runs_of_another_length_do_not_get_into_a_table(
    program, words, folder, preset, tmp_path, monkeypatch
):
    run = tmp_path / folder
    given = ["--total-steps", "400", "--device", "cpu", "--num-envs", "1", "--no-tensorboard"]
    config = understood(preset, given)
    create_run(config, run).train(Silent())
    assert read_metrics(run / "metrics.jsonl")
    (run / "finished").touch()
    monkeypatch.setattr(program, "train", lambda *_: pytest.fail("trains"))
    line = ["bench", *words, "--runs", str(tmp_path), "--steps", "300"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit, match="is a run of 400 steps, not of 300: remove it"):
        program.main()


@pytest.mark.parametrize(
    ("program", "words", "picture"),
    [
        (dilemmas, ["box-trapped"], "box-trapped/box-trapped.png"),
        (learning, [], "goal-cycle-mini.png"),
        (learning, ["--figure", "{}/other.png"], "other.png"),
    ],
    ids=["dilemmas", "learning", "learning elsewhere"],
)
def test_pictures_lie_beside_the_runs_wherever_one_stands(
    program, words, picture, tmp_path, monkeypatch, capsys
):
    for name in ("train", "tables", "table"):
        monkeypatch.setattr(program, name, lambda *_: "", raising=False)
    monkeypatch.setattr(program, "draw", lambda *given: given[-1].touch())
    words = [word.format(tmp_path) for word in words]
    line = ["bench", *words, "--runs", str(tmp_path), "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", line)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "box-trapped").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    program.main()
    assert (tmp_path / picture).is_file()
    assert capsys.readouterr().out.endswith(f"{tmp_path / picture}\n")


def test_shorter_runs_of_dilemmas_are_gone_on_with_and_drawn_as_the_paper_does(
    tmp_path, monkeypatch, capsys
):
    drawn = []
    monkeypatch.setattr(dilemmas, "draw", lambda *_: None)
    monkeypatch.setattr(dilemmas, "call", lambda program, words, _: drawn.append((program, words)))
    arm = "influence-2.24-shared"
    run = tmp_path / "harvest" / f"{arm}-0"
    words = ["--social", "influence", "--num-envs", "2", "--set", "max_steps=50", "--workers", "1"]
    config = understood("harvest", [*words, "--total-steps", "100", "--no-tensorboard"])
    create_run(config, run).train(Silent())
    (run / "finished").touch()
    line = ["bench", "harvest", "--runs", str(tmp_path), "--seeds", "1", "--arms"]
    monkeypatch.setattr(sys, "argv", [*line, arm, "--steps", "200"])
    dilemmas.main()
    (_, resumed), (plot, words) = drawn
    assert resumed == ["--resume", str(run), "--total-steps", "200"]
    assert (run / "finished").exists()
    assert plot == "socialgrid-plot"
    assert words[:2] == ["arms", f"{arm}={run}"]
    assert words[words.index("--level") + 1] == "0.995"
    row = next(one for one in capsys.readouterr().out.splitlines() if f"| {arm} |" in one)
    assert row.startswith("| influence-2.24-shared | 0 | 100 |")
    assert "e-0" in row.split("|")[-2], "the value of listening"
    monkeypatch.setattr(sys, "argv", [*line, "influense"])
    with pytest.raises(SystemExit):
        dilemmas.main()
    assert "no arm 'influense'; there are a3c, " in capsys.readouterr().err


def test_runs_of_dilemmas_are_shown_as_far_as_they_have_come(tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(dilemmas, "draw", lambda *_: None)
    monkeypatch.setattr(dilemmas, "call", lambda _, words, __: drawn.append(words))
    monkeypatch.setattr(dilemmas, "train", lambda *_: pytest.fail("trains"))
    rows = [
        {"env_steps": steps, "episodes_finished": count, "groups": {"collective_return": value},
         "agents": {"value_of_listening": [heard]}}
        for steps, count, value, heard in
        [(60, 1, -900.0, 0.1), (100, 2, -300.0, 0.3), (160, 1, -20.0, 0.4)]
    ]  # fmt: skip
    run = tmp_path / "harvest" / "influence-0"
    run.mkdir(parents=True)
    line = ["bench", "harvest", "--runs", str(tmp_path), "--as-is", "--every", "100"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit):
        dilemmas.main()
    assert "nothing has been run in" in capsys.readouterr().err
    for more, bottom in (([], False), ([{**rows[-1], "env_steps": 220}], True)):
        for row in more:
            row["groups"] = {"collective_return": 7.0, "sustainability": 12.0}
        lines = [json.dumps(row) for row in [*rows, *more]]
        (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        dilemmas.main()
        said = capsys.readouterr().out
        assert "| influence | 0 | -500 | -20.00 |" in said, "weighed by episodes"
        assert "| influence | 0 | 2.0e-01 | 4.0e-01 |" in said, "not weighed"
        assert ("--bottom" in drawn[-1]) == bottom, "a panel without anything in it cannot be drawn"


def test_tables_are_printed_where_the_terminal_is_ascii(tmp_path, monkeypatch):
    for name, told in {"train": None, "tables": "46 \xb1 16", "draw": None}.items():
        monkeypatch.setattr(peers, name, lambda *_, told=told: told)
    line = ["bench", "room-mini", "--arms", "2 peers", "--runs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", line)
    seen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(seen, encoding="ascii"))
    peers.main()
    sys.stdout.flush()
    assert seen.getvalue().startswith(rb"46 \xb1 16")


@pytest.mark.parametrize("case", ["mini", "harvest a3c"])
def test_most_of_an_update_is_counted_as_shared_by_threads(monkeypatch, case):
    monkeypatch.setattr(threads, "TURN_SECONDS", 0.01)
    (row,), _ = threads.measure(case, [(0, 1)], 1, True)
    assert row.wall > 0.0
    assert 0.0 < row.serial < 0.9  # by CPU time; nothing counted: 1; some of it twice: below 0


def test_means_of_dilemmas_count_the_episodes_that_have_a_number():
    rows = [
        {"episodes_finished": 4, "groups": {"box_step": 2.0}, "episodes_with": {"box_step": 1}},
        {"episodes_finished": 3, "groups": {"box_step": 6.0}},
        {"episodes_finished": 9, "groups": {"box_step": None}, "episodes_with": {"box_step": 0}},
    ]
    assert dilemmas.mean(rows, "box_step") == pytest.approx((2.0 + 3 * 6.0) / 4)
