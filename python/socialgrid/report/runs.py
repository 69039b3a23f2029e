"""Runs as curves: what their metrics say over time, and what tells them apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from socialgrid.config import group_key, load_config
from socialgrid.config.errors import UsageError
from socialgrid.config.run_files import CONFIG, runs_in, user_path
from socialgrid.measures.episodes import episodes_with
from socialgrid.measures.names import KINDS, Place, measure
from socialgrid.report.figures import Values
from socialgrid.report.metrics_file import read_metrics
from socialgrid.social.roles import MECHANISMS


class RunCurves:
    """The metrics of one run, ready to draw.

    Attributes:
        run_dir: where it lies.
        config: its configuration.
        label: what the user calls it; empty if nothing.
        group: what it shares with runs that are drawn in the same colour: the label, or else all
            of the configuration but the seed.
        steps: environment steps, ``[U]``.
        rows: of ``metrics.jsonl``.
    """

    def __init__(self, run_dir: Path, label: str = "") -> None:
        """Read a run directory.

        Raises:
            UsageError: not a run directory, or nothing has been measured yet.
        """
        self.run_dir, self.label = run_dir, label
        self.config = load_config(run_dir)
        self.rows = read_metrics(run_dir / "metrics.jsonl")
        if not self.rows:
            raise UsageError(f"{run_dir / 'metrics.jsonl'}: no updates yet")
        for number, row in enumerate(self.rows, 1):
            where = f"{run_dir / 'metrics.jsonl'}: line {number}"
            if not is_number(row.get("env_steps")) or not all(
                isinstance(row.get(kind, {}), dict) for kind in KINDS
            ):
                raise UsageError(f"{where} is not a row of metrics")
        self.group = label or group_key(self.config)
        self.steps = np.array([row["env_steps"] for row in self.rows], np.float64)

    @classmethod
    def named(cls, word: str) -> RunCurves:
        """Read ``RUN`` or ``LABEL=RUN``.

        Raises:
            UsageError: as for the class itself.
        """
        (found,) = cls.all_named([word])
        return found

    @classmethod
    def all_named(cls, words: Sequence[str]) -> list[RunCurves]:
        """Read every ``RUN`` or ``LABEL=RUN``, where RUN may be a folder of runs: all of them.

        A run that is named twice with one label counts once. Runs that have not measured anything
        yet are left out, which is said on stderr.

        Raises:
            UsageError: as for the class itself, or two runs of one label, or without any, are the
                same training.
        """
        named: dict[tuple[str, Path], Path] = {}
        for word in words:
            label, equals, path = word.partition("=")
            if not equals or user_path(word).is_dir():
                label, path = "", word
            while not user_path(path).is_dir() and label and "=" in path:  # labels may have one
                more, _, path = path.partition("=")
                label = f"{label}={more}"
            for run in runs_in(user_path(path)):
                named.setdefault((label, run.resolve()), run)
        waiting = [key for key, run in named.items() if _not_begun(run)]
        if len(waiting) < len(named):
            for key in waiting:
                left_out(named.pop(key), "no updates yet")
        found = [cls(run, label) for (label, _), run in named.items()]
        refuse_twice([(one.label, one) for one in found])
        return found

    def names(self, kind: str, least: Place = Place.PANEL) -> list[str]:
        """What was measured of a kind and is shown at least there, in the order of the rows."""
        found = dict.fromkeys(name for row in self.rows for name in row.get(kind, {}))
        return [name for name in found if measure(name).place >= least]

    def values(self, name: str, agent: int) -> Values:
        """A number of an agent over time, ``[U]``; NaN where nothing was measured."""
        curve = np.full(len(self.rows), np.nan)
        for i, row in enumerate(self.rows):
            each = row.get("agents", {}).get(name)
            if isinstance(each, list) and agent < len(each) and is_number(each[agent]):
                curve[i] = each[agent]
        return curve

    def episodes(self, name: str, agent: int = 0) -> Values:
        """Episodes that ended in each update, ``[U]``, as many as had a number: of all together, or
        of an agent.
        """
        found = [episodes_with(row, name, agent) for row in self.rows]
        return np.array([value if is_number(value) else 0 for value in found], np.float64)

    def of_group(self, name: str) -> Values:
        """A number of all agents together over time, ``[U]``; NaN where nothing was measured."""
        found = [row.get("groups", {}).get(name) for row in self.rows]
        return np.array([value if is_number(value) else np.nan for value in found], np.float64)

    def worlds(self) -> dict[str, list[str]]:
        """Worlds in which the run was evaluated while it went on, each with the numbers it has."""
        found: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for world, one in _tables(row.get("evaluations")):
                names = [name for name, value in one.items() if isinstance(value, list)]
                found.setdefault(world, {}).update(dict.fromkeys(names))
        return {world: list(names) for world, names in found.items()}

    def evaluated(self, world: str, name: str) -> Values:
        """A number of an evaluation over time, its mean, low and high, ``[U, 3]``; NaN without."""
        curve = np.full((len(self.rows), 3), np.nan)
        for i, row in enumerate(self.rows):
            each = dict(_tables(row.get("evaluations"))).get(world, {}).get(name)
            if isinstance(each, list) and len(each) == 3:
                curve[i] = [value if is_number(value) else np.nan for value in each]
        return curve

    def table(self, kind: str, name: str) -> Values | None:
        """A table of pairs or members over time, ``[U, A, P]``; ``None`` if never measured."""
        found = [row.get(kind, {}).get(name) for row in self.rows]
        try:
            shapes = {np.shape(value) for value in found if value is not None}
            if len(shapes) != 1 or len(next(iter(shapes))) != 2:
                return None
            nothing = np.full(shapes.pop(), np.nan)
            return np.array([nothing if value is None else value for value in found], np.float64)
        except (TypeError, ValueError, OverflowError):  # no table of numbers
            return None

    def advised(self) -> bool:
        """Whether it was measured who thought what of which member, or followed it."""
        return bool(self.names("members"))


def left_out(run_dir: Path, why: str) -> None:
    """Say on stderr that a run does not count."""
    print(f"{run_dir}: left out: {why}", file=sys.stderr)


def refuse_twice(runs: Sequence[tuple[str, RunCurves]]) -> None:
    """Refuse the same training twice: intervals over runs are of different ones.

    Args:
        runs: each with the name of those among which it may be there once.

    Raises:
        UsageError: two of a name are alike, and their seeds too.
    """
    known: dict[tuple[str, str, int], Path] = {}
    for name, run in runs:
        seed = run.config.run.seed
        first = known.setdefault((name, group_key(run.config), seed), run.run_dir)
        if first is not run.run_dir:
            raise UsageError(
                f"{run.run_dir}: the same training as {first}, with the same seed {seed}; name "
                "one of them"
            )


def _not_begun(run_dir: Path) -> bool:
    """Whether a run is there that has not measured anything yet."""
    rows = run_dir / "metrics.jsonl"
    return (run_dir / CONFIG).is_file() and not (rows.is_file() and rows.stat().st_size)


def _tables(value: object) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables in a table out of JSON; nothing where it is none."""
    items = value.items() if isinstance(value, dict) else ()
    return [(name, one) for name, one in items if isinstance(one, dict)]


