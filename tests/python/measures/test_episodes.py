"""Outcomes of episodes equal their definitions, whatever the cuts between rollouts."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socialgrid.measures import EpisodeMetrics, confidence_interval, equality, gini
from socialgrid.measures import episodes as metrics

NAMES = ("apples", "cleaned", "shots", "hits")


def twin_gini(returns):
    n, total = len(returns), sum(abs(r) for r in returns)
    if total == 0:
        return 0.0
    return sum(abs(a - b) for a in returns for b in returns) / (2 * n * total)


def mean(values):
    return sum(values) / len(values) if values else math.nan


def twin_episode(reward, events, active, names):
    """Metrics of one whole episode; arrays [T, N] and [T, N, K]."""
    steps, agents = reward.shape
    returns = [sum(float(reward[t, k]) for t in range(steps)) for k in range(agents)]
    total, fair = sum(returns), 1 - twin_gini(returns)
    when = []
    for k in range(agents):
        if "apples" in names:
            collected = [t + 1 for t in range(steps) if events[t, k, names.index("apples")]]
        else:
            collected = [t + 1 for t in range(steps) if reward[t, k] > 0]
        if collected:
            when.append(mean(collected))
    result = {
        "length": steps,
        "collective_return": total,
        "equality": fair,
        "return_x_equality": total * fair,
        "sustainability": mean(when),
    }
    if "hits" in names:
        at = names.index("hits")
        result["peace"] = mean(
            [
                float(events[t, k, at] == 0)
                for t in range(steps)
                for k in range(agents)
                if active[t, k]
            ]
        )
    for i, name in enumerate(names):
        if name == "opened":
            opened = [t + 1 for t in range(steps) if events[t, :, i].any()]
            result["box_opened"] = float(bool(opened))
            result["box_step"] = opened[0] if opened else math.nan
        else:
            result[name] = int(events[..., i].astype(int).sum())
    return result


def experience(names, seed=0, steps=60, envs=5, agents=3, ends=0.08):
    rng = np.random.default_rng(seed)
    shape = (steps, envs, agents)
    reward = rng.choice([0.0, 0.0, 0.0, 1.0, -1.0, -50.0], size=shape).astype(np.float32)
    events = (rng.random((*shape, len(names))) < 0.1).astype(np.uint8)
    events *= rng.integers(1, 4, size=events.shape, dtype=np.uint8)
    active = rng.random(shape) < 0.9
    if "hits" in names:
        events[..., names.index("hits")] *= active
    return reward, rng.random((steps, envs)) < ends, events, active


def whole_episodes(reward, done, events, active):
    """The arrays of every finished episode, in the order in which they end."""
    for t, e in np.argwhere(done):
        before = np.flatnonzero(done[:t, e])
        first = before[-1] + 1 if len(before) else 0
        rows = slice(first, t + 1)
        yield reward[rows, e], events[rows, e], active[rows, e]


def each(columns):
    """A mapping for each episode."""
    rows = zip(*(x.tolist() for x in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def assert_same(ours, want):
    assert len(ours) == len(want)
    for mine, theirs in zip(ours, want, strict=True):
        assert set(mine) == set(theirs)
        for name in theirs:
            assert mine[name] == pytest.approx(theirs[name], rel=1e-9, nan_ok=True), name


@pytest.mark.parametrize("names", [NAMES, ("apples", "opened"), ("toggles", "exits"), ()])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_their_definitions(names, seed):
    arrays = experience(names, seed)
    want = [twin_episode(*arrays, names) for arrays in whole_episodes(*arrays)]
    assert len(want) > 5
    assert_same(each(EpisodeMetrics(5, 3, names).update(*arrays)), want)


@pytest.mark.parametrize("names", [NAMES, ("apples", "opened")])
def test_cuts_between_rollouts_do_not_matter(names):
    arrays = experience(names)
    want = each(EpisodeMetrics(5, 3, names).update(*arrays))
    metrics, ours = EpisodeMetrics(5, 3, names), []
    for first, stop in [(0, 1), (1, 2), (2, 2), (2, 31), (31, 60)]:
        ours += each(metrics.update(*(array[first:stop] for array in arrays)))
        other = EpisodeMetrics(5, 3, names)  # and neither does a restart from a checkpoint
        other.set_state(metrics.get_state())
        metrics = other
    assert_same(ours, want)


def test_state_is_a_copy():
    arrays = experience(NAMES, ends=0.0)
    metrics = EpisodeMetrics(5, 3, NAMES)
    state = metrics.get_state()
    metrics.update(*arrays)
    assert not any(array.any() for array in state.values())
    assert any(array.any() for array in metrics.get_state().values())


def test_states_that_do_not_fit_are_refused():
    state = EpisodeMetrics(5, 3, NAMES).get_state()
    with pytest.raises(ValueError, match=r"events: int64\(5, 3, 4\), expected int64\(5, 3, 2\)"):
        EpisodeMetrics(5, 3, ("apples", "opened")).set_state(state)
    with pytest.raises(ValueError, match="expected"):
        EpisodeMetrics(5, 3, NAMES).set_state({"length": state["length"]})


@pytest.mark.parametrize(
    ("name", "position"), [("reward", 0), ("done", 1), ("events", 2), ("active", 3)]
)
def test_shapes_are_checked(name, position):
    arrays = list(experience(NAMES))
    arrays[position] = arrays[position][:, :-1]
    metrics = EpisodeMetrics(5, 3, NAMES)
    with pytest.raises(ValueError, match=f"^{name} .*expected"):
        metrics.update(*arrays)


def test_a_small_episode_by_hand():
    """Two agents, four steps: one eats at 1 and 3, the other at 4; one shot, one hit."""
    events = np.zeros((4, 1, 2, 4), np.uint8)
    events[0, 0, 0, 0] = events[2, 0, 0, 0] = events[3, 0, 1, 0] = 1
    events[1, 0, 1, 2] = events[1, 0, 0, 3] = 1
    events[0, 0, 1, 1] = 3
    reward = events[..., 0] - 1.0 * events[..., 2] - 50.0 * events[..., 3]
    done = np.array([[False], [False], [False], [True]])
    metrics, active = EpisodeMetrics(1, 2, NAMES), np.ones((4, 1, 2), bool)
    (ours,) = each(metrics.update(reward, done, events, active))
    assert ours == {
        "length": 4.0,
        "collective_return": -48.0,
        "equality": 0.5,  # returns -48 and 0
        "return_x_equality": -24.0,
        "sustainability": 3.0,  # mean of 2 and 4
        "peace": 7 / 8,
        "apples": 3.0,
        "cleaned": 3.0,
        "shots": 1.0,
        "hits": 1.0,
    }


@pytest.mark.parametrize("agent", [0, 1])
def test_the_box_opens_once(agent):
    events = np.zeros((6, 2, 2, 1), np.uint8)
    events[2, 0, agent, 0] = 1
    done = np.zeros((6, 2), bool)
    done[4] = True
    zeros, present = np.zeros((6, 2, 2)), np.ones((6, 2, 2), bool)
    metrics = EpisodeMetrics(2, 2, ("opened",))
    opened, closed = each(metrics.update(zeros, done, events, present))
    assert (opened["box_opened"], opened["box_step"]) == (1.0, 3.0)
    assert closed["box_opened"] == 0.0
    assert math.isnan(closed["box_step"])
    # The next episode starts with the box closed.
    done[:] = False
    done[1] = True
    following = metrics.update(zeros, done, np.zeros_like(events), present)
    assert following["box_opened"].tolist() == [0.0, 0.0]
    assert following["length"].tolist() == [3.0, 2 + 1.0]


def test_known_coefficients():
    assert gini([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.75)
    assert gini([1.0, 2.0, 3.0]) == pytest.approx(8 / (2 * 3 * 6))
    assert equality([7.0, 7.0]) == 1.0
    assert gini([-3.0, -3.0]) == 0.0
    assert gini([-50.0, 50.0]) == 0.5  # eq. 9 as printed would divide by zero
    np.testing.assert_array_equal(equality(np.zeros((2, 3))), 1.0)
    assert equality([5.0]) == 1.0


@given(st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=1, max_size=9))
def test_gini_is_its_definition_and_bounded(returns):
    ours = float(gini(returns))
    assert ours == pytest.approx(twin_gini(returns), abs=1e-9)
    assert -1e-12 <= ours <= (len(returns) - 1) / len(returns) + 1e-12
    if min(returns) >= 0 and sum(returns) > 0:  # eq. 9 as printed
        gaps = sum(abs(a - b) for a in returns for b in returns)
        assert ours == pytest.approx(gaps / (2 * len(returns) * sum(returns)), abs=1e-9)


@pytest.mark.parametrize(
    ("level", "count", "bound"),
    [
        (0.95, 2, 12.706), (0.95, 3, 4.303), (0.95, 5, 2.776), (0.99, 6, 4.032),
        (0.95, 11, 2.228), (0.9, 31, 1.697), (0.995, 5, 5.598), (0.95, 121, 1.980),
    ],
)  # fmt: skip
def test_intervals_use_the_tables_of_student(level, count, bound):
    """Published quantiles, both parities of the degrees of freedom."""
    values = np.random.default_rng(count).normal(size=count)
    interval = confidence_interval(values, level)
    error = values.std(ddof=1) / math.sqrt(count)
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.high - interval.mean) / error == pytest.approx(bound, abs=6e-4)
    assert interval.mean - interval.low == pytest.approx(interval.high - interval.mean)


def test_large_samples_are_normal():
    values = np.random.default_rng(0).normal(size=20_000)
    interval = confidence_interval(values)
    bound = (interval.high - interval.mean) / (values.std(ddof=1) / math.sqrt(len(values)))
    assert 1.95996 <= bound <= 1.963


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [confidence_interval(rng.normal(3.0, 2.0, size=4), 0.9) for _ in range(2000)]
    held = sum(low <= 3.0 <= high for _, low, high in intervals) / 2000
    assert held == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2000))


def test_missing_values_are_left_out():
    assert confidence_interval([1.0, math.nan, 3.0]) == confidence_interval([1.0, 3.0])
    one = confidence_interval([2.0, math.nan])
    assert one.mean == 2.0
    assert all(map(math.isnan, one[1:]))
    assert all(map(math.isnan, confidence_interval([])))
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            confidence_interval([1.0, 2.0], level)


def test_the_example_holds():
    failed, attempted = doctest.testmod(metrics)
    assert failed == 0 < attempted
