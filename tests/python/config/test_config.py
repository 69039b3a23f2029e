"""Configuration: strict reading, presets, schedules, the words of the command line."""

import json

import pytest

import socialgrid
from socialgrid.algos import (
    A3CConfig,
    DQNConfig,
    PPOConfig,
    RecurrentDQNConfig,
    SACConfig,
    TD3Config,
)
from socialgrid.config import (
    ALGORITHMS,
    Preset,
    Schedule,
    TrainConfig,
    UsageError,
    algorithms_of,
    from_dict,
    load_preset,
    parse_train,
    paths_of,
    preset_names,
    read_value,
    short_names,
    to_dict,
)
from socialgrid.config.evaluation import EvalOptions, evaluation_config
from socialgrid.social import Auxiliary, MoaOptions, PeersOptions, PredictionOptions


def of(config):
    """The options of the only mechanism."""
    return config.social.options[-1]


DEFAULTS = Preset("", "", TrainConfig())
DQN = {"algorithm": {"name": "dqn"}}
ASKED = {"social": {"peers": {}}}
PEERS = DQN | ASKED


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_resolves_and_survives_json(name):
    preset = load_preset(name)
    assert preset.description
    assert from_dict(json.loads(json.dumps(to_dict(preset.config)))) == preset.config


def test_worlds_of_presets_can_be_solved():
    found = []
    for name in preset_names():
        env = load_preset(name).config.env
        if env.gymnasium_id is None:
            options = {option.name for option in socialgrid.game_options(env.game)}
            if "solvable" in options:
                found.append(name)
                assert env.options["solvable"] is True, name
    assert {"goal-cycle", "goal-cycle-mini", "four-goals", "four-rooms", "maze"} <= set(found)


