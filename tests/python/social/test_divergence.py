"""Influence equals its definition, summed one action and one alternative at a time."""

import doctest
import itertools
import math

import numpy as np
import pytest
import torch

from socialgrid.social import divergence, marginal
from socialgrid.social.influence import divergence as module
from socialgrid.social.influence.divergence import influence

KINDS = ["kl", "jsd", "pmi"]


def softmax(logits):
    exps = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(exps) for x in exps]


def twin_marginal(logits, weights):
    """Explicit sum over the alternatives; logits [C][n]."""
    rows = [softmax(row) for row in logits]
    return [
        sum(weight * row[a] for weight, row in zip(weights, rows, strict=True))
        for a in range(len(rows[0]))
    ]


def twin_kl(p, q):
    return sum(x * math.log(x / y) for x, y in zip(p, q, strict=True) if x > 0)


def twin_divergence(kind, p, q, action):
    if kind == "kl":
        return twin_kl(p, q)
    if kind == "jsd":
        middle = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
        return (twin_kl(p, middle) + twin_kl(q, middle)) / 2
    return math.log(p[action] / q[action])


def twin_influence(logits, weights, taken, kind, action):
    return twin_divergence(kind, softmax(logits[taken]), twin_marginal(logits, weights), action)


def twin_mutual_information(logits, weights):
    """From the joint distribution, without any divergence."""
    rows = [softmax(row) for row in logits]
    joint = {
        (c, a): weights[c] * rows[c][a]
        for c, a in itertools.product(range(len(rows)), range(len(rows[0])))
    }
    total = 0.0
    for (c, a), p in joint.items():
        first = sum(x for (k, _), x in joint.items() if k == c)
        second = sum(x for (_, k), x in joint.items() if k == a)
        total += p * math.log(p / (first * second))
    return total


@pytest.fixture(params=range(3))
def case(request):
    """Five situations: 3 alternatives, 4 actions; some logits far apart."""
    rng = np.random.default_rng(request.param)
    logits = rng.normal(size=(5, 3, 4)) * rng.choice([0.3, 3.0, 12.0], size=(5, 1, 1))
    weights = rng.dirichlet([0.5] * 3, size=5)
    return logits, weights, rng.integers(3, size=5), rng.integers(4, size=5)


@pytest.mark.parametrize("kind", KINDS)
def test_influence_is_its_definition(case, kind):
    logits, weights, taken, action = case
    ours = influence(*(torch.tensor(x) for x in (logits, weights, taken)), kind,
                     torch.tensor(action))  # fmt: skip
    want = [
        twin_influence(*(x[i].tolist() for x in (logits, weights, taken)), kind, action[i])
        for i in range(5)
    ]
    np.testing.assert_allclose(ours.numpy(), want, rtol=1e-9, atol=1e-12)


