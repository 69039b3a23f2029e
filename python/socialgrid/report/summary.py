"""What a run says and leaves behind when it ends."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from socialgrid.config.errors import UsageError, plain_line
from socialgrid.config.phases import told_of_phase
from socialgrid.report.console import duration, number, read_metrics
from socialgrid.train import build

if TYPE_CHECKING:
    from socialgrid.report.pictures import Image
    from socialgrid.train.on_policy.trainer import AnyTrainer


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


def evaluations(rows: Sequence[Mapping[str, Any]], agent: int) -> list[float]:
    """Mean return of each evaluation of an agent."""
    return [row["evaluation"]["return"][agent] for row in rows if "evaluation" in row]


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


def summary(trainer: AnyTrainer) -> str:
    """A table of first and last tenth of the run for each agent, and where its files lie."""
    rows = read_metrics(trainer.run_dir / "metrics.jsonl")
    lines = [""]
    if rows:
        first, last = tenth(rows), tenth(rows[::-1])
        width = min(48, max(28, *(len(name) + 11 for name in trainer.names)))
        title = "mean return per episode"
        lines.append(f"{title:<{width}} {'first tenth':>12} {'last tenth':>12} {'change':>9}")
        for agent, name in enumerate(trainer.names):
            for solo in (False, True):
                start, end = mean_return(first, agent, solo), mean_return(last, agent, solo)
                if start is None and end is None:
                    continue
                lines.append(_change(f"{name}, solo" if solo else name, width, start, end))
        for agent, name in enumerate(trainer.names):
            found = evaluations(rows, agent)
            if found:
                few = -(-len(found) // 10)
                start, end = sum(found[:few]) / few, sum(found[-few:]) / few
                mean = sum(found) / len(found)
                line = _change(f"{name}, evaluated", width, start, end)
                lines.append(f"{line}  {number(mean)} over training")
        for name in dict.fromkeys(name for row in rows for name in row.get("episode") or {}):
            start, end = mean_outcome(first, name), mean_outcome(last, name)
            lines.append(_change(name.replace("_", " "), width, start, end))
        lines += [told_of_phase(row["phase_ended"]) for row in rows if "phase_ended" in row]
        agents = len(trainer.names)
        speed = trainer.agent_steps / max(trainer.seconds, 1e-9)
        with_networks = agents if trainer.config.off_policy else len(trainer.slots)
        lines.append(
            f"{trainer.update} updates, {trainer.episodes:,} episodes, "
            f"{trainer.env_steps:,} environment steps in {duration(trainer.seconds)}: "
            f"{speed:,.0f} agent-steps/s, {with_networks} of {agents} agents with networks"
        )
    files = ["config.json", "metrics.jsonl", "tensorboard", "checkpoints"]
    files = [name for name in files if (trainer.run_dir / name).exists()]
    lines.append(f"{trainer.run_dir}: {', '.join(files)}")
    return "\n".join(lines)


def _change(title: str, width: int, start: float | None, end: float | None) -> str:
    change = None if start is None or end is None else end - start
    return f"{title:<{width}.{width}} {number(start):>12} {number(end):>12} {number(change):>9}"


def leave_pictures(trainer: AnyTrainer) -> list[str]:
    """Draw curves and film an episode with the final weights.

    Returns:
        a line for each file, or why there is none.
    """
    lines = []
    logging, run_dir = trainer.config.logging, trainer.run_dir
    if logging.curves:
        try:
            from socialgrid.report.curves import RunCurves, draw_curves

            curves = RunCurves(run_dir)
            lines.append(str(draw_curves([curves], run_dir / "curves.png")))
            if curves.advised():
                from socialgrid.report.arms import draw_peers

                lines.append(str(draw_peers(curves, run_dir / "peers.png")))
        except Exception as error:  # the run is whole without them
            lines.append(_without("curves", error))
    if logging.video:
        try:
            lines.append(film(trainer))
        except Exception as error:  # encoders and graphics libraries raise what they like
            lines.append(_without("film", error))
    if trainer.config.closing.trials and not trainer.config.off_policy:
        lines += _closing(trainer)
    return lines


def _closing(trainer: Any) -> list[str]:
    """What the final weights do in the conditions of the run, or why that is not known."""
    from socialgrid.commands.closing import leave_closing

    try:
        return leave_closing(trainer)
    except Exception as error:
        return [_without("closing trials", error)]


def _without(what: str, error: Exception) -> str:
    reason = plain_line(str(error)) or type(error).__name__
    return reason if isinstance(error, UsageError) else f"no {what}: {reason[:300]}"


def film(trainer: AnyTrainer) -> str:
    """Film one episode with everybody and the present weights.

    Raises:
        UsageError: the video extra is missing, or the task cannot be drawn here.
    """
    from socialgrid.report.video import write_video

    config = trainer.config
    with ExitStack() as stack:
        frames = _task_film(trainer, stack) if config.off_policy else _world_film(trainer, stack)
        return str(write_video(trainer.run_dir / "episode", frames))


def _world_film(trainer: Any, stack: ExitStack) -> Iterator[Image]:
    """An episode of an on-policy run; ``stack`` closes its world."""
    from socialgrid.report.video import episode_frames
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
    stack.callback(worlds.close)
    return episode_frames(
        worlds, trainer.learner, trainer.slots, trainer.names, config.logging.video_frames
    )


def _task_film(trainer: Any, stack: ExitStack) -> Iterator[Image]:
    """An episode of an off-policy run without exploration; ``stack`` closes its tasks."""
    from socialgrid.report.video import task_frames
    from socialgrid.train.off_policy.trainer import make_tasks
    from socialgrid.train.worlds import derived_seed

    config = trainer.config
    tasks = make_tasks(config, 1, derived_seed(config.run.seed, 3))
    stack.callback(tasks.close)
    return task_frames(tasks, trainer.learner, trainer.names, config.logging.video_frames)
