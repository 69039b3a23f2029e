"""Cross-play: what the agents of each run come to beside those of every other one."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import socialgrid
from socialgrid.commands.evaluate import EvalOptions, evaluation_config, play_seats
from socialgrid.config import TrainConfig, load_config
from socialgrid.config.errors import UsageError
from socialgrid.measures.intervals import FEW_RUNS, Interval, confidence_interval
from socialgrid.measures.intervals import interval_over_runs as over_runs
from socialgrid.report.console import number
from socialgrid.report.evaluation import bounds, write_json
from socialgrid.train import build
from socialgrid.train.cast import Seat, seats_of

Values = npt.NDArray[np.float64]
_SIDES = ("row", "column")


@dataclass(frozen=True)
class MatrixOptions:
    """Where agents of different runs meet."""

    episodes: int = 20
    """Episodes for each seed, pair of runs and seating."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the environments; never those of training."""
    world: str = ""
    """Another world: the env section of this preset."""
    players: tuple[str, ...] = ()
    """Who has which seat: row, column, or somebody else as of socialgrid-eval. By default the
    row's agent has the seat it learnt in, the column's agents have those of the other learners,
    and everybody else is as in training; each learner's seat in turn."""
    greedy: bool = False
    """The most probable action instead of a sample."""
    device: str = "cpu"
    """Where the networks compute."""
    out: str = ""
    """The picture; matrix.png in the first run's directory by default."""
    json: str = ""
    """The figures; matrix.json in the first run's directory by default."""


@dataclass(frozen=True)
class Matrix:
    """Returns of row agents beside column agents.

    Attributes:
        runs: in the order of rows and columns.
        returns: by row and column, one number an episode and seed: the mean over the row's seats.
        seatings: who sat where, of the first row beside the first other column.
    """

    runs: tuple[Path, ...]
    returns: tuple[tuple[Values, ...], ...]
    seatings: tuple[tuple[str, ...], ...]

    def cell(self, row: int, column: int) -> Interval:
        """Mean and 95% interval over evaluation episodes of these two runs' agents."""
        return confidence_interval(self.returns[row][column])

    def home(self) -> list[float]:
        """Mean return of every run's agents among themselves."""
        return [float(self.returns[i][i].mean()) for i in range(len(self.runs))]

    def away(self) -> list[float]:
        """Mean return of every run's agents beside the other runs' agents."""
        return [
            float(np.mean([x.mean() for j, x in enumerate(row) if j != i]))
            for i, row in enumerate(self.returns)
        ]


def play_matrix(runs: Sequence[Path], options: MatrixOptions, extra: Mapping[str, Any]) -> Matrix:
    """Let the agents of every run play beside those of every run, itself included.

    Args:
        runs: at least two.
        options: episodes, seeds, seats.
        extra: options of the game, for all.

    Raises:
        UsageError: not runs, fewer than two, or runs whose agents cannot meet.
    """
    if len(runs) < 2:
        raise UsageError("which runs? socialgrid-eval matrix RUN RUN... [--options]")
    if len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("runs: each once; the diagonal shows a run beside itself")
    evaluated = EvalOptions(
        options.episodes, options.seeds, options.world, greedy=options.greedy, device=options.device
    )
    configs = [load_config(run) for run in runs]
    if options.world or options.players:
        _check_players(options.players)
    worlds = [
        _world(run, config, evaluated, extra, own=not (options.world or options.players))
        for run, config in zip(runs, configs, strict=True)
    ]
    _check_worlds(runs, worlds, options)
    table: list[tuple[Values, ...]] = []
    seatings: tuple[tuple[str, ...], ...] = ()
    for row, run in enumerate(runs):
        cells = []
        for column, other in enumerate(runs):
            pairs = _seatings((run, configs[row]), (other, configs[column]), options.players)
            if (row, column) == (0, 1):
                seatings = tuple(tuple(seat.plays for seat in seats) for seats, _ in pairs)
            each = []
            for seats, own in pairs:
                kinds = tuple(seat.kind for seat in seats)
                moved = dataclasses.replace(
                    worlds[row], players=dataclasses.replace(worlds[row].players, kinds=kinds)
                )
                together = [("together", tuple(range(len(seats))))]
                played = play_seats(moved, seats, evaluated, together, hide="hide" not in extra)
                each.append(
                    np.concatenate([one.returns[:, own].mean(1) for _, _, one, _ in played])
                )
            cells.append(np.mean(each, 0))
        table.append(tuple(cells))
    return Matrix(tuple(runs), tuple(table), seatings)


