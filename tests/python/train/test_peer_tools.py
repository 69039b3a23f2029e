"""Building groups of peers, and everything around their runs: pictures, tables, evaluation."""

import io
import json
import math
import shutil

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from tests.python.train.runs import FILM

from socialgrid.algos import DQN, DiscreteSAC, MixedLearner
from socialgrid.commands import cli
from socialgrid.commands.evaluate import evaluate
from socialgrid.commands.play import PlayOptions, play
from socialgrid.config import (
    UsageError,
    from_dict,
    load_config,
    load_preset,
    preset_names,
    run_files,
    to_dict,
)
from socialgrid.config.evaluation import EvalOptions
from socialgrid.measures import Place
from socialgrid.models import TaskSpec
from socialgrid.report import (
    Curve,
    Evaluation,
    Events,
    Outcome,
    PlainConsole,
    Reference,
    RichConsole,
    RunCurves,
    binned_shares,
    compare_group_sizes,
    draw_curves,
    draw_peers,
    mean_and_band,
    mean_over_agents,
    read_metrics,
    report_runs,
    roles,
)
from socialgrid.train import (
    build_off_policy_learner,
    checkpoint,
    has_several_agents,
    make_tasks,
    make_trainer,
)

TINY = """
base = "room-mini"
description = "tiny"
[run]
total_steps = 160
threads = 1
checkpoint_minutes = 0
device = "cpu"
[env]
rollout_steps = 20
num_threads = 1
[env.options]
length = 5
max_steps = 8
[algorithm]
hidden = [8]
batch_size = 8
buffer_size = 128
learning_starts = 16
[evaluation]
interval = 40
episodes = 2
[players]
groups = 2
[variants.peers.social.peers]
follow_steps = 3
epoch_steps = 40
[logging]
console_seconds = 0
tensorboard = false
curves = false
video = false
"""
PEERS = ("--social", "peers", "--players", "learner,adversary,learner")
SMALL = {
    "run": {"threads": 1, "device": "cpu"},
    "env": {"rollout_steps": 20, "num_threads": 1},
    "algorithm": {"hidden": [8], "buffer_size": 512, "batch_size": 4, "learning_starts": 8},
    "evaluation": {"interval": 20, "episodes": 1},
}