def test_marginal_is_the_weighted_mean_and_sums_to_one(case):
    logits, weights, _, _ = case
    ours = marginal(torch.tensor(logits), torch.tensor(weights)).exp()
    want = [twin_marginal(logits[i].tolist(), weights[i].tolist()) for i in range(5)]
    np.testing.assert_allclose(ours.numpy(), want, rtol=1e-10)
    np.testing.assert_allclose(ours.sum(-1).numpy(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("kind", ["kl", "pmi"])
def test_expected_influence_is_the_mutual_information(case, kind):
    """Eq. 5 and 6: over the influencer's policy for KL, over the joint for PMI."""
    logits, weights, _, _ = case
    for i in range(5):
        given, own = torch.tensor(logits[i]), torch.tensor(weights[i])
        conditional = given.softmax(-1)
        total = 0.0
        for c, a in itertools.product(range(3), range(4)):
            value = influence(given, own, torch.tensor(c), kind, torch.tensor(a)).item()
            total += (own[c] * conditional[c, a]).item() * value
        want = twin_mutual_information(logits[i].tolist(), weights[i].tolist())
        assert total == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_who_does_not_listen_is_not_influenced(case, kind):
    logits, weights, taken, action = case
    deaf = torch.tensor(logits[:, :1]).expand(5, 3, 4)
    value = influence(deaf, *(torch.tensor(x) for x in (weights, taken)), kind,
                      torch.tensor(action))  # fmt: skip
    np.testing.assert_allclose(value.numpy(), 0.0, atol=1e-12)


def test_a_foregone_choice_has_no_influence():
    """What the influencer does with probability 1 is what the marginal already holds."""
    logits = torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    weights = torch.tensor([1.0, 0.0])
    for kind in KINDS:
        value = influence(logits, weights, torch.tensor(0), kind, torch.tensor(1))
        assert value.item() == pytest.approx(0.0, abs=1e-7)


def test_perfect_obedience_is_worth_the_entropy_of_the_choice():
    logits = torch.eye(3).log()  # does exactly what the influencer did: minus infinity elsewhere
    weights = torch.tensor([0.5, 0.3, 0.2])
    for c in range(3):
        taken = torch.tensor(c)
        for kind in ("kl", "pmi"):
            value = influence(logits, weights, taken, kind, taken)
            assert value.item() == pytest.approx(-math.log(weights[c]), abs=1e-6)


def test_jsd_is_symmetric_and_bounded():
    p, q = torch.tensor([[1.0, 0.0]]).log(), torch.tensor([[0.0, 1.0]]).log()
    assert divergence("jsd", p, q).item() == pytest.approx(math.log(2.0))
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn((2, 50, 6), generator=generator).mul(4.0).log_softmax(-1)
    forth, back = divergence("jsd", p, q), divergence("jsd", q, p)
    torch.testing.assert_close(forth, back)
    assert bool((forth > 0).all())
    assert bool((forth < math.log(2.0)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_actions_ruled_out_change_nothing(case, kind):
    """Agents with fewer actions than the longest table have logits of minus infinity."""
    logits, weights, taken, action = case
    padded = np.concatenate([logits, np.full((5, 3, 2), -np.inf)], -1)
    tail = (*(torch.tensor(x) for x in (weights, taken)), kind, torch.tensor(action))
    plain, longer = (influence(torch.tensor(x), *tail) for x in (logits, padded))
    torch.testing.assert_close(longer, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_stay_finite(kind):
    logits = torch.tensor([[300.0, 0.0, -300.0], [-300.0, 0.0, 300.0]])
    value = influence(logits, torch.tensor([1e-6, 1 - 1e-6]), torch.tensor(0), kind,
                      torch.tensor(0))  # fmt: skip
    assert bool(value.isfinite())


def test_no_gradient_passes():
    logits = torch.randn((3, 4), generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.full((3,), 1 / 3, requires_grad=True)
    for kind in KINDS:
        assert not influence(logits, weights, torch.tensor(1), kind, torch.tensor(2)).requires_grad


def test_leading_axes_broadcast(case):
    """One influencer's policy serves for all the agents it influences."""
    logits, weights, taken, action = (torch.tensor(x) for x in case)
    stacked = torch.stack((logits, logits.flip(-1)))
    ours = influence(stacked, weights, taken, "pmi", action)
    assert ours.shape == (2, 5)
    for i in range(2):
        want = influence(stacked[i], weights, taken, "pmi", action)
        torch.testing.assert_close(ours[i], want, rtol=0, atol=0)


def test_mistakes_are_named():
    p = torch.zeros(2, 3).log_softmax(-1)
    with pytest.raises(ValueError, match="needs the action"):
        divergence("pmi", p, p)
    with pytest.raises(ValueError, match="must be kl, jsd or pmi"):
        divergence("tv", p, p)
    with pytest.raises(ValueError, match=r"weights \(4,\)"):
        marginal(torch.zeros(3, 5), torch.full((4,), 0.25))


def test_the_example_holds():
    failed, attempted = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0 < attempted