def _check_players(players: Sequence[str]) -> None:
    if players and not set(_SIDES) <= set(players):
        raise UsageError("players: row and column must both have a seat, as in row,column,expert")


def _world(
    run: Path, config: TrainConfig, options: EvalOptions, extra: Mapping[str, Any], *, own: bool
) -> TrainConfig:
    """Where a run's agents meet others."""
    if config.advised or config.env.gymnasium_id or not build.has_several_agents(config.env.game):
        raise UsageError(f"{run}: its agents have tasks of their own and never meet others")
    if own and len(_learners(config)) < 2:
        raise UsageError(
            f"{run}: only one of its players learns, so no seat is left for another run's agent; "
            "say who sits where, as in --players row,column"
        )
    moved = evaluation_config(config, options, extra)
    return dataclasses.replace(moved, players=config.players)


def _learners(config: TrainConfig) -> list[int]:
    players = build.parse_players(config)
    return [slot for slot, player in enumerate(players) if player.kind == "learner"]


def _check_worlds(
    runs: Sequence[Path], worlds: Sequence[TrainConfig], options: MatrixOptions
) -> None:
    """Refuse runs whose agents would not meet in one and the same world."""
    first = _facts(worlds[0], options)
    for run, config in zip(runs[1:], worlds[1:], strict=True):
        for name, value in _facts(config, options).items():
            if first.get(name, value) != value:
                raise UsageError(
                    f"{run} and {runs[0]} do not meet in one world: {name} is {value} there and "
                    f"{first[name]} here; where it is an option of the game, --set gives all the "
                    "same"
                )


def _facts(config: TrainConfig, options: MatrixOptions) -> dict[str, Any]:
    """What has to be the same for all runs of a matrix."""
    game, kinds = config.env.game, config.players.kinds
    learners = _learners(config)
    facts: dict[str, Any] = {"game": game}
    if not options.players:
        facts["the number of players"] = len(kinds)
        for slot, kind in enumerate(kinds):
            facts[f"player {slot}"] = "a learner" if slot in learners else kind
    given = {name: x for name, x in config.env.options.items() if name != "hide"}
    count = len(options.players) or len(kinds)
    try:
        env = socialgrid.make_vec(game, num_threads=1, num_agents=count, **given)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{game}: {error}") from None
    facts |= {name: value for name, value in env.config.items() if name != "hide"}
    env.close()
    return facts


def _seatings(
    row: tuple[Path, TrainConfig], column: tuple[Path, TrainConfig], players: Sequence[str]
) -> list[tuple[list[Seat], list[int]]]:
    """Who sits where, in one world or several, and the seats whose returns count."""

    def agent(side: tuple[Path, TrainConfig], place: int) -> Seat:
        run, config = side
        there = place in _learners(config)
        slot = place if there else build.network_of(config, run, None)
        return Seat(f"checkpoint:{run}#{slot}", run, slot)

    sides = dict(zip(_SIDES, (row, column), strict=True))
    if players:
        others = [kind if kind not in _SIDES else "random" for kind in players]
        named = [
            Seat(kind) if build.parse_player(kind).scripted else seats_of(*row, [kind])[0]
            for kind in others
        ]
        seats = [
            agent(sides[kind], place) if kind in _SIDES else named[place]
            for place, kind in enumerate(players)
        ]
        return [(seats, [place for place, kind in enumerate(players) if kind == "row"])]
    learners, home = _learners(row[1]), seats_of(*row, row[1].players.kinds)
    if row[0] == column[0]:
        return [([agent(row, p) if p in learners else home[p] for p in range(len(home))], learners)]
    found = []
    for own in learners:
        seats = list(home)
        for place in learners:
            seats[place] = agent(row if place == own else column, place)
        found.append((seats, [own]))
    return found


