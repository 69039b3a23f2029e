"""Errors of predicted views beside plain PyTorch in float64, and decoders that use them."""

import pytest
import torch
import torch.nn.functional as F
from tests.python.models.triton.test_memory import check

from socialgrid.models import Decoder, ModelConfig, ViewSpec
from socialgrid.models.triton_kernels import absolute_errors, choice

SHAPES = [(1, 1, 1, 3), (3, 70, 5, 27), (2, 131, 4, 192), (1, 2600, 3, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_and_gradients(shape, device):
    agents, count, inputs, pixels = shape
    gen = torch.Generator().manual_seed(0)
    x = torch.randn(agents, count, inputs, generator=gen)
    weight = torch.randn(agents, inputs, pixels, generator=gen)
    bias = torch.randn(agents, pixels, generator=gen)
    target = torch.randint(256, (agents, count, pixels), generator=gen, dtype=torch.uint8)
    factor = torch.randn(agents, count, generator=gen)

    def everything(compute, dtype, device):
        given = [y.to(device, dtype).requires_grad_() for y in (x, weight, bias)]
        errors = compute(*given, target.to(device), 0.1)
        grads = torch.autograd.grad((errors * factor.to(device)).sum(), given)
        return [errors.detach(), *grads]

    def plain(x, weight, bias, target, slope):
        out = F.leaky_relu(x @ weight + bias[:, None], slope)
        return (out - target / 255.0).abs().mean(-1)

    found = everything(absolute_errors.absolute_errors, torch.float32, device)
    again = everything(absolute_errors.absolute_errors, torch.float32, device)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    check(found, everything(plain, torch.float64, "cpu"))
    rounded = everything(absolute_errors.absolute_errors, torch.bfloat16, device)
    assert rounded[0].dtype == torch.float32
    check(rounded[:1], found[:1], 0.02)


def test_a_prediction_that_hits_has_no_slope(device):
    x, weight = torch.ones(1, 2, 1, device=device), torch.full((1, 1, 3), 0.2, device=device)
    bias = torch.zeros(1, 3, device=device, requires_grad=True)
    target = torch.full((1, 2, 3), 51, dtype=torch.uint8, device=device)
    errors = absolute_errors.absolute_errors(x, weight, bias, target, 0.1)
    (slope,) = torch.autograd.grad(errors.sum(), bias)
    assert not errors.any()
    assert not slope.any()


def test_decoders_with_and_without(device, monkeypatch):
    spec = ViewSpec(4, 5, 3, (3, 3))
    model = ModelConfig(channels=(6, 4), features=(5,), memory=7)
    decoder = Decoder([torch.Generator().manual_seed(a) for a in range(2)], spec, model)
    decoder.to(device)
    gen = torch.Generator().manual_seed(0)
    core = torch.randn(2, 9, 7, generator=gen).to(device).requires_grad_()
    action = torch.randint(3, (2, 9), generator=gen).to(device)
    target = torch.randint(256, (2, 9, 20, 27), generator=gen, dtype=torch.uint8).to(device)
    asked = []
    real = absolute_errors.absolute_errors
    monkeypatch.setattr(absolute_errors, "absolute_errors", lambda *a: asked.append(1) or real(*a))

    def everything():
        errors = decoder(core, action, target)
        grads = torch.autograd.grad(errors.square().sum(), [core, *decoder.parameters()])
        return [errors.detach(), *grads]

    found = everything()
    assert asked
    monkeypatch.setattr(choice, "DEVICES", {"another"})
    check(found, everything())