def test_the_paper_preset_is_the_papers():
    config = load_preset("goal-cycle").config
    env, ppo = config.env, config.algorithm
    assert (env.num_envs, env.rollout_steps) == (128, 250)
    assert (ppo.num_minibatches, ppo.minibatch_sequences, ppo.sequence_length) == (20, 512, 16)
    assert (ppo.gamma, ppo.gae_lambda, ppo.clip, ppo.refresh_interval) == (0.993, 0.97, 0.2, 2)
    assert (ppo.kl_target, ppo.kl_hard_limit) == (0.01, 0.03)
    assert (ppo.value_coef, ppo.entropy_coef) == (0.1, 1e-5)
    assert config.aux == Auxiliary((PredictionOptions(coef=3.0),))
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
        ({"algorithm": {"aux": "none"}}, "'algorithm.aux' has another name now: 'aux'"),
        ({"social": {"moa_coef": 2}}, "'social.moa_coef' has another name now: 'moa.coef'"),
        ({"social": {"mechanisms": ["moa"]}}, "has another name now: 'social'"),
        ({"algorithm": {"gamma": 2.0}}, "algorithm: gamma 2.0: must be in [0, 1]"),
        ({"algorithm": {"learning_rate": "fast"}}, "algorithm.learning_rate: 'fast'"),
        ({"network": {"channels": [1.5]}}, "network.channels[0]: 1.5 is not of type int"),
        ({"players": {"kinds": []}}, "at least one agent"),
        ({"schedule": {"solo_fraction": "0:2"}}, "not in [0, 1]"),
        ({"schedule": {"solo_fraction": "5:0.5"}}, "must start at 0"),
        ({"schedule": {"options": {"penalty": "0:a"}}}, "schedule.options.penalty: '0:a'"),
        ({"run": {"total_steps": float("inf")}}, "run.total_steps"),
        ({"algorithm": {"name": "a3"}}, "(did you mean 'a3c'?)"),
        (
            {"algorithm": {"name": 3}},
            f"3 is not one of {', '.join(ALGORITHMS)}",
        ),
        ({"algorithm": {"name": "a3c", "clip": 0.1}}, "'algorithm.clip': only ppo has it"),
        ({"algorithm": {"workers": 2}}, "'algorithm.workers': only a3c has it"),
        ({"algorithm": {"name": "a3c", "workers": 0}}, "workers 0: must be at least 1"),
        ({"algorithm": {"name": "a3c", "workers": 129}}, "cannot share env.num_envs 128"),
        ({"algorithm": {"sequence_length": 251}}, "longer than env.rollout_steps 250"),
        ({"social": "moa"}, "social: 'moa' is not a table of mechanisms"),
        ({"social": {"moa": 3}}, "social.moa: 3 is not a table"),
        ({"social": {"mao": {}}}, "social: 'mao' is not one of"),
        ({"social": {"prediction": {}}}, "social: 'prediction' is not one of"),
        ({"aux": {"predict": {}}}, "did you mean 'prediction'?"),
        ({"social": {"moa": {}, "comm": {}}}, "one influence mechanism at most"),
        ({"social": {"moa": {"coeff": 1}}}, "did you mean 'social.moa.coef'?"),
        ({"algorithm": {"name": "dqn", "clip": 0.1}}, "'algorithm.clip': only ppo has it"),
        ({"algorithm": {"clip": 0.1, "name": "sac"}}, "'algorithm.clip': only ppo has it"),
        ({"algorithm": {"double": True}}, "only dqn, recurrent-dqn have it"),
        ({"algorithm": {"name": "td3", "tau": 0.0}}, "algorithm: tau 0.0: must be in (0, 1]"),
        ({"social": {"peers": {}}}, f"ppo has no peers; {', '.join(algorithms_of('off-policy'))}"),
        (DQN | {"social": {"moa": {}}}, "dqn has no moa; ppo, a3c"),
        (DQN | {"social": {"peers": {}, "lectr": {}}}, "one adviser mechanism at most"),
        (DQN | {"evaluation": {"worlds": ["maze"]}}, "dqn is evaluated where it learns; ppo, a3c"),
        ({"evaluation": {"worlds": []}}, "evaluation.worlds: at least one is needed, as training"),
        ({"players": {"groups": 2}}, "players.groups: ppo has no use for it"),
        (DQN | {"evaluation": {"interval": -1}}, "evaluation.interval: -1 is out of range"),
        (DQN | {"evaluation": {"episodes": 0}}, "evaluation.episodes: 0 is out of range"),
        (DQN | {"env": {"double_buffer": True}}, "env.double_buffer: dqn has no use for it"),
        (DQN | {"schedule": {"solo_fraction": "0.5"}}, "schedule: dqn follows none"),
        ({"env": {"game": "gymnasium:Walker2d-v5"}}, "ppo plays grid games only"),
        (DQN | {"env": {"game": "gymnasium:"}}, "gymnasium:ID needs an ID"),
        (DQN | {"env": {"game": "gymnasium:A-v0", "obs_mode": "rgb"}}, "observations of its own"),
        ({"env": {"obs_mode": "vector"}}, "ppo reads rgb or tiles"),
        ({"run": {"precision": "fp32"}}, "is not one of auto, float32, tf32, bf16"),
        ({"run": {"matmul_precision": "high"}}, "has another name now: 'run.precision'"),
        ({"algorithm": {"precision": "bf16"}}, "has another name now: 'run.precision'"),
        (
            DQN | {"social": {"peers": {"advice": ["critc"]}}},
            "social.peers: advice 'critc': must be one of critic",
        ),
        (DQN | {"social": {"peers": {"advice": ["trust", "trust"]}}}, "each at most once"),
        (DQN | {"social": {"peers": {"advice": [], "choice": "greedy"}}}, "nobody is worth more"),
        (
            DQN | {"social": {"peers": {"choice": "best"}}},
            "'best' is not one of boltzmann, greedy, others",
        ),
        (DQN | {"social": {"peers": {"trust_rate": 0.0}}}, "trust_rate 0.0: must be in (0, 1]"),
        (DQN | {"social": {"peers": {"temperature": 0.0}}}, "temperature 0.0: must be positive"),
        (
            DQN | {"social": {"peers": {"temperature_decay": -1.0}}},
            "temperature_decay -1.0: must be 0",
        ),
        (DQN | {"social": {"peers": {"epsilon": 1.5}}}, "epsilon 1.5: must be in [0, 1]"),
        (DQN | {"social": {"peers": {"follow_steps": 0}}}, "follow_steps 0: must be at least 1"),
        (
            DQN | {"social": {"peers": {"trust_samples": 10, "trust_buffer": 10}}},
            "be less than trust_buffer",
        ),
        (
            DQN | {"social": {"peers": {"initial_trust": 1e39}}},
            "initial_trust 1e+39: must be finite",
        ),
        (
            DQN | {"social": {"lectr": {"threshold_rate": float("nan")}}},
            "threshold_rate: nan is not a number",
        ),
        (DQN | {"algorithm": {"name": "dqn", "learning_rate": float("nan")}}, "learning_rate"),
        (DQN | {"social": {"peers": {"budget_epochs": -1}}}, "budget_epochs -1"),
        (DQN | {"social": {"peers": {"budget_share": 1.5}}}, "budget_share 1.5"),
        (
            DQN | {"social": {"peers": {"budget_share": 0.5, "budget_epochs": 3}}},
            "give one of them",
        ),
        (DQN | {"social": {"peers": {"initial_trust": float("inf")}}}, "initial_trust inf"),
        (PEERS | {"players": {"hide_from_learners": ["goal"]}}, "has a task of its own"),
        (DQN | {"social": {"peers": {"solo_ratio": 1.5}}}, "it or 1 / it must be a whole number"),
        (PEERS | {"players": {"algorithms": ["ppo"]}}, "'ppo' is not one of dqn"),
        (PEERS | {"players": {"algorithms": ["dqn", "sac"]}}, "2 for 1 members with networks"),
        (PEERS | {"players": {"algorithms": ["recurrent-dqn"]}}, "remembers its own task only"),
        ({"algorithm": {"name": "recurrent-dqn"}} | ASKED, "remembers its own task only"),
    ],
)
def test_wrong_configuration_is_refused_and_explained(data, message):
    with pytest.raises(UsageError) as error:
        from_dict(data)
    assert message in str(error.value)


