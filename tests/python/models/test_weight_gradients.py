"""Gradients of weights cut along their rows: the same sums, of pieces that make enough blocks."""

import pytest
import torch
from tests.python.pretend import DEVICE, Pretend

from socialgrid.models import affine, weight_gradients


@pytest.mark.parametrize("rows", [1, 7, 96, 100, 101])
@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 8, 9])
def test_pieces_add_up(rows, agents, count):
    gen = torch.Generator().manual_seed(0)
    grad = torch.randn(agents, rows, 5, generator=gen)
    x = torch.randn(agents, rows, 11, generator=gen)
    found = weight_gradients.in_pieces(grad, x, count)
    assert found.dtype == torch.float32
    exact = grad.double().mT @ x.double()
    assert float((found - exact).abs().max()) < 2e-6 * max(float(exact.abs().max()), 5.0)
    assert torch.equal(found, weight_gradients.in_pieces(grad, x, count))


def test_rows_of_other_layouts():
    gen = torch.Generator().manual_seed(0)
    grad, x = torch.randn(24, 2, 5, generator=gen), torch.randn(2, 3, 24, generator=gen)
    found = weight_gradients.in_pieces(grad.transpose(0, 1), x.mT, 4)
    assert torch.allclose(found, grad.permute(1, 2, 0) @ x.mT, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((3, 32_768 * 49, 32, 27), 64),  # a first layer of three agents: 3 blocks alone
        ((1, 32_768, 768, 192), 16),  # 12 blocks alone; 22 pieces would leave rows over
        ((3, 100, 64, 64), 1),  # too short
        ((64, 10_000, 256, 256), 1),  # blocks enough
        ((1, 10_007, 64, 64), 39),  # a prime: with rows of zeros
        ((20, 10_007, 64, 64), 13),
        ((40, 10_007, 64, 64), 1),  # six pieces are not worth zeros
    ],
)
def test_how_many_pieces(shape, count):
    assert weight_gradients.pieces(*shape) == count


def test_an_accelerator_cuts_and_the_cpu_does_not(monkeypatch):
    asked = []

    def counted(grad, x):
        asked.append(grad.device)
        return weight_gradient(grad, x)

    weight_gradient = weight_gradients.weight_gradient
    monkeypatch.setattr("socialgrid.models.products.weight_gradient", counted)
    gen = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 600, 4, generator=gen), torch.randn(2, 3, 4, generator=gen)
    weight.requires_grad_()
    (near,) = torch.autograd.grad(affine(x, weight, None).square().sum(), weight)
    assert asked == []
    with Pretend():
        there = weight.detach().to(DEVICE).requires_grad_()
        (far,) = torch.autograd.grad(affine(x.to(DEVICE), there, None).square().sum(), there)
        assert asked == [DEVICE]
        assert torch.allclose(far.cpu(), near, rtol=1e-4)
