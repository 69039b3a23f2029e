"""Convolutions as one matrix: the same as windows, chosen where they are worth it."""

import numpy as np
import pytest
import torch
from tests.python.pretend import DEVICE, Pretend

from socialgrid.models import Encoder, ModelConfig, ViewSpec, encoders, layers
from socialgrid.models import dense_convolutions as dense

SHAPES = [  # agents, images, rows, columns, inputs, outputs, kernel
    (1, 1, 2, 2, 1, 1, 2),
    (2, 7, 5, 4, 3, 6, 3),
    (3, 40, 4, 5, 4, 2, 2),
    (2, 3, 3, 3, 5, 4, 3),
]


def data(agents, count, rows, cols, inputs, outputs, kernel):
    gen = torch.Generator().manual_seed(0)
    edge = kernel - 1
    x = torch.randn(agents, count, rows, cols, inputs, generator=gen)
    y = torch.randn(agents, count, rows - edge, cols - edge, outputs, generator=gen)
    return x, y, torch.randn(agents, outputs, kernel, kernel, inputs, generator=gen)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_is_the_convolution(shape):
    x, y, weight = data(*shape)
    assert torch.allclose(dense.correlate(x, weight), layers.correlate(x, weight), atol=1e-5)
    assert torch.allclose(dense.spread(y, weight), layers.spread(y, weight), atol=1e-5)
    found = dense.weight_gradient(y, x, shape[-1])
    assert found.dtype == torch.float32
    assert torch.allclose(found, layers.weight_gradient(y, x, shape[-1]), atol=1e-4)


@pytest.mark.parametrize("kind", [layers.StackedConv, layers.StackedTransposedConv])
@pytest.mark.parametrize("count", [1, 40])
def test_accelerators_take_it_for_many_small_images(kind, count, monkeypatch):
    layer = kind([torch.Generator().manual_seed(a) for a in range(2)], 3, 6, 3, 0.1)
    x = torch.randn(2, count, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()

    def everything():
        out = layer(x)
        return [out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])]

    near, asked = everything(), []
    matrix, product = dense.matrix, dense.tall_product
    monkeypatch.setattr(dense, "matrix", lambda *a: asked.append("matrix") or matrix(*a))
    monkeypatch.setattr(dense, "tall_product", lambda *a: asked.append("product") or product(*a))
    monkeypatch.setattr(layers, "agent_by_agent", lambda x: False)
    monkeypatch.setattr(layers.convolutions, "worthwhile", lambda x, weight: False)
    far = everything()
    assert asked == (["matrix", "matrix", "product"] if count == 40 else [])
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(near, far, strict=True))


def test_which_are_worth_it():
    assert dense.worthwhile(32_000, 5, 5, 3, 5 * 5 * 64)  # the encoder's last
    assert dense.worthwhile(32_000, 7, 7, 3, 5 * 5 * 64)  # the decoder's last
    assert not dense.worthwhile(128, 7, 7, 3, 5 * 5 * 64), "a step of few environments"
    assert not dense.worthwhile(32_000, 15, 15, 3, 13 * 13 * 6), "25 times the multiplications"
    assert not dense.worthwhile(32_000, 2, 2, 1, 4), "windows are the image"


@pytest.mark.parametrize("atlas", [False, True])
@pytest.mark.parametrize("channels", [(6,), (6, 5)])
def test_pixels_of_cells_are_read_eight_at_a_time(atlas, channels, monkeypatch):
    """Accelerators have zeros behind the 27 pixels of a cell: the same features and gradients."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 255, (20, 3, 3, 3), np.uint8) if atlas else None
    spec = ViewSpec(4, 4, 3, (3, 3), atlas=tiles)
    shape = (2, 10, 16) if atlas else (2, 10, 16, 27)
    views = torch.from_numpy(rng.integers(0, 20, shape)).to(torch.int16 if atlas else torch.uint8)
    seen = []

    def noted(grad, x):
        seen.append(x.shape[-1])
        return torch.bmm(grad.mT, x)

    monkeypatch.setattr(encoders, "weight_gradient", noted)

    def computed(device):
        gens = [torch.Generator().manual_seed(a) for a in range(2)]
        config = ModelConfig(channels=channels, kernel=2, features=(4,), memory=6)
        encoder = Encoder(gens, spec, config).to(device)
        out = encoder(views.to(device), torch.float32)
        grads = torch.autograd.grad(out.square().sum(), [*encoder.parameters()])
        return [x.detach().cpu() for x in (out, *grads)]

    here = computed("cpu")
    assert not seen
    with Pretend():
        there = computed(DEVICE)
    assert seen == [32]
    for x, y in zip(here, there, strict=True):
        assert x.shape == y.shape
        torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-5)