def test_the_name_of_an_algorithm_chooses_its_class_and_defaults():
    a3c = from_dict({"algorithm": {"name": "a3c", "workers": 2}})
    assert a3c.algorithm == A3CConfig(workers=2)
    again = from_dict({"algorithm": {"workers": 3}}, a3c)
    assert again.algorithm == A3CConfig(workers=3)
    assert from_dict({"algorithm": {"name": "a3c"}}, again).algorithm == again.algorithm
    ppo = from_dict({"algorithm": {"name": "ppo", "gamma": 0.5}}, again)
    assert ppo.algorithm == PPOConfig(gamma=0.5)
    assert from_dict(json.loads(json.dumps(to_dict(again)))) == again
    # A3C has no sequences that could be longer than a rollout.
    assert from_dict({"algorithm": {"name": "a3c"}, "env": {"rollout_steps": 3}})


def test_off_policy_algorithms_have_classes_of_their_own():
    found = [
        from_dict({"algorithm": {"name": name}}).algorithm for name in algorithms_of("off-policy")
    ]
    assert found == [DQNConfig(), RecurrentDQNConfig(), SACConfig(), TD3Config()]
    td3 = from_dict({"algorithm": {"name": "td3", "hidden": [7], "max_grad_norm": 3}})
    assert td3.algorithm == TD3Config(hidden=(7,), max_grad_norm=3.0)
    assert from_dict(json.loads(json.dumps(to_dict(td3)))) == td3


