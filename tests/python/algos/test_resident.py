"""Acting on an accelerator in memory that stays: the same steps, and bad input leaves no trace."""

import pytest
import torch
from tests.python.algos.tiny import MODEL, Buttons, experience
from tests.python.pretend import DEVICE, Pretend

from socialgrid.algos import A3C

ENVS, AGENTS = 5, 2


@pytest.fixture
def learner():
    with Pretend():
        yield A3C(Buttons(ENVS, AGENTS).spec, MODEL, seed=1, device=DEVICE)


def steps_of(learner, count, *, asks, envs=ENVS):
    """Actions, memories and values of some steps of two runs that take turns."""
    learner.asks = asks
    worlds = [Buttons(envs, AGENTS, seed=seed) for seed in (0, 1)]
    states, found = [learner.initial_state(envs) for _ in worlds], []
    for t in range(count):
        for run, world in enumerate(worlds):
            reset = torch.full((envs, AGENTS), t == 0)
            out = learner.act(world.view(), states[run], reset, step=t, first_env=run * envs)
            states[run] = out.state
            value = out.decisions["action"].value
            found += [out.arrived().clone(), value.cpu().clone(), out.state.cpu().clone()]
            world.cue = (world.cue + 1 + t) % world.buttons
    return found


def test_steps_are_those_that_are_started_one_by_one(learner):
    plain = steps_of(learner, 4, asks=True)
    for x, y in zip(plain, steps_of(learner, 4, asks=False), strict=True):
        assert torch.equal(x, y)


def test_what_was_learnt_there_goes_on_here_and_back(learner):
    here, again = (
        A3C(Buttons(ENVS, AGENTS).spec, MODEL, seed=9, device=x) for x in ("cpu", DEVICE)
    )
    batch = experience(here, Buttons(ENVS, AGENTS))
    learner.update(batch)
    kept = learner.tensors()
    here.load_tensors(kept)
    again.load_tensors(here.tensors())
    for name, x in kept.items():
        assert x.device.type == "cpu"
        assert torch.equal(here.tensors()[name], x), name
        assert torch.equal(again.tensors()[name], x), name
    for one in (learner, again):
        one.update(batch)
    for name, x in learner.tensors().items():
        assert torch.equal(again.tensors()[name], x), name


def test_what_is_kept_of_weights_is_told_that_they_changed(learner):
    batch = experience(A3C(learner.model.spec, MODEL), Buttons(ENVS, AGENTS))
    for _ in range(4):  # first by operations, then by graphs, which count no versions
        before = [p._version for p in learner.model.parameters()]
        learner.update(batch)
        after = [p._version for p in learner.model.parameters()]
        assert all(now > then for then, now in zip(before, after, strict=True))


def test_what_does_not_fit_is_refused_and_leaves_no_trace(learner):
    world, state = Buttons(ENVS, AGENTS), learner.initial_state(ENVS)
    reset = torch.ones((ENVS, AGENTS), dtype=torch.bool)
    for _ in range(2):  # before and after everything has its place
        with pytest.raises(ValueError, match=r"acting: state .* \(4, 2, 32\), expected"):
            learner.act(world.view(), state[:4], reset, step=0)
        with pytest.raises(ValueError, match=r"acting: reset .*float32 .*, expected"):
            learner.act(world.view(), state, reset.float(), step=0)
        out = learner.act(world.view(), state, reset, step=0)
        assert out.arrived().shape == (ENVS, AGENTS)


def test_who_listens_to_networks_is_called_every_time(learner):
    def louder(one, given, out):
        calls.append(out.shape)
        return 2.0 * out

    here, calls = A3C(Buttons(ENVS, AGENTS).spec, MODEL, seed=1), []
    batch = experience(here, Buttons(ENVS, AGENTS))
    before = learner.tensors()
    for listens in (True, False, True):
        for one in (here, learner):
            hook = one.model.policy_head.register_forward_hook(louder) if listens else None
            one.load_tensors(before)
            one.update(batch)
            steps = steps_of(learner, 4, asks=False) if one is learner else []
            assert (len(calls) >= 9) == (listens and bool(steps))
            calls.clear()
            if hook is not None:
                hook.remove()
        for name, x in here.tensors().items():
            torch.testing.assert_close(learner.tensors()[name], x, rtol=0.0, atol=1e-5)
