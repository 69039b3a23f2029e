"""The value of listening: its definition one alternative at a time, and where it has none."""

import doctest
import math

import numpy as np
import pytest
import torch

from socialgrid.social import Listening, listening, value_of_listening
from socialgrid.social.influence import listening as module


def twin(logits):
    """One number for each alternative; logits [C, n] in double precision."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    found = []
    for c in range(len(p)):
        others = np.mean([p[o] for o in range(len(p)) if o != c], 0)
        found.append(sum(a * math.log(a / b) for a, b in zip(p[c], others, strict=True) if a > 0))
    return found


def test_it_is_the_divergence_from_the_mean_of_all_others():
    logits = np.random.default_rng(0).normal(0, 3, (5, 4, 6))
    got = listening(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(got, [twin(one) for one in logits], rtol=1e-9)


def test_examples():
    assert doctest.testmod(module).failed == 0


def test_it_is_exact_where_one_alternative_decides_everything():
    # The mean of the others is a thousandth of a rounding error of the sum of all.
    logits = torch.tensor([[40.0, 0.0], [0.0, 20.0], [0.0, 20.0]])
    want = twin(logits.double().numpy())
    np.testing.assert_allclose(listening(logits).numpy(), want, rtol=1e-5)


def test_actions_that_are_ruled_out_and_a_single_alternative_add_nothing():
    logits = torch.tensor([[1.0, 0.0, -math.inf], [0.0, 1.0, -math.inf]])
    np.testing.assert_allclose(listening(logits).numpy(), listening(logits[:, :2]).numpy())
    assert listening(torch.zeros(3, 1, 4)).tolist() == [[0.0], [0.0], [0.0]]


def test_whoever_does_not_listen_gives_nothing():
    assert listening(torch.randn(1, 5).expand(4, 5)).abs().max() < 1e-6


def test_pairs_are_means_over_the_steps_that_count_and_the_most_telling_alternative():
    heard = Listening(2, 3, 4)
    logits = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1)).mul(2)
    counts = torch.tensor([True, False, True, True, False, True])
    heard.add(0, 2, logits[:4], counts[:4])
    heard.add(0, 2, logits[4:], counts[4:])
    heard.add(1, 0, logits, torch.zeros(6, dtype=torch.bool))
    table = value_of_listening(heard.sums, heard.counts)
    want = np.mean([twin(one) for one in logits[counts].double().numpy()], 0).max()
    assert float(table[0, 2]) == pytest.approx(want, rel=1e-5)
    assert int(table.isnan().sum()) == 5  # a pair that was never together has no number
