"""Nothing around the kernels waits for a card, copies to it or makes sizes that hang on values."""

import numpy as np
import pytest
import torch
import triton
from tests.python.pretend import DEVICE, Pretend

from socialgrid.models import (
    Decoder,
    Encoder,
    ModelConfig,
    StackedLSTM,
    ViewSpec,
    footprint_of,
    kernels,
)
from socialgrid.models.triton_kernels import (
    absolute_errors,
    activations,
    choice,
    look_ups,
    memory,
)


class Counted:
    """In the place of a kernel, on the pretended device: starts nothing."""

    def __init__(self):
        self.started = 0

    def __getitem__(self, grid):
        return self.start

    def start(self, *args):
        self.started += 1


def without_kernels(monkeypatch):
    """Have all kernels started that a card would start, and nothing computed by them."""
    stands = {}
    for module in (absolute_errors, activations, look_ups, memory):
        for name, value in list(vars(module).items()):
            if isinstance(value, triton.runtime.KernelInterface):
                stands[name] = Counted()
                monkeypatch.setattr(module, name, stands[name])
    monkeypatch.setattr(choice, "DEVICES", {DEVICE.type})
    monkeypatch.setattr(choice, "works", lambda device: True)
    monkeypatch.setattr(kernels, "KERNELS", None)
    return stands


@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("channels", [(24, 32), (24,)])
@pytest.mark.parametrize("tiles", [40, 400])
def test_memory_of_tables_is_said(monkeypatch, first, channels, tiles):
    """What an encoder keeps and makes on the way back, where tables do for its first layers."""
    without_kernels(monkeypatch)
    gens = [torch.Generator().manual_seed(a) for a in range(2)]
    spec = ViewSpec(7, 7, 3, (3, 3), atlas=np.zeros((tiles, 3, 3, 3), np.uint8))
    model = ModelConfig(channels=channels, features=(16,), memory=6, first_kernel=first)
    with Pretend() as device:
        encoder = Encoder(gens, spec, model).to(DEVICE)
        views = torch.zeros((2, 300, 49), dtype=torch.int16, device=DEVICE)
        before = device.memory.now
        device.memory.peak = before
        own = [*encoder.parameters()]
        torch.autograd.grad(encoder(views, torch.float32).sum(), own)
        said = footprint_of(encoder, 300)
        taken = device.memory.peak - before
    whole = said.tables + 600 * (said.kept + said.passing)
    assert 0.7 < taken / whole < 1.5, (taken, said)


def test_networks_can_be_repeated_by_a_card(monkeypatch):
    stands = without_kernels(monkeypatch)
    gens = [torch.Generator().manual_seed(a) for a in range(2)]
    spec = ViewSpec(5, 5, 1, (3, 3), atlas=np.zeros((9, 1, 1, 3), np.uint8))
    model = ModelConfig(channels=(6, 8), features=(4,), memory=6)
    with Pretend() as device:
        encoder = Encoder(gens, spec, model).to(DEVICE)
        decoder = Decoder(gens, spec, model).to(DEVICE)
        lstm = StackedLSTM(gens, 4, 6).to(DEVICE)
        views = torch.zeros((2, 30, 25), dtype=torch.uint16, device=DEVICE)
        state, action = torch.zeros((2, 3, 6), device=DEVICE), views[..., 0].long()
        reset = torch.zeros((2, 10, 3), dtype=torch.bool, device=DEVICE)
        target = encoder.pixels(views)
        device.reset()
        x = encoder(views, torch.float32).view(2, 10, 3, 4)
        out, _ = lstm(x, state, state, reset)
        errors = decoder(out.flatten(1, 2), action, target)
        own = [y for module in (encoder, lstm, decoder) for y in module.parameters()]
        torch.autograd.grad(errors.sum(), own)
        assert (device.waits, device.copies) == (0, 0), device.places
    assert all(stand.started for stand in stands.values()), "every kernel has a part in it"
    assert stands["_forward"].started == stands["_backward"].started == 10
