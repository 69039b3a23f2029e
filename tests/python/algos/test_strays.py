"""What somebody else set, left or replaced: compiled updates heed what they should, and no more."""

import contextlib
from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_shards import KINDS, MODEL
from tests.python.algos.tiny import Buttons, experience

from socialgrid.models import ModelConfig, kernels
from socialgrid.social import PredictionOptions

ENVS = 12

pytestmark = pytest.mark.skipif(kernels.KERNELS is None, reason="this build has no kernels")


class Spoilt(contextlib.AbstractContextManager):
    """Nothing is; what follows are ways in which something can be."""

    bound = 0.0  # what may change by it

    def __enter__(self):
        return self

    def __exit__(self, *given):
        return None

    def before(self, learner):
        """Called before every update."""


class Doubles(Spoilt):
    """Somebody wants numbers of 64 bits wherever nothing else is said."""

    bound = 1e-5  # where PyTorch's operators round so, in front of what is compiled

    def __enter__(self):
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *given):
        torch.set_default_dtype(torch.float32)


class StaleGradients(Spoilt):
    """Somebody has differentiated something else."""

    def before(self, learner):
        for p in learner.model.parameters():
            p.grad = torch.full_like(p, 3.0)


def trained(kind, spoilt):
    """What two updates leave to learners, by name."""
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    # Steps along gradients that are only rounding stay small.
    learner = make(env.spec, MODEL, replace(config, adam_eps=1e-3), seed=1)
    for update in range(2):
        rollout = experience(learner, env)
        spoilt.before(learner)
        with spoilt:
            learner.update(rollout, update * ENVS * 12)
    return learner.tensors() | learner.carried()


@pytest.mark.parametrize("spoilt", [Doubles, StaleGradients])
@pytest.mark.parametrize("kind", KINDS)
def test_what_others_left_changes_nothing(kind, spoilt):
    as_ever, found = trained(kind, Spoilt()), trained(kind, spoilt())
    assert as_ever.keys() == found.keys()
    for name, x in as_ever.items():
        near = {"rtol": 0.0, "atol": spoilt.bound}
        torch.testing.assert_close(
            found[name], x, **near, equal_nan=True, msg=lambda told, name=name: f"{name}: {told}"
        )


@pytest.mark.parametrize("kind", ["ppo", "a3c"])
def test_outputs_replaced_on_one_learner_are_learnt_from(kind):
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = make(env.spec, MODEL, config, seed=1)
    rollout, calls = experience(learner, env), []
    outputs = learner.outputs

    def counted(network, part):
        calls.append(part.action.shape)
        return outputs(network, part)

    learner.outputs = counted
    learner.update(rollout, 0)
    assert calls
    del learner.outputs
    calls.clear()
    learner.update(experience(learner, env), ENVS * 12)
    assert not calls


# Modules of a network by name, all kinds of them.
PARTS = (
    *("encoder.first", "encoder.project.0", "lstm", "policy_head"),
    *("value_head.layers.1", "branches.prediction.expand"),
)
DEEP = ModelConfig(channels=(6, 5), kernel=2, features=(12,), memory=16, heads=(8,))


def listened_to(kind, part, how):
    """What two updates and what was acted come to where a part of a network puts out more than it
    would; how often it was asked.
    """
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    social = () if kind == "cloning" else (PredictionOptions(),)
    config = replace(config, adam_eps=1e-3)  # as above
    learner = make(env.spec, DEEP, config, seed=1, social=social)
    calls = []

    def more(one, given, out):
        calls.append(part)
        return tuple(1.25 * x for x in out) if isinstance(out, tuple) else 1.25 * out

    if how != "nobody":
        one = learner.model.get_submodule(part)
        forward = one.forward
        if how == "hook":
            one.register_forward_hook(more)
        elif how == "forward":
            one.forward = lambda *given: more(one, given, forward(*given))
        else:
            one.weight.register_hook(lambda grad: more(one, (), grad))
    made = {}
    for update in range(2):
        rollout = experience(learner, env)
        made |= {f"{update}/{name}": d.value for name, d in rollout.decisions.items()}
        learner.update(rollout, update * ENVS * 12)
    return learner.tensors() | made, len(calls)


def alike(found, other):
    return all(
        torch.allclose(x.double(), other[name].double(), rtol=0.0, atol=2e-5, equal_nan=True)
        for name, x in found.items()
    )


HOOKS = (
    *((kind, part, "hook") for kind in ("ppo", "a3c") for part in PARTS),
    *(("a3c", "lstm", "forward"), ("ppo", "policy_head.layers.0", "gradient")),
    ("cloning", "encoder", "hook"),
)


@pytest.mark.parametrize(("kind", "part", "how"), HOOKS)
def test_who_listens_to_networks_hears_what_operators_compute(monkeypatch, kind, part, how):
    found, calls = listened_to(kind, part, how)
    assert not alike(found, listened_to(kind, part, "nobody")[0])
    monkeypatch.setattr(kernels, "KERNELS", None)
    plain, as_many = listened_to(kind, part, how)
    assert alike(found, plain)
    assert calls == as_many


@pytest.mark.parametrize("kind", ["ppo", "a3c"])
def test_what_is_kept_from_learning_does_not_move(kind):
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = make(env.spec, MODEL, config, seed=1)
    rollout, before = experience(learner, env), learner.tensors()
    learner.model.lstm.weight_hh.requires_grad_(False)
    with pytest.raises(RuntimeError, match="does not require grad"):
        learner.update(rollout)
    for name, x in learner.tensors().items():
        assert torch.equal(x, before[name]), name
