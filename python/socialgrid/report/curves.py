"""Learning curves of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config.errors import UsageError
from socialgrid.measures.names import measure
from socialgrid.report.arms import draw_arms
from socialgrid.report.figures import (
    Reference,
    Values,
    draw_references,
    new_figure,
    save_figure,
    smooth,
)
from socialgrid.report.runs import RunCurves, group_titles
from socialgrid.report.squares import draw_square, squares_of


@dataclass(frozen=True)
class Panel:
    """One diagram of curves: of agents, or of all of them together."""

    name: str
    per_agent: bool


def _panels(runs: Sequence[RunCurves]) -> list[Panel]:
    """Diagrams for whatever any of the runs has measured, the most telling ones first."""
    panels = [
        Panel(name, True)
        for name in dict.fromkeys(name for run in runs for name in run.names("agents"))
        if name == "return"  # the picture of a run always has one
        or any(np.nan_to_num(run.values(name, slot)).any()
               for run in runs for slot in run.config.roster.learning_slots)
    ]  # fmt: skip
    panels += [
        Panel(name, False)
        for name in dict.fromkeys(name for run in runs for name in run.names("groups"))
    ]
    return sorted(panels, key=lambda panel: -measure(panel.name).place)


def draw_curves(
    runs: Sequence[RunCurves], path: Path, references: Sequence[Reference] = ()
) -> Path:
    """Draw learning curves: every seed a line of its own, runs alike in all else in one colour.

    Runs of which some are off-policy are drawn as ``draw_arms`` describes.

    Args:
        runs: at least one.
        path: the PNG.
        references: drawn among the collective returns, or those of evaluations.

    Raises:
        UsageError: matplotlib is missing, the file cannot be written, or there are references
            and no collective return.
    """
    if any(run.config.regime.grouped for run in runs):
        return draw_arms(runs, path, references)
    panels = _panels(runs)
    compared = [p for p in panels if not p.per_agent and measure(p.name).compared]
    if references and not compared:
        raise UsageError("reference: none of these runs has a collective return to compare")
    groups = list(dict.fromkeys(run.group for run in runs))
    colours = {group: f"C{index % 10}" for index, group in enumerate(groups)}
    titles = group_titles(runs)
    squares = squares_of(runs, titles)
    count = len(panels) + len(squares)
    columns = 1 if count < 4 else 2 if count < 9 else 3
    rows = -(-count // columns)
    figure = new_figure((8, 13, 18)[columns - 1], 3.4 * rows)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        draw = _draw_agents if panel.per_agent else _draw_groups
        draw(axes, runs, panel.name, titles, colours)
        if panel in compared:
            draw_references(axes, references)
        axes.set_title(measure(panel.name).heading, fontsize=10)
        axes.set_xlabel("environment steps")
        axes.margins(x=0.08)
        axes.grid(alpha=0.2)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, framealpha=0.4, loc="upper left")  # the best one takes long
    for index, square in enumerate(squares, len(panels)):
        draw_square(figure.add_subplot(rows, columns, index + 1), square)
    return save_figure(figure, path)


def _draw_agents(
    axes: Any,
    runs: Sequence[RunCurves],
    name: str,
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """A line for each agent of each run."""
    named: set[tuple[str, bool]] = set()
    for run in runs:
        learning = run.config.roster.learning_slots
        for slot, kind in enumerate(run.config.players.kinds):
            values = run.values(name, slot)
            if not np.isfinite(values).any():
                continue
            learns = slot in learning
            new = (run.group, learns) not in named
            named.add((run.group, learns))
            label = f"{titles[run.group]}: {'learners' if learns else 'others'}"
            who = f"s{run.config.run.seed} {kind}" if learns else kind
            if len(learning) > 1 and learns:
                who = f"s{run.config.run.seed} a{slot}"
            _draw_line(
                axes,
                run.steps,
                values,
                colour=colours[run.group] if learns else "0.6",
                style="-" if learns else ":",
                label=label if new else None,
                name=who,
            )


def _draw_groups(
    axes: Any,
    runs: Sequence[RunCurves],
    name: str,
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """A line for each run."""
    named: set[str] = set()
    for run in runs:
        values = run.of_group(name)
        if not np.isfinite(values).any():
            continue
        label = None if run.group in named else titles[run.group]
        named.add(run.group)
        seed = f"s{run.config.run.seed}"
        _draw_line(axes, run.steps, values, colour=colours[run.group], label=label, name=seed)


def _draw_line(
    axes: Any,
    steps: Values,
    values: Values,
    *,
    colour: str,
    label: str | None,
    name: str,
    style: str = "-",
) -> None:
    """A smoothed curve with its name at the end, and what was measured behind it."""
    there = np.isfinite(values)
    steps, values = steps[there], values[there]
    trend = smooth(values, max(1, len(values) // 40))
    if style == "-":
        axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
    axes.plot(steps, trend, color=colour, linestyle=style, linewidth=1.4, label=label)
    axes.annotate(name, (steps[-1], trend[-1]), fontsize=6, color=colour)
