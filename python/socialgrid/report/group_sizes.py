"""Returns over the sizes of groups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from socialgrid.config import group_key
from socialgrid.config.errors import UsageError
from socialgrid.measures.intervals import interval_over_runs
from socialgrid.report.arms import mean_over_agents
from socialgrid.report.console import number
from socialgrid.report.figures import Values, colour_of, new_figure, save_figure
from socialgrid.report.runs import RunCurves, differences


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
        players = config["players"]
        players["others"] = [kind for kind in players.pop("kinds") if kind != "learner"]
        players["algorithms"] = sorted(set(players["algorithms"]))
        keys.append(run.label or json.dumps(config, sort_keys=True))
    unlabelled = {
        key: json.loads(key) for key, run in zip(keys, runs, strict=True) if not run.label
    }
    titles = differences(unlabelled)
    return [titles.get(key, key) for key in keys]


def compare_group_sizes(runs: Sequence[RunCurves]) -> dict[str, list[GroupSize]]:
    """Evaluation returns by arms (see there) and the sizes of groups, in ascending order.

    Raises:
        UsageError: a run has not been evaluated.
    """
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for run, arm in zip(runs, arms(runs), strict=True):
        sizes = found.setdefault(arm, {})
        seeds = sizes.setdefault(len(run.config.players.kinds), [])
        for agents in run.config.roster.learners():
            values = mean_over_agents(run, agents, "evaluated_return").known().values
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
        found: as ``compare_group_sizes`` gives it.
        path: the PNG.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    figure = new_figure(11, 4.2)
    for index, (field, title) in enumerate(
        (("final", "last tenth of the evaluations"), ("over_training", "all evaluations"))
    ):
        axes = figure.add_subplot(1, 2, index + 1)
        for arm, (label, sizes) in enumerate(found.items()):
            colour = colour_of(arm)
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
            name = label or "all"
            axes.errorbar(
                [one.size for one in sizes], means, errors, color=colour,
                marker="_", markersize=14, capsize=3, linewidth=1.6,
                label=f"{name} (n={', '.join(map(str, counts))})",
            )  # fmt: skip
        axes.set_title(f"mean return, {title}", fontsize=10)
        axes.set_xlabel("members of a group")
        axes.set_xticks(sorted({one.size for sizes in found.values() for one in sizes}))
        axes.grid(alpha=0.2)
        axes.legend(fontsize=7, title="mean, 95% interval over training runs", title_fontsize=7)
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
