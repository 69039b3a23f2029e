"""Tables that acting looks up are made once for the weights that there are, and never stale."""

import numpy as np
import pytest
import torch

from socialgrid.algos import A3C
from socialgrid.models import ModelConfig, ViewSpec
from socialgrid.models.triton_kernels import look_ups

MODELS = {
    "two layers": ModelConfig(channels=(8, 12), features=(6,), memory=6, heads=(4,)),
    "single cells": ModelConfig(channels=(12,), features=(6,), memory=6, heads=(4,)),
    "over cells": ModelConfig(channels=(6,), first_kernel=3, features=(6,), memory=6, heads=(4,)),
}


@pytest.mark.parametrize("name", MODELS)
def test_acting_looks_up_what_is_made_of_the_present_weights(name, device, monkeypatch):
    atlas = np.random.default_rng(0).integers(256, size=(7, 2, 2, 3), dtype=np.uint8)
    spec = ViewSpec(5, 4, 2, (3, 3), atlas=atlas)
    one, other = (A3C(spec, MODELS[name], seed=seed, device=device) for seed in (1, 2))
    gen = torch.Generator().manual_seed(0)
    obs = torch.randint(7, (6, 2, 5, 4), generator=gen).to(torch.int16)
    made, table_of = [], look_ups.table_of
    monkeypatch.setattr(look_ups, "table_of", lambda layers: made.append(1) or table_of(layers))

    def act(learner, *, asks):
        learner.asks = asks
        reset = torch.ones((6, 2), dtype=torch.bool)
        out = learner.act(obs, learner.initial_state(6), reset, step=0)
        return [out.state.clone(), *(x.clone() for x in vars(out.decisions["action"]).values())]

    wanted = [act(one, asks=True), act(other, asks=True)]
    made.clear()
    for _ in range(3):
        for x, y in zip(act(one, asks=False), wanted[0], strict=True):
            assert torch.equal(x, y)
    assert len(made) == 1
    one.load_tensors(other.tensors())
    for _ in range(2):
        for x, y in zip(act(one, asks=False), wanted[1], strict=True):
            assert torch.equal(x, y)
    assert len(made) == 2
    act(one, asks=True)
    assert len(made) > 2, "elsewhere weights may change in between"
