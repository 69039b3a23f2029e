"""Cross-play in a table, a file and a picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config.evaluation import MatrixOptions
from socialgrid.config.run_files import user_path
from socialgrid.measures.intervals import FEW_RUNS, Interval, confidence_interval
from socialgrid.measures.intervals import interval_over_runs as over_runs
from socialgrid.report.console import number
from socialgrid.report.evaluation import bounds, write_json
from socialgrid.report.figures import Values, new_figure, save_figure


@dataclass(frozen=True)
class Matrix:
    """Returns of row agents beside column agents.

    Attributes:
        runs: in the order of rows and columns.
        returns: by row and column, one number an episode and seed: the mean over the row's seats.
        seatings: who sat where, of the first row beside the first other column.
    """

    runs: tuple[Path, ...]
    returns: tuple[tuple[Values, ...], ...]
    seatings: tuple[tuple[str, ...], ...]

    def cell(self, row: int, column: int) -> Interval:
        """Mean and 95% interval over evaluation episodes of these two runs' agents."""
        return confidence_interval(self.returns[row][column])

    def home(self) -> list[float]:
        """Mean return of every run's agents among themselves."""
        return [float(self.returns[i][i].mean()) for i in range(len(self.runs))]

    def away(self) -> list[float]:
        """Mean return of every run's agents beside the other runs' agents."""
        return [
            float(np.mean([x.mean() for j, x in enumerate(row) if j != i]))
            for i, row in enumerate(self.returns)
        ]


def matrix_table(matrix: Matrix) -> str:
    """The matrix as a table, and what runs come to at home and away."""
    names = _names(matrix.runs)
    width = max(12, *(len(name) + 4 for name in names))
    count = matrix.returns[0][0].size
    lines = [
        f"return of row's agents beside column's: mean and 95% interval over {count} evaluation "
        "episodes of the pair",
        " " * width + "".join(f"{f'[{j}]':>26}" for j in range(len(names))),
    ]
    for i, name in enumerate(names):
        cells = (matrix.cell(i, j) for j in range(len(names)))
        lines.append(
            f"{f'[{i}] {name}':<{width}}"
            + "".join(f"{f'{number(cell.mean, 2)} {bounds(cell)}':>26}" for cell in cells)
        )
    for title, values in _summary(matrix).items():
        interval = over_runs([[value] for value in values])
        line = f"{title}: {number(interval.mean, 3)} {bounds(interval)} over {len(names)} runs"
        if len(names) < FEW_RUNS:
            line += "; each: " + ", ".join(number(value, 3) for value in values)
        lines.append(line)
    return "\n".join(lines)


def _summary(matrix: Matrix) -> dict[str, list[float]]:
    home, away = matrix.home(), matrix.away()
    return {
        "among themselves": home,
        "beside others": away,
        "difference": [b - a for a, b in zip(home, away, strict=True)],
    }


def _names(runs: Sequence[Path]) -> list[str]:
    """Names of the runs' directories, or their paths where names repeat."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]


def leave_matrix(matrix: Matrix, options: MatrixOptions, extra: Mapping[str, Any]) -> list[Path]:
    """Write the figures, and the picture where matplotlib is there.

    Returns:
        the files.

    Raises:
        UsageError: a file cannot be written, or matplotlib is missing.
    """
    figures = user_path(options.json) if options.json else matrix.runs[0] / "matrix.json"
    count = range(len(matrix.runs))
    write_json(
        figures,
        {
            "runs": [str(run) for run in matrix.runs],
            "options": dataclasses.asdict(options),
            "set": json.loads(json.dumps(dict(extra), default=str)),
            "seatings": matrix.seatings,
            "intervals_range_over": "evaluation episodes of one pair; those of the summary: runs",
            "cells": [[matrix.cell(i, j)._asdict() for j in count] for i in count],
            "returns": [[cell.tolist() for cell in row] for row in matrix.returns],
            "summary": {
                title: {"each": each, **over_runs([[x] for x in each])._asdict()}
                for title, each in _summary(matrix).items()
            },
        },
    )
    out = user_path(options.out) if options.out else matrix.runs[0] / "matrix.png"
    return [figures, draw_matrix(matrix, out)]


def draw_matrix(matrix: Matrix, path: Path) -> Path:
    """Draw the matrix: a cell a pair, its mean and interval written in it.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    names, count = _names(matrix.runs), len(matrix.runs)
    means = np.array([[cell.mean() for cell in row] for row in matrix.returns])
    figure = new_figure(2.5 + 1.5 * count, 1.8 + 1.1 * count)
    axes = figure.add_subplot(1, 1, 1)
    image = axes.imshow(means, cmap="viridis", aspect="auto")
    middle = (means.min() + means.max()) / 2
    for i in range(count):
        for j in range(count):
            cell = matrix.cell(i, j)
            axes.text(
                j, i, f"{cell.mean:.2f}\n{bounds(cell)}", ha="center", va="center", fontsize=7,
                color="white" if means[i, j] <= middle else "black",
            )  # fmt: skip
    axes.set_xticks(range(count), names, rotation=30, ha="right", fontsize=7)
    axes.set_yticks(range(count), names, fontsize=7)
    axes.set_xlabel("beside agents of")
    axes.set_ylabel("agents of")
    episodes = matrix.returns[0][0].size
    axes.set_title(f"return; 95% intervals over {episodes} evaluation episodes", fontsize=9)
    figure.colorbar(image, ax=axes)
    return save_figure(figure, path)