@pytest.fixture
def tiny(tmp_path):
    """Path of a tiny preset."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run of two groups of two peers and an adversary, made by the command itself."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "tiny.toml").write_text(TINY)
    run = folder / "run"
    words = [str(folder / "tiny.toml"), "--run-dir", str(run), "--curves", "--video", *PEERS]
    assert cli.train(words) == 0
    return run


# -- building ---------------------------------------------------------------------------------


def learner_of(**sections):
    """The learner of a tiny configuration, for vectors of 4 numbers and 4 actions."""
    config = from_dict({"algorithm": {"name": "dqn"}} | sections)
    spec = TaskSpec(config.players.groups * len(config.roster.slots), (4,), "float32", 4)
    return build_off_policy_learner(config, spec, torch.device("cpu"))


def small(name="dqn", **options):
    return {"name": name, "hidden": [4], "buffer_size": 256, **options}


def test_every_agent_of_every_group_has_streams_and_weights_of_its_own():
    learner = learner_of(
        algorithm=small(),
        players={"kinds": ["learner", "random", "novice", "learner"], "groups": 2},
    )
    assert isinstance(learner, DQN)
    assert learner.agent_ids == tuple(range(6))
    obs = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1)
    values = learner.q_values(obs, torch.zeros(6, 5, 1, dtype=torch.int64)).flatten(1)
    assert len({tuple(row.tolist()) for row in values}) == 6
    assert learner.tensors()["learning"].tolist() == [True, False, True] * 2


def test_a_group_may_mix_algorithms_that_share_what_they_can():
    learner = learner_of(
        algorithm=small(gamma=0.5, double=False, learning_rate=[0.1, 0.2, 0.3]),
        players={"kinds": ["learner"] * 3, "groups": 2, "algorithms": ["dqn", "sac", "dqn"]},
    )
    assert isinstance(learner, MixedLearner)
    dqn, sac = learner.parts
    assert isinstance(dqn, DQN)
    assert isinstance(sac, DiscreteSAC)
    assert learner.agents == ((0, 2, 3, 5), (1, 4))
    assert learner.agent_ids == tuple(range(6))
    assert (dqn.config.gamma, sac.config.gamma) == (0.5, 0.5)
    assert (dqn.config.hidden, sac.config.hidden) == ((4,), (4,))
    assert dqn.config.learning_rate == (0.1, 0.3, 0.1, 0.3)
    assert sac.config.learning_rate == (0.2, 0.2)
    assert not dqn.config.double


def test_what_cannot_be_built_costs_one_line():
    with pytest.raises(UsageError, match="2 rates for 3 players"):
        learner_of(algorithm=small(learning_rate=[0.1, 0.2]), players={"kinds": ["learner"] * 3})
    with pytest.raises(UsageError, match="td3: "):
        learner_of(algorithm=small("td3"))
    with pytest.raises(UsageError, match="nobody in novice, random learns"):
        learner_of(players={"kinds": ["novice", "random"]})


def test_members_take_over_what_another_run_has_learnt(finished, tmp_path):
    _, stored, _ = checkpoint.load_newest(finished / "checkpoints")
    last = f"learner:{finished}#2"
    learner = learner_of(
        algorithm=small(hidden=[8]),
        players={"kinds": ["learner", f"checkpoint:{finished}", last], "groups": 2},
    )
    networks = {k: x for k, x in learner.tensors().items() if k.startswith("model/")}
    assert len(networks) >= 8
    for name, own in networks.items():
        for agent in (1, 4):
            torch.testing.assert_close(own[agent], stored.weights[name][0], rtol=0, atol=0)
        for agent in (2, 5):
            torch.testing.assert_close(own[agent], stored.weights[name][1], rtol=0, atol=0)
        assert not torch.equal(own[0], own[1]) or "bias" in name
    assert learner.tensors()["learning"].tolist() == [True, False, True] * 2
    with pytest.raises(UsageError, match="agent 1 has no network"):
        learner_of(players={"kinds": [f"learner:{finished}#1"]})
    with pytest.raises(UsageError, match="learnt by dqn, not sac"):
        learner_of(algorithm=small("sac"), players={"kinds": [last]})
    with pytest.raises(UsageError, match="differs from this run's"):
        learner_of(algorithm=small(hidden=[9]), players={"kinds": [last]})


def test_a_member_of_a_mixed_group_takes_over_the_networks_of_its_own_kind(tiny, tmp_path):
    mixed = tmp_path / "mixed"
    words = [tiny, "--run-dir", str(mixed), "--peers", "3", "--algorithms", "sac,dqn,dqn"]
    assert cli.train([*words, "--total-steps", "40"]) == 0
    _, stored, _ = checkpoint.load_newest(mixed / "checkpoints")
    learner = learner_of(
        algorithm=small(hidden=[8]), players={"kinds": [f"learner:{mixed}#2", "learner"]}
    )
    for name, own in learner.tensors().items():
        if name.startswith("model/"):
            torch.testing.assert_close(own[0], stored.weights[f"part1/{name}"][1], rtol=0, atol=0)
    report = evaluate(mixed, EvalOptions(episodes=2, seeds=(0,)), {})
    assert len(report.results) == 6


def test_a_run_goes_on_without_the_run_that_its_members_came_from(finished, tiny, tmp_path, capsys):
    teacher, run = tmp_path / "teacher", tmp_path / "run"
    shutil.copytree(finished, teacher)
    words = [tiny, "--run-dir", str(run), "--social", "peers", "--players"]
    assert cli.train([*words, f"learner:{teacher},checkpoint:{teacher}#2"]) == 0
    shutil.rmtree(teacher)
    assert cli.evaluate([str(run), "--episodes", "1", "--seeds", "0"]) == 0
    assert cli.plot([str(run)]) == 0
    assert cli.train(["--resume", str(run), "--total-steps", "200"]) == 0
    assert cli.train([*words, f"learner:{teacher}", "--run-dir", str(tmp_path / "new")]) == 2
    assert f"{teacher}: not a run directory" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_peers_are_evaluated_by_themselves(finished, capsys):
    assert cli.evaluate([str(finished), "--players", "learner,expert"]) == 2
    assert "peers are evaluated by themselves" in capsys.readouterr().err


def test_agents_are_named_by_group_and_place():
    kinds = {"players": {"kinds": ["learner", "expert", "novice"]}}
    dqn = {"algorithm": {"name": "dqn"}}
    assert from_dict(dqn | kinds).roster.names() == ["agent0 learner", "agent2 novice"]
    groups = {"social": {"peers": {}}, "players": {**kinds["players"], "groups": 2}}
    assert from_dict(dqn | groups).roster.names() == [
        "group0 peer0 learner", "group0 peer2 novice",
        "group1 peer0 learner", "group1 peer2 novice",
    ]  # fmt: skip
    mixed = {
        "players": {"kinds": ["learner", "expert", "learner"], "algorithms": ["dqn", "sac"]},
        "social": {"peers": {}},
    }
    assert from_dict(dqn | mixed).roster.names() == [
        "peer0 learner (dqn)",
        "peer2 learner (sac)",
    ]
    assert from_dict(dqn | mixed).roster.members()[1] == "expert"
    assert has_several_agents("GoalCycle-v0")
    assert not has_several_agents("Room-v0")
    with pytest.raises(UsageError):
        has_several_agents("Rom-v0")


# -- runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        (name, variant)
        for name in preset_names()
        if load_preset(name).config.regime.name == "off-policy"
        for variant in ("none", *load_preset(name).variants())
        if variant in ("none", "peers") or name in ("room-mini", "pendulum-mini")
    ],
)
def test_every_off_policy_preset_starts(name, variant, tmp_path):
    preset = load_preset(name)
    config = preset.choose(social=[] if variant == "none" else [variant])
    if config.env.gymnasium_id:
        pytest.importorskip("gymnasium")
        if name != "pendulum-mini":
            pytest.importorskip("mujoco")
    noise = {"log_std_init": -3.0} if config.algorithm.name == "sac" else {}
    less = SMALL | {"algorithm": SMALL["algorithm"] | noise}
    if "v5" in config.env.game or name == "pendulum-mini":
        less |= {"evaluation": {"interval": 0}}  # episodes are long there
    trainer = make_trainer(from_dict(less, config), tmp_path)
    trainer.begin()
    row = trainer.step()
    assert row["env_steps"] == 20
    assert len(row["agents"]["return"]) == len(trainer.names) == (1 if variant == "none" else len(
        config.players.kinds))  # fmt: skip
    assert ("members" in row) == (variant != "none")
    if less["evaluation"]["interval"]:
        assert len(row["agents"]["evaluated_return"]) == len(trainer.names)
    trainer.tasks.close()


def test_goal_cycle_is_learnt_by_a_recurrent_q_learner_too(tmp_path):
    preset = load_preset("goal-cycle-mini")
    config = preset.choose(algorithm="recurrent-dqn")
    assert (config.obs_mode, config.algorithm.prioritised) == ("tiles", True)
    less = {
        "env": {"rollout_steps": 24, "num_envs": 2, "num_threads": 1, "options": {"max_steps": 16}},
        "algorithm": {"buffer_size": 64, "learning_starts": 8, "batch_size": 2},
        "evaluation": {"interval": 48, "episodes": 1},
        "run": {"threads": 1, "device": "cpu"},
    }
    trainer = make_trainer(from_dict(less, config), tmp_path)
    trainer.begin()
    row = trainer.step()
    assert trainer.names == ["agent1 learner"]
    assert math.isfinite(row["agents"]["loss"][0])
    assert math.isfinite(row["agents"]["evaluated_return"][0])
    trainer.tasks.close()


def without_times(run):
    timed = ("seconds", "time", "env_steps_per_second", "agent_steps_per_second")
    return [
        {key: value for key, value in row.items() if key not in timed}
        for row in read_metrics(run / "metrics.jsonl")
    ]


def test_a_peer_run_goes_on_bit_for_bit(finished, tiny, tmp_path, capsys):
    cut = tmp_path / "cut"
    assert cli.train([tiny, "--run-dir", str(cut), *PEERS, "--total-steps", "60"]) == 0
    assert cli.train(["--resume", str(cut), "--total-steps", "160"]) == 0
    assert without_times(cut) == without_times(finished)
    assert len(without_times(cut)) == 8
    ends = [checkpoint.load_newest(run / "checkpoints")[1] for run in (cut, finished)]
    for name, x in ends[1].weights.items():
        assert torch.equal(ends[0].weights[name], x), name
    for name, array in ends[1].arrays.items():
        np.testing.assert_array_equal(ends[0].arrays[name], array, err_msg=name)
    assert cli.train(["--resume", str(tmp_path / "nowhere")]) == 2
    assert "not a run directory" in capsys.readouterr().err


def test_a_run_leaves_pictures_a_film_and_a_table(finished, tiny, tmp_path, capsys):
    for name in ("curves.png", "peers.png"):
        pixels = np.asarray(Image.open(finished / name).convert("RGB"))
        assert (pixels < 250).any(-1).mean() > 0.02, f"{name} is nearly empty"
    assert (finished / FILM).stat().st_size > 1000
    assert cli.plot([str(finished)]) == 0
    assert capsys.readouterr().out.split() == [
        str(finished / "curves.png"), str(finished / "peers.png"),
    ]  # fmt: skip
    run = tmp_path / "run"
    assert cli.train([tiny, "--run-dir", str(run), "--groups", "1", "--total-steps", "40"]) == 0
    out = capsys.readouterr().out
    evaluated = read_metrics(run / "metrics.jsonl")[-1]["agents"]["evaluated_return"][0]
    assert f"evaluated return: {evaluated:.2f}" in out
    assert f"{evaluated:.2f} over training" in out
    assert "1 of 1 agents with networks" in out
    assert cli.plot([str(run), "--peers"]) == 2
    assert "nobody gave advice" in capsys.readouterr().err


def test_films_show_every_world_and_stand_still_at_its_end(finished):
    from socialgrid.train import load_off_policy, task_frames

    config = load_config(finished)
    tasks = make_tasks(config, 1, 3)
    learner = load_off_policy(finished, config, tasks.spec, torch.device("cpu"))
    names = config.roster.names()
    pictures = list(task_frames(tasks, learner, names))
    assert len(pictures) == 8
    assert {picture.shape for picture in pictures} == {pictures[0].shape}
    assert all(side % 2 == 0 for side in pictures[0].shape[:2])
    assert any((one != pictures[0]).any() for one in pictures[1:])
    assert len(list(task_frames(make_tasks(config, 1, 3), learner, names, max_frames=3))) == 3
    tasks.close()


# -- evaluation -------------------------------------------------------------------------------


def test_evaluation_plays_without_exploration_and_without_advice(finished, capsys):
    words = [str(finished), "--episodes", "3", "--seeds", "5,6", "--set", "max_steps=9"]
    assert cli.evaluate(words) == 0
    out = capsys.readouterr().out
    assert out.count("\nalone ") == 8
    assert "mean return of group 1" in out
    data = json.loads((finished / "eval-training-world-max_steps=9.json").read_text())
    assert [entry["agent"] for entry in data["results"]] == [0, 1, 2, 3] * 2
    assert {entry["kind"] for entry in data["results"]} == set(load_config(finished).roster.names())

    import socialgrid
    from socialgrid.train import derived_seed

    _, stored, _ = checkpoint.load_newest(finished / "checkpoints")
    env = socialgrid.make_vec(
        "Room-v0", num_envs=12, seed=derived_seed(5, 2), length=5, max_steps=9
    )
    obs, _ = env.reset()
    returns = np.zeros(12)
    weights = {k: x for k, x in sorted(stored.weights.items()) if k.startswith("model/q/")}
    matrices = [x for x in weights.values() if x.dim() == 3]
    shifts = [x for x in weights.values() if x.dim() == 2]
    for _ in range(9):
        x = torch.from_numpy(obs).view(4, 3, 4)
        for layer, (matrix, shift) in enumerate(zip(matrices, shifts, strict=True)):
            x = x.relu() if layer else x
            right = matrix if matrix.shape[1] == x.shape[-1] else matrix.transpose(1, 2)
            x = x @ right + shift[:, None]
        obs, reward, *_ = env.step(x.argmax(-1).view(12, 1).numpy())
        returns += reward[:, 0]
    told = [entry["returns"] for entry in data["results"] if entry["seed"] == 5]
    np.testing.assert_allclose(np.ravel(told), returns, atol=1e-6)
    for group in (0, 1):
        by_seed = data["group"][f"mean_return_of_group_{group}"]["by_environment_seed"]
        own = returns.reshape(2, 2, 3)[group].mean(0)
        np.testing.assert_allclose(by_seed[0], own, atol=1e-6)
    np.testing.assert_allclose(
        data["group"]["mean_return"]["by_environment_seed"][0],
        returns.reshape(4, 3).mean(0),
        atol=1e-6,
    )
    assert "over 2 groups" in out
    assert "mean return of each group: " in out
    means = [
        np.mean(data["group"][f"mean_return_of_group_{group}"]["by_environment_seed"])
        for group in (0, 1)
    ]
    low, high = (data["group"]["mean_return"]["over_groups"][side] for side in ("low", "high"))
    # Student's t of two values: 12.706 standard errors to either side
    assert (low + high) / 2 == pytest.approx(np.mean(means), abs=1e-6)
    assert high - low == pytest.approx(12.706 * abs(means[0] - means[1]), rel=1e-3, abs=1e-6)


def test_groups_of_several_runs_count_as_one_run_each(tmp_path):
    def found(folder, groups, seed):
        made_up(tmp_path / folder, groups=len(groups), seed=seed)
        values = tuple((value,) for value in groups)
        by_group = [Outcome(f"mean_return_of_group_{g}", (v,)) for g, v in enumerate(values)]
        both = Outcome("mean_return", ((float(np.mean(groups)),),), groups=values)
        return tmp_path / folder, Evaluation((), (both, *by_group), step=1000 * len(groups))

    text = report_runs([found("one", (1.0, 2.0), 0), found("two", (3.0, 4.0, 5.0), 1)])
    title, lengths, line = text.splitlines()
    assert lengths == "these runs were not trained for the same time; steps: one 2,000, two 3,000"
    assert title.startswith("2 training runs of 5 groups, 95% confidence over training runs")
    # mean 3, deviation sqrt(2.5), t = 2.776: 3 +- 2.776 * sqrt(2.5 / 5)
    assert line.split()[:5] == ["mean", "return", "3.000", "[1.037,", "4.963]"]
    assert line.endswith("each: 1.000, 2.000, 3.000, 4.000, 5.000")
    with pytest.raises(UsageError, match="same training as"):
        report_runs([found("three", (1.0, 2.0), 0), found("again", (1.0, 2.0), 0)])


def test_evaluation_of_agents_that_meet_counts_their_common_worlds(tmp_path):
    run = tmp_path / "run"
    words = [
        "goal-cycle-mini", "--algorithm", "recurrent-dqn", "--run-dir", run, "--total-steps", "32",
        "--rollout-steps", "16", "--num-envs", "2", "--threads", "1", "--num-threads", "1",
        "--no-tensorboard", "--no-curves", "--buffer-size", "64", "--interval", "0",
        "--device", "cpu", "--set", "max_steps=12",
    ]  # fmt: skip
    assert cli.train([str(word) for word in words]) == 0
    assert (run / FILM).stat().st_size > 1000
    found = evaluate(run, EvalOptions(episodes=2, seeds=(0,)), {})
    assert [(one.condition, one.kind) for one in found.results] == [
        ("together", "trial-and-error"), ("together", "learner"), ("alone", "learner"),
    ]  # fmt: skip
    assert [one.plays for one in found.results][1] == f"{run}#1"
    elsewhere = EvalOptions(episodes=2, seeds=(0,), world="cleanup-mini", players=("learner",))
    with pytest.raises(UsageError, match="networks fit only where"):
        evaluate(run, elsewhere, {})


def test_a_person_plays_in_a_room():
    out = io.StringIO()
    returns = play("Room-v0", PlayOptions(), {"length": 7}, io.StringIO("wwaadq"), out)
    assert len(returns) == 1
    assert "step 5/100" in out.getvalue()
    assert "down" in out.getvalue()
    assert "\u2580" in out.getvalue()
    with pytest.raises(UsageError, match="rgb or tiles"):
        play("Room-v0", PlayOptions(), {"obs_mode": "vector"}, io.StringIO(""), out)


# -- pictures from numbers made up ------------------------------------------------------------


def made_up(
    folder,
    kinds=("learner", "adversary", "learner"),
    groups=2,
    scale=1.0,
    seed=0,
    change=lambda row: None,
    **peers,
):
    """A run directory with rows of metrics that can be worked out by hand, or changed ones."""
    config = from_dict(
        {
            "algorithm": {"name": "dqn"},
            "social": {"peers": peers},
            "players": {"kinds": list(kinds), "groups": groups},
            "run": {"seed": seed},
        }
    )
    agents = groups * len(config.roster.slots)
    folder.mkdir(parents=True)
    run_files.write_config(folder, to_dict(config), "")
    rows = []
    for update in range(1, 5):
        steps = np.array([10 * update, 30, 60])
        numbers = {
            "return": [
                None if update == 1 else scale * (agent + update) for agent in range(agents)
            ],
            "return_std": [0.0] * agents,
            "followed_others": [update / 8] * agents,
        }
        if update % 2 == 0:
            numbers["evaluated_return"] = [scale * (k * 10 + update) for k in range(agents)]
        row = {
            "update": update,
            "env_steps": 100 * update,
            "epoch": 0,
            "agents": numbers,
            "members": {
                "trust": [[float(agent), 1.0, update / 4] for agent in range(agents)],
                "followed": [(steps / steps.sum()).tolist()] * agents,
                "agent_values": [
                    [float(agent * groups // agents), 0.5, 0.25] for agent in range(agents)
                ],
            },
        }
        change(row)
        rows.append(json.dumps(row))
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    return RunCurves(folder)


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are saved."""
    figures = []

    save = Figure.savefig

    def keep(figure, *args, **options):
        figures.append(figure)
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_agents_are_found_in_rows_by_group_and_place(tmp_path):
    run = made_up(tmp_path / "run", ("random", "novice", "learner", "checkpoint:x", "learner"))
    assert run.config.roster.learners() == [[1, 3], [5, 7]]
    assert [run.config.roster.place_of(agent) for agent in range(8)] == [1, 2, 3, 4] * 2
    assert run.advised()
    assert run.table("members", "trust").shape == (4, 8, 3)
    assert run.table("members", "epoch") is run.table("pairs", "trust") is None
    assert run.names("agents") == ["return", "followed_others", "evaluated_return"]
    assert run.names("members", Place.TABLE) == ["followed"]


