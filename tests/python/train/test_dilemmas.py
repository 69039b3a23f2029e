"""Runs in the social dilemmas: every mechanism, what is measured, shown and evaluated."""

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.python.train.runs import FILM, Silent, same_end

from socialgrid.commands import cli
from socialgrid.commands.evaluate import evaluate
from socialgrid.commands.play import PlayOptions, action_keys, make_game
from socialgrid.config import (
    ALGORITHMS,
    UsageError,
    algorithms_of,
    from_dict,
    load_config,
    load_preset,
    parse_train,
    preset_names,
)
from socialgrid.config.evaluation import EvalOptions
from socialgrid.measures import equality, mean_outcomes
from socialgrid.report import (
    PlainConsole,
    RunCurves,
    draw_curves,
    read_metrics,
    read_references,
    with_curves,
)
from socialgrid.train import (
    Phase,
    Worlds,
    build_learner,
    build_worlds,
    checkpoint,
    create_run,
    episode_frames,
    phase_at,
    play_episodes,
    resume_run,
    settled,
)

MEASURED = ("influence", "comm", "moa")
TINY = """
[run]
total_steps = 144
threads = 1
checkpoint_minutes = 0
device = "cpu"
[env]
game = "Cleanup-v0"
num_envs = 4
rollout_steps = 12
num_threads = 1
[env.options]
map = ["@@@@@@@", "@HRP BB", "@RH PBB", "@HRP BB", "@@@@@@@"]
max_steps = 18
apple_spawn_probability = 0.5
view_size = 7
[players]
kinds = ["learner", "learner", "learner"]
[network]
channels = [3]
first_kernel = 3
features = [8, 8]
memory = 8
heads = []
[algorithm]
name = "a3c"
[variants.moa.social.moa]
memory = 8
[variants.comm.social.comm]
embedding = 4
vocabulary = 4
[variants.ppo.algorithm]
num_minibatches = 2
minibatch_sequences = 4
sequence_length = 6
kl_target = "none"
kl_hard_limit = "none"
[logging]
console_seconds = 0
tensorboard = false
curves = false
video = false
"""


def preset(folder):
    path = Path(folder) / "tiny.toml"
    path.write_text(TINY)
    return load_preset(str(path))


def configured(folder, line=""):
    return parse_train(line.split(), preset(folder), "x")


def said(row):
    """What the console's line says of a row."""
    stream = io.StringIO()
    names = [f"agent{slot}" for slot in range(len(row["agents"]["return"]))]
    PlainConsole(names, 0, stream).update(row, 10**6)
    return stream.getvalue()


def trained(folder, run_dir, line=""):
    trainer = create_run(configured(folder, line), run_dir)
    trainer.train(Silent())
    return trainer


def test_agents_that_hear_or_model_others_keep_their_place(tmp_path):
    run = tmp_path / "run"
    trained(tmp_path, run, "--social comm")
    at_home = f"--social comm --players learner,checkpoint:{run}#1,learner"
    trainer = create_run(configured(tmp_path, at_home), tmp_path / "second")
    stored = checkpoint.load_newest(run / "checkpoints")[1].weights
    weights = trainer.learner.tensors()
    assert torch.equal(weights["model/lstm.weight_ih"][1], stored["model/lstm.weight_ih"][1])
    elsewhere = f"--social comm --players learner,checkpoint:{run}#0,learner"
    with pytest.raises(UsageError, match="give it place 0"):
        create_run(configured(tmp_path, elsewhere), tmp_path / "third")
    plain = tmp_path / "plain"
    trained(tmp_path, plain)
    create_run(
        configured(tmp_path, f"--players learner,checkpoint:{plain}#0,learner"), tmp_path / "moved"
    )


