"""Random numbers that depend on agent, environment, step, kind and place alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from socialgrid.models import AgentDraws

ALL = {"step": 5, "envs": range(3, 40), "kind": 2, "places": 7}


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Ten rounds, word by word, as the paper has them."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (second >> 32) ^ c[1] ^ k[0],
            second & 0xFFFFFFFF,
            (first >> 32) ^ c[3] ^ k[1],
            first & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def test_words_are_those_of_the_paper() -> None:
    # Published test vectors of Philox4x32-10.
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    draws = AgentDraws(9, [0, 4])
    words = draws.words((7 << 32) + 11, range(30, 33), kind=3, places=6)
    for agent, key in enumerate(draws.keys.numpy().view(np.uint64).tolist()):
        for env in range(3):
            blocks = [
                philox([30 + env, 11, 7, 3 << 16 | block], [key & 0xFFFFFFFF, key >> 32])
                for block in range(2)
            ]
            assert words[agent, env].tolist() == [*blocks[0], *blocks[1][:2]]


def test_nobody_else_matters() -> None:
    draws = AgentDraws(1, [5, 2, 9])
    whole = draws.uniform(**ALL)
    assert whole.shape == (3, 37, 7)
    assert whole.dtype == torch.float32
    parts = [draws.uniform(**{**ALL, "envs": envs}) for envs in (range(3, 20), range(20, 40))]
    assert torch.equal(torch.cat(parts, 1), whole)
    assert torch.equal(draws.uniform(**ALL, agents=[2, 0]), whole[[2, 0]])
    assert torch.equal(AgentDraws(1, [2]).uniform(**ALL)[0], whole[1])
    assert torch.equal(draws.uniform(**{**ALL, "places": 3}), whole[..., :3])


def test_everything_in_the_key_matters() -> None:
    found = [
        draws.words(**{**ALL, **changed})
        for draws in (AgentDraws(1, [5]), AgentDraws(2, [5]), AgentDraws(1, [5], purpose=2))
        for changed in ({}, {"step": 6}, {"step": 5 + (1 << 32)}, {"kind": 3})
    ]
    seen = np.concatenate([x.numpy().ravel() for x in found])
    assert len(np.unique(seen)) > len(seen) - 3


def test_numbers_are_uniform() -> None:
    draws = AgentDraws(3, range(4))
    x = draws.uniform(0, range(5000), places=5)
    assert x.min() >= 0
    assert x.max() < 1
    counts = torch.histc(x, 20, 0.0, 1.0)
    expected = x.numel() / 20
    assert ((counts - expected).square() / expected).sum() < 50  # 19 degrees: p = 1e-4
    n = draws.integers(7, 1, range(5000), places=5)
    counts = torch.bincount(n.flatten(), minlength=7).float()
    assert len(counts) == 7
    assert ((counts - n.numel() / 7).square() / (n.numel() / 7)).sum() < 30
    assert draws.integers(2**31, 1, range(5000)).max() < 2**31


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"envs": range(0, 4, 2)}, "must follow each other"),
        ({"envs": range(2**32 - 1, 2**32 + 1)}, "environments must be 0 to"),
        ({"kind": 65536}, "kind must be below"),
        ({"places": 0}, "places must be 1 to"),
        ({"places": 262_145}, "places must be 1 to"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        AgentDraws(0, [0]).words(**{**ALL, **changed})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit 0: must be 1 to 2"):
        AgentDraws(0, [0]).integers(0, 0, range(1))


def test_agents_may_be_at_different_steps() -> None:
    draws = AgentDraws(1, [5, 2, 9])
    found = draws.words([4, 7, 4], range(2), places=3)
    for agent, step in enumerate([4, 7, 4]):
        assert torch.equal(found[agent], draws.words(step, range(2), places=3)[agent])
    assert torch.equal(draws.words([7, 4], range(2), places=3, agents=[1, 2]), found[[1, 2]])
    with pytest.raises(ValueError, match="one for each of the 3 keys"):
        draws.words([1, 2], range(2))


def test_normal_numbers_are_normal_and_made_of_two_words_each() -> None:
    draws = AgentDraws(3, range(4))
    x = draws.normal(0, range(20_000), places=5)
    assert x.shape == (4, 20_000, 5)
    assert x.dtype == torch.float32
    flat = x.flatten().double()
    assert abs(float(flat.mean())) < 0.01
    assert float(flat.std()) == pytest.approx(1.0, abs=0.01)
    assert float(flat.pow(4).mean()) == pytest.approx(3.0, abs=0.1)
    for bound, share in ((1.0, 0.6827), (2.0, 0.9545), (3.0, 0.9973)):
        assert float((flat.abs() < bound).double().mean()) == pytest.approx(share, abs=0.004)
    # Neighbours have nothing in common.
    rows = x.flatten(0, 1).double()
    correlation = torch.corrcoef(rows.T) - torch.eye(5)
    assert float(correlation.abs().max()) < 0.02
    assert torch.equal(draws.normal(0, range(5, 9), places=3), x[:, 5:9, :3])
    u = (draws.words(0, range(1), places=2)[2, 0].double() + 0.5) / 2**32
    wanted = math.sqrt(-2.0 * math.log(u[0])) * math.cos(2.0 * math.pi * u[1])
    assert float(x[2, 0, 0]) == pytest.approx(wanted, rel=1e-6)