def test_runs_that_differ_in_seed_or_number_of_groups_are_one_arm(tmp_path):
    one = made_up(tmp_path / "one", groups=2)
    other = made_up(tmp_path / "other", groups=3, seed=7)
    third = made_up(tmp_path / "third", ("learner", "learner"))
    assert one.group == other.group != third.group


def test_means_and_intervals_are_those_of_the_groups(tmp_path, drawn):
    runs = [made_up(tmp_path / "a"), made_up(tmp_path / "b", groups=1, seed=1, scale=2.0)]
    # Groups' mean evaluations: (0 + 10) / 2 + u, (20 + 30) / 2 + u, and twice the first.
    seeds = np.array([[5 + u, 25 + u, 2 * (5 + u)] for u in (2, 4)], float)
    curves = [
        mean_over_agents(run, agents, "evaluated_return")
        for run in runs
        for agents in run.config.roster.learners()
    ]
    steps, mean, low, high = mean_and_band(curves)
    np.testing.assert_array_equal(steps, [200, 400])
    np.testing.assert_allclose(mean, seeds.mean(1))
    reach = 4.302653 * seeds.std(1, ddof=1) / np.sqrt(3)  # Student's t of three values
    np.testing.assert_allclose(high - mean, reach, rtol=1e-5)
    np.testing.assert_allclose(mean - low, reach, rtol=1e-5)
    nothing = mean_and_band([Curve(np.r_[1.0], np.r_[np.nan])])
    assert [len(part) for part in nothing] == [0] * 4
    one = mean_and_band([Curve(np.r_[1.0], np.r_[3.0])])
    assert [part.tolist() for part in one] == [[1.0], [3.0], [3.0], [3.0]]

    level = Reference("p", np.empty(0), np.array([9.0]))
    path = draw_curves(runs, tmp_path / "curves.png", [level])
    assert path.stat().st_size > 20_000
    evaluated, training, followed = drawn[0].axes
    thick = [line for line in evaluated.lines if line.get_linewidth() == 2.0]
    np.testing.assert_allclose(thick[0].get_ydata(), seeds.mean(1))
    assert "n=3 training runs, 95% interval over them" in thick[0].get_label()
    assert len([line for line in evaluated.lines if line.get_linewidth() < 1]) == 3
    assert len(evaluated.collections) == 1, "no band"
    assert any(line.get_label() == "p" for line in evaluated.lines)
    np.testing.assert_array_equal(
        next(x for x in training.lines if x.get_linewidth() == 2.0).get_xdata(), [200, 300, 400]
    )
    np.testing.assert_allclose(
        next(x for x in followed.lines if x.get_linewidth() == 2.0).get_ydata(),
        [1 / 8, 2 / 8, 3 / 8, 4 / 8],
    )


