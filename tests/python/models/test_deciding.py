"""Compiled losses of policies and values against the learners' own in PyTorch's float64."""

from dataclasses import replace

import pytest
import torch

from socialgrid import _core
from socialgrid.algos import A3C, PPO, A3CConfig, PPOConfig
from socialgrid.data import Judged, Minibatch
from socialgrid.models import ModelConfig, ViewSpec, kernels
from socialgrid.social import CommOptions, Outputs

SETS = _core.kernel_sets()
COMM = CommOptions(vocabulary=5, coef=0.3, entropy_coef=0.1, embedding=9)
CASES = {  # actions of every agent, hidden layers, memory, steps, sequences, mechanisms
    "full": ((7, 7), (64, 64), 192, 16, 20, ()),
    "mini": ((7,), (32,), 64, 16, 9, ()),
    "no layers": ((8, 8, 8), (), 128, 5, 3, ()),
    "masked": ((3, 7, 1), (11,), 6, 3, 7, ()),
    "many": ((70, 20), (40,), 30, 13, 1, ()),
    "messages": ((4, 6), (5,), 17, 1, 11, (COMM,)),
}
KINDS = {
    "ppo": (PPO, PPOConfig(clip=0.2, value_coef=0.7, entropy_coef=0.05)),
    "a3c": (A3C, A3CConfig(value_coef=0.3, entropy_coef=0.02)),
}


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


def case(kind, name):
    """A learner, what its memory gives, and decisions about which it is to learn."""
    actions, heads, memory, steps, sequences, social = CASES[name]
    make, config = KINDS[kind]
    network = ModelConfig(channels=(4,), features=(5,), memory=memory, heads=heads)
    learner = make(ViewSpec(2, 2, 1, actions), network, config, seed=3, social=social)
    gen = torch.Generator().manual_seed(sum(map(ord, name)))
    shape = (len(actions), steps, sequences)
    core = torch.randn((len(actions), steps * sequences, memory), generator=gen)
    # What is decided together lies together.
    counts = [actions, *([COMM.vocabulary] * len(actions) for _ in social)]
    choices = torch.stack(
        [
            torch.stack([torch.randint(0, n, shape[1:], generator=gen) for n in each])
            for each in counts
        ],
        -1,
    )
    numbers = torch.randn((*shape, len(counts), 3), generator=gen)
    numbers[..., 0] = numbers[..., 0] * 0.3 - 1.5  # of which ratios some are clipped
    weight = torch.rand(shape, generator=gen) / (steps * sequences)
    weight[:, :, ::4] = 0.0
    decisions = {
        name: Judged(choices[..., i], *numbers[..., i, :].unbind(-1))
        for i, name in enumerate(learner.model.heads)
    }
    part = Minibatch(torch.empty(0), torch.empty(0), torch.empty(0), decisions, weight, weight)
    return learner, core, part


def results(learner, core, part, monkeypatch):
    """Loss, its ingredients and gradients of a weighted sum over agents."""
    core = core.clone().requires_grad_()
    network = learner.model
    monkeypatch.setattr(learner, "outputs", lambda network, part: Outputs(network, None, core))
    monkeypatch.setattr(learner, "mechanisms", [])
    loss, found = learner.loss(network, part)
    own = [p for n, p in network.named_parameters() if "_head." in n]
    factor = torch.arange(1, len(loss) + 1, dtype=loss.dtype)
    grads = torch.autograd.grad((loss * factor).sum(), [core, *own])
    return {"loss": loss.detach(), **found}, grads


def wide(part):
    """The same in float64."""
    made = {
        name: Judged(one.choice, *(x.double() for x in (one.log_prob, one.advantage, one.target)))
        for name, one in part.decisions.items()
    }
    return replace(part, decisions=made, weight=part.weight.double())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_their_gradients_are_exact(compiled, monkeypatch, kind, name):
    learner, core, part = case(kind, name)
    found, grads = results(learner, core, part, monkeypatch)
    learner.model.double()
    expected, exact = results(learner, core.double(), wide(part), monkeypatch)
    assert found.keys() == expected.keys()
    for key, x in found.items():
        torch.testing.assert_close(x.double(), expected[key], rtol=3e-6, atol=3e-6, msg=key)
    for ours, theirs in zip(grads, exact, strict=True):
        assert ours.shape == theirs.shape
        scale = float(theirs.abs().max()) + 1e-6
        assert float((ours.double() - theirs).abs().max()) < 3e-6 * scale


def test_no_gradient_is_computed_where_none_is_wanted(compiled, monkeypatch):
    learner, core, part = case("ppo", "full")
    found, _ = results(learner, core, part, monkeypatch)
    with torch.no_grad():
        loss, _ = learner.loss(learner.model, part)
    assert torch.equal(loss, found["loss"])


def test_threads_change_no_bit(compiled, monkeypatch):
    learner, core, part = case("ppo", "full")
    whole, grads = results(learner, core, part, monkeypatch)
    kernels.use_threads(3)
    try:
        shared, others = results(learner, core, part, monkeypatch)
    finally:
        kernels.use_threads(0)
    assert all(torch.equal(x, shared[key]) for key, x in whole.items())
    assert all(torch.equal(x, y) for x, y in zip(grads, others, strict=True))


def test_an_overridden_loss_is_asked(compiled, monkeypatch):
    class Doubled(PPO):
        def policy_loss(self, log_probs, made, weight):
            loss, numbers = super().policy_loss(log_probs, made, weight)
            return 2.0 * loss, numbers

    learner, core, part = case("ppo", "mini")
    plain = results(learner, core, part, monkeypatch)[0]["policy_loss"]
    learner.__class__ = Doubled
    doubled = results(learner, core, part, monkeypatch)[0]["policy_loss"]
    torch.testing.assert_close(doubled, 2.0 * plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("what", ["log_prob", "advantage", "target"])
def test_what_is_no_number_makes_the_loss_none(compiled, monkeypatch, what):
    learner, core, part = case("ppo", "masked")
    getattr(part.decisions["action"], what)[1, 2, 3] = float("nan")
    loss = results(learner, core, part, monkeypatch)[0]["loss"]
    assert loss.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("choice", [-1, 7])
def test_what_is_no_choice_is_refused(compiled, monkeypatch, choice):
    learner, core, part = case("ppo", "mini")
    part.action[0, 4, 5] = choice
    with pytest.raises(IndexError, match=f"choice {choice}: there are 7"):
        results(learner, core, part, monkeypatch)
