"""socialgrid-plot arms, table, correlation, groups and csv: experiments out of many runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from socialgrid.commands.named_runs import picture_of, take_runs
from socialgrid.config.errors import UsageError
from socialgrid.config.outputs import write_output
from socialgrid.config.run_files import user_path
from socialgrid.config.words import parse
from socialgrid.report.comparison import (
    Trial,
    best_settings,
    comparison_table,
    draw_comparison,
    setting_of,
    trials_of,
    without_idle,
)
from socialgrid.report.correlation import report_correlation
from socialgrid.report.figures import need_matplotlib
from socialgrid.report.group_sizes import compare_group_sizes, draw_group_sizes, report_group_sizes
from socialgrid.report.runs import RunCurves
from socialgrid.report.table import as_csv, long_table


@dataclass(frozen=True)
class TableOptions:
    """What is compared, and which trainings count. Runs with the same LABEL are of one arm."""

    measure: str = ""
    """A number of metrics.jsonl, or several joined by commas, as collective_return,equality; by
    default the returns of evaluations, or else of all agents together, or of each."""
    level: float = 0.95
    """Share of intervals that hold the true mean; Jaques et al. 2019 draw 0.995."""
    best: int = 0
    """Only so many settings of each arm, those that end highest on average over their seeds (1: as
    in figures 1, 4 and 7 of Jaques et al. 2019, 5: as in their figure 17), by the first of several
    measures; 0: all."""
    drop_below: float | None = None
    """Leave out trainings in which an agent's own return at the end is below that, or not
    known: 1 leaves out those in which somebody has not learnt to eat, as Jaques et al. 2019 do in
    Harvest."""


@dataclass(frozen=True)
class ArmsOptions(TableOptions):
    """What is drawn, and which trainings count. Runs with the same LABEL are of one arm."""

    window: int = 200
    """Episodes of training that a point is the mean of, 1 or more; evaluations stay as they are."""
    bottom: float | None = None
    """Where the axis of the first measure begins; what is lower is not shown. 0 leaves out the
    fines of the first episodes of Harvest and Cleanup, beside which all else is flat."""
    out: str = ""
    """The picture (.png, .pdf, .svg); arms.png in the first run's directory by default."""


@dataclass(frozen=True)
class CorrelationOptions:
    """Where to draw influence received and return, agent by agent."""

    out: str = ""
    """The picture (.png, .pdf, .svg); correlation.png in the first run's directory by default."""


@dataclass(frozen=True)
class GroupsOptions:
    """Where to draw returns over group size."""

    out: str = ""
    """The picture (.png, .pdf, .svg); group-sizes.png in the first run's directory by default."""


@dataclass(frozen=True)
class CsvOptions:
    """Where to write every number of metrics.jsonl, a line each: run, label, seed, env_steps,
    phase, kind (where it stands: agents, groups, pairs, evaluations, ...), name, world (of
    evaluations), agent, other (of a pair), value."""

    out: str = ""
    """The file; the terminal by default."""


def arms(prog: str, words: list[str]) -> int:
    """``socialgrid-plot arms [LABEL=]RUN...``: every arm's mean and interval over seeds."""
    runs, rest = take_runs("arms", words)
    options = parse(ArmsOptions, rest, f"{prog} arms [LABEL=]RUN...")
    if options.window < 1:
        raise UsageError(f"window: {options.window}: must be 1 or more")
    need_matplotlib()
    found = _trials(runs, options)
    out = picture_of(runs, options.out, "arms.png")
    grouped = any(run.config.regime.grouped for run in runs)
    across = "steps of each agent" if grouped else "environment steps"
    print(
        draw_comparison(
            found, out, level=options.level, window=options.window, bottom=options.bottom,
            across=across,
        )
    )  # fmt: skip
    return 0


def table(prog: str, words: list[str]) -> int:
    """``socialgrid-plot table [LABEL=]RUN...``: what every arm came to, as Markdown."""
    runs, rest = take_runs("table", words)
    options = parse(TableOptions, rest, f"{prog} table [LABEL=]RUN...")
    found = _trials(runs, options)
    print("\n\n".join(
        comparison_table(name, trials, level=options.level) for name, trials in found.items()
    ))  # fmt: skip
    return 0


def correlation(prog: str, words: list[str]) -> int:
    """``socialgrid-plot correlation [LABEL=]RUN...``: are those influenced more paid more?"""
    runs, rest = take_runs("correlation", words)
    options = parse(CorrelationOptions, rest, f"{prog} correlation [LABEL=]RUN...")
    need_matplotlib()
    print(report_correlation(runs, picture_of(runs, options.out, "correlation.png")))
    return 0


def groups(prog: str, words: list[str]) -> int:
    """``socialgrid-plot groups [LABEL=]RUN...``: returns over the size of groups."""
    runs, rest = take_runs("groups", words)
    options = parse(GroupsOptions, rest, f"{prog} groups [LABEL=]RUN...")
    found = compare_group_sizes(runs)
    print(report_group_sizes(found))
    print(draw_group_sizes(found, picture_of(runs, options.out, "group-sizes.png")))
    return 0


def csv(prog: str, words: list[str]) -> int:
    """``socialgrid-plot csv [LABEL=]RUN...``: every number of the runs, for other programs."""
    runs, rest = take_runs("csv", words)
    options = parse(CsvOptions, rest, f"{prog} csv [LABEL=]RUN...")
    text = as_csv(long_table(runs))
    if not options.out:
        print(text, end="")
        return 0
    path = user_path(options.out)
    write_output(path, text.encode())
    print(path)
    return 0


COMMANDS: dict[str, Callable[[str, list[str]], int]] = {
    "arms": arms,
    "table": table,
    "correlation": correlation,
    "groups": groups,
    "csv": csv,
}
"""By the word that names them."""


def _trials(runs: list[RunCurves], options: TableOptions) -> dict[str, list[Trial]]:
    """The trainings that count, by measure; says on stderr what was left out."""
    if not 0.0 < options.level < 1.0:
        raise UsageError(f"level: {options.level}: must be between 0 and 1")
    if options.best < 0:
        raise UsageError(f"best: {options.best}: must be 0 or more")
    found: dict[str, list[Trial]] = {}
    best: set[tuple[str, str, str]] = set()
    for word in options.measure.split(","):
        name, trials = trials_of(runs, word.strip())
        if options.drop_below is not None:
            trials, left_out = without_idle(trials, options.drop_below)
            if left_out:
                least = f"an agent's own return below {options.drop_below:g}, or not known"
                print(f"{name}: {left_out} trainings left out, {least}", file=sys.stderr)
            if not trials:
                raise UsageError(f"drop-below: {options.drop_below:g} leaves no training")
        if options.best and not found:
            best = {setting_of(trial) for trial in best_settings(trials, options.best)}
        kept = [trial for trial in trials if not options.best or setting_of(trial) in best]
        found[name] = kept
    if options.best and len(found) > 1:
        print(f"best {options.best} settings of each arm by {next(iter(found))}", file=sys.stderr)
    return found