def test_games_have_observations_for_the_algorithm_at_hand():
    assert from_dict({}).obs_mode == "rgb"
    assert from_dict(DQN).obs_mode is None
    assert from_dict(DQN | {"env": {"obs_mode": "tiles"}}).obs_mode == "tiles"
    assert from_dict(DQN).env.gymnasium_id is None
    assert from_dict(DQN | {"env": {"game": "gymnasium:A/B-v1"}}).env.gymnasium_id == "A/B-v1"


def test_members_with_networks_are_told_from_those_without():
    kinds = ("expert", "learner", "novice", "checkpoint:x#1", "adversary", "learner:y", "random")
    assert from_dict({"players": {"kinds": kinds}}).roster.slots == (1, 2, 3, 5)


@pytest.mark.parametrize(
    ("ratio", "budget", "solo"),
    [
        (0.0, None, "......"),
        (0.0, 2, "..SSSS"),
        (0.0, 0, "SSSSSS"),
        (1.0, None, ".S.S.S"),
        (3.0, None, ".S...S...S.."),
        (3.0, 4, ".S...SSSSS"),
        (0.333333, None, "S.SSS.SSS."),
        (0.25, 1, "S.SSSSSSSS"),
        (0.5, 2, "S.SS.SSSSS"),
    ],
)
def test_epochs_with_advice_and_without_take_turns_and_end_with_the_budget(ratio, budget, solo):
    config = PeersOptions(solo_ratio=ratio, budget_epochs=budget)
    assert "".join(".S"[config.solo(epoch)] for epoch in range(len(solo))) == solo


def test_room_is_as_published_and_its_variants_stand_for_arms():
    room = load_preset("room-21")
    config = room.config
    assert (config.env.game, config.env.options) == ("Room-v0", {"length": 21})
    assert (config.run.total_steps, config.evaluation.interval) == (1_000_000, 10_000)
    assert config.algorithm == DQNConfig(
        learning_rate=5e-4, batch_size=256, buffer_size=300_000, learning_starts=100,
        train_interval=8, gradient_steps=8, tau=0.02, hidden=(256, 256), double=False,
        epsilon_start=1.0, epsilon_end=0.05, epsilon_steps=100_000,
    )  # fmt: skip
    assert (config.players.kinds, config.advised) == (("learner",), False)

    def choose(line, preset=room):
        return parse_train(line.split(), preset, "x")

    assert choose("--social none") == config
    peers = choose("--social peers")
    assert (peers.players.kinds, peers.advised) == (("learner",) * 2, True)
    assert peers.adviser == PeersOptions()
    paper = choose("--social peers-paper").adviser
    assert (paper.trust_rate, paper.initial_trust) == (0.99, None)
    random = choose("--social random-advice")
    assert (random.adviser.advice, random.social.names) == ((), ("peers",))
    early = choose("--social early-advising").adviser
    assert (early.choice, early.follow_steps) == ("others", 1)
    assert early.of_run(config.run.total_steps).budget_epochs == 5000
    mini = choose("--social early-advising", load_preset("room-mini"))
    assert mini.adviser.of_run(mini.run.total_steps).budget_epochs == 150
    lectr = choose("--social lectr")
    assert lectr.social.names == ("lectr",)
    assert lectr.adviser.explore_when_advised
    # games.md: episodes of 150 and 250 steps, which are the epochs of early advising
    for length, steps in ((27, 150), (33, 250)):
        larger = choose("--social early-advising", load_preset(f"room-{length}"))
        assert larger.env.options == {"length": length, "max_steps": steps}
        assert larger.adviser.epoch_steps == steps


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--peers", "'' is not a number of learners"),
        ("--peers 2 3", "'2 3' is not a number"),
        ("--peers 0", "'0' is not a number"),
        ("--advice critic", r"--advice: only peers has it, .* \(--social peers\)"),
        ("--social none --no-advantage", "--no-advantage: only peers has it"),
        ("--lectr.hidden 8", r"--lectr.hidden: only lectr has it, .* \(--social lectr\)"),
        ("--social lectr --advice critic", "--advice: only peers has it"),
        ("--social lectr --peers 1", "lectr needs two or more members with networks"),
        ("--social early-advising --peers 1", "others, but players.kinds names one member only"),
        ("--social peers --epsilon 0.5", "peers.epsilon: it counts where peers.choice is greedy"),
        ("--social early-advising --peers.temperature 2", "where peers.choice is boltzmann"),
        ("--social random-advice --trust-rate 0.5", "has trust or agent-values; here it has none"),
        ("--social peers --advice critic --initial-trust none", "here it has critic"),
        (
            "--algorithm ppo --groups 2",
            r"ppo has no use for it; .* \(--players.groups 1 turns it off\)",
        ),
    ],
)
def test_options_of_advice_need_somebody_who_advises(line, message):
    with pytest.raises(UsageError, match=message):
        parse_train(line.split(), load_preset("room-21"), "x")


