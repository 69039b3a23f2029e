"""Squares of what was measured of pairs of agents: who on whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from socialgrid.measures.names import measure
from socialgrid.report.figures import Values
from socialgrid.report.runs import RunCurves

_MOST_WRITTEN = 8  # agents of a square that has room for numbers


@dataclass(frozen=True)
class Square:
    """Means of the last tenth of the updates, over runs that are alike.

    Attributes:
        title: of what.
        table: of whom on whom, ``[A, A]``, NaN where nothing was measured.
        names: of the agents.
    """

    title: str
    table: Values
    names: tuple[str, ...]


def late_mean(values: Values) -> Values:
    """Mean of the last tenth of the updates, ``[U, ...]`` to ``[...]``, of what is not NaN."""
    last = values[-max(1, len(values) // 10) :]
    there = np.isfinite(last)
    sums, counts = np.where(there, last, 0.0).sum(0), there.sum(0)
    mean: Values = np.where(counts, sums / np.maximum(counts, 1), np.nan)
    return mean


def squares_of(runs: Sequence[RunCurves], titles: Mapping[str, str]) -> list[Square]:
    """A square for everything measured of pairs, and for each group of runs that are alike."""
    found: dict[tuple[str, str], list[tuple[RunCurves, Values]]] = {}
    for run in runs:
        for name in run.names("pairs"):
            table = run.table("pairs", name)
            if table is not None:
                found.setdefault((name, run.group), []).append((run, late_mean(table)))
    several = len({group for _, group in found}) > 1
    squares = []
    for (name, group), tables in found.items():
        each = [table for _, table in tables]
        title = f"{measure(name).heading}: row on column"
        title += f"\n{titles[group]}" if several else ""
        kinds = tables[0][0].config.players.kinds
        names = tuple(f"{place} {kind.partition(':')[0]}" for place, kind in enumerate(kinds))
        alike = [table for table in each if table.shape == each[0].shape]
        squares.append(Square(title, np.mean(alike, 0), names[: len(each[0])]))
    return squares


def draw_square(axes: Any, square: Square) -> None:
    """Draw a square with its scale."""
    count = len(square.table)
    image = axes.imshow(square.table, cmap="viridis", aspect="auto")
    axes.figure.colorbar(image, ax=axes)
    known = square.table[np.isfinite(square.table)]
    middle = (known.min() + known.max()) / 2 if len(known) else 0.0
    for row, column in np.argwhere(np.isfinite(square.table)) if count <= _MOST_WRITTEN else ():
        value = square.table[row, column]
        axes.text(
            column, row, f"{value:.3g}", ha="center", va="center", fontsize=7,
            color="white" if value <= middle else "black",
        )  # fmt: skip
    axes.set_xticks(range(count), square.names, rotation=20, ha="right", fontsize=7)
    axes.set_yticks(range(count), square.names, fontsize=7)
    axes.set_title(square.title, fontsize=10)
