"""Metrics of evaluations, and what values they are taken to have."""

import pytest

from socialgrid.measures import Bounds, Values, declare
from socialgrid.report.evaluation import outcomes_of

SEEDS = [[{"test_debt": -0.25, "test_shells": 2.0}, {"test_debt": 1.0, "test_shells": 0.0}]]


def test_what_nobody_declared_is_a_count_unless_it_is_negative():
    debt, shells = outcomes_of(SEEDS, (50, ()))
    assert debt.bounds == Bounds()
    assert shells.bounds == Bounds(0.0)
    low, high = debt.over_episodes().low, debt.over_episodes().high
    assert low < 0.375 < high


def test_what_is_declared_otherwise_is_refused():
    declare("test_share_of_outcomes", values=Values.SHARE)
    (share,) = outcomes_of([[{"test_share_of_outcomes": 2.0}]], (50, ()))
    with pytest.raises(ValueError, match="bounds are"):
        share.over_episodes()
