"""What evaluations found, as tables and as JSON: of one training run, and over several."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config import group_key, load_config
from socialgrid.config.errors import UsageError
from socialgrid.config.evaluation import EvalOptions
from socialgrid.config.outputs import write_output
from socialgrid.measures.episodes import bounds_of
from socialgrid.measures.intervals import (
    FEW_RUNS,
    UNBOUNDED,
    Bounds,
    Interval,
    confidence_interval,
    interval_over_runs,
    method,
)
from socialgrid.measures.names import declared
from socialgrid.report.console import number
from socialgrid.report.metrics_file import finite

OF_GROUP = "mean_return_of_group_"


@dataclass(frozen=True)
class Result:
    """Returns of one condition.

    Attributes:
        condition: "together", or "alone" for one agent by itself.
        seed: of the environments.
        agent: slot.
        kind: who played in it, as the user calls it.
        plays: who that is: a scripted player, or an agent of a run as RUN#K.
        returns: of every episode.
    """

    condition: str
    seed: int
    agent: int
    kind: str
    plays: str
    returns: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """One metric, by seed of the environments and episode.

    Attributes:
        metric: its name.
        values: for every seed of the environments one number an episode, NaN where an episode has
            none.
        whole: there is one number a seed only, from all of its episodes together.
        groups: the numbers of each of several groups that were trained independently of each
            other: training runs of their own.
        bounds: what values are possible.
    """

    metric: str
    values: tuple[tuple[float, ...], ...]
    whole: bool = False
    groups: tuple[tuple[float, ...], ...] = ()
    bounds: Bounds = UNBOUNDED

    def over_episodes(self) -> Interval:
        """95% confidence interval over evaluation episodes, whatever seed they have.

        What more episodes of these networks would come to. Where there is one number a seed, it
        ranges over sets of so many episodes.
        """
        return confidence_interval([x for seed in self.values for x in seed], bounds=self.bounds)

    def training_runs(self) -> tuple[tuple[float, ...], ...]:
        """The numbers of each independent training run: its groups, or the run itself."""
        return self.groups or (tuple(x for seed in self.values for x in seed),)

    def over_groups(self) -> Interval:
        """95% confidence interval over groups: what another training run would come to."""
        return interval_over_runs(self.groups, bounds=self.bounds)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        results: returns by condition, seed and agent.
        outcomes: returns of learners and of others, and metrics of the group.
        step: of the checkpoint, if that is known.
    """

    results: tuple[Result, ...]
    outcomes: tuple[Outcome, ...]
    step: int | None = None


def outcomes_of(
    seeds: Sequence[Sequence[Mapping[str, float]]],
    limits: tuple[int, Collection[str]],
    *,
    whole: bool = False,
) -> tuple[Outcome, ...]:
    """Turn metrics by seed and episode into metrics by name; ``limits`` as of ``bounds_of``.

    What nobody has declared is a count, unless it is found to be negative.
    """
    found = []
    for name in dict.fromkeys(name for episodes in seeds for one in episodes for name in one):
        values = tuple(tuple(one.get(name, math.nan) for one in episodes) for episodes in seeds)
        negative = any(x < 0.0 for own in values for x in own)
        bounds = Bounds() if negative and not declared(name) else bounds_of(name, *limits)
        found.append(Outcome(name, values, whole, bounds=bounds))
    return tuple(found)


