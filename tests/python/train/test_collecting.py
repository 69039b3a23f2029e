"""Batches in one call of the core: every number is that of going step by step."""

import tomllib

import numpy as np
import pytest
import torch
from tests.python.train.runs import TINY

from socialgrid import EnvStepError
from socialgrid.config import from_dict, load_preset
from socialgrid.models import kernels
from socialgrid.players import Player, list_players, register_player
from socialgrid.train import make_trainer

TRIAL, LEARNS = "trial-and-error", "learner"
QUICK = {
    "run": {"device": "cpu", "threads": 1, "total_steps": 1 << 30},
    "env": {"num_envs": 6, "rollout_steps": 20, "num_threads": 1},
    "network": {"channels": [4], "features": [8], "memory": 8, "heads": [8]},
    "algorithm": {"num_minibatches": 2, "minibatch_sequences": 4, "sequence_length": 5},
}
LATE = {"options": {"grid_size": 6, "max_steps": 15, "spawn_delay": [0, 3]}}
NOT_A_NUMBER_OF_TRAINING = {
    *("time", "seconds", "env_steps_per_second", "agent_steps_per_second"),
}


def tiny(kinds=(TRIAL, LEARNS, LEARNS), **changes):
    """The preset of the runs' tests."""
    path = {"players": {"kinds": list(kinds)}, **changes}
    table = tomllib.loads(TINY)
    table.pop("variants"), table.pop("description")
    return from_dict(path, from_dict({**table, "algorithm": {"name": "ppo", **table["algorithm"]}}))


class Hands(Player):
    """Does the same all the time, in Python."""

    def choose(self, env, pos, direction, content):
        return np.full(env.num_envs, 2, np.int32)


register_player("test-hands", Hands)


class Spied:
    """A run that counts the batches which it plays at once."""

    def __init__(self, config, folder, *, by_steps=False):
        self.run = make_trainer(config, folder)
        self.at_once = 0
        self.ends = ()
        learn = self.run.learn

        def learning():
            rollout = self.run.rollout
            self.ends = (rollout.final_index, rollout.final_obs)
            return learn()

        self.run.learn = learning
        if by_steps:
            self.go_by_steps()
        self.run.begin()

    def go_by_steps(self):
        self.run.learner.acts_alone = lambda obs: None

    def step(self):
        self.run.follow_schedule()  # which makes another collector
        play = self.run.collector.play_at_once

        def counted(*given):
            self.at_once += 1
            play(*given)

        self.run.collector.play_at_once = counted
        try:
            return self.run.step()
        finally:
            del self.run.collector.play_at_once


def same(one, other):
    """All that was recorded, and all that a checkpoint has."""
    first, second = one.run.rollout, other.run.rollout
    for name, x in vars(first).items():
        if isinstance(x, torch.Tensor) and not name.startswith("_"):
            assert torch.equal(x, getattr(second, name)), name
    for name, made in first.decisions.items():
        there = second.decisions[name]
        for x, y in zip(vars(made).values(), vars(there).values(), strict=True):
            assert torch.equal(x, y), name
    assert all(map(torch.equal, one.ends, other.ends))
    arrays, others = one.run.arrays(), other.run.arrays()
    assert arrays.keys() == others.keys()
    for name, x in arrays.items():
        np.testing.assert_array_equal(x, others[name], err_msg=name)


def rows_of(run):
    row = run.step()
    return repr({k: v for k, v in row.items() if k not in NOT_A_NUMBER_OF_TRAINING})


def twins(config, folder, batches=3, *, at_once=True):
    """Train a run as it goes, and one by steps."""
    one, other = Spied(config, folder / "a"), Spied(config, folder / "b", by_steps=True)
    for _ in range(batches):
        assert rows_of(one) == rows_of(other)
        same(one, other)
    assert one.at_once == (batches if at_once else 0), "the way it went"
    assert other.at_once == 0
    return one, other


