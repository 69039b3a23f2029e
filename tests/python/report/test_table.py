"""Runs as one long table: every number once, where it belongs, and nothing else."""

import csv
import io
import json
import os

import pytest

from socialgrid.commands import cli
from socialgrid.config import from_dict, run_files, to_dict
from socialgrid.report import RunCurves, as_csv, long_table

ROWS = [
    {
        "update": 1, "env_steps": 100, "phase": "first, of two", "options": {"penalty": 0.5},
        "time": {"act": 0.25}, "solo_episodes_finished": None, "ok": True,
        "agents": {"return": [1.5, None], "entropy": [None, 1.0]},
        "groups": {"equality": 0.75, "peace": None},
    },
    {
        "update": 2, "env_steps": 200, "agents": {"return": [2.5, 3.0]},
        "pairs": {"gaze": [[None, 0.25], [0.5, None]]}, "members": {"trust": [[1, 2, 3]]},
        "evaluations": {"maze": {"episodes": 9, "return": [4.0, 3.0, 5.0], "other": None}},
    },
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two seeds of one setting and a run of another."""
    for name, seed, penalty in (("s0", 0, 0.5), ("s1", 1, 0.5), ("other", 0, 1.0)):
        options = {"run": {"seed": seed}, "env": {"options": {"penalty": penalty}}}
        (tmp_path / name).mkdir()
        run_files.write_config(tmp_path / name, to_dict(from_dict(options)), "")
        lines = [json.dumps(row) for row in ROWS]
        (tmp_path / name / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_number_is_there_once(folder):
    found = [one[3:] for one in long_table(RunCurves.all_named(["s0"]))]
    first = (100, "first, of two")
    assert found == [
        (*first, "run", "update", "", None, None, 1.0),
        (*first, "options", "penalty", "", None, None, 0.5),
        (*first, "time", "act", "", None, None, 0.25),
        (*first, "agents", "return", "", 0, None, 1.5),
        (*first, "agents", "entropy", "", 1, None, 1.0),
        (*first, "groups", "equality", "", None, None, 0.75),
        (200, "", "run", "update", "", None, None, 2.0),
        (200, "", "agents", "return", "", 0, None, 2.5),
        (200, "", "agents", "return", "", 1, None, 3.0),
        (200, "", "pairs", "gaze", "", 0, 1, 0.25),
        (200, "", "pairs", "gaze", "", 1, 0, 0.5),
        (200, "", "members", "trust", "", 0, 0, 1.0),
        (200, "", "members", "trust", "", 0, 1, 2.0),
        (200, "", "members", "trust", "", 0, 2, 3.0),
        (200, "", "evaluations", "episodes", "maze", None, None, 9.0),
        (200, "", "evaluations", "return", "maze", None, None, 4.0),
        (200, "", "evaluations", "return_low", "maze", None, None, 3.0),
        (200, "", "evaluations", "return_high", "maze", None, None, 5.0),
    ]


def test_runs_are_told_apart_by_labels_or_by_what_they_differ_in(folder):
    named = {(one.run, one.label, one.seed) for one in long_table(RunCurves.all_named(["."]))}
    assert named == {
        ("s0", "penalty=0.5", 0),
        ("s1", "penalty=0.5", 1),
        ("other", "penalty=1.0", 0),
    }
    labelled = long_table(RunCurves.all_named(["mild=s0", "mild=s1"]))
    assert {one.label for one in labelled} == {"mild"}


def test_the_command_writes_what_a_reader_of_csv_reads(folder, capsys):
    assert cli.plot(["csv", "a,b=s0", "other", "--out", "all.csv"]) == 0
    text = (folder / "all.csv").read_text(encoding="utf-8")
    assert text == as_csv(long_table(RunCurves.all_named(["a,b=s0", "other"])))
    first, *_ = rows = list(csv.DictReader(io.StringIO(text)))
    assert first["label"] == "a,b"
    assert first["phase"] == "first, of two"
    assert first["agent"] == first["world"] == ""
    assert len(rows) == 36
    capsys.readouterr()
    assert cli.plot(["csv", "s0"]) == 0
    assert capsys.readouterr().out.count("\n") == 19
    assert cli.plot(["csv", "s0", "--out", "nowhere/all.csv"]) == 2
    assert capsys.readouterr().err.endswith("nowhere/all.csv: No such file or directory\n")


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators there")
def test_a_users_link_is_written_through(folder, capsys):
    (folder / "link.csv").symlink_to("numbers.csv")
    assert cli.plot(["csv", "s0", "--out", "link.csv"]) == 0
    assert (folder / "link.csv").is_symlink()
    assert (folder / "numbers.csv").read_text() == as_csv(long_table(RunCurves.all_named(["s0"])))
    capsys.readouterr()


@pytest.mark.parametrize("words", [["csv", "s0", "--out"], ["schelling", "--json"]])
@pytest.mark.parametrize("name", ["metrics.jsonl", "config.json"])
def test_a_run_is_not_written_over(folder, capsys, name, words):
    before = (folder / "s0" / name).read_bytes()
    assert cli.plot([*words, f"s0/{name}"]) == 2
    assert f"s0/{name}: that is the run's own record" in capsys.readouterr().err.replace("\\", "/")
    assert (folder / "s0" / name).read_bytes() == before
