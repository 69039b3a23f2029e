"""The compiled error of predicted views against the decoder in PyTorch's own float64."""

import pytest
import torch

from socialgrid import _core
from socialgrid.models import Decoder, Encoder, ModelConfig, ViewSpec, kernels

SETS = _core.kernel_sets()
MINI = ModelConfig(channels=(16, 32), features=(64,), memory=64, heads=(32,))
NETWORKS = {  # rows, cols, side of a tile, network, rows of every agent, agents, linear
    "full": (7, 7, 3, ModelConfig(), 30, 2, False),
    "mini": (7, 7, 3, MINI, 300, 1, False),
    "one pixel": (5, 6, 1, ModelConfig(channels=(5, 3), memory=9, negative_slope=0.1), 27, 3, True),
    "no convolution": (3, 4, 2, ModelConfig(channels=(7,), memory=5), 1, 2, False),
    "windows of two": (4, 4, 5, ModelConfig(channels=(9, 17, 8), kernel=2, memory=20), 13, 1, True),
}
VIEWS = ("pixels", "bytes", "words")


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


def case(name, kind):
    """Encoder, decoder, memories, actions, views and weights."""
    rows, cols, side, config, count, agents, linear = NETWORKS[name]
    gen = torch.Generator().manual_seed(sum(map(ord, name)))
    atlas = torch.randint(0, 256, (200, side, side, 3), generator=gen, dtype=torch.uint8)
    actions = tuple(7 - a for a in range(agents))
    spec = ViewSpec(rows, cols, side, actions, atlas=None if kind == "pixels" else atlas.numpy())
    own = [torch.Generator().manual_seed(a) for a in range(agents)]
    encoder, decoder = Encoder(own, spec, config), Decoder(own, spec, config, linear=linear)
    core = torch.randn((agents, count, config.memory), generator=gen)
    action = torch.randint(0, 7 - agents + 1, (agents, count), generator=gen)
    # Views before and after lie together, as in a minibatch.
    shape = (agents, count + 3, rows * cols)
    views = torch.randint(0, 200, shape, generator=gen)
    if kind == "pixels":
        views = atlas.flatten(1)[views]
    views = views.to({"bytes": torch.uint8, "words": torch.int16}.get(kind, views.dtype))
    weight = torch.rand((agents, count), generator=gen) / count
    weight[:, ::5] = 0.0
    return encoder, decoder, core, action, views[:, 3:], weight


def results(encoder, decoder, core, action, views, weight):
    """Errors and gradients of a weighted sum of them."""
    core = core.clone().requires_grad_()
    error = decoder.error(core, action, views, weight, encoder)
    factor = torch.arange(1, len(error) + 1, dtype=error.dtype)
    grads = torch.autograd.grad((error * factor).sum(), [core, *decoder.parameters()])
    return [error.detach(), *grads]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", VIEWS)
def test_errors_and_their_gradients_are_exact(compiled, name, kind):
    encoder, decoder, core, action, views, weight = case(name, kind)
    found = results(encoder, decoder, core, action, views, weight)
    wide = core.double(), action, views, weight.double()
    expected = results(encoder, decoder.double(), *wide)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        scale = float(theirs.abs().max()) + 1e-6
        assert float((ours.double() - theirs).abs().max()) < 3e-6 * scale


def test_no_gradient_is_computed_where_none_is_wanted(compiled):
    encoder, decoder, core, action, views, weight = case("mini", "words")
    with_gradient = results(encoder, decoder, core, action, views, weight)[0]
    with torch.no_grad():
        assert torch.equal(decoder.error(core, action, views, weight, encoder), with_gradient)


def test_agents_and_threads_change_no_bit(compiled, monkeypatch):
    encoder, decoder, core, action, views, weight = case("full", "words")
    whole = results(encoder, decoder, core, action, views, weight)
    kernels.use_threads(2)
    try:
        shared = results(encoder, decoder, core, action, views, weight)
    finally:
        kernels.use_threads(0)
    assert all(torch.equal(x, y) for x, y in zip(whole, shared, strict=True))


@pytest.mark.parametrize(("tile", "action"), [(200, 0), (-1, 0), (3, 7), (3, -1)])
def test_what_there_is_not_is_refused(compiled, tile, action):
    encoder, decoder, core, actions, views, weight = case("mini", "words")
    views[0, 7, 5], actions[0, 4] = tile, action
    with pytest.raises(IndexError, match=str(tile % 65536) if action == 0 else str(action)):
        decoder.error(core, actions, views, weight, encoder)