def test_advice_is_chosen_before_members_are_known():
    line = "--env gymnasium:CartPole-v1 --algorithm dqn --social lectr --peers 2"
    config = parse_train(line.split(), load_preset("pendulum-mini"), "x")
    assert (config.social.names, len(config.players.kinds)) == (("lectr",), 2)


def test_options_of_advice_stay_in_presets_without_it(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('base = "room-mini"\n[variants.peers.social.peers]\nadvice = ["critic"]\n')
    own = load_preset(str(path))
    assert parse_train([], own, "x").adviser is None
    assert parse_train(["--social", "peers"], own, "x").adviser.advice == ("critic",)
    assert parse_train(["--groups", "3", "--algorithms", "sac"], own, "x").players.groups == 3
    config = parse_train(["--social", "lectr", "--no-explore-when-advised"], own, "x")
    assert not config.adviser.explore_when_advised


def test_what_a_file_does_not_say_is_as_by_default():
    data = to_dict(load_preset("goal-cycle").config)
    del data["social"]
    data["network"]["features"] = 192  # one layer was a number once
    assert from_dict(data) == load_preset("goal-cycle").config


OWN = """
[env]
num_envs = 4
rollout_steps = 32
[algorithm]
name = "a3c"
learning_rate = 1e-3
[variants.ppo.env]
rollout_steps = 64
[variants.ppo.algorithm]
learning_rate = 5e-4
sequence_length = 64
[variants.moa.algorithm]
learning_rate = 3e-3
[variants.moa.social.moa]
coef = 7.0
[variants.moa-baseline.social.moa]
influence_weight = 0.0
"""


def test_variants_count_where_they_are_chosen_and_explicit_options_win(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    preset = load_preset(str(path))

    def choose(line):
        config = parse_train(line.split(), preset, "x")
        assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
        return config

    plain = choose("")
    assert plain == preset.config
    assert (plain.algorithm.name, plain.algorithm.learning_rate) == ("a3c", 1e-3)
    assert plain.social.names == ()
    moa = choose("--social moa,inequity")
    assert moa.social.names == ("inequity", "moa")
    assert (of(moa).coef, moa.algorithm.learning_rate) == (7.0, 3e-3)
    told = choose("--social moa --moa.coef 1.5 --learning-rate 1e-5")
    assert (of(told).coef, told.algorithm.learning_rate) == (1.5, 1e-5)
    baseline = choose("--social moa-baseline")
    assert baseline.social.names == ("moa",)
    assert of(baseline) == MoaOptions(influence_weight=0.0)
    # What the tables say of A3C's learning rate is not meant for PPO.
    ppo = choose("--algorithm ppo --social moa")
    assert ppo.algorithm == PPOConfig(learning_rate=5e-4, sequence_length=64)
    assert (ppo.env.rollout_steps, of(ppo).coef) == (64, 7.0)
    assert choose("--algorithm.name=ppo --clip 0.1").algorithm.clip == 0.1


def test_presets_inherit_variants_and_their_own_options_come_later(tmp_path):
    base, child = tmp_path / "own.toml", tmp_path / "child.toml"
    base.write_text(OWN)
    child.write_text(
        f'base = "{base}"\n[algorithm]\nname = "ppo"\nlearning_rate = 1e-6\n'
        "[social.moa]\nvisible_only = true\n[variants.moa.social.moa]\ncoef = 8.0\n"
    )
    preset = load_preset(str(child))
    assert preset.variants() == ["moa", "moa-baseline", "ppo"]
    assert preset.config.algorithm == PPOConfig(learning_rate=1e-6, sequence_length=64)
    assert of(preset.config) == MoaOptions(coef=8.0, visible_only=True)
    assert len(parse_train(["--social", "none"], preset, "x").social) == 0
    # Back to A3C: the child's options are PPO's, so only the base's count.
    a3c = parse_train(["--algorithm", "a3c"], preset, "x")
    assert a3c.algorithm == A3CConfig(learning_rate=3e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants = 3", "variants: must hold tables"),
        ("[variants]\nmoa = 3", "variants: must hold tables"),
        ("[variants.moa.sociall.moa]\ncoef = 1.0", "unknown option 'sociall'"),
        ("[variants.moa.social.moa]\ncof = 1.0", "did you mean 'social.moa.coef'?"),
        ("[variants.mao.run]\nseed = 1", "did you mean 'moa'?"),
        ("[variants.ppo.algorithm]\nworkers = 2", "only a3c has it"),
        ("social = 3", "social: 3 is not a table"),
        ("social = 4", "social: 4 is not a table"),
        ("[social.mao]", "did you mean 'moa'?"),
    ],
)
def test_wrong_variants_are_refused_when_the_preset_is_read(tmp_path, text, message):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        load_preset(str(path))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))


