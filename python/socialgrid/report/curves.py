"""Learning curves of runs."""

from __future__ import annotations

from collections.abc import Sequence
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
    add_legend,
    colour_of,
    draw_references,
    name_axes,
    new_figure,
    save_figure,
    smooth,
    style_of,
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
    """Draw learning curves: a line for every agent of every seed.

    Colours tell agents apart; where runs differ in more than the seed, arms. Runs of which some are
    off-policy are drawn as ``draw_arms`` describes.

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
    lines = _Lines(runs)
    squares = squares_of(runs, lines.titles)
    count = len(panels) + len(squares)
    columns = 1 if count < 4 else 2 if count < 9 else 3
    rows = -(-count // columns)
    figure = new_figure((8, 13, 18)[columns - 1], 3.4 * rows)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        for run in runs:
            (lines.draw_agents if panel.per_agent else lines.draw_group)(axes, run, panel.name)
        if panel in compared:
            draw_references(axes, references)
        name_axes(axes, "environment steps", measure(panel.name).heading)
    for index, square in enumerate(squares, len(panels)):
        draw_square(figure.add_subplot(rows, columns, index + 1), square)
    add_legend(figure)
    return save_figure(figure, path)


class _Lines:
    """What lines of runs look like and are called.

    Among runs alike in all but the seed, colours tell agents apart and others than learners are
    dashed; otherwise colours tell arms apart, and styles the agents of each, learners first.
    """

    def __init__(self, runs: Sequence[RunCurves]) -> None:
        self.titles = group_titles(runs)
        self._arms = list(dict.fromkeys(run.group for run in runs))
        self._seeds = len(runs) > len(self._arms)

    def draw_agents(self, axes: Any, run: RunCurves, name: str) -> None:
        """A line for each agent of a run that has the number."""
        roster, several = run.config.roster, len(self._arms) > 1
        learning = roster.learning_slots
        others = [slot for slot in range(len(roster.kinds)) if slot not in learning]
        for index, slot in enumerate((*learning, *others)):
            colour, style = colour_of(slot), "-" if slot in learning else "--"
            label = roster.names()[slot]
            if several:
                colour, style = colour_of(self._arms.index(run.group)), style_of(index)
                label = f"{self.titles[run.group]}: {label}"
            self._draw(axes, run, run.values(name, slot), colour, style, label)

    def draw_group(self, axes: Any, run: RunCurves, name: str) -> None:
        """A line for a run that has a number of all agents together."""
        several = len(self._arms) > 1
        colour = colour_of(self._arms.index(run.group)) if several else "0.3"
        label = self.titles[run.group] if several else "all agents"
        self._draw(axes, run, run.of_group(name), colour, "-", label)

    def _draw(
        self, axes: Any, run: RunCurves, values: Values, colour: str, style: str, label: str
    ) -> None:
        """A smoothed curve, what was measured behind it, and its seed where there are several."""
        there = np.isfinite(values)
        if not there.any():
            return
        steps, values = run.steps[there], values[there]
        trend = smooth(values, max(1, len(values) // 40))
        axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
        marker = "o" if len(values) == 1 else None
        axes.plot(
            steps, trend, color=colour, linestyle=style, marker=marker, linewidth=1.4, label=label
        )
        if self._seeds:
            seed = f"s{run.config.run.seed}"
            axes.annotate(
                seed, (steps[-1], trend[-1]), xytext=(2, 0), textcoords="offset points",
                fontsize=6, color=colour, va="center",
            )  # fmt: skip
