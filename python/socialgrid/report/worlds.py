"""What agents of on-policy runs come to in several worlds: over training, and in the end.

Figures 6, 7 and 11 of Ndousse et al. (2021) are of these kinds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config.errors import UsageError, told
from socialgrid.config.run_files import read_bytes
from socialgrid.measures.intervals import UNBOUNDED, Bounds, Interval, interval_over_runs
from socialgrid.measures.names import measure
from socialgrid.report.arms import Curve, draw_arm
from socialgrid.report.console import number
from socialgrid.report.evaluation import bounds
from socialgrid.report.figures import colour_of, name_axes, new_figure, save_figure
from socialgrid.report.runs import RunCurves, group_titles

LEARNERS, ALONE, OTHERS = "learners_return", "learners_return_alone", "others_return"
_BESIDE: dict[str, Any] = {"color": "0.3", "linestyle": ":", "label": "others there"}
_MAX_FILE = 64 << 20  # bytes of an evaluation
_OF_A_STEP = re.compile(r"-step-\d+$")  # a world's name where a checkpoint was asked for


def draw_worlds(runs: Sequence[RunCurves], path: Path) -> Path:
    """Draw evaluations over training: a diagram for each world, and one for learners alone there.

    Runs alike in all but the seed, or of one label, are an arm: a thin line a run, a thick one for
    their mean with its 95% interval over runs; around the line of an arm's only run, the interval
    over its episodes. Dotted: the others who were there.

    Raises:
        UsageError: no run was evaluated while it went on, matplotlib is missing, or the file
            cannot be written.
    """
    named = [(world, name) for run in runs for world, names in run.worlds().items()
             for name in names if name != OTHERS]  # fmt: skip
    panels = list(dict.fromkeys(named))
    if not panels:
        raise UsageError(
            f"{runs[0].run_dir}: not evaluated while it went on; --evaluation.interval STEPS "
            "--evaluation.worlds training,four-goals does so in an on-policy run"
        )
    titles = group_titles(runs)
    colours = {group: colour_of(i) for i, group in enumerate(dict.fromkeys(r.group for r in runs))}
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(5 * columns, 3.6 * rows + 0.16 * len(colours))
    handles: dict[str, Any] = {}
    for index, (world, name) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        for group, colour in colours.items():
            members = [run for run in runs if run.group == group]
            members = [run for run in members if np.isfinite(run.evaluated(world, name)).any()]
            found = [run.evaluated(world, name) for run in members]
            curves = [Curve(run.steps, x[:, 0]) for run, x in zip(members, found, strict=True)]
            if not curves:
                continue
            draw_arm(axes, curves, colour, _told(titles[group], len(curves)), smoothed=False)
            if len(curves) == 1:
                there = np.isfinite(found[0]).all(1)
                low, high = found[0][there, 1], found[0][there, 2]
                axes.fill_between(
                    members[0].steps[there], low, high, color=colour, alpha=0.2, linewidth=0
                )
            if name == LEARNERS:
                _draw_others(axes, members, world)
        axes.set_title(world + (", alone" if name == ALONE else ""), fontsize=10)
        name_axes(axes, "environment steps", "")
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.supylabel("return per episode", fontsize=9)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=7)
    return save_figure(figure, path)


def _told(title: str, runs: int) -> str:
    """An arm, with what its interval is over."""
    if runs == 1:
        return f"{title} (n=1 training run, 95% interval over episodes)"
    return f"{title} (n={runs} training runs, 95% interval over them)"


def _draw_others(axes: Any, runs: Sequence[RunCurves], world: str) -> None:
    """The mean of those who were there beside the learners."""
    values = np.concatenate([run.evaluated(world, OTHERS)[:, 0] for run in runs])
    values = values[np.isfinite(values)]
    if len(values):
        axes.axhline(values.mean(), **_BESIDE)


@dataclass(frozen=True)
class Bar:
    """What an arm came to in a world.

    Attributes:
        world: as in the names of files of evaluations.
        arm: title.
        each: mean return of every run.
        interval: over runs; over the episodes of a single one.
        others: mean return of those who were there besides; NaN if nobody was.
        steps: of every run's checkpoint; ``None`` where that is not known.
    """

    world: str
    arm: str
    each: tuple[float, ...]
    interval: Interval
    others: float
    steps: tuple[int | None, ...] = ()


def bars_of(runs: Sequence[RunCurves], worlds: Sequence[str], metric: str = LEARNERS) -> list[Bar]:
    """Read what ``socialgrid-eval`` wrote of runs, arms beside each other.

    Args:
        runs: of one label, or alike in all but the seed, are an arm.
        worlds: as in ``eval-WORLD.json``; by default those that all runs have, but for checkpoints
            that were asked for by their step.
        metric: of the file's ``group``.

    Raises:
        UsageError: a run was not evaluated there, or a file is none of an evaluation, or one of a
            checkpoint that was the newest then and is not any more.
    """
    worlds = worlds or _common(runs)
    titles = group_titles(runs)
    arms: dict[str, list[RunCurves]] = {}
    for run in runs:
        arms.setdefault(titles[run.group], []).append(run)
    found = []
    for world in worlds:
        for arm, members in arms.items():
            files = [_read(run.run_dir, world) for run in members]
            tables, steps = [table for table, _ in files], tuple(step for _, step in files)
            intervals = [
                _interval(table, metric, run.run_dir, world)
                for table, run in zip(tables, members, strict=True)
            ]
            each = tuple(one.mean for one in intervals)
            limits = {_bounds(table[metric]) for table in tables}
            limit = limits.pop() if len(limits) == 1 else UNBOUNDED
            whole = intervals[0]
            if len(each) > 1:
                whole = interval_over_runs([(x,) for x in each], bounds=limit)
            others = [
                _interval(table, OTHERS, run.run_dir, world).mean
                for table, run in zip(tables, members, strict=True)
                if OTHERS in table
            ]
            beside = float(np.mean(others)) if others else math.nan
            found.append(Bar(world, arm, each, whole, beside, steps))
    return found


def _common(runs: Sequence[RunCurves]) -> list[str]:
    """Worlds in which all runs were evaluated."""
    each = [
        {path.stem.removeprefix("eval-") for path in run.run_dir.glob("eval-*.json")}
        for run in runs
    ]
    found = sorted(world for world in set.intersection(*each) if not _OF_A_STEP.search(world))
    if not found:
        raise UsageError(
            f"{runs[0].run_dir}: there is no world in which all of these runs were evaluated; "
            "socialgrid-eval RUN... --world four-goals does so"
        )
    return found


def _read(run_dir: Path, world: str) -> tuple[Mapping[str, Any], int | None]:
    """The numbers of the group in a file of an evaluation, and the step of its checkpoint."""
    path = run_dir / f"eval-{world}.json"
    try:
        data = json.loads(read_bytes(path, _MAX_FILE))
        group, step = data["group"], data.get("checkpoint_step")
        if not isinstance(group, dict) or not isinstance(step, int | None):
            raise TypeError
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file; socialgrid-eval {run_dir} --world {world} writes it"
        ) from None
    except OSError as error:
        raise UsageError(told(error, path)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path}: not what socialgrid-eval writes") from None
    newest = _newest_step(run_dir)
    if step is not None and step < newest and not _OF_A_STEP.search(world):
        raise UsageError(
            f"{path}: of step {step:,}, but the run has gone on to {newest:,}; evaluate it anew, "
            f"or draw the checkpoint of that step: --worlds {world}-step-{step} (socialgrid-eval "
            f"--checkpoint {step} writes it)"
        )
    return group, step


def _newest_step(run_dir: Path) -> int:
    """Of a run's newest checkpoint; 0 where there is none."""
    names = [path.name for path in (run_dir / "checkpoints").glob("step-*")]
    steps = [name.removeprefix("step-") for name in names]
    return max((int(step) for step in steps if step.isdecimal()), default=0)