def test_members_of_a_single_group_are_drawn_one_by_one(tmp_path, drawn):
    draw_curves([made_up(tmp_path / "run", groups=1)], tmp_path / "curves.png")
    evaluated = drawn[0].axes[0]
    assert " ".join(evaluated.get_ylabel().split()) == "return without exploration, of evaluations"
    thick = {x.get_label(): x for x in evaluated.lines if x.get_linewidth() == 2.0}
    assert list(thick) == ["peer0 learner", "peer2 learner"]
    assert thick["peer2 learner"].get_ydata().tolist() == [12, 14]
    assert len({line.get_color() for line in thick.values()}) == 2
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names == list(thick)


def test_the_picture_of_who_followed_whom_shows_the_shares(tmp_path, drawn):
    run = made_up(tmp_path / "run")
    edges, shares = binned_shares(run, "followed")
    np.testing.assert_array_equal(edges, [0, 100, 200, 300, 400])
    np.testing.assert_allclose(shares[2, 1], [30 / 120, 30 / 120, 60 / 120])
    path = draw_peers(run, tmp_path / "peers.png")
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).astype(int)
    # Stacked areas fill much of the left quarter in the colours of three members.
    for colour in ((0, 114, 178), (213, 94, 0), (0, 158, 115)):
        assert (np.abs(pixels - colour).max(1) < 8).mean() > 0.01
    rows = np.array(drawn[0].axes).reshape(3, 4)
    assert [one.get_title().partition(":")[0] for one in rows[:, 0]] == [
        "peer0", "peer2", "all learners",
    ]  # fmt: skip
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names == ["0 learner", "1 adversary", "2 learner"]
    trust = [line.get_ydata() for line in rows[1, 1].lines if line.get_linewidth() > 1]
    np.testing.assert_allclose(trust[0], [2.0] * 4)  # mean of agents 1 and 3
    np.testing.assert_allclose(trust[2], [0.25, 0.5, 0.75, 1.0])
    values = [line.get_ydata() for line in rows[2, 2].lines if line.get_linewidth() > 1]
    np.testing.assert_allclose(values[0], [0.5] * 4)  # mean of groups 0 and 1
    evaluated = {line.get_label(): line.get_ydata() for line in rows[0, 3].lines}
    np.testing.assert_allclose(evaluated["evaluated return"], [10 + 2, 10 + 4])  # agents 0 and 2
    areas = [area.get_paths()[0].get_extents().y1 for area in rows[0, 0].collections]
    np.testing.assert_allclose(areas[-1], 1.0)
    single = made_up(
        tmp_path / "single", ("learner",), groups=1, change=lambda row: row.pop("members")
    )
    with pytest.raises(UsageError, match="nobody gave advice"):
        draw_peers(single, tmp_path / "none.png")


