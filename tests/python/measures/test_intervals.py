"""Intervals range over what their values are drawn from and stay where values can be."""

import math

import numpy as np
import pytest
import torch

from socialgrid.measures import (
    FEW_RUNS,
    Bounds,
    Values,
    bounds_of,
    confidence_interval,
    declare,
    interval_over_runs,
    method,
)
from socialgrid.social import CommOptions, divergence

SHARE = Bounds(0.0, 1.0)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_intervals_of_bounded_values_stay_within_bounds():
    # What Student's interval makes of these three: -2.4 to 3.9 and the like.
    for values in ([0.05, 0.7, 0.99], [0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.999]):
        mean, low, high = confidence_interval(values, bounds=SHARE)
        assert 0.0 < low < mean < high < 1.0
    for values in ([0.0, 0.0, 9.0], [1.0, 30.0]):
        mean, low, high = confidence_interval(values, bounds=Bounds(0.0))
        assert 0.0 <= low < mean < high
        mean, low, high = confidence_interval(np.negative(values), bounds=Bounds(high=0.0))
        assert low < mean < high <= 0.0
    mean, low, high = confidence_interval([1.0, 49.0, 50.0], bounds=Bounds(0.0, 50.0))
    assert 0.0 < low < mean < high < 50.0


def test_the_scale_is_the_logit_and_the_root():
    # 4 values, mean 0.5, deviation 0.2, t = 3.182: logit(0.5) +- 3.182 * 0.1 / 0.25
    values = [0.5 - d for d in (-0.1732050808, -0.1732050808, 0.1732050808, 0.1732050808)]
    reach = 3.182446 * 0.1 / 0.25
    found = confidence_interval(values, bounds=SHARE)
    assert found.low == pytest.approx(1 / (1 + math.exp(reach)), rel=1e-5)
    assert found.high == pytest.approx(1 / (1 + math.exp(-reach)), rel=1e-5)
    scaled = confidence_interval([100 * x - 50 for x in values], bounds=Bounds(-50, 50))
    assert scaled.low == pytest.approx(100 * found.low - 50)
    # mean 4, standard error 1: (2 +- 3.182 / 4) squared
    counts = [4 + 2 * d / 0.2 for d in (-0.1732050808, -0.1732050808, 0.1732050808, 0.1732050808)]
    found = confidence_interval(counts, bounds=Bounds(0.0))
    assert found.low == pytest.approx((2 - 3.182446 / 4) ** 2, rel=1e-5)
    assert found.high == pytest.approx((2 + 3.182446 / 4) ** 2, rel=1e-5)


def test_values_that_are_all_the_same_show_no_spread_but_shares_do():
    assert confidence_interval([3.0, 3.0, 3.0]) == (3.0, 3.0, 3.0)
    assert confidence_interval([0.0, 0.0], bounds=Bounds(0.0)) == (0.0, 0.0, 0.0)
    assert confidence_interval([0.4, 0.4], bounds=SHARE) == (0.4, 0.4, 0.4)
    # Never in 5: Clopper and Pearson's limit is 0.5218.
    mean, low, high = confidence_interval([0.0] * 5, bounds=SHARE)
    assert (mean, low) == (0.0, 0.0)
    assert high == pytest.approx(0.5218, abs=1e-4)
    assert confidence_interval([1.0] * 5, bounds=SHARE).low == pytest.approx(0.4782, abs=1e-4)


def test_divergences_of_rounded_numbers_may_be_a_little_below_zero():
    logits = torch.linspace(-3.0, 3.0, 8) + 1e-7 * torch.randn(400, 8, generator=seeded(0))
    p, q = logits.log_softmax(-1), logits.flip(0).log_softmax(-1)
    values = divergence("kl", p, q).numpy()
    assert values.min() < -1e-9, "what the slack is for"
    mean, low, high = confidence_interval(values, bounds=Bounds(0.0))
    assert 0.0 <= low <= mean <= high
    assert confidence_interval([-4e-8, -2e-8], bounds=Bounds(0.0)) == (0.0, 0.0, 0.0)


