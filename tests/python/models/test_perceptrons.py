"""Perceptrons and their optimiser by the compiled kernels, against slow twins."""

import pytest
import torch

from socialgrid import _core
from socialgrid.models import FlatParameters, StackedMLP, Trained, kernels

SETS = _core.kernel_sets()
SHAPES = [  # agents, rows, inputs, hidden, outputs
    (1, 1, 1, (1,), 1),
    (2, 256, 4, (256, 256), 4),
    (1, 70, 23, (150, 200), 1),
    (2, 65, 17, (30, 20), None),
    (3, 17, 5, (33, 17, 9), 3),
    (2, 300, 7, (), 13),
]


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


def network(agents, inputs, hidden, outputs, *, flat=True):
    generators = [torch.Generator().manual_seed(a) for a in range(agents)]
    found = StackedMLP(generators, inputs, hidden, outputs)
    if flat:
        FlatParameters(found)  # parameters become views of one block
    return found


def data(agents, rows, inputs):
    x = torch.rand(agents, rows, inputs, generator=torch.Generator().manual_seed(7))
    return x.requires_grad_()


def exact(model, x):
    """In float64, agent by agent and layer by layer."""
    own = [p.detach().double().requires_grad_() for p in model.parameters()]
    given = x.detach().double().requires_grad_()
    y = given
    for i, (weight, bias) in enumerate(zip(own[::2], own[1::2], strict=True)):
        y = y @ weight.mT + bias[:, None]
        y = y.relu() if i < model.rectified else y
    return y, [given, *own]


def close(found, wanted):
    found, wanted = found.detach().double(), wanted.detach()
    largest = max(float(wanted.abs().max()), 1e-30)
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= 3e-6 * largest


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_results_and_gradients_are_exact_but_for_rounding(compiled, shape, flat):
    agents, rows, inputs, hidden, outputs = shape
    model, x = network(agents, inputs, hidden, outputs, flat=flat), data(agents, rows, inputs)
    wanted, of = exact(model, x)
    weight = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(3))
    found = model(x)
    close(found, wanted)
    grads = torch.autograd.grad(found, [x, *model.parameters()], weight)
    slow = torch.autograd.grad(wanted, of, weight.double())
    for one, other in zip(grads, slow, strict=True):
        close(one, other)


def test_the_twin_without_kernels_agrees(compiled, monkeypatch):
    model, x = network(2, 9, (40, 30), 5), data(2, 100, 9)
    found = model(x)
    grads = torch.autograd.grad(found.square().sum(), [x, *model.parameters()])
    monkeypatch.setattr(kernels, "KERNELS", None)
    twin = model(x)
    close(found, twin.double())
    slow = torch.autograd.grad(twin.square().sum(), [x, *model.parameters()])
    for one, other in zip(grads, slow, strict=True):
        close(one, other.double())


def test_a_row_has_the_same_bits_alone_and_among_others(compiled):
    model, x = network(2, 9, (40, 30), 5), data(2, 150, 9).detach()
    with torch.no_grad():
        together = model(x)
        for some in (slice(0, 1), slice(20, 37), slice(63, 130), slice(149, 150)):
            assert torch.equal(model(x[:, some]), together[:, some])


def test_units_that_are_zero_everywhere_change_no_bit(compiled):
    model, x = network(1, 9, (40, 30), 5), data(1, 70, 9)
    with torch.no_grad():
        model.layers[0].bias[:, ::3] = -100.0
        model.layers[1].bias[:, ::2] = -100.0
    found = model(x)
    grads = torch.autograd.grad(found.sum(), list(model.parameters()))
    with torch.no_grad():  # nothing comes from them, and nothing goes there
        model.layers[1].weight[:, :, ::3] = 1e6
        model.layers[2].weight[:, :, ::2] = -1e6
    assert torch.equal(model(x), found)
    again = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    for one, other in zip(grads, again, strict=True):
        assert torch.equal(one, other)
    dead = (grads[0][:, ::3], grads[2][:, ::2], grads[2][:, :, ::3], grads[4][:, :, ::2])
    assert not any(g.any() for g in dead)
    assert all(g.any() for g in (grads[0][:, 1::3], grads[4][:, :, 1::2]))


def test_what_is_no_number_stays_none(compiled):
    model, x = network(1, 3, (8, 8), 2), data(1, 20, 3).detach()
    x[0, 4, 1] = torch.nan
    with torch.no_grad():
        bad = model(x).isnan().any(-1)
    assert bad.nonzero().tolist() == [[0, 4]]
    x.nan_to_num_()
    with torch.no_grad():
        model.layers[1].bias[0, 3] = torch.nan
        assert model(x).isnan().all()
    grads = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    assert any(g.isnan().any() for g in grads)


def test_only_wanted_gradients_are_computed(compiled):
    model, x = network(2, 4, (16,), 3), data(2, 33, 4)
    (alone,) = torch.autograd.grad(model(x).sum(), [x])
    for p in model.parameters():
        p.requires_grad_(False)
    y = model(x)
    y.sum().backward()
    assert torch.equal(x.grad, alone)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000])
def test_the_optimiser_does_what_pytorchs_does(compiled, count):
    agents, rates = 3, (1e-3, 1e-2, 3e-4)
    model = torch.nn.Module()
    start = torch.randn(agents, count, generator=torch.Generator().manual_seed(0))
    model.p = torch.nn.Parameter(start.clone())
    part = Trained(model, agents, rates, (0.9, 0.999), 1e-8)
    twins = [torch.nn.Parameter(row.clone()) for row in start]
    adams = [torch.optim.Adam([p], rate) for p, rate in zip(twins, rates, strict=True)]
    for step in range(5):
        grads = torch.randn(agents, count, generator=torch.Generator().manual_seed(1 + step))
        part.flat.block.grad = grads.clone()
        norms = grads.norm(dim=1)
        taking = [0, 2] if step % 2 else [0, 1, 2]
        part.step(taking, norms, 0.5)
        for agent in taking:
            twins[agent].grad = grads[agent] * min(1.0, 0.5 / (float(norms[agent]) + 1e-6))
            adams[agent].step()
    for agent in range(agents):
        torch.testing.assert_close(model.p[agent], twins[agent], rtol=1e-6, atol=1e-7)
    assert part.optimiser.steps.tolist() == [5, 3, 5]
