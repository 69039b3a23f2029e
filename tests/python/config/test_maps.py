"""Maps of one's own: in files of text, and in place of the world that a preset lays out."""

import json
from pathlib import Path

import pytest

import socialgrid
from socialgrid.config import UsageError, from_dict, load_preset, parse_train, to_dict
from socialgrid.config.maps import SAID_BY_MAPS

MAP = ["#########", "#..0....#", "#P..#...#", "#.1.#.2.#", "#...#..P#", "#########"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a map in it, and one of another name in a folder below."""
    (tmp_path / "mine.txt").write_text("\n".join(MAP) + "\n", encoding="utf-8")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "other.txt").write_text("\n".join(MAP), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(config):
    """The environment that a run has."""
    return socialgrid.make_vec(
        config.env.game, num_agents=len(config.players.kinds), **config.env.options
    )


def test_a_map_in_a_file_replaces_the_world_of_a_preset(folder):
    words = ["--set", "map=mine.txt", "penalty=1.0"]
    config = parse_train(words, load_preset("goal-cycle-mini"), "socialgrid-train")
    assert config.env.options["map"] == MAP
    assert config.env.options["max_steps"] == 64
    assert not SAID_BY_MAPS & config.env.options.keys()
    with made(config) as env:
        assert env.grid_shape == (6, 9)
        assert env.config["num_goals"] == 3


def test_a_preset_finds_a_map_beside_itself(folder):
    (folder / "own" / "own.toml").write_text(
        'base = "goal-cycle-mini"\n[env.options]\nmap = "other.txt"\n[phases.first]\nsteps = 9\n'
        '[phases.then.options]\nmap = "other.txt"\n',
        encoding="utf-8",
    )
    config = load_preset("own/own.toml").config
    assert config.env.options["map"] == MAP
    assert config.phases["then"].options["map"] == MAP
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config  # a record needs no file
    made(config).close()


def test_what_is_said_beside_a_map_is_not_dropped(folder):
    words = ["--set", "map=mine.txt", "grid_size=8"]
    config = parse_train(words, load_preset("goal-cycle-mini"), "socialgrid-train")
    with pytest.raises(socialgrid.ConfigError, match="grid_size has no meaning together with map"):
        made(config)


@pytest.mark.parametrize("text", ["\ufeff" + "\r\n".join(MAP) + "\r\n\r\n", "\n".join(MAP)])
def test_editors_may_end_lines_and_files_as_they_do(folder, text):
    (folder / "mine.txt").write_bytes(text.encode())
    config = parse_train(["--set", "map=mine.txt"], load_preset("goal-cycle-mini"), "x")
    assert config.env.options["map"] == MAP


@pytest.mark.parametrize("name", ["nowhere.txt", "own/nowhere.txt", "own.txt"])
def test_a_map_that_cannot_be_read_is_named(folder, name):
    (folder / "own.txt").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=f"map: {name}"):
        parse_train(["--set", f"map={name}"], load_preset("maze"), "socialgrid-train")


def test_a_map_says_these_options_by_itself_in_every_game():
    for game in socialgrid.list_games():
        names = {option.name: option for option in socialgrid.game_options(game)}
        if "map" not in names or isinstance(names["map"].default, list | tuple):
            continue  # none, or the map is all that there is
        tiles = "01" if "num_goals" in names else ".G"
        rows = ["#####", "#P..#", f"#.{tiles}#", "#####"]
        socialgrid.make_vec(game, map=rows, num_agents=1).close()
        refused = {}
        for name, option in names.items():
            if name in ("num_agents", "map", "color") or option.default is None:
                continue
            value = 9 if name == "grid_size" else option.default
            try:
                socialgrid.make_vec(game, map=rows, num_agents=1, **{name: value}).close()
            except socialgrid.ConfigError as error:
                refused[name] = str(error)
        assert all("together with map" in text for text in refused.values())
        assert refused.keys() <= SAID_BY_MAPS
        assert "grid_size" in refused


def test_the_example_is_a_preset():
    examples = Path(__file__).parents[3] / "examples"
    preset = load_preset(str(examples / "my_setting.toml"))
    assert preset.description
    assert preset.config.env.options["map"] == (examples / "my_map.txt").read_text("utf-8").split()
    made(preset.config).close()
