"""Agents of one run or of several and scripted players meet in a world, without learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from socialgrid.config import TrainConfig
from socialgrid.config.evaluation import EvalOptions
from socialgrid.report.evaluation import Evaluation, Outcome, Result, outcomes_of
from socialgrid.train import checkpoint
from socialgrid.train.cast import Present, Presents, Seat, at_home, companies, eyes_of, seats_of
from socialgrid.train.company import Company
from socialgrid.train.device import choose_device
from socialgrid.train.on_policy.company import Recurrent
from socialgrid.train.on_policy.evaluation import Played, coordination, play_episodes
from socialgrid.train.seeds import EVALUATED_DRAWS, EVALUATED_WORLDS, derived_seed
from socialgrid.train.worlds import can_be_absent, phase_at, worlds_to_play

Array = npt.NDArray[Any]


def play_seats(
    config: TrainConfig,
    seats: Sequence[Seat],
    options: EvalOptions,
    conditions: Sequence[tuple[str, tuple[int, ...]]],
    *,
    recorded: bool = False,
    hide: bool = True,
    presents: Presents | None = None,
) -> Iterator[tuple[int, str, Played, Any]]:
    """Let players meet in a world, in every condition with every seed.

    Args:
        config: the world.
        seats: who plays.
        options: episodes, seeds, greedy and device.
        conditions: names, and the seats that are present.
        recorded: all networks are one run's at home, and what they say and how they influence
            each other is wanted.
        hide: agents do not see what was hidden from them where they learnt.
        presents: runs whose newest checkpoints are not meant.

    Yields:
        seed, condition, what was played, and the simulator (closed).

    Raises:
        UsageError: the game refuses, or networks do not fit.
    """
    device = choose_device(options.device)
    of_game = _options_there(config, seats, presents, hide=hide)
    group: list[Company] = []
    for seed in options.seeds:
        first_step = derived_seed(seed, EVALUATED_DRAWS) >> 1  # samples of a seed are its own
        for condition, present in conditions:
            worlds = worlds_to_play(
                config,
                of_game,
                derived_seed(seed, EVALUATED_WORLDS),
                options.episodes,
                scripted=[seat.scripted for seat in seats],
                present=present,
            )
            try:
                group = group or companies(seats, worlds.env, device, presents)
                first = group[0]
                if recorded and isinstance(first, Recurrent):
                    played = play_episodes(
                        worlds, first.learner, first.seats, options.greedy, first_step=first_step
                    )
                else:
                    played = play_episodes(
                        worlds, None, (), options.greedy, group, first_step=first_step
                    )
            finally:
                worlds.close()
            yield seed, condition, played, worlds.env


def check_seats(run_dir: Path, present: Present, config: TrainConfig) -> None:
    """Let a run's agents and whoever else is to meet them take their seats, and play nothing.

    Args:
        run_dir: of the run.
        present: the run as it is now.
        config: its configuration, moved to where it is to be evaluated.

    Raises:
        UsageError: as ``evaluate_seats`` would later.
    """
    seats, presents = seats_of(run_dir, present.config, config.players.kinds), {run_dir: present}
    worlds = worlds_to_play(
        config,
        _options_there(config, seats, presents),
        derived_seed(0, EVALUATED_WORLDS),
        1,
        scripted=[seat.scripted for seat in seats],
        num_threads=1,
    )
    try:
        companies(seats, worlds.env, choose_device("cpu"), presents)
    finally:
        worlds.close()


def _options_there(
    config: TrainConfig, seats: Sequence[Seat], presents: Presents | None, *, hide: bool = True
) -> dict[str, Any]:
    """Options of the game, with what those in the seats do not see."""
    of_game = dict(phase_at(config, 0).options)
    if hide:
        hidden = eyes_of(seats, of_game, presents)
        of_game.pop("hide", None)
        if any(hidden):
            of_game["hide"] = hidden
    return of_game


def learning_seats(seats: Sequence[Seat], run_dir: Path, run: TrainConfig) -> list[int]:
    """Seats of a run's own agents that learnt there.

    All others are scripted, frozen, untrained, or of other runs.
    """
    own = run.roster.players
    return [
        place
        for place, seat in enumerate(seats)
        if seat.run == run_dir and not seat.born and own[seat.slot].learns
    ]


def evaluate_seats(
    run_dir: Path,
    run: TrainConfig,
    config: TrainConfig,
    options: EvalOptions,
    extra: Mapping[str, Any],
    weights: Mapping[str, Tensor] | None = None,
) -> Evaluation:
    """Let a run's agents meet scripted players and other runs' agents in a world.

    Args:
        run_dir: of the run.
        run: its configuration.
        config: the same, moved to where it is evaluated.
        options: what to evaluate in.
        extra: game options given on the command line.
        weights: tensors of the run's learner as it is now, instead of those of a checkpoint; only
            agents that learn are played alone then.

    Raises:
        UsageError: the game refuses, networks do not fit, or there is no such checkpoint.
    """
    seats = seats_of(run_dir, run, config.players.kinds)
    home = at_home(seats, run_dir, run)
    everybody = tuple(range(len(seats)))
    networks = [place for place in everybody if seats[place].run is not None]
    learners = learning_seats(seats, run_dir, run)
    others = [place for place in everybody if place not in learners]
    conditions: list[tuple[str, tuple[int, ...]]] = [("together", everybody)]
    if len(seats) > 1 and can_be_absent(config.env.game):
        alone_too = networks if weights is None else learners
        conditions += [(f"alone {place}", (place,)) for place in alone_too]
    for step in options.steps():
        weights = checkpoint.load_weights(run_dir, step)[0].weights
    results: list[Result] = []
    returns: dict[str, dict[int, list[Array]]] = {}
    episodes: list[tuple[dict[str, float], ...]] = []
    moments: list[tuple[dict[str, float], ...]] = []
    env: Any = None
    for seed, condition, played, env in play_seats(
        config,
        seats,
        options,
        conditions,
        recorded=home,
        hide="hide" not in extra,
        presents=None if weights is None else {run_dir: Present(run, weights)},
    ):
        name, _, alone = condition.partition(" ")
        for place in [int(alone)] if alone else everybody:
            seat, own = seats[place], played.returns[:, place]
            results.append(Result(name, seed, place, seat.kind, seat.plays, tuple(own.tolist())))
            if alone and place in learners:
                by_seed = returns.setdefault("learners_return_alone", {})
                by_seed.setdefault(seed, []).append(own)
        if alone:
            continue
        for metric, places in (("learners_return", learners), ("others_return", others)):
            if places:
                own = played.returns[:, places].mean(1)
                returns.setdefault(metric, {}).setdefault(seed, []).append(own)
        episodes.append(played.outcomes)
        if home and config.social:
            moments.append((coordination(played, env.num_actions, played.symbols),))
    if len(seats) == 1 and not env.event_names:
        episodes.clear()  # its return says it all
    own_returns = [
        Outcome(metric, tuple(tuple(np.mean(each, 0).tolist()) for each in by_seed.values()))
        for metric, by_seed in returns.items()
    ]
    limits = (env.max_steps, config.social.unbounded)
    return Evaluation(
        tuple(results),
        (*own_returns, *outcomes_of(episodes, limits), *outcomes_of(moments, limits, whole=True)),
    )
