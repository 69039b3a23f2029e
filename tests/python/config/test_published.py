"""Presets that reproduce a paper are as published, or say where they are not."""

import tomllib
from functools import cache
from pathlib import Path

import pytest

import socialgrid
from socialgrid.commands import cli
from socialgrid.config import (
    UsageError,
    combination,
    load_preset,
    parse_train,
    preset_names,
    to_dict,
)

PUBLISHED = tomllib.loads((Path(__file__).parent / "published.toml").read_text())["entry"]
REPRODUCTIONS = [name for name in preset_names() if load_preset(name).reproduces]


@cache
def resolved(name, variant, algorithm):
    preset = load_preset(name)
    config = preset.choose(algorithm, [variant] if variant else None)
    if variant == "peers":
        config = preset.choose(algorithm, ["peers"])
    return to_dict(config)


def value_of(name, entry, option):
    """What a preset has in force."""
    data = resolved(name, entry.get("variant", ""), entry.get("algorithm"))
    if option.startswith("env.options."):
        key = option.removeprefix("env.options.")
        options, game = data["env"]["options"], data["env"]["game"]
        if not game.startswith("gymnasium:"):
            with socialgrid.make_vec(game, **options) as env:
                found = env.config[key]
            alike = isinstance(found, list) and found and set(map(type, found)) == {str}
            return found[0] if alike and len(set(found)) == 1 else found  # one an agent
        return options[key]
    if option in ("social", "aux"):
        return sorted(data[option])
    value = data
    for key in option.split("."):
        value = value[key]
    return "none" if value is None else value


def held_against(name):
    """By deviation: whether the preset differs from what is published there."""
    found = {}
    for entry in PUBLISHED:
        if name in entry["presets"]:
            prefix = f"{entry['variant']}: " if "variant" in entry else ""
            for option, value in entry.get("values", {}).items():
                found[prefix + option] = value_of(name, entry, option) != value
            found |= dict.fromkeys(entry.get("differs", {}), True)
    return found


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_presets_differ_from_what_is_published_only_where_they_say_so(name):
    found, listed = held_against(name), load_preset(name).deviations()
    assert found, "nothing is known to be published of it"
    differs = {option for option, differs in found.items() if differs}
    assert differs - listed.keys() == set(), "not as published, and not listed"
    assert listed.keys() - differs == set(), "listed, but as published or not in published.toml"
    assert all(len(reason) > 20 for reason in listed.values())


def test_every_preset_named_as_published_is_held_against_it():
    known = {name for entry in PUBLISHED for name in entry["presets"]}
    assert known == set(REPRODUCTIONS)
    for entry in PUBLISHED:
        assert len(entry["source"]) > 10
    for name in preset_names():
        if "published" in load_preset(name).description:
            assert name in known


def test_help_and_list_show_deviations(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.train(["goal-cycle", "--help"])
    assert stop.value.code in (0, None)
    out = " ".join(capsys.readouterr().out.split())
    assert "Reproduces Ndousse et al. (2021). Not as published there:" in out
    assert "env.options.prestige_decay: 0.95 for 0.99" in out
    assert cli.train(["--list"]) == 0
    out = capsys.readouterr().out
    assert "reproduces Jaques et al. (2019); 5 deviations: socialgrid-train cleanup --help" in out


def test_bases_deviations_count_for_reproductions_only(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('base = "goal-cycle"\n[algorithm]\ngamma = 0.9\n')
    assert load_preset(str(own)).deviations() == {}
    own.write_text('base = "goal-cycle"\nreproduces = "x"\n[deviations]\n"players.kinds" = ""\n')
    names = load_preset(str(own)).deviations()
    assert "players.kinds" not in names
    assert "env.options.prestige_decay" in names
    own.write_text("[deviations]\ngamma = 1\n")
    with pytest.raises(UsageError, match="deviations: must be a table of reasons"):
        load_preset(str(own))


def told(preset, *words):
    """What is said of a combination on a command line."""
    loaded = load_preset(preset)
    return combination(words, loaded, parse_train(words, loaded, ""))


def test_combinations_say_whose_values_they_use():
    note = told("harvest", "--social", "moa,visible-actions")
    assert (
        "algorithm.entropy_coef 0.00184, algorithm.learning_rate 0.00215, "
        "algorithm.learning_rate_end 1.3e-05 from visible-actions"
    ) in note
    assert "social.moa.coef 10.911" in note
    assert note.endswith("tuned together: --social moa-paper or moa-paper-baseline")
    turned = told("harvest", "--social", "visible-actions,moa")
    assert "algorithm.learning_rate 0.0012," in turned
    assert "from visible-actions" not in turned
    assert "algorithm." not in told("harvest", "--social=moa,visible-actions", "--algorithm", "ppo")
    own = told("harvest", "--social", "moa,visible-actions", "--learning-rate", "0.5")
    assert "learning_rate " not in own, "what the command line says comes from no mechanism"
    for words in ([], ["--social", "moa"], ["--social", "moa-paper"], ["--social", "none"]):
        assert told("harvest", *words) == ""
    bare = told("switch", "--social", "prosocial,visible-actions")
    assert "prosocial,visible-actions: values tuned for single mechanisms" in bare
    assert "\n" not in note + bare


def test_the_last_word_on_a_value_is_the_last_presets(tmp_path):
    base, own = tmp_path / "base.toml", tmp_path / "own.toml"
    base.write_text(
        'base = "harvest"\n[variants.moa.social.moa]\ncoef = 1.0\n'
        "[variants.visible-actions.social.moa]\ncoef = 2.0\ncurriculum = 3.0\n"
    )
    own.write_text(f'base = "{base}"\n[variants.moa.social.moa]\ncoef = 5.0\n')
    words = ["--social", "moa,visible-actions"]
    assert "social.moa.coef 2.0" in told(str(base), *words).split("from visible-actions")[0]
    note = told(str(own), *words)
    assert "social.moa.coef 5.0" in note.partition("from visible-actions")[2]


def test_a_combination_is_told_before_training(tmp_path, capsys):
    words = ["cleanup-mini", "--social", "moa,visible-actions", "--total-steps", "1"]
    words += ["--run-dir", str(tmp_path / "run"), "--num-envs", "2", "--rollout-steps", "5"]
    quick = ["--no-curves", "--no-video", "--no-tensorboard", "--device", "cpu", "--threads", "1"]
    assert cli.train([*words, *quick]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("social moa,visible-actions: values tuned for single mechanisms")
    assert lines[1].startswith("run directory")
