"""Learning curves of off-policy runs: arms with bands over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config.errors import UsageError
from socialgrid.measures.intervals import interval_over_runs
from socialgrid.measures.names import measure
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
)
from socialgrid.report.runs import RunCurves, group_titles
from socialgrid.report.squares import draw_square, squares_of


@dataclass(frozen=True)
class Curve:
    """Something of one group of agents over time: a seed of an experiment.

    Attributes:
        steps: steps of each agent, ``[U]``.
        values: ``[U]``, NaN where nothing was measured.
    """

    steps: Values
    values: Values

    def known(self) -> Curve:
        """Without what was not measured."""
        there = np.isfinite(self.values)
        return Curve(self.steps[there], self.values[there])


def mean_over_agents(run: RunCurves, agents: Sequence[int], name: str) -> Curve:
    """Mean over some agents of a number that each agent has, where any has one."""
    each = np.stack([run.values(name, agent) for agent in agents])
    there = np.isfinite(each)
    sums, counts = np.where(there, each, 0.0).sum(0), there.sum(0)
    return Curve(run.steps, np.where(counts, sums / np.maximum(counts, 1), np.nan))


def mean_and_band(
    curves: Sequence[Curve], level: float = 0.95
) -> tuple[Values, Values, Values, Values]:
    """Mean of curves and its interval over them, where all of them have been measured.

    Args:
        curves: at least one, of training runs that are independent of each other; where their
            steps differ, lines between them count.
        level: of the interval.

    Returns:
        steps, mean, and the interval's bounds (the mean itself for a single curve), ``[P]`` each;
        see ``interval_over_runs``.
    """
    known = [curve.known() for curve in curves]
    known = [curve for curve in known if len(curve.steps)]
    if not known:
        return np.empty(0), np.empty(0), np.empty(0), np.empty(0)
    steps = np.unique(np.concatenate([curve.steps for curve in known]))
    first = max(curve.steps[0] for curve in known)
    last = min(curve.steps[-1] for curve in known)
    steps = steps[(steps >= first) & (steps <= last)]
    values = np.stack([np.interp(steps, curve.steps, curve.values) for curve in known])
    mean = values.mean(0)
    if len(known) == 1:
        return steps, mean, mean, mean
    found = [interval_over_runs(list(column[:, None]), level) for column in values.T]
    bounds = np.array([(low, high) for _, low, high in found]).reshape(-1, 2)
    return steps, mean, bounds[:, 0], bounds[:, 1]


def draw_arms(runs: Sequence[RunCurves], path: Path, references: Sequence[Reference] = ()) -> Path:
    """Draw learning curves: runs alike in all but the seed are an arm, of one colour.

    A thin line is the mean over the learners of one group of one run; the thick line is the mean
    over all of an arm's groups and runs, with its 95% interval over them around it. Where there is
    one run of one group only, its agents are drawn one by one, each in a colour of its own.

    Args:
        runs: at least one of them off-policy.
        path: the PNG.
        references: drawn among the returns of evaluations.

    Raises:
        UsageError: matplotlib is missing, the file cannot be written, or there are references
            and no evaluations.
    """
    titles = group_titles(runs)
    alone = len(runs) == 1 and runs[0].config.roster.groups == 1
    panels: dict[str, dict[str, list[Curve]]] = {}
    for run in runs:
        roster, whole = run.config.roster, "all agents" if alone else run.group
        learners = [(whole, agents) for agents in roster.learners()]
        if alone:
            learners = [(roster.names()[agent], [agent]) for agent in roster.learners()[0]]
        curves = [
            (name, line, mean_over_agents(run, agents, name))
            for line, agents in learners
            for name in run.names("agents")
        ]
        curves += [
            (name, whole, Curve(run.steps, run.of_group(name))) for name in run.names("groups")
        ]
        for name, line, curve in curves:
            if np.isfinite(curve.values).any():
                panels.setdefault(name, {}).setdefault(line, []).append(curve)
    if not panels:
        raise UsageError(f"{runs[0].run_dir}: no episode has ended yet")
    if references and not any(measure(name).compared for name in panels):
        raise UsageError("reference: none of these runs has evaluations to compare")
    names = sorted(panels, key=lambda name: (-measure(name).place, not measure(name).compared))
    lines = runs[0].config.roster.names() if alone else [run.group for run in runs]
    colours = {line: colour_of(index) for index, line in enumerate(dict.fromkeys(lines))}
    squares = squares_of(runs, titles)
    count = len(names) + len(squares)
    columns = 1 if count < 4 else 2
    rows = -(-count // columns)
    figure = new_figure((8, 13)[columns - 1], 3.4 * rows)
    for index, name in enumerate(names):
        axes, compared = figure.add_subplot(rows, columns, index + 1), measure(name).compared
        for line, found in panels[name].items():
            label = line if alone else f"{titles[line]} ({_over(len(found))})"
            draw_arm(axes, found, colours.get(line, "0.3"), label, smoothed=not compared)
        if compared:
            draw_references(axes, references)
        name_axes(axes, "steps of each agent", measure(name).heading)
    for index, square in enumerate(squares, len(names)):
        draw_square(figure.add_subplot(rows, columns, index + 1), square)
    add_legend(figure)
    return save_figure(figure, path)


def draw_arm(
    axes: Any,
    curves: Sequence[Curve],
    colour: str,
    label: str,
    *,
    smoothed: bool,
    level: float = 0.95,
) -> None:
    """Thin lines of the trainings, a thick one of their mean, its interval over them as a band."""
    shown = []
    for curve in curves:
        width = max(1, len(curve.steps) // 40) if smoothed else 1
        shown.append(Curve(curve.steps, smooth(curve.values, width)))
        known = shown[-1].known()
        axes.plot(known.steps, known.values, color=colour, alpha=0.35, linewidth=0.7)
    steps, mean, low, high = mean_and_band(shown, level)
    axes.plot(steps, mean, mark(mean), color=colour, linewidth=2.0, label=label)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)


def _over(count: int) -> str:
    """What a band ranges over."""
    if count == 1:
        return "n=1 training run, no interval"
    return f"n={count} training runs, 95% interval over them"


def mark(values: Values) -> str:
    """How to draw a line: a single point as a spot."""
    return "o" if len(values) == 1 else "-"
