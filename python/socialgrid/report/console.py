"""What a run shows while it goes on: plain lines, or a live table in a terminal."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO, cast

from socialgrid.measures.names import Place, measure, words


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


_FEW = 6  # agents, or members of a group, that a line has room for


def per_agent(names: Sequence[str], values: Sequence[float | None], digits: int = 2) -> str:
    """A number for each agent by name; of many agents only the mean and the extremes."""
    if len(names) <= _FEW:
        pairs = zip(names, values, strict=True)
        return ", ".join(f"{name} {number(value, digits)}".lstrip() for name, value in pairs)
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return f"- of {len(names)} agents"
    mean = sum(known) / len(known)
    return (
        f"{number(mean, digits)} in the mean of {len(names)} agents, "
        f"{number(min(known), digits)} to {number(max(known), digits)}"
    )


def of_agents(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """What a line has of each agent: the first number by name, others in the agents' order."""
    found: list[str] = []
    for name, values in row.get("agents", {}).items():
        if measure(name).place >= Place.LINE and (not found or any(x is not None for x in values)):
            who = [""] * len(names) if found else names
            found.append(f"{words(name)}: {per_agent(who, values, measure(name).digits)}")
    return found


def of_groups(row: Mapping[str, Any]) -> str:
    """What a line has of all agents together; empty where there is nothing to tell."""
    return ", ".join(
        f"{words(name)} {number(value, measure(name).digits)}"
        for name, value in row.get("groups", {}).items()
        if value is not None and measure(name).place >= Place.LINE
    )


class _Latest:
    """Numbers of agents that not every row has, as evaluations: the last ones known."""

    def __init__(self) -> None:
        self._agents: dict[str, Any] = {}

    def add(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with what only earlier ones had."""
        own = row.get("agents", {})
        self._agents |= own
        return {**row, "agents": {**own, **self._agents}}


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
        self._latest = _Latest()

    def update(self, row: Mapping[str, Any], total_steps: int) -> None:
        """Print a row if the last one is old enough, or if it is the run's last."""
        row = self._latest.add(row)
        now = time.monotonic()
        if now - self._last < self._every and progress(row) < total_steps:
            return
        self._last = now
        parts = [
            f"step {progress(row):,}/{total_steps:,}",
            f"{row['agent_steps_per_second']:,.0f} agent-steps/s",
            f"left {duration(time_left(row, total_steps))}",
            *of_agents(row, self._names),
            of_groups(row),
        ]
        self.say("  ".join(filter(None, parts)))

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to put back."""


_SPACE = 3  # characters between columns of a table


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
        self._latest = _Latest()
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

        row = self._latest.add(row)
        table = Table(expand=False)
        table.add_column("agent")
        columns = self._columns(row)
        for title in columns:
            table.add_column(title, justify="right")
        for agent, name in enumerate(self._names):
            # A path may look like markup.
            table.add_row(Text(name), *(cells[agent] for cells in columns.values()))
        line = (
            f"step {progress(row):,} of {total_steps:,}   "
            f"{row['agent_steps_per_second']:,.0f} agent-steps/s   "
            f"episodes {row['episodes']:,}   "
            f"ran {duration(row['seconds'])}   left {duration(time_left(row, total_steps))}"
            + (f"\n{outcome}" if (outcome := of_groups(row)) else "")
        )
        bar = ProgressBar(total=total_steps, completed=progress(row), width=60)
        self._live.update(Group(Text(line), bar, table))

    def _columns(self, row: Mapping[str, Any]) -> dict[str, list[str]]:
        """What the terminal has room for beside the names: cells of each agent by title.

        What is worth a line comes first, then what is worth a column, both in the row's order.
        """
        found: dict[str, list[str]] = {}
        for name, values in row.get("agents", {}).items():
            digits = measure(name).digits
            found[name] = [number(value, digits) for value in values]
        for name, table in row.get("members", {}).items():
            digits = measure(name).digits
            if len(table[0]) <= _FEW:
                found.setdefault(name, [" ".join(number(x, digits) for x in own) for own in table])
        worth = [name for name in found if measure(name).place >= Place.TABLE]
        room = self._terminal.width - _SPACE - max(map(len, self._names))
        fitting = []
        for name in sorted(worth, key=lambda name: -measure(name).place):
            room -= max(len(words(name)), *map(len, found[name])) + _SPACE
            if room >= 0:
                fitting.append(name)
        return {words(name): found[name] for name in fitting}

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
