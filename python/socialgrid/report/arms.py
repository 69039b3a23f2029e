"""Pictures of off-policy runs: arms with bands over seeds, who followed whom, group sizes."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config import group_key
from socialgrid.config.errors import UsageError
from socialgrid.measures.intervals import interval_over_runs
from socialgrid.report.console import number
from socialgrid.report.curves import (
    Reference,
    RunCurves,
    Values,
    differences,
    draw_references,
    group_titles,
    need_matplotlib,
    save_figure,
    smooth,
)
from socialgrid.train.build import member_names

_EVALUATED = "return without exploration, of evaluations"
_BINS = 100  # stretches of time in a stack of shares
_MOST_ASKERS = 8  # rows of a picture
_LEGEND_COLUMNS = 10


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


def mean_over_agents(run: RunCurves, agents: Sequence[int], *keys: str) -> Curve:
    """Mean over some agents of a metric that each agent has, where any has a number."""
    each = np.stack([run.values(*keys, agent=agent) for agent in agents])
    there = np.isfinite(each)
    sums, counts = np.where(there, each, 0.0).sum(0), there.sum(0)
    return Curve(run.steps, np.where(counts, sums / np.maximum(counts, 1), np.nan))


def followed_others(run: RunCurves, agents: Sequence[int]) -> Curve:
    """Share of the steps in which some agents did what another member proposed."""
    counts = run.table("peers", "followed")
    if counts is None:
        return Curve(run.steps, np.full(len(run.steps), np.nan))
    places = [run.place(agent) for agent in agents]
    own = np.stack([counts[:, agent, place] for agent, place in zip(agents, places, strict=True)])
    total = np.stack([counts[:, agent].sum(-1) for agent in agents])
    with np.errstate(invalid="ignore"):
        return Curve(run.steps, 1.0 - own.sum(0) / total.sum(0))


def mean_and_band(curves: Sequence[Curve]) -> tuple[Values, Values, Values, Values]:
    """Mean of curves and its 95% interval over them, where all of them have been measured.

    Args:
        curves: at least one, of training runs that are independent of each other; where their
            steps differ, lines between them count.

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
    found = [interval_over_runs(list(values[:, point, None])) for point in range(len(steps))]
    bounds = np.array([(low, high) for _, low, high in found]).reshape(-1, 2)
    return steps, mean, bounds[:, 0], bounds[:, 1]