def test_a_batch_has_the_bits_of_its_steps(tmp_path):
    one, other = twins(tiny(), tmp_path)
    assert len(one.ends[0]), "some episodes ended"
    one.go_by_steps()  # and one way goes on where the other has ended
    del other.run.learner.acts_alone
    for _ in range(2):
        assert rows_of(one) == rows_of(other)
        same(one, other)
    assert (one.at_once, other.at_once) == (3, 2)


def test_halves_solo_environments_and_threads_make_no_difference(tmp_path):
    config = tiny(
        env={"double_buffer": True, "num_threads": 2, "num_envs": 9, **LATE},
        run={"threads": 3},
        schedule={"solo_fraction": "0:0.5,20:0.25", "options": {"penalty": "0:0,16:1"}},
        kinds=(TRIAL, LEARNS),
    )
    one, _ = twins(config, tmp_path, 5)
    assert one.run.builds, "the schedules have made other worlds"
    assert len(one.ends[0]), "some episodes ended"
    assert any(part.solo for part in one.run.worlds.parts)


@pytest.mark.parametrize(
    ("kinds", "at_once"),
    [
        ((LEARNS,), True),
        ((LEARNS, "random", LEARNS), True),
        ((LEARNS, LEARNS, "random", LEARNS), False),  # at no even distance in memory
        (("expert", "imperfect:0.2", LEARNS), True),
        (("test-hands", LEARNS), False),
        (("test-hands", TRIAL, LEARNS), False),
    ],
)
def test_whoever_plays(kinds, at_once, tmp_path):
    twins(tiny(kinds=kinds), tmp_path, 2, at_once=at_once)


@pytest.mark.parametrize(
    ("preset", "algorithm", "changes"),
    [
        ("goal-cycle-mini", None, {"env": {"obs_mode": "rgb"}}),
        ("goal-cycle-mini", "a3c", {"env": {"options": {"max_steps": 9, "penalty": 1.0}}}),
        ("goal-cycle-mini", "behaviour-cloning", {}),
        ("four-rooms", None, {"env": {"options": {"max_steps": 15}}}),
        ("maze", None, {"env": {"options": {"max_steps": 15}}}),
        ("cleanup-mini", "a3c", {"env": {"options": {"max_steps": 15}}}),
        ("cleanup-mini", "ppo", {"env": {"options": {"max_steps": 15}}}),
        ("switch", "a3c", {"env": {"options": {"max_steps": 15}}}),
    ],
)
def test_worlds_of_all_kinds(preset, algorithm, changes, tmp_path):
    quick = {name: dict(table) for name, table in QUICK.items()}
    if algorithm in ("a3c", "behaviour-cloning"):
        quick["algorithm"] = {"workers": 1} if algorithm == "a3c" else {}
    for name, table in changes.items():
        quick[name] = {**quick.get(name, {}), **table}
    twins(from_dict(quick, load_preset(preset).choose(algorithm, ())), tmp_path, 2)


@pytest.mark.parametrize(
    "game", ["Cluttered-v0", "DoorKey-v0", "Maze-v0", "Harvest-v0", "Cleanup-v0", "Switch-v0"]
)
def test_every_player_of_a_game_beside_a_learner(game, tmp_path):
    own = [name for name in list_players(game) if not name.startswith("test-")]
    kinds = (*own, "learner")
    size = {"grid_size": 7} if game in ("Cluttered-v0", "DoorKey-v0", "Maze-v0") else {}
    env = {**QUICK["env"], "game": game, "options": {"max_steps": 13, **size}}
    config = from_dict({**QUICK, "env": env, "players": {"kinds": list(kinds)}})
    twins(config, tmp_path, 2)