def test_the_picture_has_room_for_large_groups_and_small_differences(tmp_path, drawn):
    def large(row):
        first = row["update"] == 1
        row["members"]["followed"] = [[1 / 32] * 32] * 32
        row["members"]["agent_values"] = [[0.5] * 32] * 32
        row["members"]["trust"] = [[200.0 if first else place / 32 for place in range(32)]] * 32

    run = made_up(tmp_path / "run", ("learner",) * 32, groups=1, change=large)
    draw_peers(run, tmp_path / "peers.png")
    rows = np.array(drawn[0].axes).reshape(9, 4)  # eight learners, and all of them together
    assert len(drawn[0].legends[0].get_texts()) == 32
    assert len({line.get_color().tobytes() for line in rows[0, 1].lines}) == 32
    height = rows[0, 1].transData.transform([(0, y) for y in (0, 31 / 32, 200)])[:, 1]
    assert height[1] - height[0] > 0.4 * (height[2] - height[0]), "what is learnt cannot be seen"


def test_returns_over_group_size_have_a_point_a_seed(tmp_path, capsys, drawn):
    made_up(tmp_path / "two", ("learner",) * 2)
    made_up(tmp_path / "three", ("learner",) * 3, groups=3)
    made_up(tmp_path / "more", ("learner",) * 2, groups=1, seed=1, scale=2.0)
    words = [str(tmp_path / name) for name in ("three", "two", "more")]
    out = tmp_path / "sizes.png"
    assert cli.plot(["groups", *words, "--out", str(out)]) == 0
    assert out.stat().st_size > 10_000
    found = compare_group_sizes([RunCurves.named(word) for word in words])
    two, three = found[""]
    assert (two.size, three.size) == (2, 3)
    # Last evaluations: agents' tens plus 4; a group's mean over its agents.
    np.testing.assert_allclose(two.final, [5 + 4, 25 + 4, 2 * (5 + 4)])
    np.testing.assert_allclose(two.over_training, [5 + 3, 25 + 3, 2 * (5 + 3)])
    np.testing.assert_allclose(three.final, [10 + 4, 40 + 4, 70 + 4])
    final = drawn[0].axes[0]
    spots = [line for line in final.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(spots[0].get_ydata(), two.final)
    np.testing.assert_array_equal(spots[1].get_xdata(), [3, 3, 3])
    means = final.containers[0].lines[0]
    assert means.get_marker() == "_"
    assert list(means.get_ydata()) == [two.final.mean(), three.final.mean()]
    assert "95% interval" in final.get_legend().get_title().get_text()
    text = capsys.readouterr().out.splitlines()
    assert text[1].split()[:3] == ["2", "3", f"{two.final.mean():.2f}"]
    assert cli.plot(["groups", f"x={words[0]}", f"y={words[1]}", "--out", str(out)]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:3]] == ["x", "y"]
    # Runs that differ in more than the number of learners are not thrown together.
    made_up(tmp_path / "random", ("learner",) * 2, advice=[])
    made_up(tmp_path / "adversary", ("learner", "learner", "adversary"))
    others = [*words, str(tmp_path / "random"), str(tmp_path / "adversary")]
    found = compare_group_sizes([RunCurves.named(word) for word in others])
    assert {arm: [one.size for one in sizes] for arm, sizes in found.items()} == {
        "others=none, advice=critic,trust,agent-values": [2, 3],
        "others=none, advice=none": [2],
        "others=adversary, advice=critic,trust,agent-values": [3],
    }
    assert cli.plot(["groups", *others, "--out", str(out)]) == 0
    assert cli.plot(["groups"]) == 2
    path = tmp_path / "two" / "metrics.jsonl"
    path.write_text(path.read_text().replace('"evaluated_return"', '"nothing"'))
    assert cli.plot(["groups", *words]) == 2
    assert "no evaluations (evaluation.interval)" in capsys.readouterr().err


