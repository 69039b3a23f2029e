"""Who plays in an evaluation: what is named, from whatever run, in whatever seat."""

import json

import numpy as np
import pytest
import torch
from tests.python.train.runs import tiny

import socialgrid
from socialgrid.commands import cli
from socialgrid.commands.evaluate import evaluate
from socialgrid.config import UsageError, load_config
from socialgrid.config.evaluation import EvalOptions
from socialgrid.models import ViewSpec
from socialgrid.train import (
    Phase,
    Worlds,
    checkpoint,
    companies,
    derived_seed,
    eyes_of,
    learner_of,
    seats_of,
)

E = 24
OPTIONS = EvalOptions(episodes=E, seeds=(4,))
SHORT = ["--total-steps", "256"]
RUNS = {
    "one": [],
    "two": ["--seed", "1", "--memory", "12", "--channels", "5"],
    "hearing": ["--social", "moa,visible-actions", "--moa.memory", "8"],
    "talking": ["--social", "comm"],
    "blind": ["--seed", "2", "--hide-from-learners", "goal"],
    "narrow": ["--set", "view_size=5"],
    "dear": ["--set", "penalty=1.0"],
    "three": ["--players", "learner,learner,learner", "--social", "visible-actions"],
    "values": [
        "--algorithm", "recurrent-dqn", "--buffer-size", "64", "--num-envs", "2",
        "--batch-size", "4", "--hidden", "8", "--rollout-steps", "8", "--total-steps", "32",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossplay")
    preset = tiny(folder)
    for name, words in RUNS.items():
        line = [preset, "--players", "learner,learner", *SHORT, *words]
        if name == "values":
            text = (folder / "tiny.toml").read_text()
            (folder / "values.toml").write_text(text[: text.index("[algorithm]")])
            line[0] = str(folder / "values.toml")
            line += ["--no-tensorboard", "--no-curves", "--no-video", "--device", "cpu"]
        assert cli.train([*line, "--run-dir", str(folder / name)]) == 0, name
    frozen = f"checkpoint:{folder / 'one'}#1,learner"
    words = [preset, *SHORT, "--players", frozen, "--run-dir", str(folder / "frozen")]
    assert cli.train(words) == 0
    return folder


def played(run, *players, options=OPTIONS, **changes):
    """Returns [A, E] of an evaluation with everybody, and what played."""
    changed = EvalOptions(**{**vars(options), "players": tuple(map(str, players)), **changes})
    found = [r for r in evaluate(run, changed, {}).results if r.condition == "together"]
    return np.array([r.returns for r in found]), [r.plays for r in found]


def by_hand(*agents):
    """Returns [A, E] of agents (run, slot), each with a network and random numbers of its own."""
    run = load_config(agents[0][0])
    worlds = Worlds(
        run.env.game, E, [None] * len(agents), Phase(run.env.options, 0), seed=derived_seed(4, 2)
    )
    first, env = worlds.reset(), worlds.env
    players = []
    for seat, (path, slot) in enumerate(agents):
        config = load_config(path)
        spec = ViewSpec.of(env, (seat,))
        learner = learner_of(config, spec, [seat], torch.device("cpu"))
        stored = checkpoint.load_newest(path / "checkpoints")[1].weights
        for name, parameter in learner.model.named_parameters():
            parameter.data[0] = stored[f"model/{name}"][slot]
        players.append([learner, learner.initial_state(E)])
    obs, reset = torch.from_numpy(first.obs), torch.ones(E, 1, dtype=torch.bool)
    returns, going = np.zeros((E, 2)), np.ones(E, bool)
    first_step = derived_seed(4, 7) >> 1  # the draws of a seed of evaluations are its own
    for step in range(first_step, first_step + env.max_steps):
        actions = np.zeros((E, 2), np.int32)
        for seat, player in enumerate(players):
            out = player[0].act(obs[:, [seat]], player[1], reset, step=step)
            player[1] = out.state
            actions[:, seat] = out.action[:, 0].numpy()
        seen, reward, _, _, info = env.step(actions)
        obs, reset = torch.from_numpy(seen), torch.from_numpy(info["done"])[:, None]
        returns += reward * going[:, None]
        going &= ~info["done"]
    worlds.close()
    assert returns.any(), "nothing happened, so nothing is compared"
    return returns.T


@pytest.mark.parametrize(
    "agents", [("one#0", "two#1"), ("two#1", "one#0"), ("two#0", "two#0"), ("one#1", "one#0")]
)
def test_what_is_named_is_what_plays_in_any_seat(runs, agents):
    found, names = played(runs / "one", *(f"checkpoint:{runs / agent}" for agent in agents))
    wanted = [(runs / agent[:-2], int(agent[-1])) for agent in agents]
    np.testing.assert_array_equal(found, by_hand(*wanted))
    assert names == [str(runs / agent) for agent in agents]
    as_learners = played(runs / "one", *(f"learner:{runs / agent}" for agent in agents))
    np.testing.assert_array_equal(as_learners[0], found)


def test_a_runs_own_names_mean_its_own_agents(runs):
    default, names = played(runs / "one")
    assert names == [f"{runs / 'one'}#0", f"{runs / 'one'}#1"]
    np.testing.assert_array_equal(played(runs / "one", "learner", "learner")[0], default)
    np.testing.assert_array_equal(default, by_hand((runs / "one", 0), (runs / "one", 1)))
    assert not np.array_equal(
        played(runs / "one", f"learner:{runs / 'two'}", "learner")[0], default
    )
    # A run's first learner is the first that learnt there, not the first with a network.
    _, names = played(runs / "two", f"checkpoint:{runs / 'frozen'}", "learner")
    assert names == [f"{runs / 'frozen'}#1", f"{runs / 'two'}#0"]
    _, names = played(runs / "frozen", "learner", "expert")
    assert names == [f"{runs / 'frozen'}#1", "expert"]
    config = load_config(runs / "frozen")
    own = seats_of(runs / "frozen", config, config.players.kinds)
    assert [(seat.run, seat.slot) for seat in own] == [(runs / "frozen", 0), (runs / "frozen", 1)]
    with pytest.raises(UsageError, match=r"2 learners, .* has 1"):
        played(runs / "frozen", "learner", "learner")


def test_a_run_is_the_same_however_its_path_is_spelt(runs):
    spelt = f"checkpoint:{runs / 'two' / '..' / 'one'}#1"
    changed = EvalOptions(**{**vars(OPTIONS), "players": ("learner", spelt)})
    found, own = evaluate(runs / "one", changed, {}), evaluate(runs / "one", OPTIONS, {})
    assert [r.plays for r in found.results] == [r.plays for r in own.results]
    assert str(found.outcomes) == str(own.outcomes), "all are its own"


def test_novices_play_as_they_were_born(runs):
    found, names = played(runs / "one", "novice", "learner")
    assert names[0].endswith("as it was born")
    assert not np.array_equal(found, played(runs / "one", "learner", "learner")[0])


@pytest.mark.parametrize(
    ("run", "players", "message"),
    [
        ("one", ("learner", "checkpoint:narrow"), r"sees \(15, 15, 3\), agent 1 .*\(21, 21, 3\)"),
        ("one", ("learner", "checkpoint:talking"), r"its agents talk to each other \(comm\)"),
        ("talking", ("learner",), r"all of \[0, 1\] must play, in this order; here \[0\] do"),
        ("hearing", ("learner", "learner", "random"), "hear what 2 agents do .* here are 3"),
        ("one", ("learner", "checkpoint:three"), "hear what 3 agents do"),
        ("one", ("random", "expert"), "no networks|nobody"),
        ("one", ("learner", "frozen"), "frozen as which run has it"),
    ],
)
def test_agents_that_do_not_fit_are_refused(runs, run, players, message, capsys):
    named = [
        f"checkpoint:{runs / player[11:]}" if player.startswith("checkpoint:") else player
        for player in players
    ]
    with pytest.raises(UsageError, match=message):
        played(runs / run, *named)
    assert cli.evaluate([str(runs / run), "--episodes", "1", "--players", ",".join(named)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_kind_of_run_meets_every_other(runs):
    for guest in ("hearing", "blind", "values", "frozen"):
        found, names = played(runs / "one", "learner", f"checkpoint:{runs / guest}#1")
        assert np.isfinite(found).all()
        assert names[1] == f"{runs / guest}#1"
        found, names = played(runs / guest, f"checkpoint:{runs / 'two'}", "learner")
        assert names[0] == f"{runs / 'two'}#0"
    # The learner of values in its own world, by its own evaluation and as a guest there.
    alone = played(runs / "values")[0]
    named = [f"checkpoint:{runs / 'values'}#{slot}" for slot in (0, 1)]
    np.testing.assert_array_equal(played(runs / "values", *named)[0], alone)


def heard(run, *kinds):
    """The seats that the agents of a run hear in place of those of their own world, [A, N]."""
    config = load_config(run)
    seats = seats_of(run, config, [kind.replace("RUN", str(run)) for kind in kinds])
    options = {**config.env.options, "num_agents": len(kinds)}
    world = socialgrid.make_vec(config.env.game, num_threads=1, **options)
    obs, _ = world.reset(seed=0)
    (company,) = companies(seats, world, torch.device("cpu"))
    act, found = company.learner.act, []

    def listening(*args, last, **options):
        found.append(last["actions"])
        return act(*args, last=last, **options)

    company.learner.act = listening
    company.begin(1)
    everybody = torch.ones(1, len(kinds), dtype=torch.bool)
    # Everybody did what the number of the own seat says.
    last = {
        "actions": torch.arange(len(kinds), dtype=torch.int32)[None],
        "rewards": torch.zeros(1, len(kinds)),
    }
    company.act(torch.from_numpy(obs), everybody, last, True)
    return found[0][:, 0].tolist()


def test_agents_hear_others_where_they_heard_them(runs):
    two, three = runs / "hearing", runs / "three"
    assert heard(two, "checkpoint:RUN#0", "checkpoint:RUN#1") == [[0, 1], [0, 1]]
    assert heard(two, "checkpoint:RUN#1", "random") == [[1, 0]]  # its own column stays its own
    mates = "checkpoint:RUN#2", "checkpoint:RUN#0"
    assert heard(three, *mates, "random") == [[1, 2, 0], [1, 2, 0]]  # mates stay mates
    twice = "checkpoint:RUN#1", "random", "checkpoint:RUN#1"
    assert heard(three, *twice) == [[1, 0, 2], [0, 2, 1]]
    # Both agents of hearing by their own places' names are the run itself.
    named = [f"checkpoint:{runs / 'hearing'}#{slot}" for slot in (0, 1)]
    np.testing.assert_array_equal(played(runs / "hearing", *named)[0], played(runs / "hearing")[0])


def test_agents_keep_what_was_hidden_from_them(runs):
    config = load_config(runs / "one")
    kinds = (f"checkpoint:{runs / 'blind'}", "learner", "expert")
    seats = seats_of(runs / "one", config, kinds)
    assert eyes_of(seats, {}) == [["goal"], [], []]
    assert eyes_of(seats, {"hide": [["wall"], ["wall"], ["wall"]]}) == [["goal"], [], ["wall"]]


def test_a_matrix_shows_every_run_beside_every_other(runs, capsys, tmp_path):
    names = ("one", "two", "values")
    files = ["--json", str(tmp_path / "m.json"), "--out", str(tmp_path / "m.png")]
    words = [*(str(runs / name) for name in names), "--episodes", str(E), "--seeds", "4"]
    assert cli.evaluate(["matrix", *words, *files]) == 0
    out = capsys.readouterr().out
    assert "over 24 evaluation episodes" in out
    assert "over 3 runs; each:" in out
    assert (tmp_path / "m.png").stat().st_size > 5000
    data = json.loads((tmp_path / "m.json").read_text())
    one, two = runs / "one", runs / "two"
    beside = (by_hand((one, 0), (two, 1))[0] + by_hand((two, 0), (one, 1))[1]) / 2
    np.testing.assert_allclose(data["returns"][0][1], beside)
    np.testing.assert_allclose(data["returns"][0][0], by_hand((one, 0), (one, 1)).mean(0))
    assert data["cells"][0][1]["mean"] == pytest.approx(beside.mean())
    assert data["seatings"] == [[f"{one}#0", f"{two}#1"], [f"{two}#0", f"{one}#1"]]
    away = np.mean([np.mean(data["returns"][0][j]) for j in (1, 2)])
    assert data["summary"]["beside others"]["each"][0] == pytest.approx(away)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one"], "which runs?"),
        (["one", "one"], "each once"),
        (["one", "nowhere"], "not a run directory"),
        (["one", "dear"], "penalty is 1.0 there and 0.5 here"),
        (["one", "narrow"], "view_size is 5 there and 7 here"),
        (["one", "three"], "the number of players is 3 there and 2 here"),
        (["one", "frozen"], "only one of its players learns"),
        (["one", "talking"], "talk to each other"),
        (["one", "two", "--players", "row,expert"], "row and column must both have a seat"),
    ],
)
def test_runs_that_cannot_meet_are_refused_with_a_reason(runs, words, message, capsys):
    words = [str(runs / word) if (runs / word).is_dir() else word for word in words]
    assert cli.evaluate(["matrix", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_matrix_takes_other_seats_and_options_for_all(runs, capsys, tmp_path):
    words = [str(runs / "frozen"), str(runs / "dear"), "--episodes", "1", "--seeds", "0"]
    files = ["--json", str(tmp_path / "m.json"), "--out", str(tmp_path / "m.png")]
    seats = ["--players", "column,expert,row", "--set", "penalty=0.2"]
    assert cli.evaluate(["matrix", *words, *seats, *files]) == 0
    data = json.loads((tmp_path / "m.json").read_text())
    assert data["seatings"] == [[f"{runs / 'dear'}#0", "expert", f"{runs / 'frozen'}#1"]]


@pytest.mark.parametrize("name", ["one", "values"])
def test_a_checkpoint_that_is_named_is_what_plays(runs, name):
    steps = checkpoint.steps_of(runs / name)
    assert len(steps) == 2
    newest, _ = played(runs / name)
    older, latest = (played(runs / name, checkpoint=str(step))[0] for step in steps)
    np.testing.assert_array_equal(latest, newest)
    assert (older != newest).any() or name == "values", "a learner with values learns too little"
