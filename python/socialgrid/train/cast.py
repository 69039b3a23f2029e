"""Who plays in an evaluation: networks of one run or of several, in any seats of a world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import socialgrid
from socialgrid.config import Course, TrainConfig, load_config, parse_player
from socialgrid.config.errors import UsageError
from socialgrid.config.maps import with_game_options
from socialgrid.models.spec import EYES
from socialgrid.train.company import Company, Engagement
from socialgrid.train.eyes import hidden_from
from socialgrid.train.regime import regime_of
from socialgrid.train.worlds import hidden_at, phase_at


@dataclass(frozen=True)
class Present:
    """A run as it is now, whatever its directory says.

    Attributes:
        config: its configuration.
        weights: tensors of its learner.
    """

    config: TrainConfig
    weights: Mapping[str, torch.Tensor]


Presents = Mapping[Path, Present]


@dataclass(frozen=True)
class Seat:
    """Who plays in one seat of the world.

    Attributes:
        kind: what the user calls it.
        run: whose network it is; ``None`` for scripted players.
        slot: which agent of that run.
        born: as it was before it learnt anything.
    """

    kind: str
    run: Path | None = None
    slot: int = 0
    born: bool = False

    @property
    def scripted(self) -> str | None:
        """Name of the scripted player, or ``None``."""
        return self.kind if self.run is None else None

    @property
    def plays(self) -> str:
        """What plays there, without doubt: a scripted player, or an agent as RUN#K."""
        if self.run is None:
            return self.kind
        return f"{self.run}#{self.slot}" + (" as it was born" if self.born else "")


def seats_of(run_dir: Path, run: TrainConfig, kinds: Sequence[str]) -> tuple[Seat, ...]:
    """Who is meant by names of players.

    ``learner`` stands for the agents that learn in the run, in their order; ``learner:RUN`` and
    ``checkpoint:RUN`` for that run's; ``novice`` for an untrained network. The run's own names
    all together stand for its own agents, each in its place, whatever they began with.

    Args:
        run_dir: the run that is evaluated.
        run: its configuration.
        kinds: as of ``players.kinds``.

    Raises:
        UsageError: somebody does not exist, or there are no networks at all.
    """
    own = run.roster.players
    if tuple(kinds) == run.players.kinds:
        return tuple(
            Seat(kind, None if player.scripted else run_dir, slot)
            for slot, (kind, player) in enumerate(zip(kinds, own, strict=True))
        )
    learners = list(run.roster.learning_slots)
    named = [parse_player(kind) for kind in kinds]
    asked = sum(player.learns and player.source is None for player in named)
    if asked > len(learners):
        raise UsageError(f"players: {asked} learners, {run_dir} has {len(learners)}")
    seats: list[Seat] = []
    for kind, player in zip(kinds, named, strict=True):
        if player.scripted is not None:
            seats.append(Seat(kind))
        elif player.kind == "novice":
            seats.append(Seat(kind, run_dir, run.roster.slots[0], born=True))
        elif player.source is None:
            seats.append(Seat(kind, run_dir, learners.pop(0)))
        else:
            source, slot = player.source
            if source.resolve() == run_dir.resolve():
                source, config = run_dir, run  # one name for one run, however it was spelt
            else:
                config = load_config(source)
            seats.append(Seat(kind, source, config.roster.network(source, slot)))
    if all(seat.run is None for seat in seats):
        raise UsageError(f"players: there are no networks among {', '.join(kinds)}")
    return tuple(seats)


def eyes_of(
    seats: Sequence[Seat], options: Mapping[str, Any], presents: Presents | None = None
) -> list[list[str]]:
    """What each seat does not see: agents what was hidden from them where they learnt last."""
    now = _resolved(presents)
    given = options.get("hide") or []
    return [
        hidden_at(given, place)
        if seat.run is None
        else hidden_from(_config_of(seat.run, now), seat.slot)
        for place, seat in enumerate(seats)
    ]


