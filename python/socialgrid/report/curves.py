"""Learning curves of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config.errors import UsageError
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


@dataclass(frozen=True)
class Panel:
    """One diagram: its title, and where its numbers lie in a row of metrics."""

    title: str
    keys: tuple[str, ...]
    per_agent: bool


# Metrics of the social mechanisms, by their names among the learner's.
_SOCIAL = (
    "influence",
    "value_of_listening",
    "influence_weight",
    "intrinsic_reward_mean",
    "moa_loss",
    "moa_accuracy",
    "message_entropy",
)


def _panels(runs: Sequence[RunCurves]) -> list[Panel]:
    """Diagrams for whatever any of the runs has measured."""

    def measured(*keys: str) -> bool:
        return any(np.isfinite(run.values(*keys, agent=slot)).any()
                   for run in runs for slot in run.config.roster.learning_slots)  # fmt: skip

    panels = [Panel("return per episode", ("return",), True)]
    if measured("solo_return"):
        panels.append(Panel("return per episode, solo environments", ("solo_return",), True))
    names = dict.fromkeys(name for run in runs for name in run.outcomes() if name != "length")
    panels += [Panel(_TITLES.get(name, name.replace("_", " ")), ("episode", name), False)
               for name in names]  # fmt: skip
    losses = [
        name
        for name in sorted({name for run in runs for name in run.losses()})
        if any(np.nan_to_num(run.values("learner", name, agent=slot)).any()
               for run in runs for slot in run.config.roster.learning_slots)
    ]  # fmt: skip
    losses += [name for name in _SOCIAL if measured("learner", name)]
    return panels + [Panel(name.replace("_", " "), ("learner", name), True) for name in losses]


_TITLES = {
    "collective_return": "collective return per episode",
    "equality": "equality of returns (1 - Gini)",
    "return_x_equality": "collective return x equality",
    "sustainability": "sustainability (mean step of collecting)",
    "peace": "peace (share of steps without a hit)",
    "apples": "apples eaten per episode",
    "cleaned": "waste cells cleaned per episode",
    "shots": "fire beams per episode",
    "hits": "hits per episode",
    "box_opened": "share of episodes in which the box was opened",
    "box_step": "step in which the box was opened",
}


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
    if references and not any(panel.keys == ("episode", "collective_return") for panel in panels):
        raise UsageError("reference: none of these runs has a collective return to compare")
    groups = list(dict.fromkeys(run.group for run in runs))
    colours = {group: f"C{index % 10}" for index, group in enumerate(groups)}
    titles = group_titles(runs)
    columns = 1 if len(panels) < 4 else 2
    rows = -(-len(panels) // columns)
    figure = new_figure(8 if columns == 1 else 13, 3.4 * rows)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        if panel.per_agent:
            _draw_agents(axes, runs, panel.keys, titles, colours)
        else:
            _draw_groups(axes, runs, panel.keys, titles, colours)
        if panel.keys == ("episode", "collective_return"):
            draw_references(axes, references)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel("environment steps")
        axes.margins(x=0.08)
        axes.grid(alpha=0.2)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    return save_figure(figure, path)


def _draw_agents(
    axes: Any,
    runs: Sequence[RunCurves],
    keys: tuple[str, ...],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """A line for each agent of each run."""
    named: set[tuple[str, bool]] = set()
    for run in runs:
        learning = run.config.roster.learning_slots
        for slot, kind in enumerate(run.config.players.kinds):
            values = run.values(*keys, agent=slot)
            if not np.isfinite(values).any():
                continue
            learns = slot in learning
            new = (run.group, learns) not in named
            named.add((run.group, learns))
            label = f"{titles[run.group]}: {'learners' if learns else 'others'}"
            name = f"s{run.config.run.seed} {kind}" if learns else kind
            if len(learning) > 1 and learns:
                name = f"s{run.config.run.seed} a{slot}"
            _draw_line(
                axes,
                run.steps,
                values,
                colour=colours[run.group] if learns else "0.6",
                style="-" if learns else ":",
                label=label if new else None,
                name=name,
            )


def _draw_groups(
    axes: Any,
    runs: Sequence[RunCurves],
    keys: tuple[str, ...],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """A line for each run."""
    named: set[str] = set()
    for run in runs:
        values = run.values(*keys)
        if not np.isfinite(values).any():
            continue
        label = None if run.group in named else titles[run.group]
        named.add(run.group)
        name = f"s{run.config.run.seed}"
        _draw_line(axes, run.steps, values, colour=colours[run.group], label=label, name=name)


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
    trend = smooth(values, max(1, len(values) // 40))
    if style == "-":
        axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
    axes.plot(steps, trend, color=colour, linestyle=style, linewidth=1.4, label=label)
    axes.annotate(name, (steps[-1], trend[-1]), fontsize=6, color=colour)
