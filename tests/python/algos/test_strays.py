"""What somebody else set, left or replaced: compiled updates heed what they should, and no more."""

import contextlib
from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_shards import KINDS, MODEL
from tests.python.algos.tiny import Buttons, experience

from socialgrid.models import kernels

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