@pytest.mark.parametrize(
    "algorithm", [name for name in algorithms_of("on-policy") if ALGORITHMS[name].sociable]
)
@pytest.mark.parametrize(
    "social",
    ["none", "visible-actions", "influence", "comm", "moa", "inequity", "prosocial", "collective"],
)
def test_every_mechanism_runs_and_resumes_bit_for_bit(tmp_path, algorithm, social):
    measured = "--influence-weight 0.5 --curriculum 0.0001" if social in MEASURED else ""
    line = f"--algorithm {algorithm} --social {social} {measured}"
    trained(tmp_path, tmp_path / "straight", line)
    # 12 steps of rollout in episodes of 18: what is carried over matters.
    trained(tmp_path, tmp_path / "part", f"{line} --total-steps 48")
    trainer, messages = resume_run(tmp_path / "part", 144)
    assert not messages
    assert trainer.learner.algorithm == algorithm
    assert trainer.learner.social.names == (() if social == "none" else (social,))
    trainer.train(Silent())
    same_end(tmp_path / "straight", tmp_path / "part")
    rows = read_metrics(tmp_path / "straight" / "metrics.jsonl")
    if social in ("influence", "comm", "moa"):
        weights = [row["agents"]["influence_weight"][0] for row in rows]
        np.testing.assert_allclose(weights, [0, 0.24, 0.48], rtol=1e-6)
        assert rows[-1]["agents"]["influence"][0] > 0
        pairs = rows[-1]["pairs"]
        listened = rows[-1]["agents"]["value_of_listening"]
        assert max(x or 0.0 for x in pairs["value_of_listening"][0]) == listened[0]
        assert max(x or 0.0 for x in pairs["influence"][0]) > 0
        assert pairs["influence"][0][0] is pairs["value_of_listening"][0][0] is None
        assert listened[0] > 0
        assert "value of listening: 0." in said(rows[-1])
    else:
        assert "pairs" not in rows[-1]
        assert "influence" not in said(rows[-1])


def test_new_episodes_everywhere_leave_nothing_to_be_remembered(tmp_path):
    trainer = create_run(configured(tmp_path, "--social inequity"), tmp_path / "run")
    trainer.start()
    trainer.step()
    assert trainer.learner.carried()
    trainer.start()
    assert not trainer.learner.carried()
    trainer.worlds.close()


def test_rows_tell_what_became_of_the_group(tmp_path):
    trainer = create_run(configured(tmp_path, "--rollout-steps 18"), tmp_path / "run")
    trainer.start()
    row = trainer.step()
    rollout = trainer.rollout  # exactly one episode in every environment
    returns = rollout.reward.sum(0).double().numpy()
    episode = row["groups"]
    assert episode["collective_return"] == pytest.approx(returns.sum(1).mean())
    assert episode["equality"] == pytest.approx(equality(returns).mean())
    counts = rollout.events.sum((0, 2)).double().mean(0).tolist()
    names = trainer.worlds.env.event_names
    assert names == ("apples", "cleaned", "shots", "hits")
    assert [episode[name] for name in names] == pytest.approx(counts)
    assert counts[2] > 0
    assert episode["length"] == 18
    assert 0 <= episode["peace"] <= 1
    trainer.worlds.close()


def test_episodes_that_cross_rollouts_are_counted_once_and_whole(tmp_path):
    trained(tmp_path, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["episodes_finished"] for row in rows] == [0, 4, 4]
    assert "groups" not in rows[0]
    for row in rows[1:]:
        assert row["groups"]["collective_return"] == pytest.approx(sum(row["agents"]["return"]))


def test_means_leave_out_what_an_episode_has_not():
    nan = float("nan")
    found = mean_outcomes({"box_opened": [1.0, 0.0], "box_step": [4.0, nan]})
    assert found == {"box_opened": 0.5, "box_step": 4.0}
    found = mean_outcomes({"box_opened": [0.0], "box_step": [nan]})
    assert found == {"box_opened": 0.0, "box_step": None}
    assert mean_outcomes({}) == {}


def test_agents_of_a_dilemma_cannot_be_absent(tmp_path):
    config = from_dict({"schedule": {"solo_fraction": "0.5"}}, configured(tmp_path))
    with pytest.raises(UsageError, match="Cleanup-v0: its agents cannot be absent"):
        create_run(config, tmp_path / "run")


