"""What a run shows while it goes on: plain lines, or a live table in a terminal."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO, cast


class Console(Protocol):
    """Shows progress."""

    def update(self, row: Mapping[str, Any], total_steps: int) -> None:
        """Show a row of metrics."""
        ...

    def say(self, text: str) -> None:
        """Print a line of its own."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def duration(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def group_outcome(row: Mapping[str, Any]) -> str:
    """What became of the group, in a few words; empty where there is nothing to tell."""
    outcome = row.get("episode") or {}
    if outcome.get("collective_return") is None:
        return ""
    return (
        f"collective return {number(outcome['collective_return'])}, "
        f"equality {number(outcome['equality'])}"
    )


def influence_said(row: Mapping[str, Any]) -> str:
    """The strongest agent's influence and the value of listening to it, where it is measured."""
    found = []
    for name in ("influence", "value_of_listening"):
        values = (row.get("learner") or {}).get(name) or ()
        known = [x for x in values if x is not None and math.isfinite(x)]
        if known:
            found.append(f"{name.replace('_', ' ')} {number(max(known), 3)}")
    return ", ".join(found)


_FEW = 6  # agents, or members of a group, that a line has room for


def per_agent(names: Sequence[str], values: Sequence[float | None]) -> str:
    """A number for each agent by name; of many agents only the mean and the extremes."""
    if len(names) <= _FEW:
        pairs = zip(names, values, strict=True)
        return ", ".join(f"{name} {number(value)}" for name, value in pairs)
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return f"- of {len(names)} agents"
    mean = sum(known) / len(known)
    return (
        f"{number(mean)} in the mean of {len(names)} agents, "
        f"{number(min(known))} to {number(max(known))}"
    )


def evaluated(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """What the agents got without exploration; empty where they have not been evaluated."""
    evaluation = row.get("evaluation")
    return f"evaluated: {per_agent(names, evaluation['return'])}" if evaluation else ""


def followed_shares(row: Mapping[str, Any]) -> list[list[float | None]] | None:
    """Share of the steps since the last row in which each agent followed each member of its group.

    Returns:
        ``[A][P]``; ``None`` where nobody gives advice.
    """
    counts = (row.get("peers") or {}).get("followed")
    if counts is None:
        return None
    return [[x / sum(each) if sum(each) else None for x in each] for each in counts]


def time_left(row: Mapping[str, Any], total_steps: int) -> float:
    """Seconds to go at the present speed."""
    done, steps = progress(row), row["env_steps"]
    speed = row["env_steps_per_second"] * (done / steps if steps else 1.0)
    return (total_steps - done) / speed if speed > 0 else math.inf


def progress(row: Mapping[str, Any]) -> int:
    """How much of ``run.total_steps`` is done: environment steps where a row says nothing else."""
    return int(row.get("progress", row["env_steps"]))


class PlainConsole:
    """A line every few seconds, for files and pipes."""

    def __init__(
        self, names: Sequence[str], every_seconds: float, stream: TextIO | None = None
    ) -> None:
        """Remember the agents' names and how often to print."""
        self._names, self._every = names, every_seconds
        self._stream = stream or sys.stdout
        self._last = -math.inf
        self._evaluated = ""

    def update(self, row: Mapping[str, Any], total_steps: int) -> None:
        """Print a row if the last one is old enough, or if it is the run's last."""
        self._evaluated = evaluated(row, self._names) or self._evaluated
        now = time.monotonic()
        if now - self._last < self._every and progress(row) < total_steps:
            return
        self._last = now
        returns = per_agent(self._names, row["return"])
        self.say(
            f"step {progress(row):,}/{total_steps:,}  "
            f"{row['agent_steps_per_second']:,.0f} agent-steps/s  "
            f"left {duration(time_left(row, total_steps))}  return: {returns}"
            + "".join(
                f"  {text}"
                for text in (self._evaluated, group_outcome(row), influence_said(row))
                if text
            )
        )

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to put back."""


# Of the learner's metrics, those that a table shows.
_SHOWN = (
    "policy_loss", "value_loss", "aux_loss", "entropy", "kl", "influence", "value_of_listening",
    "intrinsic_reward_mean", "loss", "critic_loss", "actor_loss", "td_error", "temperature",
)  # fmt: skip


class _Output:
    """Standard output as the live table's thread may use it: what fails there is told here."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._error = error
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._error = error

    def check(self) -> None:
        """Raise what went wrong since."""
        if self._error is not None:
            raise self._error


class RichConsole:
    """A live table in the terminal."""

    def __init__(self, names: Sequence[str], terminal: Any = None) -> None:
        """Start the live display on a ``rich.console.Console``, standard output by default."""
        from rich.console import Console as Terminal
        from rich.live import Live

        self._names = names
        self._evaluation: Sequence[float | None] | None = None
        self._output = _Output(sys.stdout)
        self._terminal = terminal or Terminal(file=cast(TextIO, self._output))
        self._live = Live(console=self._terminal, refresh_per_second=4, transient=True)
        self._live.start()

    def update(self, row: Mapping[str, Any], total_steps: int) -> None:
        """Redraw the table."""
        self._output.check()
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table(expand=False)
        losses = [name for name in _SHOWN if name in row["learner"]]
        if "evaluation" in row:
            self._evaluation = row["evaluation"]["return"]
        columns = {
            "return": row["return"],
            "solo return": row.get("solo_return"),
            "evaluated": self._evaluation,
        }
        columns = {title: values for title, values in columns.items() if values is not None}
        followed = followed_shares(row)
        if followed is not None and len(followed[0]) > _FEW:
            followed = None
        for title in ("agent", *columns, *(name.replace("_", " ") for name in losses)):
            table.add_column(title, justify="left" if title == "agent" else "right")
        if followed is not None:
            table.add_column("followed", justify="right")
        for agent, name in enumerate(self._names):
            cells = [number(values[agent]) for values in columns.values()]
            cells += [number(row["learner"][loss][agent], 4) for loss in losses]
            if followed is not None:
                cells.append(" ".join(number(share) for share in followed[agent]))
            table.add_row(Text(name), *cells)  # a path may look like markup
        line = (
            f"step {progress(row):,} of {total_steps:,}   "
            f"{row['agent_steps_per_second']:,.0f} agent-steps/s   "
            f"episodes {row['episodes']:,}   "
            f"ran {duration(row['seconds'])}   left {duration(time_left(row, total_steps))}"
            + (f"\n{outcome}" if (outcome := group_outcome(row)) else "")
        )
        bar = ProgressBar(total=total_steps, completed=progress(row), width=60)
        self._live.update(Group(Text(line), bar, table))

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._terminal.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Stop the live display."""
        self._live.stop()


def make_console(names: Sequence[str], every_seconds: float) -> Console:
    """A live table on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return RichConsole(names)
    return PlainConsole(names, every_seconds)
