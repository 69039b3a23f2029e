"""Compiled convolutions, products and look-ups against PyTorch's own in float64."""

import pytest
import torch
import torch.nn.functional as F

from socialgrid import _core
from socialgrid.models import ModelConfig, ViewSpec, encoders, kernels, layers, lookup

SETS = _core.kernel_sets()
IMAGES = [  # agents, images, rows, cols, inputs, outputs, kernel
    (1, 1, 3, 3, 8, 8, 3),
    (2, 7, 5, 6, 8, 33, 3),
    (1, 13, 7, 7, 32, 64, 3),
    (3, 5, 4, 9, 17, 70, 2),
    (1, 2, 1, 1, 130, 16, 1),
]


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def generators(agents):
    return [torch.Generator().manual_seed(a) for a in range(agents)]


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def results(module, x, weight, *words):
    """Output, gradient of the input and of the parameters for a weighted sum of the output."""
    x = x.clone().requires_grad_()
    out = module(x, *words)
    grads = torch.autograd.grad((out * weight).sum(), [x, *module.parameters()])
    return [out.detach(), *grads]


def exact(function, module, x, weight):
    x = x.double().requires_grad_()
    own = [p.detach().double().requires_grad_() for p in module.parameters()]
    out = torch.stack([function(x[a], *(p[a] for p in own)) for a in range(len(x))])
    return [out.detach(), *torch.autograd.grad((out * weight.double()).sum(), [x, *own])]


def close(found, expected, bound=3e-6):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        scale = float(theirs.abs().max()) + 1e-6
        assert float((ours.double() - theirs).abs().max()) < bound * scale


def correlation(x, weight, bias):
    out = F.conv2d(x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2), bias)
    return F.leaky_relu(out, 0.1).permute(0, 2, 3, 1)


def transposed(x, weight, bias):
    out = F.conv_transpose2d(x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2), bias)
    return F.leaky_relu(out, 0.1).permute(0, 2, 3, 1)


@pytest.mark.parametrize("shape", IMAGES)
def test_convolutions_and_their_gradients_are_exact(compiled, shape):
    agents, count, rows, cols, inputs, outputs, kernel = shape
    module = layers.StackedConv(generators(agents), inputs, outputs, kernel, 0.1)
    x = noise(agents, count, rows, cols, inputs)
    weight = noise(agents, count, rows - kernel + 1, cols - kernel + 1, outputs)
    close(results(module, x, weight), exact(correlation, module, x, weight))


@pytest.mark.parametrize("shape", IMAGES)
def test_transposed_convolutions_and_their_gradients_are_exact(compiled, shape):
    agents, count, rows, cols, inputs, outputs, kernel = shape
    module = layers.StackedTransposedConv(generators(agents), inputs, outputs, kernel, 0.1)
    x = noise(agents, count, rows, cols, inputs)
    weight = noise(agents, count, rows + kernel - 1, cols + kernel - 1, outputs)
    close(results(module, x, weight), exact(transposed, module, x, weight))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 40, 7, 70), (1, 700, 20, 3), (3, 33, 130, 5)])
@pytest.mark.parametrize("tanh", [False, True])
def test_affine_maps_and_their_gradients_are_exact(compiled, shape, tanh):
    agents, count, inputs, outputs = shape
    module = layers.StackedLinear(generators(agents), inputs, outputs, tanh=tanh)
    x, weight = noise(agents, count, inputs), noise(agents, count, outputs)

    def plain(x, weight, bias):
        out = x @ weight.T + bias
        return out.tanh() if tanh else out

    close(results(module, x, weight), exact(plain, module, x, weight))


def test_tanh_is_exact_for_small_and_large_numbers(compiled):
    x = torch.cat((torch.linspace(-100, 100, 4001), torch.logspace(-30, 0, 100)))
    found = x.clone()
    kernels.KERNELS.tanh(found.data_ptr(), len(found))
    torch.testing.assert_close(found.double(), x.double().tanh(), rtol=1e-6, atol=0)
    odd = torch.tensor([float("nan"), float("inf"), -float("inf")])
    kernels.KERNELS.tanh(odd.data_ptr(), 3)
    assert odd[0].isnan()
    assert odd[1:].tolist() == [1.0, -1.0]


def spec(tile=3, actions=(7,), atlas=None):
    return ViewSpec(7, 7, tile, actions, atlas=atlas)


def views(agents, count, kinds, seed=0, share=1.0):
    """Prepared views of few kinds of tiles, ``share`` of them distinct."""
    gen = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (kinds, 27), generator=gen, dtype=torch.uint8)
    shown = torch.randint(0, kinds, (agents, count, 49), generator=gen)
    which = torch.arange(count) % max(1, round(share * count))
    return pixels[shown[:, which]]


