"""Confidence intervals of few values, on scales that respect what values are possible.

What an interval ranges over is what its values are drawn from: episodes of one training run tell
what more episodes of that run would come to; only values of several training runs tell what
another run would come to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FEW_RUNS = 10
"""Below so many runs, Student's interval of their means, and every value is shown."""
_MAX_FREEDOM = 1000
_RESAMPLES = 2000


class Bounds(NamedTuple):
    """The least and the largest value that something can have."""

    low: float = -math.inf
    high: float = math.inf


UNBOUNDED = Bounds()


class Interval(NamedTuple):
    """A mean and where it lies.

    Attributes:
        mean: of the values; nan if there are none.
        low: lower bound; nan for fewer than two values.
        high: upper bound; likewise.
    """

    mean: float
    low: float
    high: float


def confidence_interval(
    values: npt.ArrayLike, level: float = 0.95, bounds: Bounds = UNBOUNDED
) -> Interval:
    """Mean of independent values with Student's confidence interval.

    Student's t, not a bootstrap: with the three or five seeds of an experiment, resampling gives
    intervals that are far too narrow. The interval is symmetric on a scale without bounds and is
    carried back: ``mean +- t se`` where values have no bounds; the logit of the mean's place
    between both bounds; the root of its distance from the only one. The error on that scale is
    ``se`` times the scale's slope at the mean (the delta method), so single values at a bound
    count as they are, and only the mean has to lie inside. Exact for normal values, good for means
    of many. Values that are nan, where an episode has none, are left out.

    Values that are all the same show no spread: the interval is that point. The exception is a
    share whose values are all 0 or all 1, where the limit is that of Clopper and Pearson (1934)
    for an event that n draws never showed.

    Args:
        values: any shape.
        level: share of such intervals that hold the true mean, in (0, 1).
        bounds: of the values.

    Raises:
        ValueError: ``level`` is not between 0 and 1, or a value lies out of bounds.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level}: must be between 0 and 1")
    data = np.asarray(values, np.float64).ravel()
    data = data[~np.isnan(data)]
    count = len(data)
    if not count:
        return Interval(math.nan, math.nan, math.nan)
    low, high = bounds
    data = _within(data, bounds)
    mean = float(data.mean())
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    if np.ptp(data) == 0.0:
        if tuple(bounds) == (0.0, 1.0) and mean in (0.0, 1.0):
            unseen = 1.0 - ((1.0 - level) / 2) ** (1.0 / count)
            return Interval(mean, 0.0, unseen) if mean == 0.0 else Interval(mean, 1 - unseen, 1.0)
        return Interval(mean, mean, mean)
    half = _student_bound(level, count - 1) * float(data.std(ddof=1)) / math.sqrt(count)
    if math.isfinite(low) and math.isfinite(high):
        width = high - low
        place = min(max((mean - low) / width, 1e-12), 1.0 - 1e-12)
        middle, reach = math.log(place / (1.0 - place)), half / (width * place * (1.0 - place))
        return Interval(mean, low + width * _expit(middle - reach),
                        low + width * _expit(middle + reach))  # fmt: skip
    if math.isfinite(low):
        below, above = _rooted(mean - low, half)
        return Interval(mean, low + below, low + above)
    if math.isfinite(high):
        below, above = _rooted(high - mean, half)
        return Interval(mean, high - above, high - below)
    return Interval(mean, mean - half, mean + half)


def interval_over_runs(
    runs: Sequence[npt.ArrayLike], level: float = 0.95, bounds: Bounds = UNBOUNDED
) -> Interval:
    """Mean over training runs, each counting the same, with a confidence interval over runs.

    Below ``FEW_RUNS`` runs it is ``confidence_interval`` of their means. From there on it is a
    percentile bootstrap stratified by run: runs are drawn with replacement, and episodes with
    replacement within each run drawn, so that no run's number of episodes gives it more weight.
    The draws are the same every time. Values that are all the same leave nothing to draw: the
    interval is that of ``confidence_interval``.

    Args:
        runs: for each training run its values, of any number; nan is left out, and so are runs
            without values.
        level: as of ``confidence_interval``.
        bounds: of the values.

    Raises:
        ValueError: as ``confidence_interval``.
    """
    known = [np.asarray(run, np.float64).ravel() for run in runs]
    known = [run[~np.isnan(run)] for run in known]
    known = [_within(run, bounds) for run in known if len(run)]
    means = np.array([run.mean() for run in known])
    plain = confidence_interval(means, level, bounds)
    if len(known) < FEW_RUNS or np.ptp(np.concatenate(known)) == 0.0:
        return plain
    draws = np.random.default_rng(0)
    which = draws.integers(len(known), size=(_RESAMPLES, len(known)))
    found = np.empty(which.shape)
    for index, run in enumerate(known):  # what this run comes to, whenever it is drawn
        drawn = which == index
        episodes = draws.integers(len(run), size=(np.count_nonzero(drawn), len(run)))
        found[drawn] = run[episodes].mean(-1)
    sums = found.mean(-1)
    low, high = np.quantile(sums, [(1.0 - level) / 2, (1.0 + level) / 2])
    return Interval(plain.mean, float(low), float(high))


def _within(values: npt.NDArray[np.float64], bounds: Bounds) -> npt.NDArray[np.float64]:
    """Values, at least one, without what rounding brought them out of bounds."""
    lowest, highest = float(values.min()), float(values.max())
    slack = 1e-6 * max(1.0, abs(lowest), abs(highest))  # sums of numbers in single precision
    if lowest < bounds.low - slack or highest > bounds.high + slack:
        raise ValueError(
            f"values from {lowest} to {highest}: bounds are {bounds.low} and {bounds.high}"
        )
    return values.clip(*bounds)


def method(num_runs: int) -> str:
    """How ``interval_over_runs`` makes its interval."""
    return "Student's t" if num_runs < FEW_RUNS else "bootstrap of runs, and of episodes in each"


def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _rooted(distance: float, half: float) -> tuple[float, float]:
    """Squares of ``root(distance) -+ half`` times the root's slope, not below 0."""
    root = math.sqrt(distance)
    reach = half / (2.0 * root)
    return max(0.0, root - reach) ** 2, (root + reach) ** 2


def _student_bound(level: float, freedom: int) -> float:
    """The t with P(|Student's t| <= t) = level, by bisection of the angle atan(t / sqrt(freedom)).

    Beyond 1,000 degrees of freedom that number's is used: at most 0.3% too wide up to 99.9%.
    """
    freedom = min(freedom, _MAX_FREEDOM)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        if _student_probability(angle, freedom) < level:
            low = angle
        else:
            high = angle
    return math.tan((low + high) / 2) * math.sqrt(freedom)


def _student_probability(angle: float, freedom: int) -> float:
    """P(|t| <= sqrt(freedom) tan(angle)) (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