# -- what is told while it goes on ------------------------------------------------------------


def peer_row(steps, evaluation=None, agents=2):
    row = {
        "env_steps": steps,
        "env_steps_per_second": 10.0, "agent_steps_per_second": 20.0, "episodes": 3,
        "seconds": 61.0, "epoch": 4,
        "agents": {
            "return": [1.5, None, *[0.0] * (agents - 2)],
            "loss": [0.25, None, *[0.0] * (agents - 2)],
            "asked": [0.125] * agents,
        },
        "members": {
            "followed": [[0.75, 0.25], [None, None], *[[0.0, 1.0]] * (agents - 2)],
            "trust": [[7.0, 8.0]] * agents,
            "agent_values": [[0.5, None]] * agents,
        },
    }  # fmt: skip
    if evaluation is not None:
        row["agents"]["evaluated_return"] = evaluation
    return row


def test_consoles_keep_telling_the_last_evaluation():
    names = ["peer0 learner", "peer1 learner"]
    stream = io.StringIO()
    plain = PlainConsole(names, 0, stream)
    plain.update(peer_row(10, [42.125, -0.5]), 100)
    plain.update(peer_row(20), 100)
    plain.close()
    for line in stream.getvalue().splitlines():
        assert "return: peer0 learner 1.50, peer1 learner -  evaluated return: 42.12, -0.50" in line
    stream = io.StringIO()
    rich = RichConsole(names, Console(file=stream, force_terminal=True, width=140))
    rich.update(peer_row(10, [42.125, -0.5]), 100)
    rich.update(peer_row(20), 100)
    rich.close()
    for part in ("evaluated return", "42.12", "followed", "0.75 0.25", "- -", "0.2500"):
        assert part in stream.getvalue()


