"""The examples and the benchmark run, and do what they show."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import socialgrid

ROOT = Path(__file__).parents[3]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_embed_learns():
    torch.set_num_threads(1)
    example = load(ROOT / "examples" / "embed.py")
    history = example.main(updates=60)
    assert len(history) == 60
    assert np.isfinite(history).all()
    assert np.mean(history[-15:]) > 4 * np.mean(history[:15]), "nobody would see that it learns"


def test_embed_is_a_loop_of_thirty_lines():
    lines = (ROOT / "examples" / "embed.py").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("def main"))
    end = next(i for i, line in enumerate(lines) if line.startswith("    return"))
    assert end - begin <= 35


def test_own_map_shows_an_expert(capsys):
    example = load(ROOT / "examples" / "own_map.py")
    assert example.main() > 0
    printed = capsys.readouterr().out.splitlines()
    drawn = [row.replace("P", ".") for row in example.MAP]
    drawn[1] = "#>" + drawn[1][2:]
    drawn[6] = drawn[6][:9] + "<#"
    assert printed[: len(drawn)] == drawn


def test_peers_learn_in_an_environment_of_ones_own(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    example = load(ROOT / "examples" / "own_env.py")
    try:
        first, *_, last = example.main(steps=1600)
    finally:
        gymnasium.registry.pop("Harbour-v0")
        sys.modules.pop("own_env", None)
    assert len(first) == len(last) == 2
    assert min(last) > max(first)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "speed.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "simulator.py"), "--quick", "--json", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text()), done.stdout


def test_the_benchmark_reports_every_game(report):
    figures, printed = report
    assert {row["game"] for row in figures["games"]} == set(socialgrid.list_games())
    for row in figures["games"]:
        assert 0 < row["low"] <= row["median"] <= row["high"]
        assert row["share_of_copy_rate"] > 0
        assert row["game"] in printed
    for table in ("threads", "batches"):
        assert all(row["median"] > 0 for row in figures[table])
    assert figures["overhead"]["microseconds_per_step"] > 0
    assert {row["game"] for row in figures["memory"]} == set(socialgrid.list_games())


def test_the_benchmark_says_where_it_ran(report):
    figures, printed = report
    machine = figures["machine"]
    for key in ("commit", "date", "cpu", "cores", "python", "versions"):
        assert machine[key], key
    assert machine["commit"] in printed
    measured = {row["peer"] for row in figures["peers"]}
    assert measured | set(figures["peers_absent"]) == {
        "marlgrid", "minigrid", "social_dilemmas", "meltingpot", "socialjax", "peer_learning"
    }  # fmt: skip