def draw_arms(runs: Sequence[RunCurves], path: Path, references: Sequence[Reference] = ()) -> Path:
    """Draw learning curves: runs alike in all but the seed are an arm, of one colour.

    A thin line is the mean over the learners of one group of one run; the thick line is the mean
    over all of an arm's groups and runs, with its 95% interval over them around it.

    Args:
        runs: at least one of them off-policy.
        path: the PNG.
        references: drawn among the returns of evaluations.

    Raises:
        UsageError: matplotlib is missing, the file cannot be written, or there are references
            and no evaluations.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = group_titles(runs)
    panels: dict[str, dict[str, list[Curve]]] = {}
    for run in runs:
        for agents in run.groups():
            for title, curve in (
                (_EVALUATED,
                 mean_over_agents(run, agents, "evaluation", "return")),
                ("return per episode while learning", mean_over_agents(run, agents, "return")),
                ("share of steps in which another member was followed",
                 followed_others(run, agents)),
            ):  # fmt: skip
                if np.isfinite(curve.values).any():
                    panels.setdefault(title, {}).setdefault(run.group, []).append(curve)
    if not panels:
        raise UsageError(f"{runs[0].run_dir}: no episode has ended yet")
    if references and _EVALUATED not in panels:
        raise UsageError("reference: none of these runs has evaluations to compare")
    colours = {group: f"C{i % 10}" for i, group in enumerate(dict.fromkeys(r.group for r in runs))}
    figure = Figure(figsize=(8, 3.4 * len(panels) + 0.16 * len(colours)), layout="constrained")
    FigureCanvasAgg(figure)
    handles: dict[str, Any] = {}
    for index, (title, arms) in enumerate(panels.items()):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        for group, curves in arms.items():
            label = f"{titles[group]} ({_over(len(curves))})"
            _draw_arm(axes, curves, colours[group], label, smoothed=title != _EVALUATED)
        if title == _EVALUATED:
            draw_references(axes, references)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("steps of each agent")
        axes.grid(alpha=0.2)
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=7)
    return save_figure(figure, path)


def _draw_arm(
    axes: Any, curves: Sequence[Curve], colour: str, label: str, *, smoothed: bool
) -> None:
    """Thin lines of the trainings, a thick one of their mean, its interval over them as a band."""
    shown = []
    for curve in curves:
        width = max(1, len(curve.steps) // 40) if smoothed else 1
        shown.append(Curve(curve.steps, smooth(curve.values, width)))
        known = shown[-1].known()
        axes.plot(known.steps, known.values, color=colour, alpha=0.35, linewidth=0.7)
    steps, mean, low, high = mean_and_band(shown)
    axes.plot(steps, mean, _mark(mean), color=colour, linewidth=2.0, label=label)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)


def _over(count: int) -> str:
    """What a band ranges over."""
    if count == 1:
        return "n=1 training run, no interval"
    return f"n={count} training runs, 95% interval over them"


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
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    edges, shares = binned_shares(run)
    ends = np.stack([edges[:-1], edges[1:]], 1).ravel()
    groups, kinds = run.groups(), member_names(run.config)
    learners = range(len(groups[0]))[:_MOST_ASKERS]
    members = [f"{place} {_brief(kind)}" for place, kind in enumerate(kinds)]
    rows = len(learners) + 1
    lines = -(-len(members) // _LEGEND_COLUMNS)
    figure = Figure(figsize=(15, 2.7 * rows + 0.4 + 0.2 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 3, squeeze=False)
    for row in range(rows):
        everybody = row == rows - 1
        askers = [group if everybody else [group[row]] for group in groups]
        who = "all learners" if everybody else f"peer{run.place(groups[0][row])}"
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


def _mark(values: Values) -> str:
    """How to draw a line: a single point as a spot."""
    return "o" if len(values) == 1 else "-"


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
            axes.plot(curve.steps, trend, _mark(trend), linewidth=1.2, label=name)
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
        axes.plot(run.steps, mean, _mark(mean), color=colour, linewidth=1.4)


def _draw_learning(axes: Any, run: RunCurves, askers: Sequence[Sequence[int]]) -> None:
    """Training and evaluation returns: a curve a group, and their mean."""
    for title, keys, colour in (
        ("while learning", ("return",), "0.5"),
        ("evaluated", ("evaluation", "return"), "C0"),
    ):
        curves = [mean_over_agents(run, agents, *keys) for agents in askers]
        curves = [curve for curve in curves if np.isfinite(curve.values).any()]
        if curves:
            _draw_arm(axes, curves, colour, title, smoothed=title != "evaluated")


@dataclass(frozen=True)
class GroupSize:
    """What groups of one size came to.

    Attributes:
        size: members of a group.
        final: mean evaluation return of the learners of each group over the last tenth of its
            evaluations, one a group and run, ``[S]``.
        over_training: the same over all evaluations, ``[S]``.
    """

    size: int
    final: Values
    over_training: Values


def arms(runs: Sequence[RunCurves]) -> list[str]:
    """What each run is called where sizes of groups are compared.

    Its label; or what unlabelled runs differ in besides the number of learners, empty if in
    nothing.
    """
    keys: list[str] = []
    for run in runs:
        config = json.loads(group_key(run.config))
        players, peers = config["players"], config["peers"]
        players["others"] = [kind for kind in players.pop("kinds") if kind != "learner"]
        peers["algorithms"] = sorted(set(peers["algorithms"]))
        keys.append(run.label or json.dumps(config, sort_keys=True))
    unlabelled = {
        key: json.loads(key) for key, run in zip(keys, runs, strict=True) if not run.label
    }
    titles = differences(unlabelled)
    return [titles.get(key, key) for key in keys]


def group_sizes(runs: Sequence[RunCurves]) -> dict[str, list[GroupSize]]:
    """Evaluation returns by arms (see there) and the sizes of groups, in ascending order.

    Raises:
        UsageError: a run has not been evaluated.
    """
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for run, arm in zip(runs, arms(runs), strict=True):
        sizes = found.setdefault(arm, {})
        seeds = sizes.setdefault(len(run.config.players.kinds), [])
        for agents in run.groups():
            values = mean_over_agents(run, agents, "evaluation", "return").known().values
            if not len(values):
                raise UsageError(f"{run.run_dir}: no evaluations (evaluation.interval)")
            last = -(-len(values) // 10)
            seeds.append((float(values[-last:].mean()), float(values.mean())))
    return {
        label: [
            GroupSize(size, *np.array(seeds, np.float64).T) for size, seeds in sorted(sizes.items())
        ]
        for label, sizes in found.items()
    }


def draw_group_sizes(found: Mapping[str, Sequence[GroupSize]], path: Path) -> Path:
    """Draw figure 7 of Derstroff et al.: returns over group size, each seed a point.

    Args:
        found: as ``group_sizes`` gives it.
        path: the PNG.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (field, title) in enumerate(
        (("final", "last tenth of the evaluations"), ("over_training", "all evaluations"))
    ):
        axes = figure.add_subplot(1, 2, index + 1)
        for arm, (label, sizes) in enumerate(found.items()):
            colour = f"C{arm % 10}"
            each = [getattr(one, field) for one in sizes]
            for one, values in zip(sizes, each, strict=True):
                spots = np.full(len(values), one.size, np.float64)
                axes.plot(spots, values, "o", color=colour, alpha=0.4, markersize=4)
            counts = sorted({len(values) for values in each})
            means = [v.mean() for v in each]
            found_bounds = [interval_over_runs(list(v[:, None]))[1:] for v in each]
            errors = np.array([
                (mean - low, high - mean) if np.isfinite(low) else (0.0, 0.0)
                for mean, (low, high) in zip(means, found_bounds, strict=True)
            ]).T  # fmt: skip
            name = label or "mean, 95% interval over training runs"
            axes.errorbar(
                [one.size for one in sizes], means, errors, color=colour,
                capsize=3, linewidth=1.6, label=f"{name} (n={', '.join(map(str, counts))})",
            )  # fmt: skip
        axes.set_title(f"mean return, {title}", fontsize=10)
        axes.set_xlabel("members of a group")
        axes.set_xticks(sorted({one.size for sizes in found.values() for one in sizes}))
        axes.grid(alpha=0.2)
        axes.legend(fontsize=7)
    return save_figure(figure, path)


def report_group_sizes(found: Mapping[str, Sequence[GroupSize]]) -> str:
    """The numbers of the picture as a table, one line a label and size: means over training runs
    with their 95% intervals.
    """
    width = max(20, *(len(label) for label in found))
    lines = [
        f"{'95% intervals over training runs':<{width}} {'members':>7} {'runs':>5} {'final':>9} "
        f"{'':<20} {'training':>9}"
    ]
    for label, sizes in found.items():
        for one in sizes:
            cells = []
            for values in (one.final, one.over_training):
                mean, low, high = interval_over_runs(list(values[:, None]))
                bounds = f"[{number(low)}, {number(high)}]" if np.isfinite(low) else "-"
                cells.append(f"{number(mean):>9} {bounds:<20}")
            row = f"{label:<{width}} {one.size:>7} {len(one.final):>5} {' '.join(cells)}"
            lines.append(row.rstrip())
    return "\n".join(lines)
