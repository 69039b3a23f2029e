"""Rates of something done again and again, by the clock and per CPU second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds a repeat lasts at least, and how many repeats."""

    seconds: float
    repeats: int


@dataclass(frozen=True)
class Rate:
    """Operations per second: median, lowest and highest of the repeats; median per CPU second."""

    median: float
    low: float
    high: float
    per_cpu_second: float

    def scaled(self, factor: float) -> Rate:
        return Rate(*(value * factor for value in astuple(self)))


def measure(run: Callable[[int], None], effort: Effort) -> Rate:
    """Rate of ``run(n)``, which does n operations, after a warm-up that also finds a fitting n."""
    count = 1
    while True:
        begin = time.perf_counter()
        run(count)
        elapsed = time.perf_counter() - begin
        if elapsed >= effort.seconds / 4:
            break
        count *= 2
    count = max(1, round(count * effort.seconds / elapsed))
    rates, cpu_rates = [], []
    for _ in range(effort.repeats):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        run(count)
        cpu_rates.append(count / max(time.process_time() - cpu_begin, 1e-9))
        rates.append(count / (time.perf_counter() - begin))
    return Rate(statistics.median(rates), min(rates), max(rates), statistics.median(cpu_rates))


def comparable(row: dict[str, Any]) -> float:
    """The rate that comparisons use: per CPU second for one thread, by the clock for several."""
    return float(row["per_cpu_second"] if row.get("threads", 1) == 1 else row["median"])
