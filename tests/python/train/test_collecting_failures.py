"""A batch that fails, or is given up, in one call of the core; and what takes Python instead."""

import signal
from types import MethodType

import pytest
from tests.python.alarms import RungError, alarm
from tests.python.train.test_collecting import LEARNS, QUICK, TRIAL, Spied, rows_of, same, tiny

from socialgrid import EnvStepError
from socialgrid.config import from_dict, load_preset

HALVES = {"double_buffer": True, "num_threads": 1, "num_envs": 8}


def pairs(folder, **changes):
    config = tiny(**changes)
    return Spied(config, folder / "a"), Spied(config, folder / "b", by_steps=True)


def go_on_alike(one, other):
    for _ in range(2):
        assert rows_of(one) == rows_of(other)
        same(one, other)
    assert one.at_once == 2


@pytest.mark.parametrize("env", [HALVES, {"num_threads": 1}])
def test_a_failure_anywhere_moves_nobody(env, tmp_path):
    one, other = pairs(tmp_path, env=env, kinds=(TRIAL, "expert", LEARNS))
    rows_of(one), rows_of(other)
    one.at_once = 0
    for run in (one.run, other.run):
        run.rollout.carry_over()
    one.run.worlds.parts[-1].env.inject_failure(1)
    with pytest.raises(EnvStepError, match="injected failure"):
        one.run.collector.play(one.run.played_before())
    go_on_alike(one, other)


def test_a_signal_ends_a_batch_and_moves_nobody(tmp_path):
    one, _ = pairs(tmp_path, env={"num_envs": 32, "rollout_steps": 3000, "num_threads": 1})
    rollout, worlds = one.run.rollout, one.run.worlds
    before = worlds.get_state()
    rollout.taken.fill_(-7)

    def ring(number, frame):
        if (rollout.taken[0] != -7).all():  # it has begun
            raise RungError
        signal.setitimer(signal.ITIMER_REAL, 0.01)

    with pytest.raises(RungError), alarm(0.03, ring):
        one.run.collector.play(0)
    assert (rollout.taken[-1] == -7).all(), "it had not ended"
    after = worlds.get_state()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_failure_of_some_step_leaves_nothing_under_way(tmp_path):
    _, run = pairs(tmp_path, env=HALVES)
    acts, calls = run.run.learner.act, []

    def act(*given, **named):
        calls.append(1)
        if len(calls) == 6:
            raise RungError
        return acts(*given, **named)

    run.run.learner.act = act
    with pytest.raises(RungError):
        run.run.collector.play(0)
    run.run.worlds.get_state()  # which is refused while a step is under way
    run.run.collector.start()
    run.run.collector.play(0)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: {n: x.transpose(1, 2).contiguous().transpose(1, 2) for n, x in found.items()},
        lambda found: {},
    ],
    ids=["otherwise in memory", "none, for the most probable"],
)
def test_numbers_to_draw_by_are_read_as_they_are(change, tmp_path):
    one, other = pairs(tmp_path)
    for run in (one.run, other.run):
        draw = run.learner.draw
        run.learner.draw = lambda steps, envs, draw=draw: change(draw(steps, envs))
        run.collector.memory = [
            x.transpose(0, 1).contiguous().transpose(0, 1) for x in run.collector.memory
        ]
    go_on_alike(one, other)


@pytest.mark.parametrize(
    "change", [lambda x: x.double(), lambda x: x[:-1], lambda x: x.transpose(1, 2)]
)
def test_other_numbers_to_draw_by_are_refused(change, tmp_path):
    one, _ = pairs(tmp_path)
    draw = one.run.learner.draw
    one.run.learner.draw = lambda steps, envs: {n: change(x) for n, x in draw(steps, envs).items()}
    with pytest.raises(ValueError, match=r"acting: uniform numbers of action .* expected"):
        one.run.collector.play(0)


def test_other_memories_are_refused(tmp_path):
    one, _ = pairs(tmp_path)
    one.run.collector.memory = [x[..., :-1] for x in one.run.collector.memory]
    with pytest.raises(ValueError, match=r"acting: memory .* expected"):
        one.run.collector.play(0)


REPLACED = {
    "a player's act": lambda run: (run.worlds.parts[0].team.players[0], "act"),
    "a player's observe": lambda run: (run.worlds.parts[0].team.players[0], "observe"),
    "a team's act": lambda run: (run.worlds.parts[0].team, "act"),
    "a simulator's send": lambda run: (run.worlds.parts[0].env, "send"),
    "a world's recv": lambda run: (run.worlds, "recv"),
    "a rollout's finish_step": lambda run: (run.rollout, "finish_step"),
}


@pytest.mark.parametrize("what", REPLACED)
def test_what_is_replaced_takes_python(what, tmp_path):
    run, _ = pairs(tmp_path)
    one, name = REPLACED[what](run.run)
    own, calls = getattr(one, name), []

    def counted(self, *given, **named):
        calls.append(1)
        return own(*given, **named)

    setattr(one, name, MethodType(counted, one))
    run.step()
    assert run.at_once == 0
    if one is not run.run.rollout:  # whose halves do it
        assert len(calls) == run.run.rollout.num_steps


@pytest.mark.parametrize(
    ("heard", "match"),
    [
        ([], "columns heard: 0, expected 2"),
        ([(1, 0, 1)], "columns heard: 1, expected 2"),
        ([(0, 0, 2), (0, 0, 1)], "columns heard: 3, expected 2"),
        ([(3, 0, 2)], "kind 3, expected 0 to 2"),
        ([(-1, 0, 2)], "kind -1"),
        ([(1, 0, 3)], "a channel: 3, expected at most 2"),
        ([(2, 0, 2)], "further decision 0, expected one of 0"),
    ],
)
def test_what_is_heard_has_to_be_that_of_the_network(heard, match, tmp_path):
    quick = {**QUICK, "algorithm": {"workers": 1}}
    preset = load_preset("cleanup-mini").choose("a3c", ("visible-actions",))
    run = Spied(from_dict(quick, preset), tmp_path / "a")
    assert run.run.learner.heard_alone() == [(1, 0, 2)]
    run.run.learner.heard_alone = lambda: heard
    with pytest.raises(ValueError, match=match):
        run.step()


def test_choices_that_are_heard_have_to_be_those_of_the_learners(tmp_path):
    quick = {**QUICK, "algorithm": {"workers": 1}}
    run = Spied(from_dict(quick, load_preset("cleanup-mini").choose("a3c", ("comm",))), tmp_path)
    known = run.run.learner.heard_alone()
    (at,) = [i for i, (kind, _, _) in enumerate(known) if kind == 2]
    _, which, columns = known[at]
    for wrong, match in (
        ((2, which + 1, columns), f"further decision {which + 1}, expected one of 1"),
        ((2, -1, columns), "further decision -1"),
        ((2, which, columns - 1), f"columns of choices: {columns - 1}, expected {columns}"),
    ):
        heard = [*known[:at], wrong, *known[at + 1 :]]
        run.run.learner.heard_alone = lambda heard=heard: heard
        with pytest.raises(ValueError, match=match):
            run.step()
    del run.run.learner.heard_alone
    run.step()