def options_seen(
    seats: Sequence[Seat], options: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of a game in which everybody sees what they are used to seeing.

    Args:
        seats: who plays.
        options: of the game.
        extra: those that replace them; ``hide`` among them counts for everybody.
    """
    found = with_game_options(options, extra)
    if "hide" in extra:
        return found
    hidden = eyes_of(seats, found)
    found.pop("hide", None)
    return found | ({"hide": hidden} if any(hidden) else {})


def companies(
    seats: Sequence[Seat], world: Any, device: torch.device, presents: Presents | None = None
) -> list[Company]:
    """Load the networks of all seats, those of a run together.

    Each run's networks have the sizes, channels and memories of its own configuration.

    Args:
        seats: of the world.
        world: the ``VecEnv`` that they will play in.
        device: where networks live.
        presents: runs whose newest checkpoints are not meant.

    Raises:
        UsageError: a run is damaged, or its agents do not fit into this world or company.
    """
    by_run: dict[tuple[Path, bool], list[int]] = {}
    for place, seat in enumerate(seats):
        if seat.run is not None:
            by_run.setdefault((seat.run.resolve(), seat.born), []).append(place)
    now = _resolved(presents)
    return [_engage(seats, places, world, device, now) for places in by_run.values()]


def _resolved(presents: Presents | None) -> Presents:
    return {run.resolve(): present for run, present in (presents or {}).items()}


def _config_of(run: Path, now: Presents) -> TrainConfig:
    present = now.get(run.resolve())
    return load_config(run) if present is None else present.config


def at_home(seats: Sequence[Seat], run_dir: Path, run: TrainConfig) -> bool:
    """Whether all of a run's networks play in their own places, and no others."""
    there = [(place, seat) for place, seat in enumerate(seats) if seat.run is not None]
    return (
        len(seats) == len(run.players.kinds)
        and all(not seat.born and seat.run == run_dir for _, seat in there)
        and [(place, seat.slot) for place, seat in there]
        == [(slot, slot) for slot in run.roster.slots]
    )


def _engage(
    seats: Sequence[Seat],
    places: Sequence[int],
    world: Any,
    device: torch.device,
    now: Presents,
) -> Company:
    """Networks of one run."""
    run, slots = seats[places[0]].run, tuple(seats[place].slot for place in places)
    assert run is not None, "these seats have networks"
    config, present = _config_of(run, now), now.get(run.resolve())
    weights = None if present is None else present.weights
    home = _home(run, config, world.obs_mode)
    try:
        for place, slot in zip(places, slots, strict=True):
            _check_fit(run, home, 0 if config.advised else slot, world, place)
        born = seats[places[0]].born
        them = Engagement(run, config, slots, tuple(places), born, weights, home, world, device)
        return regime_of(config).engage(them)
    finally:
        home.close()


def _home(run: Path, config: TrainConfig, obs_mode: str) -> Any:
    """A world like the one that a run's agents learnt in last."""
    if config.env.gymnasium_id is not None:
        raise UsageError(f"{run}: its agents learnt {config.env.game}, which is no grid game")
    options = {
        name: value
        for name, value in phase_at(Course(config).configs[-1], 0).options.items()
        if not (config.advised and name == "hide")
    }
    try:
        return socialgrid.make_vec(
            config.env.game,
            num_threads=1,
            obs_mode=obs_mode,
            num_agents=1 if config.advised else len(config.players.kinds),
            **options,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"{run}: {error}") from None


def _check_fit(run: Path, home: Any, slot: int, world: Any, place: int) -> None:
    """Refuse an agent of one world a seat in another where it would see or do other things."""
    for what, own, here in (
        ("sees", home.obs_shape, world.obs_shape),
        ("chooses among", _actions(home, slot), _actions(world, place)),
    ):
        if own != here:
            raise UsageError(
                f"{run}: its agent {slot} {what} {own}, agent {place} of this {world.game} {here}: "
                "networks fit only where views and actions are the same"
            )
    for name in EYES:
        own, here = home.config.get(name), world.config.get(name)
        if own is not None and here is not None and own != here:
            raise UsageError(f"{run}: its agents learnt with {name} {own}; here it is {here}")


def _actions(env: Any, agent: int) -> tuple[str, ...]:
    return tuple(env.action_names[: env.action_counts[agent]])