def report(evaluation: Evaluation) -> str:
    """Tables: one line a condition, agent and seed; then one line a metric, with its interval."""
    lines = [f"{'condition':<10} {'agent':<28} {'seed':>5} {'mean':>8} {'std':>8} {'best':>8}"]
    for result in evaluation.results:
        values = np.asarray(result.returns)
        lines.append(
            f"{result.condition:<10} {f'{result.agent} {result.kind}':<28.28} {result.seed:>5} "
            f"{number(float(values.mean())):>8} {number(float(values.std())):>8} "
            f"{number(float(values.max())):>8}"
        )
    if not evaluation.outcomes:
        return "\n".join(lines)
    first = evaluation.outcomes[0]
    groups, seeds = len(first.groups), len(first.values)
    lines.append(
        f"{'95% confidence':<40} {'mean':>9}  {f'over {sum(map(len, first.values))} episodes':<22}"
        + (f" over {groups} groups" if groups else "")
    )
    lines[-1] = lines[-1].rstrip()
    for outcome in evaluation.outcomes:
        episodes = outcome.over_episodes()
        lines.append(
            f"{outcome.metric.replace('_', ' '):<40} {_fine(episodes.mean):>9}  "
            f"{bounds(episodes):<22} {bounds(outcome.over_groups()) if groups else ''}".rstrip()
        )
    for outcome in evaluation.outcomes:
        if 0 < len(outcome.groups) < FEW_RUNS:
            lines.append(f"{outcome.metric.replace('_', ' ')} of each group: {_each(outcome)}")
    what = "episodes" if not any(one.whole for one in evaluation.outcomes) else (
        "episodes (of what has one number a seed, over those of the seeds)"
    )  # fmt: skip
    if groups:
        lines.append(
            f"intervals over groups range over {groups} trainings side by side "
            f"({method(groups)}); those over episodes over evaluation {what} only"
        )
    else:
        lines.append(
            f"one training run: intervals range over evaluation {what}, from {seeds} "
            f"environment seed{'s' if seeds > 1 else ''}, and say nothing of another training run"
        )
    return "\n".join(lines)


def _each(outcome: Outcome) -> str:
    """The mean of every training run."""
    return ", ".join(_fine(confidence_interval(run).mean) for run in outcome.training_runs())


def bounds(interval: Interval) -> str:
    """``[low, high]``; a dash where there are none."""
    if not math.isfinite(interval.low):
        return "-"
    if interval.low == interval.high:
        return "all the same"
    return f"[{_fine(interval.low)}, {_fine(interval.high)}]"


def _fine(value: float) -> str:
    """Three decimals; small numbers with an exponent."""
    return f"{value:.2e}" if 0 < abs(value) < 0.005 else number(value, 3)


@dataclass(frozen=True)
class Across:
    """What training runs that differ in nothing but the seed came to.

    Groups that were trained side by side in a run count as one run each.

    Attributes:
        runs: their directories.
        seeds: of the training.
        outcomes: metrics, with the values of every training run in ``groups``.
        steps: of their checkpoints; ``None`` where that is not known.
    """

    runs: tuple[Path, ...]
    seeds: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    steps: tuple[int | None, ...] = ()

    def lengths(self) -> str:
        """That they have not been trained for the same time, if so."""
        if len(set(self.steps)) < 2:
            return ""
        each = zip(self.runs, self.steps, strict=True)
        told = ", ".join(f"{run.name} {step or 0:,}" for run, step in each)
        return f"these runs were not trained for the same time; steps: {told}"

    def size(self) -> int:
        """Number of training runs."""
        return max((len(one.groups) for one in self.outcomes), default=0)


def across_runs(evaluations: Sequence[tuple[Path, Evaluation]]) -> list[Across]:
    """Put runs together that differ in nothing but the seed of the training.

    Raises:
        UsageError: two of them have the same seed too: they are one training run, not two.
    """
    alike: dict[str, dict[int, tuple[Path, Evaluation]]] = {}
    for run_dir, evaluation in evaluations:
        config = load_config(run_dir)
        members = alike.setdefault(group_key(config), {})
        if config.run.seed in members:
            raise UsageError(
                f"{run_dir}: the same training as {members[config.run.seed][0]}, with the same "
                f"seed {config.run.seed}; intervals over runs need different ones"
            )
        members[config.run.seed] = run_dir, evaluation
    found = []
    for members in alike.values():
        if len(members) < 2:
            continue
        by_name: dict[str, list[tuple[float, ...]]] = {}
        limits: dict[str, Bounds] = {}
        for _, evaluation in members.values():
            for outcome in evaluation.outcomes:
                if not outcome.metric.startswith(OF_GROUP):
                    by_name.setdefault(outcome.metric, []).extend(outcome.training_runs())
                    limits[outcome.metric] = outcome.bounds
        outcomes = tuple(
            Outcome(name, (), groups=tuple(runs), bounds=limits[name])
            for name, runs in by_name.items()
        )
        runs = tuple(run_dir for run_dir, _ in members.values())
        steps = tuple(evaluation.step for _, evaluation in members.values())
        found.append(Across(runs, tuple(members), outcomes, steps))
    return found


