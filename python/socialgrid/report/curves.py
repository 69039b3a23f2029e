"""Curves and pictures of runs."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config import group_key, load_config
from socialgrid.config.errors import UsageError, about, told
from socialgrid.config.run_files import guard_output, user_path
from socialgrid.report.console import read_metrics
from socialgrid.train import build

Values = npt.NDArray[np.float64]


def need_matplotlib() -> None:
    """Raise a one-line UsageError where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError('no curves: pip install "socialgrid[plot]"')


class RunCurves:
    """The metrics of one run, ready to draw.

    Attributes:
        run_dir: where it lies.
        config: its configuration.
        label: what the user calls it; empty if nothing.
        group: what it shares with runs that are drawn in the same colour: the label, or else all
            of the configuration but the seed.
        steps: environment steps, ``[U]``.
    """

    def __init__(self, run_dir: Path, label: str = "") -> None:
        """Read a run directory.

        Raises:
            UsageError: not a run directory, or nothing has been measured yet.
        """
        self.run_dir, self.label = run_dir, label
        self.config = load_config(run_dir)
        self._rows = read_metrics(run_dir / "metrics.jsonl")
        if not self._rows:
            raise UsageError(f"{run_dir / 'metrics.jsonl'}: no updates yet")
        for number, row in enumerate(self._rows, 1):
            if not (
                _is_number(row.get("env_steps"))
                and isinstance(row.get("learner"), dict)
                and isinstance(row.get("episode", {}), dict)
            ):
                where = f"{run_dir / 'metrics.jsonl'}: line {number}"
                raise UsageError(f"{where} is not a row of metrics")
        self.group = label or group_key(self.config)
        self.steps = np.array([row["env_steps"] for row in self._rows], np.float64)

    @classmethod
    def named(cls, word: str) -> RunCurves:
        """Read ``RUN`` or ``LABEL=RUN``.

        Raises:
            UsageError: as for the class itself.
        """
        label, equals, path = word.partition("=")
        whole = user_path(word)
        if equals and not whole.is_dir():
            while not user_path(path).is_dir() and "=" in path:  # labels may have one, too
                more, _, path = path.partition("=")
                label = f"{label}={more}"
            return cls(user_path(path), label)
        return cls(whole)

    def values(self, *keys: str, agent: int | None = None) -> Values:
        """A curve ``[U]``, NaN where nothing was measured; of one agent where all have one."""
        curve = np.full(len(self._rows), np.nan)
        for i, row in enumerate(self._rows):
            value: Any = row
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if agent is not None:
                value = value[agent] if isinstance(value, list) else None
            if _is_number(value):
                curve[i] = value
        return curve

    def table(self, *keys: str) -> Values | None:
        """Lists of lists over time, ``[U, A, P]`` or ``[U, G, P]``; ``None`` if never measured."""
        found: list[Any] = []
        for row in self._rows:
            value: Any = row
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            found.append(value)
        try:
            shapes = {np.shape(value) for value in found if value is not None}
            if len(shapes) != 1 or len(next(iter(shapes))) != 2:
                return None
            nothing = np.full(shapes.pop(), np.nan)
            return np.array([nothing if value is None else value for value in found], np.float64)
        except (TypeError, ValueError, OverflowError):  # no table of numbers
            return None

    def groups(self) -> list[list[int]]:
        """Agents that learn, as places in the lists of a row, group by group.

        Groups of peers are independent of each other; in all other runs there is one.
        """
        config = self.config
        if not config.off_policy:
            return [self.learning_slots()]
        owners, kinds = config.players.owners(), config.players.kinds
        learning = [k for k, place in enumerate(owners) if kinds[place].startswith("learner")]
        return [[group * len(owners) + k for k in learning] for group in range(config.peers.groups)]

    def place(self, agent: int) -> int:
        """Place in its group of an agent of an off-policy run."""
        owners = self.config.players.owners()
        return owners[agent % len(owners)]

    def advised(self) -> bool:
        """Whether it was measured who followed whom."""
        return self.table("peers", "followed") is not None

    def losses(self) -> list[str]:
        """Names of the auxiliary losses measured, with their agents' values."""
        names = {name for row in self._rows for name in row["learner"]}
        return sorted(name for name in names if "aux" in name)

    def outcomes(self) -> list[str]:
        """Names of what was measured of the group."""
        return list(dict.fromkeys(name for row in self._rows for name in row.get("episode") or ()))

    def learning_slots(self) -> list[int]:
        """Slots of agents that learn."""
        players = build.parse_players(self.config)
        return [slot for slot, player in enumerate(players) if player.kind == "learner"]


