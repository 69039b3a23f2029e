"""Arms of experiments beside each other: what each came to, seed by seed, in one task or several.

An arm is what is compared, a mechanism as a rule; it may have been tried with several settings. A
task is a game with its options. One training is a run, or a group of a run whose groups are
independent of each other.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config import group_key
from socialgrid.config.errors import UsageError, nearest
from socialgrid.measures.intervals import Interval, interval_over_runs
from socialgrid.measures.names import Place, measure
from socialgrid.report.arms import Curve, draw_arm, mean_over_agents
from socialgrid.report.console import number
from socialgrid.report.figures import Values, colour_of, name_axes, new_figure, save_figure
from socialgrid.report.runs import RunCurves, differences, group_titles, left_out

_DEFAULTS = ("evaluated_return", "collective_return", "return")
_OF_EPISODES = ("return", "return_std", "solo_return")  # of each agent; of all together, all are


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        task: title of the game and the options it was trained in.
        arm: title of what it is one training of.
        setting: what it shares with trainings that differ in the seed only.
        seed: of the run, and the group in it.
        curve: what was measured, without what was not.
        weights: what each of its points counts in a mean, ``[U]``: the episodes it is of, or 1
            where it is no mean over episodes.
        episodes: that each of its points is of, or that ended in the same update, ``[U]``.
        own: mean return of each agent that learns over the last tenth of the steps, ``[A]``; NaN
            where none was measured.
    """

    task: str
    arm: str
    setting: str
    seed: tuple[int, int]
    curve: Curve
    weights: Values
    episodes: Values
    own: Values

    @property
    def final(self) -> float:
        """Mean over the last tenth of the steps; the last value where none is of that time."""
        steps, values = self.curve.steps, self.curve.values
        late = _late(steps)
        return float(np.average(values[late], weights=self.weights[late]))

    @property
    def over_training(self) -> float:
        """Mean over the whole training."""
        return float(np.average(self.curve.values, weights=self.weights))


def trials_of(runs: Sequence[RunCurves], name: str = "") -> tuple[str, list[Trial]]:
    """Every training of runs as a measure tells of it.

    Args:
        runs: at least one. Those with the same label, or without labels with the same mechanisms
            and options, are of one arm.
        name: of a number of all agents together or of each, of which the mean over a group's
            learners counts; the returns of evaluations, or else of all, or of each, by default.

    Returns:
        the measure's name, and the trainings in the order of the runs. Those in which it is not
        known yet are left out, which is said on stderr.

    Raises:
        UsageError: a run does not measure that, or none has yet.
    """
    known = [[*run.names("groups", Place.FILE), *run.names("agents", Place.FILE)] for run in runs]
    if not name:
        name = next((one for one in _DEFAULTS if all(one in names for names in known)), "")
        name = name or _DEFAULTS[-1]
    tasks, arms = _tasks(runs), {}
    for task in dict.fromkeys(tasks):
        alike = [run for run, own in zip(runs, tasks, strict=True) if own == task]
        titles = group_titles(alike)
        bare = len(titles) == 1 and not alike[0].label and len(set(tasks)) > 1
        for run in alike:
            mechanisms = ",".join([*run.config.social.names, *run.config.aux.names]) or "none"
            arms[id(run)] = f"mechanisms={mechanisms}" if bare else titles[run.group]
    trials = []
    for run, names, task in zip(runs, known, tasks, strict=True):
        if name not in names:
            hint = nearest(name, names) or f"; known: {', '.join(dict.fromkeys(names))}"
            raise UsageError(f"{run.run_dir}: measure: {name!r} was not measured{hint}")
        for group, agents in enumerate(run.config.roster.learners()):
            together = name in run.names("groups", Place.FILE)
            if together:
                curve = Curve(run.steps, run.of_group(name))
            else:
                curve = mean_over_agents(run, agents, name)
            there = np.isfinite(curve.values)
            if not there.any():
                left_out(run.run_dir, f"no {name} has been measured yet")
                continue
            seed, key = (run.config.run.seed, group), group_key(run.config)
            # what is no mean over episodes counts the same in every row, whatever ended there
            of_episodes = together or name in _OF_EPISODES
            ended = [name] if of_episodes else ["return", "solo_return"]
            episodes = np.sum(
                [np.mean([run.episodes(one, k) for k in agents], axis=0) for one in ended], axis=0
            )[there]
            weights = np.ones(len(episodes))
            if of_episodes:
                weights = episodes = np.maximum(episodes, 1.0)
            own = np.array([_mean_of_late(run, agent) for agent in agents])
            trials.append(
                Trial(task, arms[id(run)], key, seed, curve.known(), weights, episodes, own)
            )
    if not trials:
        raise UsageError(f"{runs[0].run_dir}: measure: no {name} has been measured yet")
    return name, trials


