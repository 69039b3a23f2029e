"""Whole compiled gradients against those that PyTorch computes layer by layer."""

from dataclasses import replace

import pytest
import torch

from socialgrid import _core
from socialgrid.algos import A3C, PPO, A3CConfig, PPOConfig
from socialgrid.data import Judged, Minibatch
from socialgrid.models import ModelConfig, ViewSpec, kernels, lessons
from socialgrid.social import (
    CommOptions,
    MoaOptions,
    PredictionOptions,
    ReconstructionOptions,
    VisibleActionsOptions,
)

SETS = _core.kernel_sets()
FULL = ModelConfig()
MINI = ModelConfig(channels=(16, 32), features=(64,), memory=64, heads=(32,))
SMALL = ModelConfig(channels=(6,), first_kernel=3, features=(32, 32), memory=20, heads=())
COMM = CommOptions(vocabulary=5, coef=0.3, entropy_coef=0.1, embedding=9)
SEEN = PredictionOptions(coef=3.0)
# Network, actions of every agent, cells along a side, pixels along a tile's, mechanisms, steps,
# sequences, kind of views
CASES = {
    "full": (FULL, (7,), 7, 3, (SEEN,), 5, 13, torch.int16),
    "full, three agents": (FULL, (7, 7, 7), 7, 3, (SEEN,), 3, 9, torch.uint8),
    "mini": (MINI, (7,), 7, 3, (SEEN,), 16, 30, torch.int16),
    "mini of pixels": (MINI, (3, 7), 7, 3, (ReconstructionOptions(coef=0.5),), 7, 6, None),
    "mini alone": (MINI, (7, 4), 7, 3, (), 4, 11, torch.int16),
    "harvest": (SMALL, (8,) * 5, 15, 1, (), 9, 4, torch.uint8),
    "harvest heard": (SMALL, (8, 6, 8), 9, 1, (VisibleActionsOptions(),), 9, 4, torch.uint8),
    "harvest messages": (SMALL, (8, 8), 9, 1, (COMM, VisibleActionsOptions()), 9, 4, torch.int16),
}
KINDS = {
    "ppo": (PPO, PPOConfig(clip=0.2, value_coef=0.7, entropy_coef=0.05)),
    "a3c": (A3C, A3CConfig(value_coef=0.3, entropy_coef=0.02)),
}


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


def case(kind, name, *, tiles=40, social=None):
    """A learner and what it is to learn from."""
    network, actions, side, tile, mechanisms, steps, sequences, views_of = CASES[name]
    mechanisms = mechanisms if social is None else social
    make, config = KINDS[kind]
    gen = torch.Generator().manual_seed(sum(map(ord, name)))
    atlas = torch.randint(0, 256, (tiles, tile, tile, 3), generator=gen, dtype=torch.uint8)
    spec = ViewSpec(side, side, tile, actions, atlas=None if views_of is None else atlas.numpy())
    learner = make(spec, network, config, seed=3, social=mechanisms)
    agents, model = len(actions), learner.model
    shape = (agents, steps, sequences)
    views = torch.randint(0, tiles, (agents, steps + 1, sequences, side * side), generator=gen)
    views[:, :, 1::2] = views[:, :, :1]  # of which some are the same
    views = atlas.flatten(1)[views] if views_of is None else views.to(views_of)
    counts = [actions, *([COMM.vocabulary] * agents for one in mechanisms if one is COMM)]
    drawn = [[torch.randint(0, n, shape[1:], generator=gen) for n in each] for each in counts]
    choices = torch.stack([torch.stack(each) for each in drawn], -1)
    numbers = torch.randn((*shape, len(counts), 3), generator=gen)
    numbers[..., 0] = numbers[..., 0] * 0.3 - 1.5
    flags = torch.rand((*shape, 3), generator=gen) < torch.tensor([0.2, 0.9, 0.7])
    weight = flags[..., 1] / (steps * sequences)
    tokens = None
    if model.hearing.columns:
        tokens = torch.cat(
            [
                torch.randint(-1, one.symbols, (*shape, one.columns), generator=gen)
                for one in model.hearing.channels
            ],
            -1,
        ).to(torch.int16)
    part = Minibatch(
        views=views,
        state=0.5 * torch.randn((agents, sequences, model.state_size), generator=gen),
        reset=flags[..., 0],
        decisions={
            name: Judged(choices[..., i], *numbers[..., i, :].unbind(-1))
            for i, name in enumerate(model.heads)
        },
        weight=weight,
        next_weight=weight * flags[..., 2],
        tokens=tokens,
    )
    return learner, part


def results(learner, part):
    """Loss, its ingredients, and gradients of a weighted sum over agents."""
    loss, numbers = learner.loss(learner.model, part)
    factor = torch.arange(1, len(loss) + 1, dtype=loss.dtype)
    own = dict(learner.model.named_parameters())
    grads = torch.autograd.grad((loss * factor).sum(), [*own.values()])
    return {"loss": loss.detach(), **numbers}, dict(zip(own, grads, strict=True))


def close(found, expected, bound=1e-5):
    # PyTorch's own sums of thousands of numbers that cancel out are not better than this.
    assert found.keys() == expected.keys()
    for name, x in found.items():
        assert x.shape == expected[name].shape
        scale = float(expected[name].abs().max()) + 1e-6
        assert float((x - expected[name]).abs().max()) < bound * scale, name


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_what_pytorch_makes_of_it(compiled, monkeypatch, kind, name):
    learner, part = case(kind, name)
    calls = []
    learn = lessons.learn
    monkeypatch.setattr(lessons, "learn", lambda *words: calls.append(learn(*words)) or calls[-1])
    found, grads = results(learner, part)
    assert len(calls) == 1
    assert calls[0] is not None
    monkeypatch.setattr(kernels, "KERNELS", None)
    expected, exact = results(learner, part)
    close(found, expected)
    close(grads, exact, 2e-4)


