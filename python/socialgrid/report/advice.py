"""Pictures of advice: who followed whom, what was thought of whom, and what came of it."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config.errors import UsageError
from socialgrid.report.arms import draw_arm, mark, mean_over_agents
from socialgrid.report.figures import Values, new_figure, save_figure, smooth
from socialgrid.report.runs import RunCurves

_BINS = 100  # stretches of time in a stack of shares
_MOST_ASKERS = 8  # rows of a picture
_LEGEND_COLUMNS = 10


def binned_shares(run: RunCurves) -> tuple[Values, npt.NDArray[np.float64]]:
    """Whom each agent followed, in stretches of time.

    Returns:
        the steps between which the stretches lie, ``[B + 1]``, and the share of a stretch in
        which agent ``a`` followed member ``p`` of its group, ``[B, A, P]``.

    Raises:
        UsageError: nobody advises anybody in this run.
    """
    counts = run.table("peers", "followed")
    if counts is None:
        raise UsageError(f"{run.run_dir}: nobody gave advice there (social.mechanisms)")
    parts = np.array_split(np.arange(len(counts)), min(_BINS, len(counts)))
    edges = np.array([0.0, *(run.steps[part[-1]] for part in parts)])
    sums = np.stack([counts[part].sum(0) for part in parts])
    shares = sums / np.maximum(sums.sum(-1, keepdims=True), 1.0)
    return edges, shares


def draw_peers(run: RunCurves, path: Path) -> Path:
    """Draw figure 6 of Derstroff et al.: who followed whom, and what was thought of whom.

    A row for each learner of a group, the last one for all of them together: the shares of
    members followed, stacked; trust (or, of LeCTR, how often was asked, answered and followed)
    and, in the last row, agent values; and the learning curve. Everything is a mean over the
    run's groups, whose members have the same places; thin lines are single groups.

    Args:
        run: one with advice.
        path: the PNG.

    Raises:
        UsageError: matplotlib is missing, the file cannot be written, or nobody gave advice.
    """
    edges, shares = binned_shares(run)
    ends = np.stack([edges[:-1], edges[1:]], 1).ravel()
    roster = run.config.roster
    groups, kinds = roster.learners(), roster.members()
    learners = range(len(groups[0]))[:_MOST_ASKERS]
    members = [f"{place} {_brief(kind)}" for place, kind in enumerate(kinds)]
    rows = len(learners) + 1
    lines = -(-len(members) // _LEGEND_COLUMNS)
    figure = new_figure(15, 2.7 * rows + 0.4 + 0.2 * lines)
    axes = figure.subplots(rows, 3, squeeze=False)
    for row in range(rows):
        everybody = row == rows - 1
        askers = [group if everybody else [group[row]] for group in groups]
        who = "all learners" if everybody else f"peer{roster.place_of(groups[0][row])}"
        flat = [agent for group in askers for agent in group]
        stacked, opinions, learning = axes[row]
        areas = np.repeat(shares[:, flat].mean(1), 2, axis=0).T
        stacked.stackplot(ends, areas, labels=members, colors=_colours(len(kinds)), linewidth=0)
        stacked.set_ylim(0.0, 1.0)
        stacked.set_title(f"{who}: whose proposals were carried out", fontsize=9)
        if everybody:
            _draw_table(opinions, run, "agent_values", list(range(len(groups))), len(members))
            opinions.set_title("agent values" if opinions.has_data() else "", fontsize=9)
        else:
            _draw_opinions(opinions, run, flat, who, len(members))
        _draw_learning(learning, run, askers)
        learning.set_title(f"{who}: return", fontsize=9)
        for one in (stacked, opinions, learning):
            one.set_xlim(0.0, run.steps[-1])
            one.set_xlabel("steps of each agent", fontsize=8)
            one.tick_params(labelsize=8)
            if one is not stacked and one.get_legend_handles_labels()[0]:
                one.legend(fontsize=7, loc="best")
            if not one.has_data():
                one.set_axis_off()
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center", ncols=min(_LEGEND_COLUMNS, len(members)), fontsize=7,
    )  # fmt: skip
    count = f"mean of {len(groups)} groups" if len(groups) > 1 else "one group"
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
    if count <= 10:
        return [f"C{place}" for place in range(count)]
    from matplotlib import colormaps

    return list(colormaps["turbo"](np.linspace(0.0, 1.0, count)))


def _draw_opinions(
    axes: Any, run: RunCurves, agents: Sequence[int], who: str, members: int
) -> None:
    """Trust in each member, or else what else was measured of an asker's advice."""
    if run.table("peers", "trust") is not None:
        _draw_table(axes, run, "trust", agents, members)
        axes.set_title(f"{who}: trust", fontsize=9)
        return
    for name in ("asked", "advised", "answered", "changed"):
        curve = mean_over_agents(run, agents, "peers", name).known()
        if len(curve.steps):
            trend = smooth(curve.values, max(1, len(curve.values) // 40))
            axes.plot(curve.steps, trend, mark(trend), linewidth=1.2, label=name)
    title = f"{who}: share of steps (answered: of requests)" if axes.has_data() else ""
    axes.set_title(title, fontsize=9)


def _draw_table(axes: Any, run: RunCurves, name: str, owners: Sequence[int], members: int) -> None:
    """A line a member: the mean over those whose table it is, and thin lines of their own.

    The initial value is often far from what is learnt: then the scale is linear as far as values
    of the second half go, and logarithmic beyond.
    """
    table = run.table("peers", name)
    if table is None:
        return
    late = np.nanmax(np.abs(table[len(table) // 2 :, list(owners)]))
    if np.nanmax(np.abs(table[:, list(owners)])) > 4 * late > 0:
        axes.set_yscale("symlog", linthresh=late, linscale=2.0)
    for place, colour in enumerate(_colours(members)):
        each = table[:, list(owners), place]
        if len(owners) > 1:
            axes.plot(run.steps, each, color=colour, alpha=0.3, linewidth=0.6)
        mean = each.mean(1)
        axes.plot(run.steps, mean, mark(mean), color=colour, linewidth=1.4)


def _draw_learning(axes: Any, run: RunCurves, askers: Sequence[Sequence[int]]) -> None:
    """Training and evaluation returns: a curve a group, and their mean."""
    for title, keys, colour in (
        ("while learning", ("return",), "0.5"),
        ("evaluated", ("evaluation", "return"), "C0"),
    ):
        curves = [mean_over_agents(run, agents, *keys) for agents in askers]
        curves = [curve for curve in curves if np.isfinite(curve.values).any()]
        if curves:
            draw_arm(axes, curves, colour, title, smoothed=title != "evaluated")
