"""Whole minibatches in one compiled call: the bits of shards differentiated one by one."""

from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_shards import ENVS, KINDS, SHARDS
from tests.python.algos.tiny import Buttons, experience

from socialgrid import _core
from socialgrid.models import ModelConfig, kernels, shard_lessons, shard_steps
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
@pytest.mark.parametrize("why", ["loss", "policy_loss", "outputs", "a model's loss", "compared"])
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
    social = (MoaOptions(memory=7),) if why == "a model's loss" else (PredictionOptions(),)
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = Mine(env.spec, MODEL, replace(config, shards=SHARDS), seed=1, social=social)
    if why in ("compared", "a model's loss"):
        mechanism, method = type(learner.mechanisms[0]), why.split()[-1]

        def mine(self, *words):
            asked.append(why)
            return getattr(mechanism, method)(self, *words)

        learner.mechanisms[0].__class__ = type("Odd", (mechanism,), {method: mine})
    found = calls(monkeypatch)
    learner.update(experience(learner, env))
    assert not found
    assert asked


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


MODELS = {  # networks, what is learnt besides, whether somebody is not seen
    "an affine layer": (MODEL, (MoaOptions(memory=7),), False),
    "of visible agents": (
        replace(MODEL, channels=(6,), kernel=3, first_kernel=2, features=(12, 9)),
        (MoaOptions(memory=20, coef=0.7, visible_only=True), VisibleActionsOptions()),
        True,
    ),
    "a convolution before": (
        replace(MODEL, channels=(6, 5, 4), kernel=1),
        (PredictionOptions(), MoaOptions(memory=16), VisibleActionsOptions()),
        True,
    ),
}


def modelled(kind, name, *, shards=SHARDS):
    """Gradients of everybody, and all that an update comes to."""
    make, config = KINDS[kind]
    network, social, hidden = MODELS[name]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    # Steps along gradients that are only rounding stay small.
    config = replace(config, shards=shards, adam_eps=1e-3)
    learner = make(env.spec, network, config, seed=1, social=social)
    rollout = experience(learner, env)
    rollout.active[3:6, 2, 1] = False
    rollout.taken[4, 3, 2] = -1
    if hidden:
        rollout.visible[::2, :, 0, 1] = 0
    found = {}
    if kind == "a3c":
        learner.compute_gradients(rollout)
        found = {f"grad/{n}": p.grad for n, p in learner.model.named_parameters()}
    metrics = learner.update(rollout)
    assert 0.1 < float(metrics["moa_accuracy"].min()) < 1.0
    return found | {f"told/{n}": x for n, x in metrics.items()} | learner.tensors()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["ppo", "a3c"])
def test_models_of_others_are_learnt_as_pytorch_does(monkeypatch, kind, name):
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow = modelled(kind, name)
    for one in _core.kernel_sets():
        monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(one))
        found = calls(monkeypatch)
        fast = modelled(kind, name)
        assert found
        assert all(one is not None for one in found)
        assert [*fast] == [*slow]
        for key, x in fast.items():
            least = 1e-3 if key.startswith("grad") else 2e-2  # sums whose terms cancel
            scale = max(float(slow[key].double().nan_to_num().abs().max()), least)
            near = {"rtol": 0.0, "atol": 2e-5 * scale, "equal_nan": True}
            torch.testing.assert_close(
                x, slow[key], **near, msg=lambda told, key=key: f"{key} {told}"
            )


def test_what_nobody_can_have_done_is_refused():
    make, config = KINDS["a3c"]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = make(env.spec, MODEL, config, seed=1, social=(MoaOptions(memory=7),))
    rollout, before = experience(learner, env), learner.tensors()
    rewards = learner.mechanisms[0].reward

    def odd(given):
        rewards(given)
        given.batch.extras["next_taken"][2, 1, 0, 1] = 100

    learner.mechanisms[0].reward = odd
    with pytest.raises(IndexError, match="100"):
        learner.update(rollout)
    for name, x in learner.tensors().items():
        assert torch.equal(x, before[name]), name