@pytest.mark.parametrize("algorithm", ["a3c", "ppo"])
@pytest.mark.parametrize("social", [("influence",), ("comm",), ("visible-actions",), ("moa",)])
@pytest.mark.parametrize("steps", [6, 7])
def test_what_is_heard(algorithm, social, steps, tmp_path):
    quick = dict(QUICK)
    if algorithm == "a3c":
        quick["algorithm"] = {"workers": 1}
    quick["env"] = {**QUICK["env"], "rollout_steps": steps, "options": {"max_steps": 5}}
    quick["algorithm"] = {**quick["algorithm"], "shards": 1}
    if algorithm == "ppo":
        quick["algorithm"]["sequence_length"] = steps
    preset = load_preset("cleanup-mini").choose(algorithm, social)
    twins(from_dict(quick, preset), tmp_path, 3)


def test_what_only_python_knows_is_asked(tmp_path):
    quick = {**QUICK, "algorithm": {"workers": 1}}
    preset = load_preset("cleanup-mini").choose("a3c", ("visible-actions",))
    run = Spied(from_dict(quick, preset), tmp_path / "a")
    (channel,) = run.run.learner.hearing.channels

    class Louder(type(channel)):
        def tokens(self, before):
            return super().tokens(before)

    run.step()
    channel.__class__ = Louder
    run.step()
    assert run.at_once == 1


@pytest.mark.parametrize("social", ["visible-actions", "comm"])
def test_what_a_channel_makes_itself_is_asked(social, tmp_path):
    quick = {**QUICK, "algorithm": {"workers": 1}}
    preset = load_preset("cleanup-mini").choose("a3c", (social,))
    run, calls = Spied(from_dict(quick, preset), tmp_path / "a"), []
    run.step()
    assert run.at_once == 1
    channel = run.run.learner.model.hearing.channels[-1]
    tokens = channel.tokens

    def quiet(before):
        calls.append(1)
        return torch.full_like(tokens(before), -1)

    channel.tokens = quiet
    run.step()
    assert run.at_once == 1
    assert len(calls) >= QUICK["env"]["rollout_steps"]


def test_no_kernels_take_python(tmp_path, monkeypatch):
    run = Spied(tiny(), tmp_path / "a")
    monkeypatch.setattr(kernels, "KERNELS", None)
    run.step()
    assert run.at_once == 0


def test_who_acts_otherwise_does_so(tmp_path):
    run, calls = Spied(tiny(), tmp_path / "a"), []

    class Careful(type(run.run.learner)):
        def act(self, *given, **named):
            calls.append(1)
            return super().act(*given, **named)

    run.run.learner.__class__ = Careful
    run.step()
    assert run.at_once == 0
    assert len(calls) == run.run.rollout.num_steps


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_of_several_failing_worlds_the_first_to_fail_is_named(threads, tmp_path):
    """By steps, then by their numbers, whichever thread comes to its own first."""
    run = Spied(tiny(env={"num_envs": 8}, run={"threads": threads}), tmp_path / "a")
    run.step()
    env = run.run.worlds.env
    before = env.get_state()
    for _ in range(8):
        for one, later in ((0, 9), (5, 7), (2, 7), (7, 8), (3, 8)):
            env.inject_failure(one, later=later)
        with pytest.raises(EnvStepError, match=r"^environment 2: injected failure"):
            run.run.collector.play(1000)
        assert env.get_state() == before
    assert run.at_once == 1


def test_a_failing_world_changes_none(tmp_path):
    run = Spied(tiny(env={"num_threads": 2}, run={"threads": 2}), tmp_path / "a")
    run.step()
    env = run.run.worlds.env
    before, memory = env.get_state(), [x.clone() for x in run.run.collector.memory]
    restart = env.worlds(["restart"])["restart"]
    env.inject_failure(3)
    with pytest.raises(EnvStepError, match=r"^environment 3: injected failure"):
        run.run.collector.play(1000)
    assert env.get_state() == before
    assert all(map(torch.equal, memory, run.run.collector.memory))
    assert (env.worlds(["restart"])["restart"] != restart).all(), "as if it had been restored"
    run.run.collector.play(1000)
    assert env.get_state() != before
