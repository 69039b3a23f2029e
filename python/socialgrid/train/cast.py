"""Who plays in an evaluation: networks of one run or of several, in any seats of a world."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

import socialgrid
from socialgrid.algos.off_policy.off_policy_learner import Actor
from socialgrid.config import TrainConfig, load_config, parse_player
from socialgrid.config.errors import UsageError
from socialgrid.models import ViewSpec
from socialgrid.models.task_spec import TaskSpec
from socialgrid.train import checkpoint
from socialgrid.train.off_policy.learner import adopt_off_policy, lone_learner
from socialgrid.train.on_policy.learner import AnyLearner, learner_of
from socialgrid.train.worlds import phase_at

_TEAM = {"influence": "lead each other", "comm": "talk to each other"}
# Options that decide what a view of a given size shows.
_EYES = (
    "view_size", "view_offset", "tile_size", "see_through_walls", "view_rotation", "show_beams",
)  # fmt: skip


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


def eyes_of(seats: Sequence[Seat], options: Mapping[str, Any]) -> list[list[str]]:
    """What each seat does not see: agents what was hidden from them where they learnt."""
    given = options.get("hide") or []
    found = []
    for place, seat in enumerate(seats):
        hidden = given
        if seat.run is not None:
            config = load_config(seat.run)
            hidden = phase_at(config, 0).options.get("hide", [])
            place = 0 if config.advised else seat.slot  # noqa: PLW2901
        if not any(isinstance(item, str) for item in hidden):
            hidden = hidden[place] if place < len(hidden) else []
        found.append(list(hidden))
    return found


class Company(Protocol):
    """Networks of a run in their seats.

    Attributes:
        seats: where they play.
    """

    seats: tuple[int, ...]

    def begin(self, num_envs: int) -> None:
        """Forget everything: new episodes begin in so many worlds."""
        ...

    def act(self, obs: Tensor, reset: Tensor, last: Mapping[str, Tensor], greedy: bool) -> Tensor:
        """Choose actions.

        Args:
            obs: of everybody, ``[E, N, *obs_shape]``.
            reset: bool ``[E, N]``.
            last: what everybody did and got before, ``Rollout.last``.
            greedy: the most probable actions instead of samples.

        Returns:
            int64 ``[E, A]``, in the order of the seats.
        """
        ...


class Recurrent:
    """Agents of one on-policy run; their memories are its own."""

    def __init__(self, learner: AnyLearner, seats: Sequence[int], hears: Tensor | None) -> None:
        """Give networks seats.

        Args:
            learner: of exactly these agents.
            seats: where they play.
            hears: int64 ``[A, N]``, the seat of whoever stands for each agent of the world they
                learnt in; ``None`` where they hear no actions.
        """
        self.learner, self.seats, self._hears = learner, tuple(seats), hears

    def begin(self, num_envs: int) -> None:
        """See ``Company``."""
        self._memory = self.learner.initial_state(num_envs)

    def act(self, obs: Tensor, reset: Tensor, last: Mapping[str, Tensor], greedy: bool) -> Tensor:
        """See ``Company``."""
        columns = list(self.seats)
        if self._hears is not None:
            last = {name: x[:, self._hears].transpose(0, 1) for name, x in last.items()}
        out = self.learner.act(
            obs[:, columns],
            self._memory,
            reset[:, columns],
            last=last,
            greedy=greedy,
        )
        self._memory = out.state
        return out.action


class ValueBased:
    """Agents of one off-policy run; they always act without exploration."""

    def __init__(self, learners: Sequence[Any], seats: Sequence[int]) -> None:
        """Give networks seats.

        Args:
            learners: one ``OffPolicyLearner`` for each agent.
            seats: where they play.
        """
        self._learners, self.seats = list(learners), tuple(seats)

    def begin(self, num_envs: int) -> None:
        """See ``Company``."""
        self._actors: list[Actor] = [learner.actor() for learner in self._learners]

    def act(self, obs: Tensor, reset: Tensor, last: Mapping[str, Tensor], greedy: bool) -> Tensor:
        """See ``Company``."""
        del last, greedy
        chosen = [
            actor(obs[None, :, seat], reset[None, :, seat])[0].cpu()
            for actor, seat in zip(self._actors, self.seats, strict=True)
        ]
        return torch.stack(chosen, -1)


def companies(seats: Sequence[Seat], world: Any, device: torch.device) -> list[Company]:
    """Load the networks of all seats, those of a run together.

    Each run's networks have the sizes, channels and memories of its own configuration.

    Args:
        seats: of the world.
        world: the ``VecEnv`` that they will play in.
        device: where networks live.

    Raises:
        UsageError: a run is damaged, or its agents do not fit into this world or company.
    """
    by_run: dict[tuple[Path, bool], list[int]] = {}
    for place, seat in enumerate(seats):
        if seat.run is not None:
            by_run.setdefault((seat.run.resolve(), seat.born), []).append(place)
    return [_engage(seats, places, world, device) for places in by_run.values()]


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
    seats: Sequence[Seat], places: Sequence[int], world: Any, device: torch.device
) -> Company:
    """Networks of one run."""
    run = seats[places[0]].run
    assert run is not None, "these seats have networks"
    born, slots = seats[places[0]].born, [seats[place].slot for place in places]
    config = load_config(run)
    networks = config.roster.slots
    home = _home(run, config, world.obs_mode)
    try:
        for place, slot in zip(places, slots, strict=True):
            _check_fit(run, home, 0 if config.advised else slot, world, place)
        if config.off_policy:
            return ValueBased(
                [_off_policy(run, config, slot, home, born, device) for slot in slots], places
            )
        for mechanism, what in _TEAM.items():
            if mechanism in config.social.mechanisms and tuple(slots) != networks:
                raise UsageError(
                    f"{run}: its agents {what} ({mechanism}), so all of {list(networks)} must "
                    f"play, in this order; here {slots} do"
                )
        hears = None
        if "visible-actions" in config.social.mechanisms:
            if world.num_agents != home.num_agents:
                raise UsageError(
                    f"{run}: its agents hear what {home.num_agents} agents do (visible-actions); "
                    f"here are {world.num_agents}"
                )
            hears = _ears(slots, places, home.num_agents)
        spec = ViewSpec.of(home, tuple(slots))
        if spec.atlas is not None:  # numbers of tiles are those of the world that is played
            spec = dataclasses.replace(spec, atlas=np.asarray(world.tile_atlas))
        learner = learner_of(_one_rate(config), spec, places, device)
        if not born:
            tensors, weights = learner.tensors(), _weights(run)
            for position, slot in enumerate(slots):
                tensors = checkpoint.adopted(tensors, position, weights, networks.index(slot), run)
            learner.load_tensors(tensors)
        return Recurrent(learner, places, hears)
    finally:
        home.close()


def _home(run: Path, config: TrainConfig, obs_mode: str) -> Any:
    """A world like the one that a run's agents learnt in."""
    if config.env.gymnasium_id is not None:
        raise UsageError(f"{run}: its agents learnt {config.env.game}, which is no grid game")
    options = {
        name: value
        for name, value in phase_at(config, 0).options.items()
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
    for name in _EYES:
        own, here = home.config.get(name), world.config.get(name)
        if own is not None and here is not None and own != here:
            raise UsageError(f"{run}: its agents learnt with {name} {own}; here it is {here}")


def _actions(env: Any, agent: int) -> tuple[str, ...]:
    return tuple(env.action_names[: env.action_counts[agent]])


def _ears(slots: Sequence[int], places: Sequence[int], num_agents: int) -> Tensor:
    """Whom an agent hears in place of whom: mates as mates, others as others, in their order."""
    found = []
    for own_slot, own_place in zip(slots, places, strict=True):
        heard = {own_slot: own_place}
        for slot, place in zip(slots, places, strict=True):
            if slot not in heard:
                heard[slot] = place
        others = iter(place for place in range(num_agents) if place not in heard.values())
        found.append([heard[s] if s in heard else next(others) for s in range(num_agents)])
    return torch.tensor(found)


def _off_policy(
    run: Path, config: TrainConfig, slot: int, home: Any, born: bool, device: torch.device
) -> Any:
    """One agent of an off-policy run by itself."""
    agent = 0 if config.advised else slot
    if home.obs_mode == "vector":
        spec = TaskSpec(1, home.obs_shape, home.obs_dtype.name, home.action_counts[agent])
    else:
        spec = TaskSpec.of_view(ViewSpec.of(home, (agent,)), 1, home.obs_dtype.name)
    learner = lone_learner(config, slot, spec, device)
    if not born:
        adopt_off_policy(learner, 0, run, slot)
    return learner


def _one_rate(config: TrainConfig) -> TrainConfig:
    """Nothing is learnt here: learning rates of single agents do not matter."""
    rate = config.algorithm.learning_rate
    first = rate[0] if isinstance(rate, tuple) else rate
    algorithm = dataclasses.replace(config.algorithm, learning_rate=first)
    return dataclasses.replace(config, algorithm=algorithm)


def _weights(run: Path) -> Mapping[str, Tensor]:
    """Weights of a run's newest checkpoint."""
    stored, complaints = checkpoint.load_weights(run)
    for complaint in complaints:
        print(f"refused a damaged checkpoint: {complaint}", file=sys.stderr)
    return stored.weights
