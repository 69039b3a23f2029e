"""First layers from tables: encoders with and without, and sums over tiles in float64."""

import numpy as np
import pytest
import torch
from tests.python.models.triton.test_memory import check

from socialgrid.models import Encoder, ModelConfig, ViewSpec
from socialgrid.models.triton_kernels import choice, look_ups

MODELS = {  # model, rows, columns, views, agents: which layers the table stands for
    "two layers": (ModelConfig(channels=(8, 48, 5), features=(6,)), 6, 5, 3, 3),
    "the first of single cells": (ModelConfig(channels=(48, 5), features=(6,)), 4, 5, 1, 1),
    "nothing but single cells": (ModelConfig(channels=(12,), features=(6,)), 3, 3, 7, 2),
    "over cells": (ModelConfig(channels=(6,), first_kernel=3, features=(6,)), 4, 5, 3, 1),
    "wide": (ModelConfig(channels=(4, 130), kernel=2, features=(6,)), 3, 4, 3, 1),
}
TILES = 7


def encoder_of(model, rows, cols, agents):
    gen = np.random.default_rng(0)
    atlas = gen.integers(256, size=(TILES, 2, 2, 3), dtype=np.uint8)
    spec = ViewSpec(rows, cols, 2, (3,) * agents, atlas=atlas)
    return Encoder([torch.Generator().manual_seed(a) for a in range(agents)], spec, model)


def views_of(agents, count, cells, dtype=torch.uint16):
    gen = torch.Generator().manual_seed(0)
    views = torch.randint(TILES - 1, (agents, count, cells), generator=gen)
    views[torch.rand(views.shape, generator=gen) < 0.5] = 3  # one in most cells, the last in none
    return views.to(torch.int16).view(dtype)


def everything(encoder, views, dtype=torch.float32):
    out = encoder(views, dtype)
    weight = torch.linspace(-1, 1, out.numel(), device=out.device).view(out.shape)
    grads = torch.autograd.grad((out * weight).sum(), list(encoder.parameters()))
    return [out.detach(), *grads]


@pytest.fixture
def small(monkeypatch):
    """Several pieces for a tile, and several steps for a piece, of few views."""
    monkeypatch.setattr(look_ups, "PIECE", 32)
    monkeypatch.setattr(look_ups, "STEP", 16)


@pytest.mark.parametrize("name", MODELS)
def test_encoders_with_and_without(name, device, small, monkeypatch):
    model, rows, cols, count, agents = MODELS[name]
    encoder = encoder_of(model, rows, cols, agents).to(device)
    views = views_of(agents, count, rows * cols).to(device)
    asked = []
    convolve = look_ups.convolve
    monkeypatch.setattr(look_ups, "convolve", lambda *a: asked.append(a[1]) or convolve(*a))
    found = everything(encoder, views)
    assert asked
    assert all((layers.cell is not None) == (name in ("two layers", "wide")) for layers in asked)
    with torch.no_grad():
        assert torch.equal(encoder(views, torch.float32), found[0])
    monkeypatch.setattr(choice, "DEVICES", {"another"})
    check(found, everything(encoder, views))


def test_bfloat16_stays_near(device, small, monkeypatch):
    model, rows, cols, count, _ = MODELS["two layers"]
    encoder = encoder_of(model, rows, cols, 1).to(device)
    views = views_of(1, count, rows * cols).to(device)
    found = everything(encoder, views, torch.bfloat16)
    assert found[0].dtype == torch.bfloat16
    monkeypatch.setattr(choice, "DEVICES", {"another"})
    check(found, everything(encoder, views), 0.04)


@pytest.mark.parametrize(("piece", "count"), [(16, 1), (16, 7), (32, 6), (256, 9)])
def test_sums_over_tiles(piece, count, device, monkeypatch):
    monkeypatch.setattr(look_ups, "PIECE", piece)
    monkeypatch.setattr(look_ups, "STEP", min(piece, 64))
    agents, rows, cols, kernel, outputs = 2, 4, 5, 2, 3
    down, across = rows - kernel + 1, cols - kernel + 1
    tiles = views_of(agents, count, rows * cols, torch.int16)
    gen = torch.Generator().manual_seed(0)
    grad = torch.randn(agents, count, down, across, outputs, generator=gen)
    expected = torch.zeros(agents, TILES, kernel * kernel, outputs, dtype=torch.float64)
    seen = tiles.view(agents, count, rows, cols).long()
    for a, n, y, x in np.ndindex(agents, count, down, across):
        for place in range(kernel * kernel):
            tile = seen[a, n, y + place // kernel, x + place % kernel]
            expected[a, tile, place] += grad[a, n, y, x]
    given = tiles.to(device), grad.flatten(1, 3).to(device)
    found = look_ups.add_by_tile(*given, TILES, (rows, cols), kernel)
    check([found], [expected], 1e-6)
    assert torch.equal(look_ups.add_by_tile(*given, TILES, (rows, cols), kernel), found)
    assert not found[:, -1].any(), "nobody saw the last"


def test_no_views(device):
    model, rows, cols, _, _ = MODELS["nothing but single cells"]
    encoder = encoder_of(model, rows, cols, 2).to(device)
    found = everything(encoder, views_of(2, 0, rows * cols).to(device))
    assert not any(grad.any() for grad in found[1:])