def test_overrides_keep_what_they_do_not_name():
    base = from_dict({"env": {"options": {"penalty": 0.5}, "num_envs": 7}})
    merged = from_dict({"env": {"options": {"grid_size": 9}}}, base)
    assert merged.env.options == {"penalty": 0.5, "grid_size": 9}
    assert merged.env.num_envs == 7


def test_presets_of_ones_own_and_their_errors(tmp_path, monkeypatch):
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
    monkeypatch.chdir(tmp_path)
    for name, said in (("mien.toml", "mien.toml: no such file"), ("mine", "unknown preset 'mine'")):
        with pytest.raises(UsageError) as caught:
            load_preset(name)
        assert str(caught.value).startswith(f"{said} (did you mean 'mine.toml'?)")


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
    config = parse_train(line.split(), DEFAULTS, "x")
    assert (config.run.seed, config.run.total_steps) == (3, 2_000_000)
    assert config.players.kinds == ("expert", "expert", "learner")
    assert config.aux.names == ()
    assert config.env.options == {"penalty": 0.5, "map": ["#."], "color": "red"}
    assert not config.logging.tensorboard
    assert config.algorithm.learning_rate == (1e-4, 1e-5)
    assert config.algorithm.kl_target is None
    assert config.schedule.solo().at(10) == 0.75
    assert config.schedule.game_options()["penalty"].at(8) == 1
    assert config.env.double_buffer
    assert config.env.num_envs == 6


