"""What a run says and leaves behind when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from socialgrid.config import TrainConfig
from socialgrid.config.phases import told_of_phase
from socialgrid.measures.episodes import episodes_with
from socialgrid.measures.names import words
from socialgrid.report.console import duration, number
from socialgrid.report.metrics_file import read_metrics


class Finished(Protocol):
    """A run that has ended."""

    config: TrainConfig
    run_dir: Path
    names: list[str]
    slots: tuple[int, ...]
    update: int
    env_steps: int
    episodes: int
    seconds: float

    @property
    def agent_steps(self) -> int:
        """Steps in play of all agents, added up."""
        ...


def mean_return(rows: Sequence[Mapping[str, Any]], agent: int, solo: bool) -> float | None:
    """Mean over all episodes of an agent that ended in these updates; None if none did."""
    key = "solo_return" if solo else "return"
    total = count = 0.0
    for row in rows:
        values = row["agents"].get(key)
        if values is not None and values[agent] is not None:
            episodes = episodes_with(row, key, agent)
            total, count = total + values[agent] * episodes, count + episodes
    return total / count if count else None


def mean_outcome(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Mean of a metric of the group over all episodes with one that ended in these updates."""
    total = count = 0.0
    for row in rows:
        value = row.get("groups", {}).get(name)
        if value is not None:
            episodes = episodes_with(row, name)
            total, count = total + value * episodes, count + episodes
    return total / count if count else None


def evaluations(rows: Sequence[Mapping[str, Any]], agent: int) -> list[float]:
    """Mean return of each evaluation of an agent."""
    found = [row["agents"].get("evaluated_return") for row in rows]
    return [values[agent] for values in found if values is not None]


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


def summarise(trainer: Finished) -> str:
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
        for name in dict.fromkeys(name for row in rows for name in row.get("groups", {})):
            start, end = mean_outcome(first, name), mean_outcome(last, name)
            lines.append(_change(words(name), width, start, end))
        lines += [told_of_phase(row["phase_ended"]) for row in rows if "phase_ended" in row]
        agents = len(trainer.names)
        speed = trainer.agent_steps / max(trainer.seconds, 1e-9)
        with_networks = len(trainer.config.roster.trained)
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