def test_values_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match="bounds are 0"):
        confidence_interval([0.5, 1.2], bounds=SHARE)
    for count in (2, FEW_RUNS):  # although every run's mean is a share
        with pytest.raises(ValueError, match="bounds are 0"):
            interval_over_runs([[0.0, 1.2]] * count, bounds=SHARE)


@pytest.mark.parametrize("count", [3, 5, 20])
def test_intervals_hold_the_mean_as_often_as_they_say(count):
    rng = np.random.default_rng(0)
    drawn = rng.beta(4.0, 2.0, size=(2000, count))
    held = [low < 2 / 3 < high for _, low, high in
            (confidence_interval(x, bounds=SHARE) for x in drawn)]  # fmt: skip
    assert np.mean(held) > 0.92


def test_from_ten_runs_on_runs_and_their_episodes_are_drawn_again():
    rng = np.random.default_rng(1)
    levels = rng.normal(0.0, 1.0, size=12)
    runs = [level + rng.normal(0.0, 0.1, size=4 + k) for k, level in enumerate(levels)]
    found = interval_over_runs(runs)
    means = np.array([run.mean() for run in runs])
    assert found == interval_over_runs(runs)  # the same draws every time
    assert found.mean == pytest.approx(means.mean()), "longer runs count more"
    # Over runs, not over episodes: about 2 standard errors of the runs' means to either side.
    error = means.std(ddof=1) / np.sqrt(12)
    assert 3.0 < (found.high - found.low) / error < 4.5
    shares = [np.clip(run, 0.0, 1.0) for run in runs]
    mean, low, high = interval_over_runs(shares, bounds=SHARE)
    assert 0.0 <= low < mean < high <= 1.0
    few = interval_over_runs(runs[:9])
    assert few == confidence_interval(means[:9])
    assert (method(FEW_RUNS - 1), method(FEW_RUNS)[:9]) == ("Student's t", "bootstrap")


@pytest.mark.parametrize("count", [2, FEW_RUNS - 1, FEW_RUNS, 30])
def test_any_number_of_runs_stays_within_bounds_and_knows_what_it_never_saw(count):
    rounded = [[1.0 + 1e-10] * 3] * (count - 1) + [[0.9]]
    mean, low, high = interval_over_runs(rounded, bounds=SHARE)
    assert 0.0 < low < mean < high <= 1.0
    never = interval_over_runs([[0.0] * 4] * count, bounds=SHARE)
    assert never == confidence_interval([0.0] * count, bounds=SHARE)
    assert never.high > 0.0
    assert interval_over_runs([[0.5] * 4] * count, bounds=SHARE) == (0.5, 0.5, 0.5)


def test_runs_without_values_do_not_count():
    assert interval_over_runs([[1.0, 3.0], [math.nan], [4.0]]) == confidence_interval([2.0, 4.0])
    assert math.isnan(interval_over_runs([[math.nan]]).mean)


def test_metrics_know_their_bounds():
    for name in ("equality", "peace", "box_opened", "speaker_consistency"):
        assert bounds_of(name, 50) == SHARE
    assert bounds_of("box_step", 50) == Bounds(0.0, 50.0)
    assert bounds_of("influenced_reward_correlation", 50) == Bounds(-1.0, 1.0)
    assert bounds_of("influence", 50) == bounds_of("apples", 50) == Bounds(0.0)
    for name in ("collective_return", "return_x_equality", "learners_return", "mean_return"):
        assert bounds_of(name, 50) == Bounds()
    assert bounds_of("influence", 50, CommOptions(divergence="pmi").unbounded()) == Bounds()
    assert bounds_of("influence", 50, CommOptions().unbounded()) == Bounds(0.0)
    assert bounds_of("shells", 50) == Bounds(0.0)  # which nobody has declared
    declare("test_of_bounds", values=Values.SHARE)
    assert bounds_of("test_of_bounds", 50) == SHARE