def report(matrix: Matrix) -> str:
    """The matrix as a table, and what runs come to at home and away."""
    names = _names(matrix.runs)
    width = max(12, *(len(name) + 4 for name in names))
    count = matrix.returns[0][0].size
    lines = [
        f"return of row's agents beside column's: mean and 95% interval over {count} evaluation "
        "episodes of the pair",
        " " * width + "".join(f"{f'[{j}]':>26}" for j in range(len(names))),
    ]
    for i, name in enumerate(names):
        cells = (matrix.cell(i, j) for j in range(len(names)))
        lines.append(
            f"{f'[{i}] {name}':<{width}}"
            + "".join(f"{f'{number(cell.mean, 2)} {bounds(cell)}':>26}" for cell in cells)
        )
    for title, values in _summary(matrix).items():
        interval = over_runs([[value] for value in values])
        line = f"{title}: {number(interval.mean, 3)} {bounds(interval)} over {len(names)} runs"
        if len(names) < FEW_RUNS:
            line += "; each: " + ", ".join(number(value, 3) for value in values)
        lines.append(line)
    return "\n".join(lines)


def _summary(matrix: Matrix) -> dict[str, list[float]]:
    home, away = matrix.home(), matrix.away()
    return {
        "among themselves": home,
        "beside others": away,
        "difference": [b - a for a, b in zip(home, away, strict=True)],
    }


def _names(runs: Sequence[Path]) -> list[str]:
    """Names of the runs' directories, or their paths where names repeat."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]


def leave(matrix: Matrix, options: MatrixOptions, extra: Mapping[str, Any]) -> list[Path]:
    """Write the figures, and the picture where matplotlib is there.

    Returns:
        the files.

    Raises:
        UsageError: a file cannot be written, or matplotlib is missing.
    """
    figures = Path(options.json) if options.json else matrix.runs[0] / "matrix.json"
    count = range(len(matrix.runs))
    write_json(
        figures,
        {
            "runs": [str(run) for run in matrix.runs],
            "options": dataclasses.asdict(options),
            "set": json.loads(json.dumps(dict(extra), default=str)),
            "seatings": matrix.seatings,
            "intervals_range_over": "evaluation episodes of one pair; those of the summary: runs",
            "cells": [[matrix.cell(i, j)._asdict() for j in count] for i in count],
            "returns": [[cell.tolist() for cell in row] for row in matrix.returns],
            "summary": {
                title: {"each": each, **over_runs([[x] for x in each])._asdict()}
                for title, each in _summary(matrix).items()
            },
        },
    )
    out = Path(options.out) if options.out else matrix.runs[0] / "matrix.png"
    return [figures, draw(matrix, out)]


def draw(matrix: Matrix, path: Path) -> Path:
    """Draw the matrix: a cell a pair, its mean and interval written in it.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    from socialgrid.report.curves import need_matplotlib, save_figure

    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, count = _names(matrix.runs), len(matrix.runs)
    means = np.array([[cell.mean() for cell in row] for row in matrix.returns])
    figure = Figure(figsize=(2.5 + 1.5 * count, 1.8 + 1.1 * count), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    image = axes.imshow(means, cmap="viridis", aspect="auto")
    middle = (means.min() + means.max()) / 2
    for i in range(count):
        for j in range(count):
            cell = matrix.cell(i, j)
            axes.text(
                j, i, f"{cell.mean:.2f}\n{bounds(cell)}", ha="center", va="center", fontsize=7,
                color="white" if means[i, j] <= middle else "black",
            )  # fmt: skip
    axes.set_xticks(range(count), names, rotation=30, ha="right", fontsize=7)
    axes.set_yticks(range(count), names, fontsize=7)
    axes.set_xlabel("beside agents of")
    axes.set_ylabel("agents of")
    episodes = matrix.returns[0][0].size
    axes.set_title(f"return; 95% intervals over {episodes} evaluation episodes", fontsize=9)
    figure.colorbar(image, ax=axes)
    return save_figure(figure, path)
