"""What a run says and leaves behind when it ends."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from socialgrid.train import build
from socialgrid.train.errors import UsageError
from socialgrid.train.logger import duration, number, read_metrics
from socialgrid.train.loop import Trainer

if TYPE_CHECKING:
    from socialgrid.train.asynchronous import AsyncTrainer


def mean_return(rows: Sequence[Mapping[str, Any]], agent: int, solo: bool) -> float | None:
    """Mean over all episodes that ended in these updates; None if none did."""
    key, count_key = ("solo_return", "solo_episodes_finished") if solo else (
        "return", "episodes_finished")  # fmt: skip
    total, count = 0.0, 0
    for row in rows:
        values = row.get(key)
        if values is not None and values[agent] is not None:
            total += values[agent] * row[count_key]
            count += row[count_key]
    return total / count if count else None


def mean_outcome(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Mean of a metric of the group over all episodes that ended in these updates."""
    total, count = 0.0, 0
    for row in rows:
        value = (row.get("episode") or {}).get(name)
        if value is not None:
            total += value * row["episodes_finished"]
            count += row["episodes_finished"]
    return total / count if count else None


def tenth(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The leading updates in which a tenth of all episodes ended."""
    counts = [row["episodes_finished"] + row["solo_episodes_finished"] for row in rows]
    total, seen, chosen = sum(counts), 0, []
    for row, count in zip(rows, counts, strict=True):
        chosen.append(row)
        seen += count
        if seen and seen * 10 >= total:
            break
    return chosen


def summary(trainer: Trainer | AsyncTrainer) -> str:
    """A table of first and last tenth of the run for each agent, and where its files lie."""
    rows = read_metrics(trainer.run_dir / "metrics.jsonl")
    lines = [""]
    if rows:
        first, last = tenth(rows), tenth(rows[::-1])
        lines.append(
            f"mean return per episode      {'first tenth':>12} {'last tenth':>12} {'change':>9}"
        )
        for agent, name in enumerate(trainer.names):
            for solo in (False, True):
                start, end = mean_return(first, agent, solo), mean_return(last, agent, solo)
                if start is None and end is None:
                    continue
                change = None if start is None or end is None else end - start
                title = f"{name}, solo" if solo else name
                lines.append(
                    f"{title:<28.28} {number(start):>12} {number(end):>12} {number(change):>9}"
                )
        for name in dict.fromkeys(name for row in rows for name in row.get("episode") or {}):
            start, end = mean_outcome(first, name), mean_outcome(last, name)
            change = None if start is None or end is None else end - start
            title = name.replace("_", " ")
            lines.append(
                f"{title:<28.28} {number(start):>12} {number(end):>12} {number(change):>9}"
            )
        speed = trainer.env_steps * len(trainer.players) / max(trainer.seconds, 1e-9)
        lines.append(
            f"{trainer.update} updates, {trainer.episodes:,} episodes, "
            f"{trainer.env_steps:,} environment steps in {duration(trainer.seconds)}: "
            f"{speed:,.0f} agent-steps/s, {len(trainer.slots)} of {len(trainer.players)} agents "
            "with networks"
        )
    lines.append(f"{trainer.run_dir}: config.json, metrics.jsonl, tensorboard, checkpoints")
    return "\n".join(lines)


def leave_pictures(trainer: Trainer | AsyncTrainer) -> list[str]:
    """Draw curves and film an episode with the final weights.

    Returns:
        a line for each file, or why there is none.
    """
    lines = []
    logging, run_dir = trainer.config.logging, trainer.run_dir
    if logging.curves:
        try:
            from socialgrid.train.plot import RunCurves, draw_curves

            lines.append(str(draw_curves([RunCurves(run_dir)], run_dir / "curves.png")))
        except UsageError as error:
            lines.append(str(error))
    if logging.video:
        try:
            lines.append(film(trainer))
        except UsageError as error:
            lines.append(str(error))
    return lines


def film(trainer: Trainer | AsyncTrainer) -> str:
    """Film one episode with everybody and the present weights.

    Raises:
        UsageError: the video extra is missing.
    """
    from socialgrid.train.video import episode_frames, write_video
    from socialgrid.train.worlds import Worlds, derived_seed

    config = trainer.config
    phase = build.phase_at(config, trainer.players, trainer.episodes)
    worlds = Worlds(
        config.env.game,
        1,
        [player.scripted for player in trainer.players],
        type(phase)(phase.options, 0),
        seed=derived_seed(config.run.seed, 3),
        num_threads=1,
        obs_mode=config.obs_mode,
    )
    frames = episode_frames(
        worlds, trainer.learner, trainer.slots, trainer.names, config.logging.video_frames
    )
    path = write_video(trainer.run_dir / "episode", frames)
    worlds.close()
    return str(path)