def test_peers_are_asked_for_in_a_few_words():
    line = (
        "--social peers --peers 4 --advice critic,trust --no-advantage --env Hallway-v0 "
        "--algorithm sac --algorithms sac,td3,sac,td3 --groups=3 --initial-trust none "
        "--interval 50 --budget-epochs 7 --hidden 8,8 --obs-mode rgb"
    )
    config = parse_train(line.split(), load_preset("room-21"), "x")
    assert config.players.kinds == ("learner",) * 4
    assert config.adviser == PeersOptions(
        advice=("critic", "trust"), advantage=False, initial_trust=None, budget_epochs=7
    )
    players = config.players
    assert (players.groups, players.algorithms) == (3, ("sac", "td3", "sac", "td3"))
    assert (config.env.game, config.env.obs_mode) == ("Hallway-v0", "rgb")
    assert config.algorithm == SACConfig(hidden=(8, 8))
    assert config.evaluation.interval == 50
    for line in ("--social peers --advice none", "--advice=none --social=peers"):
        assert parse_train(line.split(), load_preset("room-21"), "x").adviser.advice == ()
    assert parse_train(["--peers=2"], load_preset("room-21"), "x").players.kinds == ("learner",) * 2
    words = ["--players", "expert, learner,", "learner"]
    found = parse_train(words, load_preset("goal-cycle-mini"), "x").players.kinds
    assert found == ("expert", "learner", "learner")
    walker = "--algorithm td3 --env gymnasium:Walker2d-v5 --set terminate_when_unhealthy=false"
    env = parse_train(walker.split(), load_preset("room-21"), "x").env
    assert (env.gymnasium_id, env.options) == ("Walker2d-v5", {"terminate_when_unhealthy": False})
    walker = load_preset("walker2d")
    assert parse_train(["--env", "gymnasium:Walker2d-v5"], walker, "x").env == walker.config.env
    assert parse_train(["--env", "gymnasium:CartPole-v1"], walker, "x").env.options == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--peers none", "'none' is not a number of learners"),
        ("--peers 0", "'0' is not a number of learners"),
        (
            "--algorithm dqn --social peers --advice critc",
            "advice 'critc': must be one of critic, trust, agent-values",
        ),
        ("--algorithm dqn --temperature 2", "--temperature: only sac has it"),
        ("--algorithm dqn --critics 3", "only sac, td3 have it"),
        ("--algorithm dqn --aux prediction", "dqn has no prediction; ppo, a3c"),
        ("--moa-coef 3", "--moa-coef has another name now: --moa.coef"),
        ("--social.mechanisms moa", "has another name now: --social"),
        ("--moa.coef 3", "only moa has it, which is not chosen here (--social moa)"),
        ("--aux none --decoder-output linear", "another name now: --prediction.decoder-output"),
        ("--aux none --prediction.decoder-output linear", "only prediction has it"),
        ("--social peers", "ppo has no peers"),
        ("--sed 4", "unknown option '--sed' (did you mean --seed?)"),
        ("--social influence --num-influencer 2", "did you mean --num-influencers?"),
        ("--env.num-envz 4", "did you mean --env.num-envs?"),
        ("--aux predicton", "did you mean 'prediction'?"),
        ("--num-envs x", "--env.num-envs: 'x' is no whole number"),
        ("--gamma x", "--algorithm.gamma: 'x' is no number"),
        ("--learning-rate x", "--algorithm.learning-rate: 'x' is nothing that it takes; --help"),
        ("--kl-target x", "--algorithm.kl-target: 'x' is nothing that it takes"),
        ("--num-envs", "--env.num-envs: its value is missing"),
        ("--num-envs 0", "env.num_envs: 0 is out of range"),
        ("--precision fp64", "fp64"),
        ("--matmul-precision high", "--matmul-precision has another name now: --run.precision"),
        ("--algorithm.precision bf16", "has another name now: --run.precision"),
        ("--set penalty", "--set: 'penalty' is not key=value, as in --set penalty=1"),
        ("--penalty 2", "--penalty is an option of GoalCycle-v0: --set penalty=VALUE"),
        ("--grid-size=9", "--grid-size is an option of GoalCycle-v0: --set grid_size=9"),
        ("--num-agents 3", "--num-agents: --players names everybody"),
        ("--resume RUN", "--resume comes first"),
        ("--lr 1e-3", "did you mean --learning-rate?"),
        ("--n_steps 5", "did you mean --rollout-steps?"),
        ("--env gymnasium:CartPole-v1 --obs-mode rgb", "--obs-mode auto takes those"),
        ("7", "unexpected word '7'"),
        ("--device gpu", "--run.device: 'gpu' is not one of 'auto', 'cpu', 'cuda', 'mps'"),
        ("--algorithm a3d", "did you mean 'a3c'?"),
        (
            "--algorithm",
            f"exactly one of {', '.join(ALGORITHMS)} is needed",
        ),
        (
            "--algorithm ppo a3c",
            f"exactly one of {', '.join(ALGORITHMS)} is needed",
        ),
        ("--workers 2", "--workers: only a3c has it"),
        ("--algorithm.name a3c --clip 0.1", "--clip: only ppo has it"),
        ("--social infuence", "did you mean 'influence'?"),
        ("--social", "none, or names with commas"),
        ("--social moa,comm", "one influence mechanism at most"),
        ("--social moa --curriculum -1", "curriculum -1.0: must be 0 or more"),
    ],
)
def test_bad_words_are_refused_in_one_line(words, message):
    with pytest.raises(UsageError) as error:
        parse_train(words.split(), DEFAULTS, "socialgrid-train x")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_short_names_point_at_existing_options():
    paths = paths_of(TrainConfig())
    assert set(short_names().values()) <= set(paths)
    assert short_names()["seed"] == "run.seed"
    moa = load_preset("cleanup").choose(social=["moa"])
    assert short_names(moa)["curriculum"] == "moa.curriculum"
    assert short_names(moa)["memory"] == "network.memory"


