"""Pictures of advice: who followed whom, what was thought of whom, and what came of it."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config.errors import UsageError
from socialgrid.measures.names import Place, measure, words
from socialgrid.report.arms import draw_arm, mark, mean_over_agents
from socialgrid.report.figures import Values, colour_of, new_figure, save_figure, smooth
from socialgrid.report.runs import RunCurves

_SHARE = "share"  # unit of numbers that add up to 1
_BINS = 100  # stretches of time in a stack of shares
_MOST_ASKERS = 8  # rows of a picture
_LEGEND_COLUMNS = 10


def binned_shares(run: RunCurves, name: str) -> tuple[Values, npt.NDArray[np.float64]]:
    """Shares of members, in stretches of time.

    Args:
        run: measured that table of members.
        name: of the table.

    Returns:
        the steps between which the stretches lie, ``[B + 1]``, and the mean share in a stretch
        that member ``p`` has of agent ``a``, ``[B, A, P]``.

    Raises:
        UsageError: nothing of that name was measured.
    """
    table = run.table("members", name)
    if table is None:
        raise UsageError(f"{run.run_dir}: no {name} of members was measured there")
    parts = np.array_split(np.arange(len(table)), min(_BINS, len(table)))
    edges = np.array([0.0, *(run.steps[part[-1]] for part in parts)])
    sums = np.stack([np.nan_to_num(table[part]).sum(0) for part in parts])
    shares = sums / np.maximum(sums.sum(-1, keepdims=True), np.finfo(float).tiny)
    return edges, shares


def draw_peers(run: RunCurves, path: Path) -> Path:
    """Draw what agents have of the members of their groups, as figure 6 of Derstroff et al.

    A row for each learner of a group, the last one for all of them together; a column for each
    table of members (whom they followed, stacked; whom they trust), one for shares of agents, if
    there are any, and one for learning curves. Everything is a mean over the run's groups, whose
    members have the same places; thin lines are single groups.

    Args:
        run: one with advice.
        path: the PNG.

    Raises:
        UsageError: matplotlib is missing, the file cannot be written, or nobody gave advice.
    """
    tables = run.names("members")
    if not tables:
        raise UsageError(f"{run.run_dir}: nobody gave advice there (--social)")
    tables = sorted(tables, key=lambda name: measure(name).unit != _SHARE)
    shares = [name for name in run.names("agents") if measure(name).unit == _SHARE]
    roster = run.config.roster
    groups, kinds = roster.learners(), roster.members()
    learners = range(len(groups[0]))[:_MOST_ASKERS]
    members = [f"{place} {_brief(kind)}" for place, kind in enumerate(kinds)]
    rows, columns = len(learners) + 1, len(tables) + bool(shares) + 1
    lines = -(-len(members) // _LEGEND_COLUMNS)
    figure = new_figure(5 * columns, 2.7 * rows + 0.4 + 0.2 * lines)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        everybody = row == rows - 1
        askers = [group if everybody else [group[row]] for group in groups]
        who = "all learners" if everybody else f"peer{roster.place_of(groups[0][row])}"
        flat = [agent for group in askers for agent in group]
        for one, name in zip(axes[row], tables, strict=False):
            draw = _draw_shares if measure(name).unit == _SHARE else _draw_table
            draw(one, run, name, flat, members)
            one.set_title(f"{who}: {measure(name).title}", fontsize=9)
            one.set_ylabel(measure(name).unit, fontsize=8)
        if shares:
            _draw_numbers(axes[row, -2], run, shares, flat)
            axes[row, -2].set_title(f"{who}: shares", fontsize=9)
        _draw_learning(axes[row, -1], run, askers)
        axes[row, -1].set_title(f"{who}: return", fontsize=9)
        for one in axes[row]:
            one.set_xlim(0.0, run.steps[-1])
            one.set_xlabel("steps of each agent", fontsize=8)
            one.tick_params(labelsize=8)
        for one in axes[row, len(tables) :]:
            if one.get_legend_handles_labels()[0]:
                one.legend(fontsize=7, framealpha=0.4, loc="upper left")
    from matplotlib.patches import Patch

    handles = [Patch(color=colour) for colour in _colours(len(members))]
    figure.legend(
        handles, members,
        loc="outside lower center", ncols=min(_LEGEND_COLUMNS, len(members)), fontsize=7,
    )  # fmt: skip
    several = f"mean of {len(groups)} groups, bands: 95% interval over them"
    count = several if len(groups) > 1 else "one group"
    more = len(groups[0]) - len(learners)
    figure.suptitle(
        f"{run.run_dir.name}: {count}" + (f"; {more} more learners not shown" if more else ""),
        fontsize=10,
    )
    return save_figure(figure, path)


def _brief(kind: str) -> str:
    """A member's kind without the folders that its run lies in."""
    name, colon, run = kind.partition(":")
    return f"{name}{colon}{Path(run).name}"


def _colours(count: int) -> list[Any]:
    """As many colours that can be told apart."""
    if count <= 7:
        return [colour_of(place) for place in range(count)]
    from matplotlib import colormaps

    return list(colormaps["turbo"](np.linspace(0.0, 1.0, count)))


def _draw_shares(
    axes: Any, run: RunCurves, name: str, owners: Sequence[int], members: Sequence[str]
) -> None:
    """Shares of the members as areas one on another: the mean over those whose table it is."""
    edges, shares = binned_shares(run, name)
    ends = np.stack([edges[:-1], edges[1:]], 1).ravel()
    areas = np.repeat(shares[:, list(owners)].mean(1), 2, axis=0).T
    axes.stackplot(ends, areas, colors=_colours(len(members)), linewidth=0)
    axes.set_ylim(0.0, 1.0)


def _draw_table(
    axes: Any, run: RunCurves, name: str, owners: Sequence[int], members: Sequence[str]
) -> None:
    """A line a member: the mean over those whose table it is, and thin lines of their own.

    The initial value is often far from what is learnt: then the scale is linear as far as values
    of the second half go, and logarithmic beyond.
    """
    table = run.table("members", name)
    if table is None:
        return
    late = np.nanmax(np.abs(table[len(table) // 2 :, list(owners)]))
    if np.nanmax(np.abs(table[:, list(owners)])) > 4 * late > 0:
        axes.set_yscale("symlog", linthresh=late, linscale=2.0)
    for place, colour in enumerate(_colours(len(members))):
        each = table[:, list(owners), place]
        if len(owners) > 1:
            axes.plot(run.steps, each, color=colour, alpha=0.3, linewidth=0.6)
        mean = each.mean(1)
        axes.plot(run.steps, mean, mark(mean), color=colour, linewidth=1.4)


def _draw_numbers(axes: Any, run: RunCurves, names: Sequence[str], agents: Sequence[int]) -> None:
    """A curve a number: its mean over agents."""
    for name in names:
        curve = mean_over_agents(run, agents, name).known()
        trend = smooth(curve.values, max(1, len(curve.values) // 40))
        axes.plot(curve.steps, trend, mark(trend), linewidth=1.2, label=words(name))


def _draw_learning(axes: Any, run: RunCurves, askers: Sequence[Sequence[int]]) -> None:
    """What is worth a line, as returns: a curve a group, and their mean."""
    for index, name in enumerate(run.names("agents", Place.LINE)):
        curves = [mean_over_agents(run, agents, name) for agents in askers]
        curves = [curve for curve in curves if np.isfinite(curve.values).any()]
        if curves:
            smoothed = not measure(name).compared
            colour = colour_of(index - 1) if index else "0.5"
            draw_arm(axes, curves, colour, words(name), smoothed=smoothed)