def setting_of(trial: Trial) -> tuple[str, str, str]:
    """What trainings share that differ in the seed only: task, arm and setting."""
    return trial.task, trial.arm, trial.setting


def without_idle(trials: Sequence[Trial], least: float) -> tuple[list[Trial], int]:
    """Trainings in which no agent has failed, and how many were left out.

    Jaques et al. 2019, 10.5.3, leave out every seed of Harvest in which an agent has not learnt
    to collect apples: the others get more where one of them eats nothing.

    Args:
        trials: any.
        least: mean return over the last tenth of the steps, below which an agent has failed; so
            has one of whom none is known.
    """
    kept = [trial for trial in trials if (trial.own >= least).all()]
    return kept, len(trials) - len(kept)


def best_settings(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Trainings with the settings of each task and arm that end highest, on average over seeds.

    Jaques et al. 2019 show the best setting of a random search (figures 1, 4 and 7), and the best
    five (figure 17).
    """
    kept: list[Trial] = []
    for cell in _cells(trials).values():
        settings: dict[str, list[Trial]] = {}
        for trial in cell:
            settings.setdefault(trial.setting, []).append(trial)
        ranked = sorted(settings.values(), key=lambda own: -np.mean([t.final for t in own]))
        kept += [trial for own in ranked[:count] for trial in own]
    return kept


def windowed(trial: Trial, episodes: int) -> Curve:
    """Trailing means over the rows in which the last so many episodes ended."""
    curve, weights = trial.curve, trial.weights
    ended, counts, sums = (
        np.concatenate([[0.0], each.cumsum()])
        for each in (trial.episodes, weights, weights * curve.values)
    )
    ends = np.arange(1, len(counts))
    starts = np.searchsorted(ended, ended[ends] - episodes, side="right") - 1
    starts = np.clip(starts, 0, ends - 1)
    return Curve(curve.steps, (sums[ends] - sums[starts]) / (counts[ends] - counts[starts]))


def draw_comparison(
    found: Mapping[str, Sequence[Trial]],
    path: Path,
    *,
    level: float = 0.95,
    window: int = 200,
    bottom: float | None = None,
    across: str = "steps of each agent",
) -> Path:
    """Draw every arm's mean over its trainings, with a confidence interval around it.

    Args:
        found: trainings by the measure that tells of them; a row of panels each, a column a task;
            of a single task, two panels a row.
        path: the PNG.
        level: of the intervals.
        window: episodes that a point is the mean of; evaluations are drawn as they are.
        bottom: where the first measure's panels begin; what is lower is not shown.
        across: what the steps are.

    Raises:
        UsageError: matplotlib is missing, nothing is above ``bottom``, or the file cannot be
            written.
    """
    tasks = list(dict.fromkeys(trial.task for own in found.values() for trial in own))
    arms = list(dict.fromkeys(trial.arm for own in found.values() for trial in own))
    columns = len(tasks) if len(tasks) > 1 else min(2, len(found))
    rows = -(-len(found) * len(tasks) // columns)
    figure = new_figure(max(6.5, 5.2 * columns), 3.6 * rows + 0.17 * len(arms))
    handles: dict[str, Any] = {}
    for row, (name, trials) in enumerate(found.items()):
        cells = _cells(trials)
        for column, task in enumerate(tasks):
            axes = figure.add_subplot(rows, columns, row * len(tasks) + column + 1)
            for index, arm in enumerate(arms):
                own = cells.get((task, arm), [])
                if not own:
                    continue
                smooth = [one.curve if _evaluated(name) else windowed(one, window) for one in own]
                curves, label = [_thinned(curve) for curve in smooth], f"{arm} (n={len(own)})"
                draw_arm(axes, curves, colour_of(index), label, smoothed=False, level=level)
            _show_lines(axes, bottom if row == 0 else None)
            title = f"{task}: {measure(name).heading}"
            axes.set_title(textwrap.fill(title, 58), fontsize=10)  # what a panel has room for
            name_axes(axes, across, "")
            handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    title = f"mean over trainings, {100 * level:g}% interval over them"
    if all(len(own) == 1 for trials in found.values() for own in _cells(trials).values()):
        title = "one training each: no interval"
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", fontsize=8, title=title
    )
    return save_figure(figure, path)


def comparison_table(
    name: str, trials: Sequence[Trial], *, level: float = 0.95, normalised: bool = True
) -> str:
    """What arms came to, as Markdown.

    In one task: the last tenth of the steps and the whole training, mean and interval over
    trainings, and every training. In several: the last tenth in each, and both normalised, as in
    table 2 of Derstroff et al. 2024: in every task 0 is the lowest and 100 the highest value that
    any training had at any time; a seed's value is its mean over tasks (in each, over the settings
    it was trained with), and counts where the arm has that seed in every task; what does not count
    is told below the table.

    Args:
        name: of the measure.
        trials: at least one.
        level: of the intervals.
        normalised: with normalised columns, where there are several tasks.
    """
    cells = _cells(trials)
    tasks, arms = (list(dict.fromkeys(key[i] for key in cells)) for i in (0, 1))
    several = len(tasks) > 1
    head = [measure(name).heading, "trainings", "steps"]
    if several:
        head += [f"{task}, at the end" for task in tasks]
        head += ["0 to 100, at the end", "0 to 100, over training"] if normalised else []
    else:
        head += ["at the end", "over training", "each, at the end"]
    lines, missing = [_line(head), _line(["---"] * len(head))], []
    for arm in arms:
        own = [cells.get((task, arm), []) for task in tasks]
        steps = sorted({int(trial.curve.steps[-1]) for cell in own for trial in cell})
        span = f"{steps[0]:,}" + (f" to {steps[-1]:,}" if len(steps) > 1 else "")
        counts = dict.fromkeys(len(cell) for cell in own)
        row = [arm, ", ".join(map(str, counts)), span]
        row += [_told([trial.final for trial in cell], level) for cell in own]
        if several:
            if normalised:
                values, seeds = _normalised(cells, tasks, arm, level)
                row += values
                missing += [f"{arm}, {seeds}"] if seeds else []
        else:
            row.append(_told([trial.over_training for trial in own[0]], level))
            row.append(" ".join(number(trial.final, 1) for trial in own[0]))
        lines.append(_line(row))
    lines += ["", f"{100 * level:g}% intervals over trainings; at the end: last tenth of the steps"]
    lines += [f"0 to 100: without seeds that not every task has: {one}" for one in missing]
    return "\n".join(lines)


def _normalised(
    cells: Mapping[tuple[str, str], Sequence[Trial]], tasks: Sequence[str], arm: str, level: float
) -> tuple[list[str], str]:
    """The cells of an arm over several tasks: at the end, over training; and seeds left out."""
    # by seed and task: both numbers of each setting
    found: dict[tuple[int, int], dict[str, list[tuple[float, float]]]] = {}
    for task in tasks:
        there = [trial for key, cell in cells.items() if key[0] == task for trial in cell]
        low = min(float(trial.curve.values.min()) for trial in there)
        high = max(float(trial.curve.values.max()) for trial in there)
        for trial in cells.get((task, arm), []):
            scale = 100.0 / (high - low) if high > low else 0.0
            pair = (trial.final - low) * scale, (trial.over_training - low) * scale
            found.setdefault(trial.seed, {}).setdefault(task, []).append(pair)
    whole = [
        np.mean([np.mean(settings, axis=0) for settings in own.values()], axis=0)
        for own in found.values()
        if len(own) == len(tasks)
    ]
    partial = sorted(seed for seed, own in found.items() if len(own) < len(tasks))
    groups = any(group for _, group in found)
    seeds = ", ".join(f"{seed} (group {group})" if groups else str(seed) for seed, group in partial)
    return [_told([float(pair[i]) for pair in whole], level) for i in (0, 1)], seeds


def _told(values: Sequence[float], level: float) -> str:
    """A mean and its interval; a dash where there is no value."""
    found: Interval = interval_over_runs([np.array([value]) for value in values], level)
    if not np.isfinite(found.low):
        return number(found.mean, 1)
    return f"{number(found.mean, 1)} [{number(found.low, 1)}, {number(found.high, 1)}]"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cells(trials: Sequence[Trial]) -> dict[tuple[str, str], list[Trial]]:
    """Trainings by task and arm."""
    found: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        found.setdefault((trial.task, trial.arm), []).append(trial)
    return found


def _tasks(runs: Sequence[RunCurves]) -> list[str]:
    """Title of each run's game, with the options in which tasks differ; what agents do not see of
    it is no matter of the task.

    Where each label has an option of its own of one game, that is what is compared: one task.
    """
    keys = [
        (run.config.env.game, {k: x for k, x in run.config.env.options.items() if k != "hide"})
        for run in runs
    ]
    names = [repr((game, sorted(options.items()))) for game, options in keys]
    labels = [run.label for run in runs]
    each_its_own = len(set(zip(labels, names, strict=True))) == len({*labels}) == len({*names})
    if all(labels) and each_its_own and len({game for game, _ in keys}) == 1:
        return [game for game, _ in keys]
    tables = {
        name: {"env": {"game": game, "options": options}}
        for name, (game, options) in zip(names, keys, strict=True)
    }
    titles = differences(tables, ("env.game",))
    return [
        titles[name].removeprefix("game=") or game
        for name, (game, _) in zip(names, keys, strict=True)
    ]


def _show_lines(axes: Any, bottom: float | None) -> None:
    """Let the axis be as long as lines need, and half as long again for bands on either side.

    Student's t of few trainings is large: a band of two at 99.5% is a hundred times their distance,
    and would leave all lines flat. Lines below ``bottom`` are not shown.
    """
    if not axes.lines:
        return
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    low, top = axes.get_ylim()
    if bottom is not None:
        if not -np.inf < bottom < values.max():
            highest = values.max()
            raise UsageError(f"bottom: {bottom:g}: must be below {highest:g}, the highest value")
        values = values[values >= bottom]
    if room := 0.5 * np.ptp(values):
        low, top = max(low, values.min() - room), min(top, values.max() + room)
    axes.set_ylim(low if bottom is None else bottom, top)


def _evaluated(name: str) -> bool:
    """Whether a number is of evaluations, and not of the episodes of training."""
    return name.startswith("evaluated_")


def _thinned(curve: Curve) -> Curve:
    """A curve with as many points as a picture shows, the last one among them."""
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, 300).round().astype(np.int64))
    return Curve(curve.steps[kept], curve.values[kept])


def _late(steps: Values) -> Values:
    """Which points are of the last tenth of the steps, at least the last one, bool ``[U]``."""
    late: Values = steps > 0.9 * steps[-1]
    return late


def _mean_of_late(run: RunCurves, agent: int) -> float:
    """Mean return of an agent over the last tenth of the steps."""
    values = run.values("return", agent)
    there = np.isfinite(values) & _late(run.steps)
    if not there.any():
        return float("nan")
    return float(
        np.average(values[there], weights=np.maximum(run.episodes("return", agent)[there], 1.0))
    )
