"""Stacked Adam is torch.optim.Adam for every agent, and leaves the others alone."""

import copy

import pytest
import torch
from torch import nn

from socialgrid import _core
from socialgrid.models import (
    FlatParameters,
    StackedAdam,
    Trained,
    clip_gradients,
    gradient_norms,
    kernels,
    walks,
)


class Net(nn.Module):
    def __init__(self, agents=3):
        super().__init__()
        gen = torch.Generator().manual_seed(0)
        self.a = nn.Parameter(torch.randn(agents, 4, 2, generator=gen))
        self.b = nn.Parameter(torch.randn(agents, 3, generator=gen))


def test_equals_pytorchs_adam_for_each_agent():
    net = Net()
    rates = [1e-2, 1e-3, 0.0]
    ours = StackedAdam(net, 3, rates, (0.8, 0.95), 1e-7)
    plain = [[nn.Parameter(p[i].detach().clone()) for p in net.parameters()] for i in range(3)]
    theirs = [
        torch.optim.Adam(params, lr=rate, betas=(0.8, 0.95), eps=1e-7)
        for params, rate in zip(plain, rates, strict=True)
    ]
    for step in range(6):
        for p in net.parameters():
            p.grad = torch.randn(p.shape)
        agents = [a for a in range(3) if (step + a) % 3]
        for a in agents:
            for p, q in zip(net.parameters(), plain[a], strict=True):
                q.grad = p.grad[a].clone()
            theirs[a].step()
        ours.step(net, agents, agents)
    for a in range(3):
        for p, q in zip(net.parameters(), plain[a], strict=True):
            torch.testing.assert_close(p[a], q, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["off", *_core.kernel_sets()])
def test_steps_with_factors_are_those_along_shortened_gradients(monkeypatch, name):
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(name))
    net, same = Net(), Net()
    for p, q in zip(net.parameters(), same.parameters(), strict=True):
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
        p.grad[0] *= 1e-3  # short enough
        q.grad = p.grad.clone()
    found, norms = gradient_norms(net), clip_gradients(same, 0.5)
    if name == "off":
        assert found is None
        found = norms
    torch.testing.assert_close(found, norms, rtol=1e-6, atol=0.0)
    scales = (0.5 / (found + 1e-6)).clamp(max=1.0)
    StackedAdam(net, 3, 0.1, (0.9, 0.999), 1e-3).step(net, [0, 2], [0, 2], scales)
    StackedAdam(same, 3, 0.1, (0.9, 0.999), 1e-3).step(same, [0, 2], [0, 2])
    for p, q in zip(net.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)
    net.a.grad[1, 2] = torch.nan
    found = gradient_norms(net)
    assert found is None or found.isfinite().tolist() == [True, False, True]


def test_gradients_may_lie_in_any_order():
    net, same = Net(), Net()
    for p, q in zip(net.parameters(), same.parameters(), strict=True):
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
        q.grad = p.grad.mT.contiguous().mT
    for module in (net, same):
        StackedAdam(module, 3, 0.1, (0.9, 0.999), 1e-8).step(module, [0, 2], [0, 2])
    for p, q in zip(net.parameters(), same.parameters(), strict=True):
        assert torch.equal(p, q)


def test_gradients_of_what_was_before_a_step_are_refused():
    net = Net()
    before = [p.square().sum() for p in net.parameters()]
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    StackedAdam(net, 3, 0.1, (0.9, 0.999), 1e-8).step(net, [1], [1])
    for loss in before:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_agents_that_do_not_step_keep_every_bit():
    net = Net()
    adam = StackedAdam(net, 3, 0.1, (0.9, 0.999), 1e-8)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    adam.step(net, [0, 1, 2], [0, 1, 2])
    kept = [p.detach().clone() for p in net.parameters()]
    moments = {name: x.clone() for name, x in adam.tensors().items()}
    adam.step(net, [0, 2], [0, 2])
    for p, q in zip(net.parameters(), kept, strict=True):
        assert torch.equal(p[1], q[1])
        assert not torch.equal(p[0], q[0])
    for name, x in adam.tensors().items():
        assert torch.equal(x[1], moments[name][1]), name
    assert adam.steps.tolist() == [2, 1, 2]


def test_a_part_of_the_agents_can_live_elsewhere():
    net = Net()
    adam = StackedAdam(net, 3, 0.1, (0.9, 0.999), 1e-8)
    part = Net(1)
    for p in part.parameters():
        p.grad = torch.ones_like(p)
    adam.step(part, [2], [0])
    assert adam.steps.tolist() == [0, 0, 1]
    assert adam.first["a"][2].any()
    assert not adam.first["a"][:2].any()


def test_gradients_are_clipped_agent_by_agent():
    net = Net()
    for p in net.parameters():
        p.grad = torch.ones_like(p)
        p.grad[1] *= 1e-3
        p.grad[2] *= 0.0
    norms = clip_gradients(net, 0.5)
    torch.testing.assert_close(norms, torch.tensor([11**0.5, 11**0.5 * 1e-3, 0.0]))
    squares = sum(p.grad.flatten(1).square().sum(1) for p in net.parameters())
    torch.testing.assert_close(squares.sqrt(), torch.tensor([0.5, 11**0.5 * 1e-3, 0.0]))


