"""A step of Adam in one pass, beside the same step by operations of PyTorch."""

import torch

from socialgrid.models import FlatParameters, StackedAdam, StackedLinear, kernels
from socialgrid.models.triton_kernels import choice


def network(device):
    generators = [torch.Generator().manual_seed(a) for a in range(3)]
    return StackedLinear(generators, 41, 37).to(device)  # more than one block of numbers


def descent(device, steps=5, eps=1e-8):
    layer = network(device)
    flat = FlatParameters(layer, aligned=True)
    adam = StackedAdam(layer, 3, [1e-2, 1e-3, 3e-3], (0.9, 0.999), eps, flat)
    adam.bring_rates()
    gen = torch.Generator().manual_seed(1)
    for k in range(steps):
        stepping = torch.tensor([True, k % 2 == 0, False])
        grad = torch.randn(flat.block.shape, generator=gen)
        grad[~stepping] = torch.nan
        scales = torch.tensor([1.0, 0.5, 2.0]) if k % 2 else None
        given = (None if scales is None else scales.to(device),)
        adam.step_where(flat, grad.to(device), stepping.to(device), *given)
    return {**adam.tensors(), "weight": layer.weight.detach(), "bias": layer.bias.detach()}


def test_one_pass_is_adams_step(device, monkeypatch):
    found = descent(device)
    monkeypatch.setattr(choice, "DEVICES", set())
    monkeypatch.setattr(kernels, "KERNELS", None)
    wanted = descent(device)
    start = network("cpu")
    for name, x in wanted.items():
        torch.testing.assert_close(found[name], x, rtol=2e-5, atol=1e-7)
    assert torch.equal(found["weight"][2].cpu(), start.weight[2]), "who takes no step stays"
    assert found["steps"].tolist() == [5, 3, 0]
    assert not torch.equal(found["weight"][0].cpu(), start.weight[0])


def test_what_two_devices_would_say_is_the_same_twice(device):
    one, other = descent(device), descent(device)
    for name, x in one.items():
        assert torch.equal(x, other[name])
