"""Whole minibatches in one compiled call: the bits of shards differentiated one by one."""

from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_shards import ENVS, KINDS, SHARDS
from tests.python.algos.tiny import Buttons, experience

from socialgrid.models import ModelConfig, shard_lessons, shard_steps
from socialgrid.social import (
    CommOptions,
    MoaOptions,
    PredictionOptions,
    ReconstructionOptions,
    VisibleActionsOptions,
)

MODEL = ModelConfig(channels=(6, 5), kernel=2, features=(12,), memory=16, heads=(8,))
SOCIAL = {
    "nothing": (),
    "prediction": (PredictionOptions(coef=2.0), VisibleActionsOptions()),
    "reconstruction": (ReconstructionOptions(coef=2.0),),
    "comm": (CommOptions(vocabulary=4),),
}


def calls(monkeypatch):
    """What compiled calls for minibatches gave."""
    found = []
    places = {"gradient_steps.teach": shard_lessons.teach, "ppo.descend": shard_steps.descend}
    for place, call in places.items():

        def told(*words, call=call):
            found.append(call(*words))
            return found[-1]

        monkeypatch.setattr(f"socialgrid.algos.on_policy.{place}", told)
    return found


def learnt(kind, social, *, threads=1, apart=False):
    """Everything that two updates come to; with ``apart`` without one call for all shards."""
    torch.manual_seed(0)
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    config = replace(config, shards=SHARDS, max_grad_norm=None)
    learner = make(env.spec, MODEL, config, seed=1, social=SOCIAL[social])
    learner.workers.threads = threads
    if apart:
        learner.lesson = lambda network: None
    found = {}
    for update in range(2):
        rollout = experience(learner, env)
        rollout.active[3:6, 2, 1] = False
        found |= {f"{update}/{n}": x for n, x in learner.update(rollout, update * 100).items()}
    return found | learner.tensors()


@pytest.mark.parametrize("social", SOCIAL)
@pytest.mark.parametrize("kind", ["ppo", "a3c"])
@pytest.mark.parametrize("threads", [1, 3])
def test_one_call_learns_what_shards_learn_one_by_one(monkeypatch, kind, social, threads):
    apart = learnt(kind, social, apart=True)
    found = calls(monkeypatch)
    whole = learnt(kind, social, threads=threads)
    assert found
    assert all(one is not None for one in found)
    assert whole.keys() == apart.keys()
    for name, x in whole.items():
        if name.endswith("comm_loss"):  # two sums, added when all is added up
            torch.testing.assert_close(x, apart[name])
        else:
            assert torch.equal(x.nan_to_num(-7.0), apart[name].nan_to_num(-7.0)), name


def test_pieces_are_added_in_their_order(monkeypatch):
    for module in ("gradient_steps", "a3c"):
        path = f"socialgrid.algos.on_policy.{module}.piece_length"
        monkeypatch.setattr(path, lambda *_: 2)
    apart, whole = learnt("a3c", "prediction", apart=True), learnt("a3c", "prediction", threads=2)
    for name, x in whole.items():
        assert torch.equal(x.nan_to_num(-7.0), apart[name].nan_to_num(-7.0)), name


@pytest.mark.parametrize("kind", ["ppo", "a3c"])
@pytest.mark.parametrize("why", ["loss", "policy_loss", "outputs", "a mechanism", "compared"])
def test_whoever_overrides_something_is_asked(monkeypatch, kind, why):
    make, config = KINDS[kind]
    asked = []

    class Mine(make):
        pass

    if why in ("loss", "policy_loss", "outputs"):
        theirs = getattr(make, why)

        def own(self, *words):
            asked.append(why)
            return theirs(self, *words)

        setattr(Mine, why, own)
    social = (MoaOptions(memory=7),) if why == "a mechanism" else (PredictionOptions(),)
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = Mine(env.spec, MODEL, replace(config, shards=SHARDS), seed=1, social=social)
    if why == "compared":
        prediction = type(learner.mechanisms[0])

        class Odd(prediction):
            def compared(self, part):
                asked.append(why)
                return super().compared(part)

        learner.mechanisms[0].__class__ = Odd
    found = calls(monkeypatch)
    learner.update(experience(learner, env))
    assert not found
    assert asked or why == "a mechanism"


def test_what_is_no_choice_is_refused():
    make, config = KINDS["a3c"]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = make(env.spec, MODEL, replace(config, shards=SHARDS), seed=1)
    rollout = experience(learner, env)
    rollout.decisions["action"].choice[2, 3, 1] = 100
    before = learner.tensors()
    with pytest.raises(IndexError, match="100"):
        learner.update(rollout)
    after = learner.tensors()
    assert all(torch.equal(x, after[name]) for name, x in before.items())
