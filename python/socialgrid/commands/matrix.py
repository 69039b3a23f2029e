"""Cross-play: what the agents of each run come to beside those of every other one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import socialgrid
from socialgrid.config import TrainConfig, load_config, parse_player
from socialgrid.config.errors import UsageError
from socialgrid.config.evaluation import EvalOptions, MatrixOptions, evaluation_config
from socialgrid.report.figures import Values
from socialgrid.report.matrix import Matrix
from socialgrid.train.cast import Seat, seats_of
from socialgrid.train.meeting import play_seats
from socialgrid.train.off_policy.tasks import has_several_agents

_SIDES = ("row", "column")


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
    if config.advised or config.env.gymnasium_id or not has_several_agents(config.env.game):
        raise UsageError(f"{run}: its agents have tasks of their own and never meet others")
    if own and len(_learners(config)) < 2:
        raise UsageError(
            f"{run}: only one of its players learns, so no seat is left for another run's agent; "
            "say who sits where, as in --players row,column"
        )
    moved = evaluation_config(config, options, extra)
    return dataclasses.replace(moved, players=config.players)


def _learners(config: TrainConfig) -> list[int]:
    return list(config.roster.learning_slots)


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
        slot = place if there else config.roster.network(run, None)
        return Seat(f"checkpoint:{run}#{slot}", run, slot)

    sides = dict(zip(_SIDES, (row, column), strict=True))
    if players:
        others = [kind if kind not in _SIDES else "random" for kind in players]
        named = [
            Seat(kind) if parse_player(kind).scripted else seats_of(*row, [kind])[0]
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
