"""Configuration: strict reading, presets, schedules, the words of the command line."""

import json

import pytest

from socialgrid.train.config import (
    TrainConfig,
    from_dict,
    load_preset,
    option_paths,
    preset_names,
    to_dict,
)
from socialgrid.train.errors import UsageError
from socialgrid.train.options import parse_train, read_value, short_names
from socialgrid.train.schedule import Schedule


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_resolves_and_survives_json(name):
    preset = load_preset(name)
    assert preset.description
    assert from_dict(json.loads(json.dumps(to_dict(preset.config)))) == preset.config


def test_the_paper_preset_is_the_papers():
    config = load_preset("goal-cycle").config
    env, ppo = config.env, config.algorithm
    assert (env.num_envs, env.rollout_steps) == (128, 250)
    assert (ppo.num_minibatches, ppo.minibatch_sequences, ppo.sequence_length) == (20, 512, 16)
    assert (ppo.gamma, ppo.gae_lambda, ppo.clip, ppo.refresh_interval) == (0.993, 0.97, 0.2, 2)
    assert (ppo.kl_target, ppo.kl_hard_limit) == (0.01, 0.03)
    assert (ppo.value_coef, ppo.aux_coef, ppo.entropy_coef) == (0.1, 3.0, 1e-5)
    assert (env.options["grid_size"], env.options["penalty"]) == (13, 1.5)
    assert len(config.players.kinds) == 3
    assert config.run.total_steps == 1_500_000 * 250


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"enviroment": {}}, "'enviroment' (did you mean 'env'?)"),
        ({"env": {"num_env": 3}}, "'env.num_env' (did you mean 'env.num_envs'?)"),
        ({"run": {"penalti": 1}}, "unknown option 'run.penalti'"),
        ({"env": {"seed": 1}}, "did you mean 'run.seed'?"),
        ({"env": 3}, "env: 3 is not a table"),
        ({"env": {"num_envs": "8"}}, "env.num_envs: '8' is not of type int"),
        ({"env": {"num_envs": True}}, "env.num_envs: True is not of type int"),
        ({"env": {"num_envs": 0}}, "must be at least 1"),
        ({"env": {"obs_mode": "rbg"}}, "did you mean 'rgb'?"),
        ({"env": {"options": {"num_agents": 2}}}, "players.kinds"),
        ({"algorithm": {"aux": "predict"}}, "did you mean 'prediction'?"),
        ({"algorithm": {"gamma": 2.0}}, "algorithm: gamma 2.0: must be in [0, 1]"),
        ({"algorithm": {"learning_rate": "fast"}}, "algorithm.learning_rate: 'fast'"),
        ({"network": {"channels": [1.5]}}, "network.channels[0]: 1.5 is not of type int"),
        ({"players": {"kinds": []}}, "at least one agent"),
        ({"schedule": {"solo_fraction": "0:2"}}, "not in [0, 1]"),
        ({"schedule": {"solo_fraction": "5:0.5"}}, "must start at 0"),
        ({"schedule": {"options": {"penalty": "0:a"}}}, "schedule.options.penalty: '0:a'"),
        ({"run": {"total_steps": float("inf")}}, "run.total_steps"),
    ],
)
def test_wrong_configuration_is_refused_and_explained(data, message):
    with pytest.raises(UsageError) as error:
        from_dict(data)
    assert message in str(error.value)


def test_overrides_keep_what_they_do_not_name():
    base = from_dict({"env": {"options": {"penalty": 0.5}, "num_envs": 7}})
    merged = from_dict({"env": {"options": {"grid_size": 9}}}, base)
    assert merged.env.options == {"penalty": 0.5, "grid_size": 9}
    assert merged.env.num_envs == 7


def test_presets_of_ones_own_and_their_errors(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text('base = "goal-cycle"\n[env]\nnum_envs = 4\n[algorithm]\nkl_target = "none"\n')
    config = load_preset(str(own)).config
    assert config.env.num_envs == 4
    assert config.algorithm.kl_target is None
    assert config.env.options["penalty"] == 1.5
    (tmp_path / "config.json").write_text(json.dumps(to_dict(config)))
    assert load_preset(str(tmp_path / "config.json")).config == config
    own.write_text("[env]\nnum_envs = 4 4\n")
    with pytest.raises(UsageError, match=r"mine\.toml"):
        load_preset(str(own))
    own.write_text(f'base = "{own}"\n')
    with pytest.raises(UsageError, match="returns to itself"):
        load_preset(str(own))
    with pytest.raises(UsageError, match="did you mean 'goal-cycle"):
        load_preset("gaol-cycle")
    with pytest.raises(UsageError, match="no such file"):
        load_preset("nowhere.toml")


def test_schedules_hold_their_value_until_the_next_start():
    schedule = Schedule.parse("0:0.5, 81920:1.0,163840:1.5", "x")
    assert [schedule.at(n) for n in (0, 81919, 81920, 163840, 10**9)] == [0.5, 0.5, 1, 1.5, 1.5]
    assert Schedule.parse("0.25", "x").at(7) == 0.25


def test_command_line_words_become_overrides():
    line = (
        "--seed 3 --total-steps 2_000_000 --players expert,expert,learner --aux none "
        "--set penalty=0.5 map=['#.'] color=red --no-tensorboard --learning-rate 1e-4,1e-5 "
        "--kl-target none --solo-fraction 0:0,10:0.75 --schedule.options penalty=0:0.5,8:1 "
        "--env.double-buffer --num_envs=6"
    )
    config = parse_train(line.split(), TrainConfig(), "x")
    assert (config.run.seed, config.run.total_steps) == (3, 2_000_000)
    assert config.players.kinds == ("expert", "expert", "learner")
    assert config.algorithm.aux == "none"
    assert config.env.options == {"penalty": 0.5, "map": ["#."], "color": "red"}
    assert not config.logging.tensorboard
    assert config.algorithm.learning_rate == (1e-4, 1e-5)
    assert config.algorithm.kl_target is None
    assert config.schedule.solo().at(10) == 0.75
    assert config.schedule.game_options()["penalty"].at(8) == 1
    assert config.env.double_buffer
    assert config.env.num_envs == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sed 4", "unknown option '--sed' (did you mean --seed?)"),
        ("--env.num-envz 4", "did you mean --env.num-envs?"),
        ("--aux predicton", "did you mean 'prediction'?"),
        ("--num-envs x", "invalid literal"),
        ("--num-envs", "Missing value"),
        ("--num-envs 0", "env.num_envs: 0 is out of range"),
        ("--precision fp64", "fp64"),
        ("--set penalty", "'penalty' is not key=value"),
        ("7", "unexpected word '7'"),
        ("--device quantum", "quantum"),
    ],
)
def test_bad_words_are_refused_in_one_line(words, message):
    with pytest.raises(UsageError) as error:
        parse_train(words.split(), TrainConfig(), "socialgrid-train x")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_short_names_point_at_existing_options():
    paths = option_paths()
    assert set(short_names().values()) <= set(paths)
    assert short_names()["seed"] == "run.seed"


def test_values_are_read_as_toml_or_text():
    assert [read_value(text) for text in ("1", "0.5", "true", "[1, 2]", "prestige")] == [
        1, 0.5, True, [1, 2], "prestige",
    ]  # fmt: skip