def test_no_gradient_is_computed_where_none_is_wanted(compiled):
    learner, part = case("ppo", "mini")
    found, _ = results(learner, part)
    with torch.no_grad():
        loss, _ = learner.loss(learner.model, part)
    assert torch.equal(loss, found["loss"])


def test_threads_change_no_bit(compiled):
    learner, part = case("ppo", "full, three agents")
    whole, grads = results(learner, part)
    kernels.use_threads(3)
    try:
        shared, others = results(learner, part)
    finally:
        kernels.use_threads(0)
    assert all(torch.equal(x, shared[key]) for key, x in whole.items())
    assert all(torch.equal(x, others[key]) for key, x in grads.items())


def test_an_agent_learns_the_same_alone(compiled):
    learner, part = case("a3c", "harvest")
    whole, grads = results(learner, part)
    network = learner.model.take_agents([3])
    alone = Minibatch(
        *(x[3:4] for x in (part.views, part.state, part.reset)),
        {
            name: Judged(*(x[3:4] for x in (one.choice, one.log_prob, one.advantage, one.target)))
            for name, one in part.decisions.items()
        },
        *(x[3:4] for x in (part.weight, part.next_weight)),
    )
    loss, _ = learner.loss(network, alone)
    found = torch.autograd.grad(4.0 * loss.sum(), [*network.parameters()])
    assert torch.equal(loss, whole["loss"][3:4])
    assert all(torch.equal(x, y[3:4]) for x, y in zip(found, grads.values(), strict=True))


@pytest.mark.parametrize("why", ["another loss", "a mechanism's loss", "many tiles"])
def test_other_ways_are_found_where_there_is_no_compiled_one(compiled, monkeypatch, why):
    class Doubled(PPO):
        def policy_loss(self, log_probs, made, weight):
            loss, numbers = super().policy_loss(log_probs, made, weight)
            return 2.0 * loss, numbers

    name, tiles = "mini alone", 9000 if why == "many tiles" else 40
    social = (SEEN, MoaOptions(memory=7)) if why == "a mechanism's loss" else None
    learner, part = case("ppo", name, tiles=tiles, social=social)
    if why == "a mechanism's loss":
        part.memories["moa"] = torch.zeros((*part.state.shape[:2], 14))
        shape = (*part.weight.shape, 2)
        part.extras |= {"taken": torch.zeros(shape).long(), "next_taken": torch.zeros(shape).long()}
    if why == "another loss":
        learner.__class__ = Doubled
    found, grads = results(learner, part)
    monkeypatch.setattr(kernels, "KERNELS", None)
    expected, exact = results(learner, part)
    close(found, expected)
    close(grads, exact, 2e-4)


@pytest.mark.parametrize("what", ["tile", "choice", "token"])
def test_what_there_is_not_is_refused(compiled, what):
    learner, part = case("a3c", "harvest heard")
    {"tile": part.views, "choice": part.action, "token": part.tokens}[what][1, 2, 3] = 100
    with pytest.raises(IndexError, match="100"):
        results(learner, part)


def test_a_loss_that_is_no_number_is_that_agents_alone(compiled):
    learner, part = case("ppo", "mini alone")
    part.decisions["action"].target[1, 2, 3] = float("inf")
    loss, _ = learner.loss(learner.model, replace(part))
    assert loss.isfinite().tolist() == [True, False]


def test_parameters_that_are_replaced_are_learnt_from(monkeypatch):
    learner, part = case("ppo", "mini")
    results(learner, part)  # now it is known how the network is put together
    head = learner.model.policy_head.layers[0]
    head.weight = torch.nn.Parameter(0.5 * head.weight.detach())
    found = results(learner, part)
    monkeypatch.setattr(kernels, "KERNELS", None)
    expected = results(learner, part)
    close(found[0], expected[0])
    close(found[1], expected[1], 2e-4)


OTHERWISE = {
    "views of their own": lambda views, weight: (views.contiguous(), weight),
    "type": lambda views, weight: (views, weight.double()),
    "one weight": lambda views, weight: (views, weight[:, :1, :1]),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_views_and_weights_that_lie_otherwise_are_compared_all_the_same(monkeypatch, how):
    learner, part = case("ppo", "full, three agents")
    prediction = type(learner.mechanisms[0])

    class Odd(prediction):
        def compared(self, part):
            return OTHERWISE[how](*super().compared(part))

    learner.mechanisms[0].__class__ = Odd
    found = results(learner, part)
    monkeypatch.setattr(kernels, "KERNELS", None)
    expected = results(learner, part)
    close(found[0], expected[0])
    close(found[1], expected[1], 2e-4)


def test_what_a_subclass_makes_of_a_minibatch_counts():
    learner, part = case("ppo", "mini")
    asked = []

    class Mine(PPO):
        def outputs(self, network, part):
            asked.append(part)
            return super().outputs(network, part)

    learner.__class__ = Mine
    results(learner, part)
    assert asked == [part]


def test_memory_whose_weights_are_replaced_forgets_the_old_ones(monkeypatch):
    learner, part = case("a3c", "harvest")
    for _ in range(4):  # addresses come again
        weight = learner.model.lstm.weight_ih
        weight.data = weight.data * 0.5
        found = results(learner, part)
        with monkeypatch.context() as without:
            without.setattr(kernels, "KERNELS", None)
            close(found[0], results(learner, part)[0])