def test_the_number_of_rates_must_fit():
    with pytest.raises(ValueError, match="2 learning rates for 3 agents"):
        StackedAdam(Net(), 3, [0.1, 0.2], (0.9, 0.999), 1e-8)
    with pytest.raises(ValueError, match=r"2 learning rates for 1 agent: give one$"):
        StackedAdam(Net(1), 1, [0.1, 0.2], (0.9, 0.999), 1e-8)


def test_clipping_scales_a_gradient_that_two_parameters_share_once():
    # As those of an LSTM's two biases do.
    net = Net()
    net.a.grad = torch.zeros_like(net.a)
    other = nn.Parameter(net.b.detach().clone())
    net.register_parameter("c", other)
    net.b.grad = other.grad = torch.full_like(net.b, 2.0)
    norms = clip_gradients(net, 1.0)
    torch.testing.assert_close(norms, torch.full((3,), 24.0).sqrt())
    for p in (net.b, other):
        torch.testing.assert_close(p.grad, torch.full((3, 3), 2 / 24**0.5))


def test_parameters_and_modules_that_are_replaced_are_found():
    net = nn.ModuleDict({"a": Net(), "b": Net()})
    assert walks.named_parameters(net) == [*net.named_parameters()]
    net["a"].b = nn.Parameter(torch.zeros(3, 1))
    assert walks.named_parameters(net)[1][1] is net["a"].b
    net["b"] = Net(2)
    assert [p for _, p in walks.named_parameters(net)] == [*net.parameters()]
    net["b"].register_parameter("c", nn.Parameter(torch.zeros(2, 1)))
    del net["a"]
    assert [p for _, p in walks.named_parameters(net)] == [*net.parameters()]
    assert [name for name, _ in walks.named_parameters(net)] == ["b.a", "b.b", "b.c"]


def test_a_step_that_fails_is_not_counted(monkeypatch):
    net = Net()
    adam = StackedAdam(net, 3, 0.1, (0.9, 0.999), 1e-8)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    known = kernels.chosen(None)

    class Broken:
        def __getattr__(self, name):
            return getattr(known, name)

        def descend_parts(self, *given):
            raise RuntimeError("no thread could be started")

    monkeypatch.setattr(kernels, "KERNELS", Broken())
    with pytest.raises(RuntimeError, match="no thread"):
        adam.step(net, [0, 2], [0, 2])
    assert adam.steps.tolist() == [0, 0, 0]


@pytest.mark.parametrize("aligned", [False, True])
def test_who_steps_may_be_known_to_the_device_alone(aligned):
    net, plain = Net(), Net()
    flat, rates = FlatParameters(net, aligned=aligned), [1e-2, 1e-3, 3e-3]
    ours = StackedAdam(net, 3, rates, (0.8, 0.95), 1e-7, flat)
    theirs = StackedAdam(plain, 3, rates, (0.8, 0.95), 1e-7)
    gen, scales = torch.Generator().manual_seed(2), torch.tensor([1.0, 0.25, 0.5])
    for k in range(7):
        who = [a for a in range(3) if (k + a) % 3]
        stepping = torch.tensor([a in who for a in range(3)])
        for p, q in zip(net.parameters(), plain.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=gen)
            q.grad = p.grad * scales.view(-1, *[1] * (p.dim() - 1))
            p.grad[~stepping] = torch.nan
        kept = [p.detach().clone() for p in net.parameters()]
        ours.bring_rates()
        ours.step_where(flat, flat.gradients(), stepping, scales)
        theirs.step(plain, who, who)
        for p, before in zip(net.parameters(), kept, strict=True):
            assert torch.equal(p[~stepping], before[~stepping])
    for p, q in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)
    for name, x in theirs.tensors().items():
        torch.testing.assert_close(ours.tensors()[name], x, rtol=1e-5, atol=1e-9)


def test_what_has_no_gradient_stays_as_it_is():
    net = Net()
    flat = FlatParameters(net, aligned=True)
    adam, before = StackedAdam(net, 3, 0.1, (0.9, 0.999), 1e-8, flat), net.b.detach().clone()
    net.a.grad = torch.ones_like(net.a)
    adam.bring_rates()
    adam.step_where(flat, flat.gradients(), torch.ones(3, dtype=torch.bool))
    assert torch.equal(net.b, before)
    torch.testing.assert_close(net.a, Net().a - 0.1)


def test_parameters_in_a_block_begin_where_fast_products_read():
    net, same = Net(), Net()
    flat = FlatParameters(net, aligned=True)
    for p, q in zip(net.parameters(), same.parameters(), strict=True):
        assert torch.equal(p, q)
        assert all((x.data_ptr() - flat.block.data_ptr()) % 128 == 0 for x in p)


def test_a_copy_of_what_is_trained_is_trained_by_itself():
    kept = Trained(Net(), 3, 0.1, (0.9, 0.999), 1e-8)
    other = copy.deepcopy(kept)
    norms = other.differentiate(
        sum(p.flatten(1).square().sum(1) for p in other.network.parameters())
    )
    other.step([0, 1, 2], norms, None)
    other.follow(1.0, [0, 1, 2])
    for p, q, r in zip(
        *(x.parameters() for x in (other.network, other.target, Net())), strict=True
    ):
        assert torch.equal(p, q)
        assert not torch.equal(p, r)
    for p, q in zip(kept.network.parameters(), Net().parameters(), strict=True):
        assert torch.equal(p, q)