def is_number(value: object) -> bool:
    """Whether a value out of JSON fits into a curve."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 1 << 62
    return isinstance(value, float)


# Options that tell a reader most; where they tell all groups apart, titles name no others.
_OF_MECHANISMS = tuple(
    f"social.{name}.{option}" for name, cls in MECHANISMS.items() for option in cls.telling
)
_TELLING = ("mechanisms", "algorithm.name", "env.game", *_OF_MECHANISMS)
_TELLING_OF_PEERS = (
    "mechanisms", "algorithm.name", "env.game", "players.kinds", "players.others", *_OF_MECHANISMS,
)  # fmt: skip


def group_titles(runs: Sequence[RunCurves]) -> dict[str, str]:
    """A short title for each group: its label, or what its runs' configurations differ in."""
    titles = {run.group: run.label for run in runs if run.label}
    grouped = all(run.config.regime.grouped for run in runs)
    found = differences(
        {run.group: json.loads(run.group) for run in runs if not run.label},
        _TELLING_OF_PEERS if grouped else _TELLING,
    )
    return {
        **titles,
        **{group: name or runs[0].config.env.game for group, name in found.items()},
    }


def differences(
    configs: Mapping[str, Mapping[str, Any]], telling: Sequence[str] = _TELLING_OF_PEERS
) -> dict[str, str]:
    """What configurations differ in, by the names they are given under.

    Args:
        configs: nested tables of options.
        telling: options that tell a reader most; others are named only where these do not tell
            all configurations apart, and those that some do not have only where there is no other
            way.

    Returns:
        ``option=value, ...`` of each; empty where there is only one.
    """
    flat = {name: dict(_flatten(config)) for name, config in configs.items()}
    keys = sorted({key for options in flat.values() for key in options})

    def differing(keys: Sequence[str], *, lacking: bool = False) -> list[str]:
        found = []
        for key in keys:
            there = [options[key] for options in flat.values() if key in options]
            some_lack_it = lacking and len(there) < len(flat)
            if len(set(map(json.dumps, there))) + some_lack_it > 1:
                found.append(key)
        return found

    def told(keys: Sequence[str]) -> dict[str, str]:
        return {
            group: ", ".join(f"{key.rsplit('.', 1)[-1]}={_brief(options[key])}"
                             for key in keys if key in options)
            for group, options in flat.items()
        }  # fmt: skip

    for found in (differing(telling), differing(keys), differing(keys, lacking=True)):
        names = told(found)
        if len(set(names.values())) == len(flat):
            break
    return names


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _brief(value: Any) -> str:
    return (",".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
