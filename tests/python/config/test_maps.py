"""Maps of one's own: in files of text, and in place of the world that a preset lays out."""

import json
from pathlib import Path

import pytest

import socialgrid
from socialgrid.commands.play import PlayOptions, make_game
from socialgrid.config import Course, UsageError, from_dict, load_preset, parse_train, to_dict
from socialgrid.config.maps import said_by_maps
from socialgrid.config.spelling import read_pairs

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
    assert not said_by_maps() & config.env.options.keys()
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


def test_a_file_of_any_name_is_a_map(folder):
    (folder / "mine").write_text("\n".join(MAP), encoding="utf-8")
    config = parse_train(["--set", "map=mine"], load_preset("goal-cycle-mini"), "x")
    assert config.env.options["map"] == MAP


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnie.txt", r"map: mnie.txt: No such file or directory \(did you mean 'mine.txt'\?\)"),
        ("mine.tx", r"'mine.tx' is no file that is there, nor a list of rows \(did .* 'mine.txt'"),
        ("own/other", r"'own/other' is no file .*'other.txt'"),
        ("far/away", "'far/away' is no file that is there, nor a list of rows$"),
        ("own", "'own' is no file that is there, nor a list of rows$"),
    ],
)
def test_a_misspelt_file_is_told_with_what_may_be_meant(folder, name, said):
    with pytest.raises(UsageError, match=said):
        parse_train(["--set", f"map={name}"], load_preset("goal-cycle-mini"), "x")
    with pytest.raises(UsageError, match=said):
        make_game("GoalCycle-v0", PlayOptions(), read_pairs([f"map={name}"], "set"))


def test_environments_of_gymnasium_have_maps_of_their_own(folder):
    config = parse_train(["--set", "map=4x4"], load_preset("pendulum-mini"), "x")
    assert config.env.options["map"] == "4x4"


def test_a_map_of_a_phase_replaces_the_world_of_that_phase(folder):
    words = ["--phases.find.options.map", "mine.txt", "--phases.find.options.penalty", "1"]
    config = parse_train(words, load_preset("follow-full-size"), "x")
    options = config.in_phase("find").env.options
    assert (options["map"], options["penalty"], options["max_steps"]) == (MAP, 1, 50)
    assert not said_by_maps() & options.keys()
    assert config.in_phase("show").env.options["grid_size"] == 7
    with pytest.raises(UsageError, match=r"map: mnie\.txt: No such file"):
        parse_train(["--phases.find.options.map=mnie.txt"], load_preset("follow-full-size"), "x")


def test_a_map_beside_worlds_of_phases_is_refused_and_the_way_out_is_told(folder):
    preset, words = load_preset("follow-full-size"), ["--set", "map=mine.txt"]
    with pytest.raises(UsageError) as caught:
        parse_train(words, preset, "x")
    assert "grid_size, clutter_density" in str(caught.value)
    told = str(caught.value).rpartition("too: ")[2].replace("FILE", "mine.txt").split()
    assert told[::2] == [f"--phases.{name}.options.map" for name in ("find", "settle", "show")]
    config = parse_train([*words, *told], preset, "x")
    assert all(one.env.options["map"] == MAP for one in Course(config).configs)


def test_a_record_of_a_map_beside_phases_that_say_the_same_can_be_read(folder):
    """They could be trained in."""
    table = {"steps": 64, "options": {"num_goals": 3}}
    env = {"game": "GoalCycle-v0", "options": {"map": MAP}}
    config = from_dict({"env": env, "phases": {"one": table, "two": {}}})
    made(config.in_phase("one")).close()
    assert from_dict(to_dict(config)) == config
    with pytest.raises(UsageError, match="some phases say num_goals themselves"):
        config.check_maps()


def test_conditions_of_another_world_are_not_played_on_a_map(folder):
    config = parse_train(["--set", "map=mine.txt"], load_preset("follow-by-penalty"), "x")
    four, *fits = [
        one for _, one in sorted(
            config.closing.conditions.items(), key=lambda item: "num_goals" not in item[1].options
        )
    ]  # fmt: skip
    assert all(config.in_condition(one).env.options["map"] == MAP for one in fits)
    with pytest.raises(UsageError, match="num_goals: the map of the run says what it is"):
        config.in_condition(four)  # though it says what the map does: three goals


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
        said = {name for name, option in names.items() if option.layout}
        assert refused.keys() == {name for name in said if names[name].default is not None}
        assert "grid_size" in refused


def test_the_example_is_a_preset():
    examples = Path(__file__).parents[3] / "examples"
    preset = load_preset(str(examples / "my_setting.toml"))
    assert preset.description
    assert preset.config.env.options["map"] == (examples / "my_map.txt").read_text("utf-8").split()
    made(preset.config).close()
