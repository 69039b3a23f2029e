"""Bias and activation in one, and layers that use them, beside plain PyTorch in float64."""

import pytest
import torch
import torch.nn.functional as F
from tests.python.models.triton.test_memory import check

from socialgrid.models import StackedConv, StackedLinear, StackedTransposedConv, activation
from socialgrid.models.triton_kernels import activations, choice

SHAPES = [(1, 1, 1), (1, 5, 3), (3, 67, 48), (2, 33, 192), (3, 2, 1025), (1, 700, 16)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["leaky", "tanh", "none"])
def test_bias_and_activation(shape, kind, device):
    gen = torch.Generator().manual_seed(0)
    x, grad = torch.randn(2, *shape, generator=gen)
    bias = torch.randn(shape[0], shape[2], generator=gen)
    slope = {"leaky": 0.1, "tanh": 1.0, "none": 1.0}[kind]
    ours, own = x.clone().to(device), bias.to(device)
    found = activations.bend_(ours, own, slope, tanh=kind == "tanh")
    assert found is ours, "in place"
    back = grad.to(device), found
    before, d_bias = activations.unbend(*back, slope, tanh=kind == "tanh")
    again = activations.unbend(*back, slope, tanh=kind == "tanh")
    assert torch.equal(again[0], before)
    assert torch.equal(again[1], d_bias)

    x, bias = x.double().requires_grad_(), bias.double().requires_grad_()
    out = x + bias[:, None]
    out = out.tanh() if kind == "tanh" else F.leaky_relu(out, slope)
    expected = torch.autograd.grad((out * grad.double()).sum(), [x, bias])
    check([found, before, d_bias], [out.detach(), *expected])
    if kind == "none":
        check([activations.column_sums(grad.to(device))], [expected[1]])


def test_many_rows_are_added_in_pieces(device):
    grad = torch.randn(1, 40_000, 3, generator=torch.Generator().manual_seed(0)).to(device)
    check([activations.column_sums(grad)], [grad.double().sum(1)])


def test_nothing_comes_to_nothing(device):
    x = torch.zeros((2, 0, 5), device=device)
    assert activations.bend_(x, None, 0.1, tanh=False).shape == x.shape
    before, d_bias = activations.unbend(x, x, 0.1, tanh=False)
    assert before.shape == x.shape
    assert torch.equal(d_bias.cpu(), torch.zeros(2, 5))


def test_bfloat16_adds_in_float32(device):
    gen = torch.Generator().manual_seed(0)
    grad = torch.randn(2, 3000, 8, generator=gen).bfloat16().to(device)
    assert activations.column_sums(grad).dtype == torch.float32
    check([activations.column_sums(grad)], [grad.double().sum(1)])
    x, bias = torch.randn(2, 9, 8, generator=gen).bfloat16(), torch.randn(2, 8, generator=gen)
    expected = (x.float() + bias[:, None]).tanh().bfloat16()
    found = activations.bend_(x.clone().to(device), bias.to(device), 1.0, tanh=True)
    assert found.dtype == torch.bfloat16
    check([found], [expected], 0.004)


LAYERS = {
    "linear": (lambda gens: StackedLinear(gens, 5, 7), (33, 5)),
    "tanh": (lambda gens: StackedLinear(gens, 5, 48, tanh=True), (33, 5)),
    "convolution": (lambda gens: StackedConv(gens, 3, 10, 3, 0.2), (4, 5, 6, 3)),
    "transposed": (lambda gens: StackedTransposedConv(gens, 9, 11, 3, 0.2), (4, 3, 4, 9)),
}


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_with_and_without(name, agents, device, monkeypatch):
    make, shape = LAYERS[name]
    layer = make([torch.Generator().manual_seed(a) for a in range(agents)]).to(device)
    gen = torch.Generator().manual_seed(9)
    x = torch.randn(agents, *shape, generator=gen).to(device).requires_grad_()
    asked = []
    unbend = activation.unbend
    monkeypatch.setattr(activation, "unbend", lambda *a, **k: asked.append(1) or unbend(*a, **k))

    def everything():
        out = layer(x)
        weight = torch.linspace(-1, 1, out.numel(), device=device).view(out.shape)
        return [out.detach(), *torch.autograd.grad((out * weight).sum(), [x, *layer.parameters()])]

    found = everything()
    assert asked
    monkeypatch.setattr(choice, "DEVICES", {"another"})
    check(found, everything(), 2e-6 if device.type == "cpu" else 1e-5)