def _interval(table: Mapping[str, Any], metric: str, run_dir: Path, world: str) -> Interval:
    path = run_dir / f"eval-{world}.json"
    if metric not in table:
        raise UsageError(f"{path}: no {metric}; there are {', '.join(table)}")
    try:
        numbers = [table[metric]["over_episodes"][name] for name in Interval._fields]
        return Interval(*(math.nan if x is None else float(x) for x in numbers))
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: {metric} is no number with an interval") from None


def _bounds(numbers: Mapping[str, Any]) -> Bounds:
    """What values are possible, as an evaluation has written it."""
    found = numbers.get("bounds")
    known = found if isinstance(found, dict) else {}
    low, high = known.get("low"), known.get("high")
    return Bounds(
        float(low) if isinstance(low, int | float) else -math.inf,
        float(high) if isinstance(high, int | float) else math.inf,
    )


def bars_table(bars: Sequence[Bar], metric: str = LEARNERS) -> str:
    """A line a world and arm."""
    width = max(len("arm"), *(len(bar.arm) for bar in bars))
    place = max(len("world"), *(len(bar.world) for bar in bars))
    lines = [
        f"{'world':<{place}}  {'arm':<{width}}  {measure(metric).heading}: mean, 95% interval, "
        "each run; of others there"
    ]
    for bar in bars:
        of = "episodes" if len(bar.each) == 1 else f"{len(bar.each)} runs"
        each = "" if len(bar.each) == 1 else "  each: " + ", ".join(map(number, bar.each))
        beside = "" if math.isnan(bar.others) else f"  others {number(bar.others)}"
        lines.append(
            f"{bar.world:<{place}}  {bar.arm:<{width}}  {number(bar.interval.mean)} "
            f"{bounds(bar.interval)} over {of}{each}{beside}"
        )
        if len(set(bar.steps)) > 1:
            steps = ", ".join("unknown" if step is None else f"{step:,}" for step in bar.steps)
            lines.append(f"{'':<{place}}  not trained for the same time; steps: {steps}")
    return "\n".join(lines)


def draw_bars(bars: Sequence[Bar], path: Path, metric: str = LEARNERS) -> Path:
    """Draw a group of bars for each world, arms in their colours, every run as a cross.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    worlds = list(dict.fromkeys(bar.world for bar in bars))
    arms = list(dict.fromkeys(bar.arm for bar in bars))
    figure = new_figure(3.2 * len(worlds) + 0.6, 3.8 + 0.16 * len(arms))
    handles: dict[str, Any] = {}
    for index, world in enumerate(worlds):
        axes = figure.add_subplot(1, len(worlds), index + 1)
        here = [bar for bar in bars if bar.world == world]
        for place, bar in enumerate(here):
            mean, low, high = bar.interval
            colour, label = colour_of(arms.index(bar.arm)), _told(bar.arm, len(bar.each))
            axes.bar(place, mean, color=colour, alpha=0.7, label=label)
            if math.isfinite(low):
                axes.errorbar(place, mean, [[mean - low], [high - mean]], color="k", capsize=4)
            if len(bar.each) > 1:
                axes.plot([place] * len(bar.each), bar.each, "kx", markersize=6)
            if math.isfinite(bar.others):
                axes.plot([place - 0.4, place + 0.4], [bar.others] * 2, **_BESIDE)
        axes.axhline(0, color="k", linewidth=0.6)
        axes.set_xticks([])
        axes.set_title(world, fontsize=10)
        axes.grid(axis="y", alpha=0.2)
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.supylabel(measure(metric).heading, fontsize=8)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=7)
    return save_figure(figure, path)