def test_many_agents_are_told_of_together():
    stream = io.StringIO()
    PlainConsole([f"peer{k}" for k in range(8)], 0, stream).update(peer_row(10, agents=8), 100)
    assert "0.21 in the mean of 8 agents, 0.00 to 1.50" in stream.getvalue()


def test_tensorboard_has_evaluations_shares_and_trust(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = from_dict(
        {
            "algorithm": {"name": "dqn"},
            "social": {"peers": {}},
            "players": {"kinds": ["learner", "learner"]},
        }
    )
    events = Events(tmp_path, config, 0)
    events.write(peer_row(10, [42.0, -0.5]))
    events.close()
    reader = EventAccumulator(str(tmp_path))
    reader.Reload()
    values = {tag: reader.Scalars(tag)[0].value for tag in reader.Tags()["scalars"]}
    assert values["agents/evaluated_return/learner 0"] == 42.0
    assert values["members/followed/learner 0 of learner 0"] == 0.75
    assert values["members/trust/learner 1 of learner 1"] == 8.0
    assert values["members/agent_values/learner 0 of learner 0"] == 0.5
    assert values["agents/asked/learner 1"] == 0.125
    assert values["run/epoch"] == 4
    assert not any("agent_values/learner 0 of learner 1" in tag for tag in values), (
        "None was written"
    )


@pytest.mark.parametrize(
    ("changes", "agents", "members"),
    [
        ({"players": {"kinds": ["learner"]}}, ["learner 0"], ["learner 0"]),
        (
            {"players": {"kinds": ["expert", "learner:runs/a#1", "expert:0.1", "learner"]}},
            ["expert 0", "learner 0", "expert:0.1 0", "learner 1"],
            ["expert 0", "learner 0", "expert:0.1 0", "learner 1"],
        ),
        (
            {
                "algorithm": {"name": "dqn"},
                "social": {"peers": {}},
                "players": {"kinds": ["adversary", "learner"], "groups": 2},
            },
            ["group0 learner 0", "group1 learner 0"],
            ["adversary 0", "learner 0"],
        ),
    ],
)
def test_names_in_tensorboard_are_the_same_wherever_an_agent_sits(changes, agents, members):
    assert roles(from_dict(changes)) == (agents, members)