def test_values_are_read_as_toml_or_text():
    assert [read_value(text) for text in ("1", "0.5", "true", "[1, 2]", "prestige")] == [
        1, 0.5, True, [1, 2], "prestige",
    ]  # fmt: skip


def test_help_shows_what_can_be_chosen_and_the_games_options(capsys):
    with pytest.raises(SystemExit):
        parse_train(["--help", "--social", "peers"], load_preset("room-mini"), "x")
    out = capsys.readouterr().out
    assert "--social peers  (of peers, lectr)" in out
    assert "--aux" not in out
    assert "--peers.trust-rate" in out
    assert "--moa.coef" not in out
    assert "  length (int): 3 to 255\n      cells from wall to wall (default: 9)" in out
    assert "num_agents" not in out


def test_agents_see_other_worlds_as_they_saw_their_own():
    seen = {"view_size": 5, "prestige_mapping": "sigmoid", "prestige_decay": 0.99}
    run = from_dict({"env": {"game": "GoalCycle-v0", "options": {**seen, "penalty": 0.5}}})
    for where in (EvalOptions(world="four-goals"), EvalOptions(game="Maze-v0")):
        there = evaluation_config(run, where, {}).env.options
        assert seen.items() <= there.items(), "colours say how well others have done lately"
        assert there.get("penalty") != 0.5
    own = evaluation_config(run, EvalOptions(world="four-goals"), {"prestige_decay": 0.5})
    assert own.env.options["prestige_decay"] == 0.5


def test_what_some_players_do_not_see_is_not_hidden_from_others(tmp_path):
    """As where the record of a run is a preset: it says so of agents of other runs."""
    own = tmp_path / "own.toml"
    players = 'base = "goal-cycle-mini"\n[players]\nkinds = ["checkpoint:A", "learner"]\n'
    own.write_text(f'{players}[env.options]\nhide = [["goal"], []]\n')
    preset, others = load_preset(str(own)), ["--players", "learner", "expert"]
    assert parse_train([], preset, "x").env.options["hide"] == [["goal"], []]
    with pytest.raises(
        UsageError, match=r"hide .* is of checkpoint:A, learner; say .*\[\[\], \[\]\]"
    ):
        parse_train(others, preset, "x")
    assert parse_train([*others, "--set", "hide=[]"], preset, "x").env.options["hide"] == []
    own.write_text(f'{players}[env.options]\nhide = ["goal"]\n')
    assert parse_train(others, load_preset(str(own)), "x").env.options["hide"] == ["goal"]