def test_mechanisms_that_do_not_fit_the_agents_cost_one_line(tmp_path, capsys):
    preset(tmp_path)
    tiny = str(tmp_path / "tiny.toml")
    for words, message in (
        (["--social", "influence", "--num-influencers", "3"], "at least one must be left"),
        (["--social", "comm", "--players", "learner"], "at least two learning agents"),
    ):
        assert cli.train([tiny, "--run-dir", str(tmp_path / "run"), *words]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


DILEMMAS = [name for name in preset_names() if load_preset(name).config.env.game in (
    "Cleanup-v0", "Harvest-v0", "Switch-v0", "BoxTrapped-v0")]  # fmt: skip


@pytest.mark.parametrize("name", DILEMMAS)
def test_every_variant_of_every_preset_makes_its_learner(name):
    found = load_preset(name)
    base = found.config
    assert {"ppo", "moa", "moa-baseline", "comm", "influence"} <= set(found.variants())
    assert base.network.channels == (6,)
    assert base.network.features == (32, 32)
    assert (base.network.memory, base.network.heads, base.algorithm.gamma) == (128, (), 0.99)
    for variant in (*found.variants(), "inequity", "prosocial", "collective"):
        config = (
            found.choose(algorithm=variant)
            if variant in ALGORITHMS
            else found.choose(social=[variant])
        )
        leading = set(MEASURED) & set(config.social.names)
        if leading and len(config.players.kinds) < 2:
            continue
        small = {"env": {"num_envs": 2, "rollout_steps": 32, "num_threads": 1}}
        config = from_dict(small | {"algorithm": {"workers": 1}} if config.algorithm.name == "a3c"
                           else small, config)  # fmt: skip
        worlds = build_worlds(config, phase_at(config, 0), 0)
        learner = build_learner(settled(config), worlds.env, torch.device("cpu"))
        assert learner.social.options == config.social.options
        worlds.close()


@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    [
        ("cleanup", None, (1.26e-3, 1.2e-5, 1.76e-3)),
        ("cleanup", "influence", (1.07e-3, 4.2e-5, 2.48e-4, 0.146, 140, "jsd", 1, 1.0)),
        ("cleanup", "comm", (2.49e-3, 1.27e-5, 3.05e-3, 2.752, 1, "kl", 9, 32)),
        ("cleanup", "moa", (1.23e-3, 1.2e-5, 1.76e-3, 0.62, 40, "kl", 15.007, True)),
        ("cleanup", "moa-baseline", (1.23e-3, 1.2e-5, 1.76e-3, 0.0, 0, "kl", 1.312, False)),
        ("harvest", None, (1.36e-3, 2.8e-5, 6.87e-4)),
        ("harvest", "visible-actions", (2.15e-3, 1.3e-5, 1.84e-3)),
        ("harvest", "influence", (1.07e-3, 4.2e-5, 2.5e-4, 0.224, 140, "pmi", 3, 0.0)),
        ("harvest", "comm", (4.13e-4, 4.9e-5, 2.2e-3, 4.825, 8, "kl", 7, 16)),
        ("harvest", "moa", (1.2e-3, 4.4e-5, 2.23e-3, 2.521, 226, "kl", 10.911, True)),
        ("harvest", "moa-baseline", (2.06e-3, 2.2e-5, 4.95e-3, 0.0, 0, "kl", 1.711, False)),
    ],
)
def test_the_presets_hold_the_papers_tables(name, variant, expected):
    config = load_preset(name).choose(social=[] if variant is None else [variant])
    assert len(config.players.kinds) == 5
    algorithm, social = config.algorithm, [*config.social, None][0]
    found = (algorithm.learning_rate, algorithm.learning_rate_end, algorithm.entropy_coef)
    if len(expected) > 3:
        found += (social.influence_weight, social.curriculum, social.divergence)
        found += {
            "influence": lambda: (social.num_influencers, social.influencee_weight),
            "comm": lambda: (social.vocabulary, social.embedding),
            "moa": lambda: (social.coef, social.visible_only),
        }[social.name]()
    assert found == expected
    if variant == "comm":
        assert social.environment_weight == {"cleanup": 0.0, "harvest": 1.0}[name]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Runs with and without influence, two seeds of one."""
    folder = tmp_path_factory.mktemp("runs")
    for run, line in {
        "moa0": "--social moa", "moa1": "--social moa --seed 1", "comm": "--social comm",
        "plain": "--algorithm ppo",
    }.items():  # fmt: skip
        trained(folder, folder / run, line)
    return folder


def test_evaluation_tells_of_the_group_with_confidence(finished, capsys):
    words = [str(finished / run) for run in ("moa0", "moa1", "comm")]
    assert cli.evaluate([*words, "--episodes", "4", "--seeds", "3,4,5"]) == 0
    out = capsys.readouterr().out
    assert "alone" not in out
    assert "over 12 episodes" in out
    assert "from 3 environment seeds" in out
    assert "2 training runs, 95% confidence over training runs (Student's t): moa0, moa1" in out
    assert "speaker consistency" in out
    data = json.loads((finished / "comm" / "eval-training-world.json").read_text())
    group = data["group"]
    values = np.array(group["collective_return"]["by_environment_seed"])
    assert values.shape == (3, 4)
    returns = np.array([entry["returns"] for entry in data["results"]]).reshape(3, 3, 4)
    np.testing.assert_allclose(values, returns.sum(1))
    assert group["collective_return"]["over_episodes"]["mean"] == pytest.approx(values.mean())
    low, high = (group["collective_return"]["over_episodes"][side] for side in ("low", "high"))
    assert low < values.mean() < high
    assert np.array(group["speaker_consistency"]["by_environment_seed"]).shape == (3, 1)
    assert group["speaker_consistency"]["one_number_a_seed"]
    for name in ("symbol_action", "action_action", "symbol_action_influential"):
        assert group[f"coordination_{name}"]["over_episodes"]["mean"] >= 0
    assert {"influence", "value_of_listening", "influenced_reward_correlation"} <= group.keys()
    plain = evaluate(finished / "plain", EvalOptions(episodes=2, seeds=(0,)), {})
    names = {outcome.metric for outcome in plain.outcomes}
    assert {"cleaned", "peace", "equality"} <= names
    assert not any("coordination" in name or "influence" in name for name in names)


def test_long_episodes_are_played_in_stretches_with_the_same_result(finished):
    run = load_config(finished / "plain")
    played = []
    for longest in (5, 128):  # 4 stretches of 5 steps, the last two steps beyond the episode
        worlds = Worlds(run.env.game, 3, [None] * 3, Phase(run.env.options, 0), seed=7)
        learner = build_learner(run, worlds.env, torch.device("cpu"))
        played.append(play_episodes(worlds, learner, (0, 1, 2), greedy=True, stretch=longest))
        worlds.close()
    np.testing.assert_array_equal(played[0].returns, played[1].returns)
    assert repr(played[0].outcomes) == repr(played[1].outcomes)  # some are nan
    assert [len(one.actions) for one in played] == [20, 18]


def test_samples_of_another_first_step_are_others(finished):
    run = load_config(finished / "plain")
    played = []
    for first_step in (0, 2**61, 2**61):
        worlds = Worlds(run.env.game, 3, [None] * 3, Phase(run.env.options, 0), seed=7)
        learner = build_learner(run, worlds.env, torch.device("cpu"))
        played.append(play_episodes(worlds, learner, (0, 1, 2), False, first_step=first_step))
        worlds.close()
    one, other, again = (each.actions for each in played)
    assert (one != other).mean() > 0.3
    np.testing.assert_array_equal(other, again)


def test_box_trapped_tells_when_the_box_was_opened(tmp_path):
    line = "--game BoxTrapped-v0 --players learner,learner --rollout-steps 50 --social moa"
    base = load_preset("box-trapped")
    network = "--features 8,8 --memory 8 --moa.memory 8 --workers 1 --num-envs 4 --total-steps 200"
    options = f"{line} {network} --threads 1 --num-threads 1 --no-video --no-curves"
    config = parse_train([*options.split(), "--no-tensorboard"], base, "x")
    create_run(config, tmp_path / "run").train(Silent())
    row = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert 0 < row["groups"]["box_opened"] <= 1  # a random choice of eight in fifty steps
    assert 1 <= row["groups"]["box_step"] <= 50
    found = evaluate(tmp_path / "run", EvalOptions(episodes=5, seeds=(0, 1)), {})
    by_name = {outcome.metric: outcome for outcome in found.outcomes}
    assert [len(seed) for seed in by_name["box_opened"].values] == [5, 5]
    assert by_name["box_step"].over_episodes().mean >= 1


def film(run_dir, max_frames=300):
    run = load_config(run_dir)
    worlds = Worlds(run.env.game, 1, [None] * 3, Phase(run.env.options, 0), seed=3, num_threads=1)
    learner = build_learner(run, worlds.env, torch.device("cpu"))
    roster = run.roster
    return list(episode_frames(worlds, learner, roster.slots, roster.names(), max_frames))


def test_films_show_influence_and_rewards_below_the_map(finished):
    frames = film(finished / "moa0")
    assert len(frames) == 18
    assert {picture.shape for picture in frames} == {frames[0].shape}
    plain = film(finished / "plain")
    assert frames[0].shape[0] - plain[0].shape[0] == 84  # one strip more: influence
    for before, after in itertools.pairwise(frames):
        assert (before[-168:] != after[-168:]).any(), "the curves do not move"
    # The map: 5 by 7 cells, 83 pixels each.
    wall = (frames[0][:83, :83] == (180, 180, 180)).all()
    assert wall


def test_long_episodes_are_filmed_every_few_steps(finished):
    every = film(finished / "plain")
    some = film(finished / "plain", max_frames=7)
    assert len(some) == 6
    for index, picture in enumerate(some):
        np.testing.assert_array_equal(picture, every[3 * index])


def test_strips_show_the_past_only():
    picture = np.zeros((20, 200, 3), np.uint8)
    values = np.array([[0.0], [1.0], [1.0], [-1.0], [np.nan]])
    early, late = (with_curves(picture, {"x": values}, step) for step in (1, 3))
    assert early.shape == late.shape == (104, 200, 3)
    blue = (60, 60, 255)
    drawn = [(image[20:] == blue).all(-1).any(0).nonzero()[0].max() for image in (early, late)]
    assert drawn[0] <= 4 + 191 / 4 + 2
    assert drawn[1] > 4 + 2 * 191 / 4


def test_curves_of_groups_with_labels_and_references(finished, tmp_path, capsys):
    table = tmp_path / "public.csv"
    table.write_text("steps,public code,other\n0,1.0,\n100,2.5,3\n200,,4\n")
    words = [f"with MOA={finished / 'moa0'}", f"with MOA={finished / 'moa1'}",
             str(finished / "plain"), "--reference", str(table),
             "--out", str(tmp_path / "all.png")]  # fmt: skip
    assert cli.plot(words) == 0
    assert (tmp_path / "all.png").stat().st_size > 10_000
    for name, text, message in (
        ("bad.csv", "steps,a\nx,y\n", "no table of steps and values"),
        ("bad.json", "[1, 2]", "no table of steps and values"),
        ("bad.json", '{"a": [[1]]}', "no table of steps and values"),
    ):
        (tmp_path / name).write_text(text)
        assert cli.plot([str(finished / "plain"), "--reference", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert cli.plot([str(finished / "plain"), "--reference", "nowhere.csv"]) == 2
    assert "nowhere.csv: No such file" in capsys.readouterr().err


def test_references_are_read_from_both_kinds_of_file(tmp_path):
    (tmp_path / "a.csv").write_text("steps,public,other\n0,1.0,\n100,2.5,3\n")
    public, other = read_references(tmp_path / "a.csv")
    assert (public.label, public.steps.tolist(), public.values.tolist()) == (
        "public", [0, 100], [1, 2.5],
    )  # fmt: skip
    assert (other.steps.tolist(), other.values.tolist()) == ([100], [3])
    (tmp_path / "a.json").write_text('{"paper": 392, "curve": [[0, 1], [5, 2]]}')
    paper, curve = read_references(tmp_path / "a.json")
    assert (len(paper.steps), paper.values.tolist()) == (0, [392])
    assert (curve.steps.tolist(), curve.values.tolist()) == ([0, 5], [1, 2])


def test_panels_and_titles_follow_what_was_measured(finished, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = {}

    def keep(figure, path, **options):
        for axes in figure.axes:
            drawn[" ".join(axes.get_ylabel().split())] = axes
        drawn["legend"] = figure.legends[0]

    monkeypatch.setattr(Figure, "savefig", keep)
    runs = [RunCurves(finished / name) for name in ("moa0", "moa1", "comm", "plain")]
    draw_curves(runs, tmp_path / "x.png", read_references_of(tmp_path))
    for title in ("collective return per episode", "equality of returns (1 - Gini)",
                  "influence on the others, nats",
                  "value of listening",
                  "waste cells cleaned per episode", "apples eaten per episode"):  # fmt: skip
        assert title in drawn
    labels = [text.get_text() for text in drawn["legend"].get_texts()]
    assert [label for label in labels if "agent" not in label] == [
        "mechanisms=moa, name=a3c", "mechanisms=comm, name=a3c", "mechanisms=none, name=ppo",
        "paper",
    ]  # fmt: skip
    # Both seeds of one group are lines of their own, in one colour.
    trends = drawn["collective return per episode"].get_lines()[1::2][:2]
    assert trends[0].get_color() == trends[1].get_color()
    assert trends[0].get_ydata().tolist() != trends[1].get_ydata().tolist()


def read_references_of(folder):
    (folder / "level.json").write_text('{"paper": 12.5}')
    return read_references(folder / "level.json")


def test_the_summary_and_the_console_speak_of_the_group(tmp_path, capsys):
    preset(tmp_path)
    words = [str(tmp_path / "tiny.toml"), "--run-dir", str(tmp_path / "run"), "--social", "moa",
             "--video", "--curves"]  # fmt: skip
    assert cli.train(words) == 0
    out = capsys.readouterr().out
    assert "collective return -" in out
    assert ", equality 0." in out
    assert "\ncollective return    " in out
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
    assert (tmp_path / "run" / FILM).stat().st_size > 1000


@pytest.mark.parametrize(
    ("game", "agent", "keys"),
    [
        ("Cleanup-v0", 0, {"w": 2, " ": 4, "l": 5, "j": 6, "f": 7, "c": 8}),
        ("BoxTrapped-v0", 0, {"w": 2, "o": 7}),
        ("Switch-v0", 1, {"s": 3, "t": 7}),
        ("GoalCycle-v0", 0, {"w": 2, "a": 0, "right": 1, "t": 5, "s": 6}),
    ],
)
def test_every_action_has_a_key(game, agent, keys):
    env, names = make_game(game, PlayOptions(agent=agent), {})
    assert names[agent] is None
    moves, legend = action_keys(env, agent)
    assert keys.items() <= moves.items()
    assert set(moves.values()) == set(range(env.action_counts[agent]))
    assert "q" not in moves
    assert all(name.replace("_", " ") in legend for name in env.action_names[: len(moves)])
    env.close()


def test_the_trapped_agent_has_no_key_to_open_the_box():
    env, _ = make_game("BoxTrapped-v0", PlayOptions(agent=1), {})
    moves, legend = action_keys(env, 1)
    assert "o" not in moves
    assert "open" not in legend
    env.close()
