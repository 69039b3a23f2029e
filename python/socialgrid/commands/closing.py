"""What a run's agents do when it is over, in several conditions, told beside references.

A preset says which conditions, and what was measured for its counterparts. The run's last lines
then say what was learnt, and ``closing.json`` keeps the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from socialgrid.config import TrainConfig
from socialgrid.config.closing import ConditionConfig
from socialgrid.config.course import Course
from socialgrid.config.errors import UsageError
from socialgrid.measures import names
from socialgrid.report.console import number
from socialgrid.report.evaluation import write_json
from socialgrid.report.figures import new_figure, save_figure
from socialgrid.report.metrics_file import read_metrics
from socialgrid.report.summary import mean_outcome, mean_return, tenth
from socialgrid.train.on_policy.evaluation import Played, play_episodes
from socialgrid.train.on_policy.learner import sees_alike
from socialgrid.train.seeds import CLOSING_WORLDS, derived_seed
from socialgrid.train.worlds import can_be_absent, phase_at, worlds_to_play

if TYPE_CHECKING:
    from socialgrid.train.on_policy.asynchronous import AsyncTrainer
    from socialgrid.train.on_policy.trainer import Trainer

FILE = "closing.json"


@dataclass(frozen=True)
class Closing:
    """What was found.

    Attributes:
        training: each measure's mean over the last tenth of training; None where it has none.
        played: means by condition and measure, None where there is none.
        episodes: of the first condition, what was recorded.
        left_out: why conditions were not played.
    """

    training: Mapping[str, float | None]
    played: Mapping[str, Mapping[str, float | None]]
    episodes: Played
    left_out: tuple[str, ...]


def play_closing(trainer: Trainer | AsyncTrainer) -> Closing:
    """Play ``closing.trials`` episodes with the final weights in each condition of a run.

    Actions are sampled, as they were in training, unless a condition says otherwise.

    Raises:
        UsageError: a world refuses its options, or no condition and measure fits the run.
    """
    config = trainer.config
    rows = tenth(read_metrics(trainer.run_dir / "metrics.jsonl")[::-1])
    measures = config.closing.fitting(len(config.players.kinds))
    conditions = config.closing.conditions or {"as in training": ConditionConfig()}
    episodes: dict[str, tuple[Played, tuple[int, ...]]] = {}
    left_out: list[str] = []
    for name, condition in conditions.items():
        try:
            episodes[name] = _play(trainer, condition)
        except UsageError as error:
            left_out.append(f"not played: {name}: {error}")
    if not episodes or not measures:
        raise UsageError("; ".join(left_out) or "closing.measures: none fits these players")
    return Closing(
        {measure: _trained(rows, measure) for measure in measures},
        {
            name: {measure: mean_of(played, present, measure) for measure in measures}
            for name, (played, present) in episodes.items()
        },
        next(iter(episodes.values()))[0],
        tuple(left_out),
    )


def _play(
    trainer: Trainer | AsyncTrainer, condition: ConditionConfig
) -> tuple[Played, tuple[int, ...]]:
    """Episodes of a condition, and who was there."""
    config = Course(trainer.config).configs[-1].in_condition(condition)
    everybody = range(len(config.players.kinds))
    present = tuple(everybody)
    if condition.alone:
        present = trainer.slots
        if not can_be_absent(config.env.game):
            raise UsageError(f"{config.env.game}: its agents cannot be absent")
    worlds = worlds_to_play(
        config,
        phase_at(config, trainer.episodes).options,
        derived_seed(config.run.seed, CLOSING_WORLDS),
        config.closing.trials,
        present=present,
    )
    try:
        if not sees_alike(trainer.learner, worlds.env):
            raise UsageError("its agents would see or do other things there")
        return play_episodes(worlds, trainer.learner, trainer.slots, condition.greedy), present
    finally:
        worlds.close()


def mean_of(played: Played, present: Sequence[int], measure: str) -> float | None:
    """Mean of a measure over episodes; ``None`` where it has no number.

    Args:
        played: one episode in every environment.
        present: slots of the agents that were there.
        measure: see ``ClosingConfig.measures``.
    """
    name, colon, slot = measure.partition(":")
    if colon and int(slot) not in present:
        return None
    if name == "return":
        values = played.returns[:, int(slot)]
    elif name == "rewarded":
        first = np.cumsum(played.done, 0) - played.done == 0
        values = (played.rewards[..., int(slot)] * first > 0).any(0)
    else:
        values = np.array([episode.get(name, math.nan) for episode in played.outcomes])
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else None


def _trained(rows: Sequence[Mapping[str, Any]], measure: str) -> float | None:
    name, colon, slot = measure.partition(":")
    if not colon:
        return mean_outcome(rows, name)
    return mean_return(rows, int(slot), False) if name == "return" else None


def lines_of(config: TrainConfig, closing: Closing) -> list[str]:
    """The last lines of a run: a table of conditions, then references and notes."""
    measures = config.closing.fitting(len(config.players.kinds))
    titles = [_title(measure, config) for measure in measures]
    references = config.closing.reference
    rows: list[tuple[str, Mapping[str, float | None]]] = [
        ("in training, its last tenth", closing.training),
        *closing.played.items(),
        *((f"reference: {name}", table) for name, table in references.items()),
    ]
    width = max(len(name) for name, _ in rows)
    sizes = [max(8, len(title)) for title in titles]
    head = f"mean over {config.closing.trials} episodes"
    width = max(width, len(head))
    lines = ["", "  ".join([f"{head:<{width}}", *map(str.rjust, titles, sizes)])]
    for name, table in rows:
        cells = [number(table.get(measure)) for measure in measures]
        lines.append("  ".join([f"{name:<{width}}", *map(str.rjust, cells, sizes)]))
    lines += [f"{name}: {table['source']}" for name, table in references.items()
              if "source" in table]  # fmt: skip
    return [*lines, *closing.left_out, *config.closing.notes]


def _title(measure: str, config: TrainConfig) -> str:
    name, colon, slot = measure.partition(":")
    if not colon:
        return name.replace("_", " ")
    who = f"agent{slot}"
    return f"{who} rewarded" if name == "rewarded" else f"{who} {config.players.kinds[int(slot)]}"


def write_closing(path: Path, config: TrainConfig, closing: Closing, rows: Sequence[Any]) -> None:
    """Write the numbers as JSON, with how the run's phases ended.

    Raises:
        UsageError: the file cannot be written.
    """
    write_json(
        path,
        {
            "trials": config.closing.trials,
            "training": closing.training,
            "conditions": closing.played,
            "reference": config.closing.reference,
            "phases": [row["phase_ended"] for row in rows if "phase_ended" in row],
        },
    )


def draw_moments(config: TrainConfig, closing: Closing, path: Path) -> Path | None:
    """Draw how influence went along an episode (Jaques et al. 2019, figure 13) and, where the game
    counts steps in which something happens, as the opening of a box, when that was (figure 12).

    Returns:
        the PNG; ``None`` where no influence was measured.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    played = closing.episodes
    if played.influence is None:
        return None
    influence = played.influence.sum(-1)  # [T, E, A]
    steps = np.arange(1, len(influence) + 1)
    when = {
        names.measure(name).moment: np.array([one.get(name, math.nan) for one in played.outcomes])
        for name in played.outcomes[0]
        if names.measure(name).moment
    }
    figure = new_figure(7, 3.4 + 3.0 * len(when))
    rows = len(when) + 1
    for row, (moment, found) in enumerate(when.items(), 1):
        axes = figure.add_subplot(rows, 1, row)
        counts = np.array([np.count_nonzero(found == step) for step in steps])
        axes.bar(steps, counts / len(found), color="C0", label="in this step")
        axes.plot(steps, counts.cumsum() / len(found), "C1", label="until this step")
        axes.set_title(f"{moment}: share of {len(found)} sampled episodes", fontsize=10)
        axes.legend(fontsize=8)
    axes = figure.add_subplot(rows, 1, rows)
    # An episode in which all that there is to mark happened, if there is one.
    whole = np.isfinite(np.array([*when.values()])).all(0) if when else np.zeros(1)
    shown = int(whole.argmax())
    for agent, slot in enumerate(config.roster.slots):
        if not influence[..., agent].any():
            continue
        axes.plot(steps, influence[:, shown, agent], f"C{agent}",
                  label=f"agent{slot}, one episode")  # fmt: skip
        axes.plot(steps, influence[..., agent].mean(1), f"C{agent}:",
                  label=f"agent{slot}, mean of all")  # fmt: skip
    for moment, found in when.items():
        if np.isfinite(found[shown]):
            axes.axvline(found[shown], color="0.5", linestyle="--", label=moment)
    axes.set_title("influence on the others, nats", fontsize=10)
    axes.set_xlabel("step of the episode")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return save_figure(figure, path)


def leave_closing(trainer: Trainer | AsyncTrainer) -> list[str]:
    """Play, draw and write; returns the run's last lines."""
    config, run_dir = trainer.config, trainer.run_dir
    closing = play_closing(trainer)
    write_closing(run_dir / FILE, config, closing, read_metrics(run_dir / "metrics.jsonl"))
    lines = []
    if config.logging.curves:
        try:
            picture = draw_moments(config, closing, run_dir / "moments.png")
            lines += [str(picture)] if picture else []
        except UsageError as error:
            lines.append(str(error))
    return lines + lines_of(config, closing)
