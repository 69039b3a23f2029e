"""Every number of runs in one long table, a line each: for pandas, R and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from socialgrid.report.runs import RunCurves, group_titles, is_number

_INTERVAL = ("", "_low", "_high")


class Entry(NamedTuple):
    """A number of a run at one time.

    Attributes:
        run: its directory.
        label: what the user calls it, or else what tells it apart, as in pictures.
        seed: of the run.
        env_steps: of all environments together, when the row was written.
        phase: that the run was in; empty where there are none.
        kind: where it stands in ``metrics.jsonl``: in ``agents``, ``pairs``, ``groups``,
            ``members``, ``time``, ``options`` (of the game), ``evaluations`` (with ``NAME_low`` and
            ``NAME_high`` where there is an interval), ``episodes_with`` (of how many episodes a
            mean is, where not of all that finished), ``phase_ended``, or ``run``: in none of these.
        name: as in ``metrics.jsonl``.
        world: in which it was evaluated; empty in training.
        agent: whose number it is; None of all together.
        other: the other agent of a pair, or the member of the group; None where there is none.
        value: the number.
    """

    run: str
    label: str
    seed: int
    env_steps: int
    phase: str
    kind: str
    name: str
    world: str
    agent: int | None
    other: int | None
    value: float


def long_table(runs: Sequence[RunCurves]) -> Iterator[Entry]:
    """All numbers of ``metrics.jsonl`` of all runs; what was not measured is left out.

    ``pandas.DataFrame(long_table(RunCurves.all_named(["social=runs/a", "solo=runs/b"])))`` has a
    column for each attribute.
    """
    titles = group_titles(runs)
    for run in runs:
        front = str(run.run_dir), titles[run.group], run.config.run.seed
        for row in run.rows:
            when = int(row["env_steps"]), str(row.get("phase", ""))
            for place, value in _numbers({k: x for k, x in row.items() if k != "env_steps"}):
                yield Entry._make((*front, *when, *place, value))


def as_csv(entries: Iterable[Entry]) -> str:
    """The table with a line of names on top; what is None or empty is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Entry._fields)
    writer.writerows(entries)
    return text.getvalue()


_Place = tuple[str, str, str, int | None, int | None]


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[_Place, float]]:
    """The numbers of a row: kind, name, world, agent and other, and the value."""
    for name, value in row.items():
        if not isinstance(value, Mapping):
            for _, _, number in _cells(value):
                yield ("run", name, "", None, None), number
            continue
        for key, found in value.items():
            if name == "evaluations":
                yield from _evaluated(str(key), found)
                continue
            for agent, other, number in _cells(found):
                yield (name, str(key), "", agent, other), number


def _evaluated(world: str, table: Any) -> Iterator[tuple[_Place, float]]:
    for name, value in table.items() if isinstance(table, Mapping) else ():
        numbers: Sequence[Any] = value if isinstance(value, list) else [value]
        for suffix, number in zip(_INTERVAL, numbers, strict=False):
            if is_number(number):
                yield ("evaluations", f"{name}{suffix}", world, None, None), float(number)


def _cells(value: Any) -> Iterator[tuple[int | None, int | None, float]]:
    """A number, a list of agents' numbers or a table of pairs, cell by cell."""
    if is_number(value):
        yield None, None, float(value)
    for agent, one in enumerate(value if isinstance(value, list) else ()):
        if is_number(one):
            yield agent, None, float(one)
        for other, cell in enumerate(one if isinstance(one, list) else ()):
            if is_number(cell):
                yield agent, other, float(cell)
