"""What all pictures of runs need: matplotlib, curves to compare with, a file."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import csv
import importlib.util
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config.errors import UsageError, about, told
from socialgrid.config.outputs import guard_output

Values = npt.NDArray[np.float64]

# Okabe and Ito's colours, which colour-blind readers can tell apart, but for yellow on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":")


def colour_of(index: int) -> str:
    """The colour of an arm, an agent or a member: the first seven differ."""
    return _COLOURS[index % len(_COLOURS)]


def style_of(index: int) -> str:
    """The style of a line where colours say something else: the first four differ."""
    return _STYLES[index % len(_STYLES)]


def name_axes(axes: Any, across: str, up: str) -> None:
    """Say what a diagram of curves shows, and over what; thousands and millions are k and M."""
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel(across)
    axes.set_ylabel(textwrap.fill(up, 34))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.2)


def add_legend(figure: Any) -> None:
    """One legend below all diagrams, a line for everything that any of them names."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= {
            label: found.get(label, handle) for handle, label in zip(handles, labels, strict=True)
        }
    columns = 1 if max(map(len, found), default=0) > 60 else min(4, max(1, len(found)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(found) // columns))
    figure.legend(
        found.values(), found.keys(), loc="outside lower center", ncols=columns, fontsize=8
    )


def need_matplotlib() -> None:
    """Raise a one-line UsageError where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError('no curves: pip install "socialgrid[plot]"')


def new_figure(width: float, height: float) -> Any:
    """An empty figure of a size in inches, which no window shows.

    Raises:
        UsageError: matplotlib is missing.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@dataclass(frozen=True)
class Reference:
    """A curve or a level from elsewhere, drawn among the collective returns or evaluations.

    Attributes:
        label: what it is.
        steps: environment steps, ``[P]``; empty for a level.
        values: return, ``[P]``, or ``[1]`` for a level.
    """

    label: str
    steps: Values
    values: Values


def read_references(path: Path) -> list[Reference]:
    """Read curves to compare with.

    Args:
        path: CSV: a header, environment steps in the first column, a curve in every other one
            (its cells may be empty). Or JSON: by label a number, or a list of [steps, value].

    Raises:
        UsageError: no such file, or it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return [_reference(label, points) for label, points in json.loads(text).items()]
        header, *rows = [row for row in csv.reader(text.splitlines()) if row]
        return [
            _reference(
                label, [(row[0], row[column]) for row in rows if len(row) > column and row[column]]
            )
            for column, label in enumerate(header[1:], 1)
        ]
    except OSError as error:
        raise UsageError(told(error, path)) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: no table of steps and values: {error}") from None


def _reference(label: str, points: Any) -> Reference:
    if isinstance(points, int | float):
        return Reference(label, np.empty(0), np.array([points], np.float64))
    pairs = np.array([(float(step), float(value)) for step, value in points]).reshape(-1, 2)
    return Reference(label, pairs[:, 0], pairs[:, 1])


def draw_references(axes: Any, references: Sequence[Reference]) -> None:
    """Add what is drawn for comparison to a diagram."""
    for index, reference in enumerate(references):
        style = ("--", "-.", ":")[index % 3]
        if len(reference.steps):
            axes.plot(
                reference.steps, reference.values, "k", linestyle=style, linewidth=1.2,
                label=reference.label,
            )  # fmt: skip
        else:
            level = float(reference.values[0])
            axes.axhline(level, color="k", linestyle=style, linewidth=1.2, label=reference.label)


def smooth(values: Values, width: int) -> Values:
    """Trailing mean over ``width`` points that skips NaN; NaN where there is nothing."""
    out = np.full(len(values), np.nan)
    for i in range(len(values)):
        window = values[max(0, i + 1 - width) : i + 1]
        window = window[np.isfinite(window)]
        if len(window):
            out[i] = window.mean()
    return out


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure; returns its file, ``.png`` where the path names no format.

    Raises:
        UsageError: the file cannot be written.
    """
    path = path if path.suffix else path.with_suffix(".png")
    try:
        guard_output(path)
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise UsageError(told(error, path)) from None
    except ValueError as error:
        raise UsageError(about(str(path), error)) from None
    return path
