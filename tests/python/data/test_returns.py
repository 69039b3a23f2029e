"""Estimators equal their slow twins, and treat the ends of episodes as they should."""

import numpy as np
import pytest
import torch
from tests.python.data import twins

from socialgrid.data import returns


@pytest.fixture(params=range(4))
def data(request):
    rng = np.random.default_rng(request.param)
    shape = (9, 3, 2)
    ended = rng.random(shape) < 0.25
    truncated = ended & (rng.random(shape) < 0.5)
    terminated = ended & ~truncated
    value, final = rng.normal(size=shape), rng.normal(size=shape)
    last = rng.normal(size=shape[1:])
    return {
        "reward": rng.normal(size=shape),
        "value": value,
        "next_value": twins.next_values(value, last, terminated, truncated, final),
        "continues": ~ended,
        "parts": (value, last, terminated, truncated, final),
    }


def as_tensors(*arrays):
    return [torch.tensor(a) for a in arrays]


def close(ours, twin):
    np.testing.assert_allclose(ours.numpy(), twin, rtol=1e-10, atol=1e-12)


def test_next_values(data):
    close(returns.next_values(*as_tensors(*data["parts"])), data["next_value"])


@pytest.mark.parametrize("lam", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("delta", ["td", "public"])
def test_gae(data, lam, delta):
    arrays = [data[k] for k in ("reward", "value", "next_value", "continues")]
    ours = returns.gae(*as_tensors(*arrays), gamma=0.95, lam=lam, delta=delta)
    close(ours, twins.gae(*arrays, 0.95, lam, delta == "public"))


def test_discounted_returns(data):
    arrays = [data[k] for k in ("reward", "next_value", "continues")]
    ours = returns.discounted_returns(*as_tensors(*arrays), gamma=0.9)
    close(ours, twins.discounted_returns(*arrays, 0.9))


def test_lambda_one_is_return_minus_value(data):
    arrays = as_tensors(*[data[k] for k in ("reward", "value", "next_value", "continues")])
    reward, value, following, continues = arrays
    advantage = returns.gae(*arrays, gamma=0.9, lam=1.0)
    full = returns.discounted_returns(reward, following, continues, gamma=0.9)
    close(advantage + value, full.numpy())


def test_time_limits_bootstrap_and_terminations_do_not():
    value, final = torch.zeros(1, 2), torch.full((1, 2), 10.0)
    truncated = torch.tensor([[True, False]])
    following = returns.next_values(value, torch.full((2,), 99.0), ~truncated, truncated, final)
    assert following.tolist() == [[10.0, 0.0]]