def report_runs(evaluations: Sequence[tuple[Path, Evaluation]]) -> str:
    """Tables over training runs, one for those that differ in nothing but the seed.

    Returns:
        a line a metric, with the value of every run where they are fewer than ten; empty for a
        single run.

    Raises:
        UsageError: as ``across_runs``.
    """
    lines: list[str] = []
    found = across_runs(evaluations)
    for across in found:
        size = across.size()
        title = f"{len(across.runs)} training runs"
        title += f" of {size} groups" if size > len(across.runs) else ""
        names = ", ".join(run_dir.name for run_dir in across.runs)
        lines.append(f"{title}, 95% confidence over training runs ({method(size)}): {names}")
        lines += [said] if (said := across.lengths()) else []
        for outcome in across.outcomes:
            interval = outcome.over_groups()
            each = f"  each: {_each(outcome)}" if size < FEW_RUNS else ""
            lines.append(
                f"{outcome.metric.replace('_', ' '):<40} {_fine(interval.mean):>9}  "
                f"{bounds(interval):<22}{each}".rstrip()
            )
    if len(evaluations) > 1 and not found:
        lines.append("no two of these runs differ in the seed alone: no interval over runs")
    return "\n".join(lines)


def results_path(run_dir: Path, options: EvalOptions, extra: Mapping[str, Any]) -> Path:
    """Where results go by default: a file for each world, ``eval-four-goals.json`` and so on."""
    parts = [options.world or options.game or "training-world"]
    parts += [f"{name}={value}" for name, value in sorted(extra.items())]
    parts += ["+".join(options.players)] if options.players else []
    parts += ["greedy"] if options.greedy else []
    parts += [f"step-{step}" for step in options.steps()]
    name = re.sub(r"[^A-Za-z0-9._=+-]+", "_", "-".join(parts))[:120]
    return run_dir / f"eval-{name}.json"


def results(
    run_dir: Path,
    options: EvalOptions,
    extra: Mapping[str, Any],
    evaluation: Evaluation,
) -> dict[str, Any]:
    """What an evaluation found, ready for JSON."""
    return {
        "run": str(run_dir),
        "checkpoint_step": evaluation.step,
        "training_seed": load_config(run_dir).run.seed,
        "options": dataclasses.asdict(options),
        "set": dict(extra),
        "results": [dataclasses.asdict(result) for result in evaluation.results],
        "intervals_range_over": "evaluation episodes of one training run; over_groups: trainings",
        "group": {
            outcome.metric: {
                "over_episodes": outcome.over_episodes()._asdict(),
                "by_environment_seed": outcome.values,
                "one_number_a_seed": outcome.whole,
                "bounds": outcome.bounds._asdict(),
                "over_groups": outcome.over_groups()._asdict() if outcome.groups else None,
            }
            for outcome in evaluation.outcomes
        },
    }


def results_of_runs(evaluations: Sequence[tuple[Path, Evaluation]]) -> list[dict[str, Any]]:
    """Intervals over training runs, ready for JSON."""
    return [
        {
            "runs": list(map(str, across.runs)),
            "training_seeds": across.seeds,
            "checkpoint_steps": across.steps,
            "intervals_range_over": f"{across.size()} training runs",
            "method": method(across.size()),
            "group": {
                outcome.metric: {
                    "over_runs": outcome.over_groups()._asdict(),
                    "by_run": [confidence_interval(run).mean for run in outcome.groups],
                }
                for outcome in across.outcomes
            },
        }
        for across in across_runs(evaluations)
    ]


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write results; what is not known is null.

    Raises:
        UsageError: the file cannot be written.
    """
    write_output(path, f"{json.dumps(finite(data), indent=1)}\n".encode())
