"""Curves and pictures of runs."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.train import build
from socialgrid.train.config import TrainConfig, to_dict
from socialgrid.train.errors import UsageError
from socialgrid.train.logger import read_metrics

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
        group: what it shares with runs that differ in nothing but the seed.
        steps: environment steps, ``[U]``.
    """

    def __init__(self, run_dir: Path) -> None:
        """Read a run directory.

        Raises:
            UsageError: not a run directory, or nothing has been measured yet.
        """
        self.run_dir = run_dir
        self.config = build.load_config(run_dir)
        self._rows = read_metrics(run_dir / "metrics.jsonl")
        if not self._rows:
            raise UsageError(f"{run_dir / 'metrics.jsonl'}: no updates yet")
        self.group = _group_key(self.config)
        self.steps = np.array([row["env_steps"] for row in self._rows], np.float64)

    def values(self, *keys: str, agent: int) -> Values:
        """One agent's curve ``[U]``, NaN where nothing was measured."""
        curve = np.full(len(self._rows), np.nan)
        for i, row in enumerate(self._rows):
            value: Any = row
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if value is not None and value[agent] is not None:
                curve[i] = value[agent]
        return curve

    def losses(self) -> list[str]:
        """Names of the auxiliary losses measured, with their agents' values."""
        names = {name for row in self._rows for name in row["learner"]}
        return sorted(name for name in names if "aux" in name)

    def learning_slots(self) -> list[int]:
        """Slots of agents that learn."""
        players = build.parse_players(self.config)
        return [slot for slot, player in enumerate(players) if player.kind == "learner"]


def _group_key(config: TrainConfig) -> str:
    data = to_dict(config)
    for name in ("seed", "run_dir", "total_steps"):
        data["run"].pop(name)
    return json.dumps(data, sort_keys=True)


def smooth(values: Values, width: int) -> Values:
    """Trailing mean over ``width`` points that skips NaN; NaN where there is nothing."""
    out = np.full(len(values), np.nan)
    for i in range(len(values)):
        window = values[max(0, i + 1 - width) : i + 1]
        window = window[np.isfinite(window)]
        if len(window):
            out[i] = window.mean()
    return out


def _titles(runs: Sequence[RunCurves]) -> dict[str, str]:
    """A short title for each group: what its runs' configurations differ in."""
    flat = {run.group: dict(_flatten(json.loads(run.group))) for run in runs}
    keys = sorted({key for options in flat.values() for key in options})
    differing = [
        key for key in keys
        if len({json.dumps(options.get(key)) for options in flat.values()}) > 1
    ]  # fmt: skip
    if not differing:
        return dict.fromkeys(flat, runs[0].config.env.game)
    return {
        group: ", ".join(f"{key.rsplit('.', 1)[-1]}={_brief(options.get(key))}"
                         for key in differing)
        for group, options in flat.items()
    }  # fmt: skip


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _brief(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def draw_curves(runs: Sequence[RunCurves], path: Path) -> Path:
    """Draw learning curves: every seed a line of its own, runs alike in all else in one colour.

    Args:
        runs: at least one.
        path: the PNG.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[tuple[str, tuple[str, ...]]] = [("return per episode", ("return",))]
    if any(np.isfinite(run.values("solo_return", agent=slot)).any()
           for run in runs for slot in run.learning_slots()):  # fmt: skip
        panels.append(("return per episode, solo environments", ("solo_return",)))
    losses = sorted({name for run in runs for name in run.losses()})
    panels += [(f"{name.replace('_', ' ')}", ("learner", name)) for name in losses]
    groups = list(dict.fromkeys(run.group for run in runs))
    titles = _titles(runs)
    figure = Figure(figsize=(8, 3.4 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (title, keys) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        named: set[tuple[str, bool]] = set()
        for run in runs:
            colour = f"C{groups.index(run.group) % 10}"
            learning = run.learning_slots()
            for slot, kind in enumerate(run.config.players.kinds):
                values = run.values(*keys, agent=slot)
                if not np.isfinite(values).any():
                    continue
                learns = slot in learning
                new = (run.group, learns) not in named
                named.add((run.group, learns))
                label = f"{titles[run.group]}: {'learners' if learns else 'others'}"
                if learns:
                    axes.plot(run.steps, values, color=colour, alpha=0.2, linewidth=0.8)
                axes.plot(
                    run.steps,
                    smooth(values, max(1, len(values) // 40)),
                    color=colour if learns else "0.6",
                    linestyle="-" if learns else ":",
                    linewidth=1.4,
                    label=label if new else None,
                )
                axes.annotate(
                    f"s{run.config.run.seed} {kind}" if learns else kind,
                    (run.steps[-1], smooth(values, max(1, len(values) // 40))[-1]),
                    fontsize=6,
                    color=colour if learns else "0.4",
                )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("environment steps")
        axes.margins(x=0.08)
        axes.grid(alpha=0.2)
        axes.legend(fontsize=7)
    return save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None
    return path