def _is_number(value: object) -> bool:
    """Whether a value out of JSON fits into a curve."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 1 << 62
    return isinstance(value, float)


def smooth(values: Values, width: int) -> Values:
    """Trailing mean over ``width`` points that skips NaN; NaN where there is nothing."""
    out = np.full(len(values), np.nan)
    for i in range(len(values)):
        window = values[max(0, i + 1 - width) : i + 1]
        window = window[np.isfinite(window)]
        if len(window):
            out[i] = window.mean()
    return out


# Options that tell a reader most; where they tell all groups apart, titles name no others.
_TELLING = ("social.mechanisms", "social.influence_weight", "algorithm.name", "env.game")
_TELLING_OF_PEERS = (
    "social.mechanisms", "algorithm.name", "env.game", "players.kinds", "players.others",
    "peers.advice", "peers.normalise", "peers.choice", "peers.trust_rate",
)  # fmt: skip


def group_titles(runs: Sequence[RunCurves]) -> dict[str, str]:
    """A short title for each group: its label, or what its runs' configurations differ in."""
    titles = {run.group: run.label for run in runs if run.label}
    off_policy = all(run.config.off_policy for run in runs)
    found = differences(
        {run.group: json.loads(run.group) for run in runs if not run.label},
        _TELLING_OF_PEERS if off_policy else _TELLING,
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
            all configurations apart.

    Returns:
        ``option=value, ...`` of each; empty where there is only one.
    """
    flat = {name: dict(_flatten(config)) for name, config in configs.items()}
    keys = sorted({key for options in flat.values() for key in options})

    def differing(keys: Sequence[str]) -> list[str]:
        return [
            key for key in keys
            if len({json.dumps(options.get(key)) for options in flat.values()}) > 1
        ]  # fmt: skip

    def told(keys: Sequence[str]) -> dict[str, str]:
        return {
            group: ", ".join(f"{key.rsplit('.', 1)[-1]}={_brief(options.get(key))}"
                             for key in keys)
            for group, options in flat.items()
        }  # fmt: skip

    names = told(differing(telling))
    return names if len(set(names.values())) == len(flat) else told(differing(keys))


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _brief(value: Any) -> str:
    return (",".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class Reference:
    """A curve or a level from elsewhere, drawn among the collective returns or evaluations.

    Attributes:
        label: what it is.
        steps: environment steps, ``[P]``; empty for a level.
        values: return, ``[P]``, or ``[1]`` for a level.
    """

    label: str
    steps: Values
    values: Values


def read_references(path: Path) -> list[Reference]:
    """Read curves to compare with.

    Args:
        path: CSV: a header, environment steps in the first column, a curve in every other one
            (its cells may be empty). Or JSON: by label a number, or a list of [steps, value].

    Raises:
        UsageError: no such file, or it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return [_reference(label, points) for label, points in json.loads(text).items()]
        header, *rows = [row for row in csv.reader(text.splitlines()) if row]
        return [
            _reference(
                label, [(row[0], row[column]) for row in rows if len(row) > column and row[column]]
            )
            for column, label in enumerate(header[1:], 1)
        ]
    except OSError as error:
        raise UsageError(told(error, path)) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: no table of steps and values: {error}") from None


def _reference(label: str, points: Any) -> Reference:
    if isinstance(points, int | float):
        return Reference(label, np.empty(0), np.array([points], np.float64))
    pairs = np.array([(float(step), float(value)) for step, value in points]).reshape(-1, 2)
    return Reference(label, pairs[:, 0], pairs[:, 1])


@dataclass(frozen=True)
class Panel:
    """One diagram: its title, and where its numbers lie in a row of metrics."""

    title: str
    keys: tuple[str, ...]
    per_agent: bool


# Metrics of the social mechanisms, by their names among the learner's.
_SOCIAL = (
    "influence",
    "value_of_listening",
    "influence_weight",
    "intrinsic_reward_mean",
    "moa_loss",
    "moa_accuracy",
    "message_entropy",
)


def _panels(runs: Sequence[RunCurves]) -> list[Panel]:
    """Diagrams for whatever any of the runs has measured."""

    def measured(*keys: str) -> bool:
        return any(np.isfinite(run.values(*keys, agent=slot)).any()
                   for run in runs for slot in run.learning_slots())  # fmt: skip

    panels = [Panel("return per episode", ("return",), True)]
    if measured("solo_return"):
        panels.append(Panel("return per episode, solo environments", ("solo_return",), True))
    names = dict.fromkeys(name for run in runs for name in run.outcomes() if name != "length")
    panels += [Panel(_TITLES.get(name, name.replace("_", " ")), ("episode", name), False)
               for name in names]  # fmt: skip
    losses = [
        name
        for name in sorted({name for run in runs for name in run.losses()})
        if any(np.nan_to_num(run.values("learner", name, agent=slot)).any()
               for run in runs for slot in run.learning_slots())
    ]  # fmt: skip
    losses += [name for name in _SOCIAL if measured("learner", name)]
    return panels + [Panel(name.replace("_", " "), ("learner", name), True) for name in losses]


_TITLES = {
    "collective_return": "collective return per episode",
    "equality": "equality of returns (1 - Gini)",
    "return_x_equality": "collective return x equality",
    "sustainability": "sustainability (mean step of collecting)",
    "peace": "peace (share of steps without a hit)",
    "apples": "apples eaten per episode",
    "cleaned": "waste cells cleaned per episode",
    "shots": "fire beams per episode",
    "hits": "hits per episode",
    "box_opened": "share of episodes in which the box was opened",
    "box_step": "step in which the box was opened",
}


def draw_curves(
    runs: Sequence[RunCurves], path: Path, references: Sequence[Reference] = ()
) -> Path:
    """Draw learning curves: every seed a line of its own, runs alike in all else in one colour.

    Runs of which some are off-policy are drawn as ``peer_plots.draw_arms`` describes.

    Args:
        runs: at least one.
        path: the PNG.
        references: drawn among the collective returns, or those of evaluations.

    Raises:
        UsageError: matplotlib is missing, the file cannot be written, or there are references
            and no collective return.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if any(run.config.off_policy for run in runs):
        from socialgrid.report.arms import draw_arms  # it imports this

        return draw_arms(runs, path, references)
    panels = _panels(runs)
    if references and not any(panel.keys == ("episode", "collective_return") for panel in panels):
        raise UsageError("reference: none of these runs has a collective return to compare")
    groups = list(dict.fromkeys(run.group for run in runs))
    colours = {group: f"C{index % 10}" for index, group in enumerate(groups)}
    titles = group_titles(runs)
    columns = 1 if len(panels) < 4 else 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(8 if columns == 1 else 13, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        if panel.per_agent:
            _draw_agents(axes, runs, panel.keys, titles, colours)
        else:
            _draw_groups(axes, runs, panel.keys, titles, colours)
        if panel.keys == ("episode", "collective_return"):
            draw_references(axes, references)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel("environment steps")
        axes.margins(x=0.08)
        axes.grid(alpha=0.2)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    return save_figure(figure, path)


def _draw_agents(
    axes: Any,
    runs: Sequence[RunCurves],
    keys: tuple[str, ...],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """A line for each agent of each run."""
    named: set[tuple[str, bool]] = set()
    for run in runs:
        learning = run.learning_slots()
        for slot, kind in enumerate(run.config.players.kinds):
            values = run.values(*keys, agent=slot)
            if not np.isfinite(values).any():
                continue
            learns = slot in learning
            new = (run.group, learns) not in named
            named.add((run.group, learns))
            label = f"{titles[run.group]}: {'learners' if learns else 'others'}"
            name = f"s{run.config.run.seed} {kind}" if learns else kind
            if len(learning) > 1 and learns:
                name = f"s{run.config.run.seed} a{slot}"
            _draw_line(
                axes,
                run.steps,
                values,
                colour=colours[run.group] if learns else "0.6",
                style="-" if learns else ":",
                label=label if new else None,
                name=name,
            )


def _draw_groups(
    axes: Any,
    runs: Sequence[RunCurves],
    keys: tuple[str, ...],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """A line for each run."""
    named: set[str] = set()
    for run in runs:
        values = run.values(*keys)
        if not np.isfinite(values).any():
            continue
        label = None if run.group in named else titles[run.group]
        named.add(run.group)
        name = f"s{run.config.run.seed}"
        _draw_line(axes, run.steps, values, colour=colours[run.group], label=label, name=name)


def _draw_line(
    axes: Any,
    steps: Values,
    values: Values,
    *,
    colour: str,
    label: str | None,
    name: str,
    style: str = "-",
) -> None:
    """A smoothed curve with its name at the end, and what was measured behind it."""
    trend = smooth(values, max(1, len(values) // 40))
    if style == "-":
        axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
    axes.plot(steps, trend, color=colour, linestyle=style, linewidth=1.4, label=label)
    axes.annotate(name, (steps[-1], trend[-1]), fontsize=6, color=colour)


def draw_references(axes: Any, references: Sequence[Reference]) -> None:
    """Add what is drawn for comparison to a diagram."""
    for index, reference in enumerate(references):
        style = ("--", "-.", ":")[index % 3]
        if len(reference.steps):
            axes.plot(
                reference.steps, reference.values, "k", linestyle=style, linewidth=1.2,
                label=reference.label,
            )  # fmt: skip
        else:
            level = float(reference.values[0])
            axes.axhline(level, color="k", linestyle=style, linewidth=1.2, label=reference.label)


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        guard_output(path)
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise UsageError(told(error, path)) from None
    except ValueError as error:
        raise UsageError(about(str(path), error)) from None
    return path