CONFIGS = {
    "cells first": ModelConfig(channels=(10, 20, 12), features=(30,), negative_slope=0.1),
    "two layers": ModelConfig(channels=(5, 70), features=(30, 20)),
    "windows first": ModelConfig(channels=(6,), first_kernel=3, features=(32,)),
    "windows of two": ModelConfig(channels=(9, 8), first_kernel=2, features=(16,)),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_look_ups_encode_what_convolutions_do(compiled, monkeypatch, name, share):
    agents, count = 2, 40
    encoder = encoders.Encoder(generators(agents), spec(actions=(7, 7)), CONFIGS[name])
    given = views(agents, count, 15, share=share)
    weight = noise(agents, count, CONFIGS[name].features[-1])
    own = list(encoder.parameters())

    def both():
        out = encoder(given, torch.float32)
        flat = encoder.convolved(given, torch.float32)
        grads = torch.autograd.grad((out * weight).sum() + flat.square().sum(), own)
        return [out.detach(), flat.detach(), *grads]

    used = []

    def watch(name, count):
        function = getattr(lookup, name)

        def watched(*given):
            out = function(*given)
            used.append(count(given, out))
            return out

        monkeypatch.setattr(lookup, name, watched)

    watch("distinct_rows", lambda given, out: len(out[0]))
    watch("convolve", lambda given, out: len(given[0].tiles))
    found = both()
    assert used == [12 if share < 1 else 40] * 2 + [40] * 2
    with torch.no_grad():
        torch.testing.assert_close(encoder(given, torch.float32), found[0], rtol=0, atol=2e-6)
    monkeypatch.setattr(kernels, "KERNELS", None)
    close(found, [x.double() for x in both()], bound=1e-5)
    assert len(used) == 6


def test_views_of_too_many_tiles_are_convolved(compiled, monkeypatch):
    encoder = encoders.Encoder(generators(1), spec(), CONFIGS["cells first"])
    gen = torch.Generator().manual_seed(0)
    given = torch.randint(0, 256, (1, 20, 49, 27), generator=gen, dtype=torch.uint8)
    assert lookup.see(given[0]) is None
    found = encoder(given, torch.float32)
    monkeypatch.setattr(kernels, "KERNELS", None)
    close([found.detach()], [encoder(given, torch.float32).double().detach()])


def test_the_same_views_are_found(compiled):
    given = views(1, 30, 9, share=0.5)[0]
    for count in (15, 16):
        seen = lookup.see(given)
        assert torch.equal(seen.pixels[seen.tiles.long()], given)
        tiles, place = lookup.distinct_rows(seen.tiles)
        assert len(tiles) == count
        assert torch.equal(tiles[place], seen.tiles)
        given[29, 48, 26] += 1  # one byte of one view
    tiles, place = lookup.distinct_rows(seen.tiles[:15])
    assert place is None
    assert torch.equal(tiles, seen.tiles[:15])


def test_tile_numbers_are_looked_up_like_pixels(compiled):
    atlas = torch.randint(0, 256, (50, 3, 3, 3), dtype=torch.uint8).numpy()
    config = CONFIGS["cells first"]
    by_number = encoders.Encoder(generators(1), spec(atlas=atlas), config)
    by_pixels = encoders.Encoder(generators(1), spec(), config)
    numbers = torch.randint(0, 50, (1, 40, 49), dtype=torch.int16)
    pixels = torch.from_numpy(atlas).reshape(50, 27)[numbers.long()]
    for dtype in (torch.int16, torch.uint16):
        found = by_number(numbers.view(dtype), torch.float32)
        assert torch.equal(found, by_pixels(pixels, torch.float32))


def test_images_and_look_ups_give_the_same_bits_with_any_number_of_threads(compiled, threads):
    config = ModelConfig(channels=(16, 32, 40), features=(48,))
    encoder = encoders.Encoder(generators(2), spec(actions=(7, 7)), config)
    given = views(2, 600, 15, share=0.7)
    outcomes = []
    for count in (1, 2, 3):
        threads(count)
        out = encoder.convolved(given, torch.float32)
        grads = torch.autograd.grad(out.square().sum(), list(encoder.convs.parameters()))
        outcomes.append([out.detach(), *grads])
        out = encoder(given, torch.float32)
        grads = torch.autograd.grad(out.square().sum(), list(encoder.parameters()))
        outcomes[-1] += [out.detach(), *grads]
    for outcome in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcome, outcomes[0], strict=True))


def test_features_of_many_views_and_their_gradients_are_exact(compiled, monkeypatch):
    # Sums over a hundred thousand cells, most of which show the same tile.
    config = ModelConfig(channels=(6,), first_kernel=3, features=(32,))
    encoder = encoders.Encoder(generators(1), spec(), config)
    given = views(1, 3000, 9)
    given[torch.rand(given.shape[:3], generator=torch.Generator().manual_seed(1)) < 0.7] = 7
    weight = noise(1, 3000, 32).abs()

    def everything(encoder, dtype=torch.float32):
        out = encoder(given, dtype)
        grads = torch.autograd.grad((out * weight.to(dtype)).sum(), list(encoder.parameters()))
        return [out.detach(), *grads]

    found = everything(encoder)
    monkeypatch.setattr(kernels, "KERNELS", None)
    expected = everything(encoder.double(), torch.float64)
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours.double() - theirs).abs().max()) < 1e-5 * float(theirs.abs().max())


def test_a_view_is_encoded_alike_in_any_company(compiled):
    encoder = encoders.Encoder(generators(2), spec(actions=(7, 7)), CONFIGS["cells first"])
    given = views(2, 90, 15, share=0.6)
    with torch.no_grad():
        found = encoder.convolved(given, torch.float32)
        lone = encoders.Encoder(generators(2)[1:], spec(), CONFIGS["cells first"])
        part = lone.convolved(given[1:, 20:50], torch.float32)
    torch.testing.assert_close(part, found[1:, 20:50], rtol=0, atol=2e-6)
