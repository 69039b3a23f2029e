"""The environments of a run and the scripted players in them, as one batch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import socialgrid
from socialgrid._core import BoundOut
from socialgrid.algos.untouched import untouched
from socialgrid.config import Player, TrainConfig, UsageError, about
from socialgrid.players import Team, make_player
from socialgrid.players.core_player import CorePlayer
from socialgrid.vec_env import VecEnv

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Phase:
    """What the schedules say: the game's options and the number of solo environments."""

    options: Mapping[str, Any]
    num_solo: int


class Part:
    """Some environments of the batch that share one simulator object and one set of players.

    Attributes:
        env: the simulator.
        first: index of its first environment in the batch.
        solo: only learners play here.
    """

    def __init__(self, env: Any, team: Team, first: int, solo: bool) -> None:
        """Put an environment batch and its scripted players together."""
        self.env, self.team, self.first, self.solo = env, team, first, solo
        self.info: dict[str, Any] = {}

    @property
    def rows(self) -> slice:
        """Where its environments lie in the batch."""
        return slice(self.first, self.first + self.env.num_envs)

    def minds(self) -> list[CorePlayer] | None:
        """Who plays beside learners, if nobody does anything in a step but what the core does."""
        if type(self.env) is not VecEnv or not untouched(self.env, VecEnv, "send", "recv"):
            return None
        if self.solo:
            return []
        found = [player for player in self.team.players if isinstance(player, CorePlayer)]
        team = type(self.team) is Team and untouched(self.team, Team, "act", "observe")
        whole = team and len(found) == len(self.team.players)
        whole = whole and all(untouched(one, CorePlayer, "act", "observe") for one in found)
        return found if whole else None

    def reset(self) -> Array:
        """Start new episodes. Returns their first views ``[E, N, ...]``."""
        obs, self.info = self.env.reset()
        self.team.reset(self.env)
        return np.asarray(obs)


@dataclass(frozen=True)
class Beginning:
    """What agents find at the start of their episodes.

    Attributes:
        obs: first views ``[E, N, ...]``.
        active: who is in play, bool ``[E, N]``.
        last_actions: int32 ``[E, N]``, -1: none yet.
        visible: who sees whom, uint8 ``[E, N, N]``.
    """

    obs: Array
    active: Array
    last_actions: Array
    visible: Array


def stretches(
    num_envs: int, num_solo: int, *, double_buffer: bool
) -> list[list[tuple[int, int, bool]]]:
    """How a batch is divided: of each half, which environments share a simulator.

    Returns:
        of each half its stretches: first environment, the one behind the last, and whether they
        are solo, which the last ``num_solo`` of the batch are.
    """
    half = num_envs // 2
    social = num_envs - num_solo
    found = []
    for start, stop in [(0, half), (half, num_envs)] if double_buffer else [(0, num_envs)]:
        both = ((start, min(stop, social), False), (max(start, social), stop, True))
        found.append([(low, high, solo) for low, high, solo in both if low < high])
    return found


class Worlds:
    """A batch of environments: the first ones with everybody, the last ones solo.

    With ``double_buffer`` the batch has two halves that are stepped in turn, otherwise one.
    """

    def __init__(
        self,
        game: str,
        num_envs: int,
        kinds: Sequence[str | None],
        phase: Phase,
        *,
        seed: int,
        num_threads: int = 0,
        obs_mode: str | None = None,
        double_buffer: bool = False,
        absent: Sequence[int] | None = None,
        first_env: int = 0,
    ) -> None:
        """Make the simulators.

        Args:
            game: name of the game.
            num_envs: size of the batch.
            kinds: scripted player of each agent, with its error rate after a colon if it has
                one (``imperfect:0.2``); ``None`` for learners.
            phase: options of the game and number of solo environments.
            seed: of the environments and of the scripted players.
            num_threads: of the simulator; 0 for all cores that the process may use.
            obs_mode: what the simulator writes; the game's own default by default.
            double_buffer: two halves.
            absent: agents that do not play in solo environments; the scripted ones by default.
            first_env: index of the first environment's random streams: batches with the same
                seed that split a range of indices are the parts of one large batch.

        Raises:
            ValueError: the simulator or a player refuses its options.
        """
        self.kinds = tuple(kinds)
        self.scripted = tuple(a for a, kind in enumerate(kinds) if kind is not None)
        self.absent = self.scripted if absent is None else tuple(absent)
        self.halves: list[list[Part]] = []
        for half in stretches(num_envs, phase.num_solo, double_buffer=double_buffer):
            parts = []
            for low, high, solo in half:
                options = dict(phase.options)
                if solo and not can_be_absent(game):
                    raise UsageError(f"{game}: its agents cannot be absent, as solo play needs")
                if solo:
                    options["spawn_delay"] = self._absent_delays(game, options)
                env = socialgrid.make_vec(
                    game,
                    num_envs=high - low,
                    num_threads=num_threads,
                    seed=seed,
                    first_env_index=first_env + low,
                    **({} if obs_mode is None else {"obs_mode": obs_mode}),
                    num_agents=len(kinds),
                    **options,
                )
                team = scripted_team(kinds, env, seed)
                parts.append(Part(env, team, low, solo))
            self.halves.append(parts)
        self.num_envs = num_envs
        self.solo = np.arange(num_envs) >= num_envs - phase.num_solo
        self.actions = np.zeros((num_envs, len(kinds)), np.int32)

    def _absent_delays(self, game: str, options: Mapping[str, Any]) -> list[int]:
        """Spawn delays that keep scripted players out for as long as an episode can last."""
        given = options.get("spawn_delay", 0)
        delays = list(given) if isinstance(given, list | tuple) else [given] * len(self.kinds)
        defaults = {option.name: option.default for option in socialgrid.game_options(game)}
        never = int(options.get("max_steps", defaults["max_steps"])) + 1
        return [never if a in self.absent else delays[a] for a in range(len(self.kinds))]

    @property
    def parts(self) -> list[Part]:
        """All parts, in the order of their environments."""
        return [part for half in self.halves for part in half]

    @property
    def env(self) -> Any:
        """One of the simulators, for what all have in common."""
        return self.parts[0].env

    def reset(self) -> Beginning:
        """Start new episodes everywhere."""
        obs = np.concatenate([part.reset() for part in self.parts])
        known = (
            np.concatenate([np.asarray(part.info[name]) for part in self.parts])
            for name in ("active", "last_actions", "visible")
        )
        return Beginning(obs, *known)

    def bind(self, half: int, slot: Mapping[str, Any]) -> list[BoundOut]:
        """Where the simulators of one half write, for many steps.

        Args:
            half: which.
            slot: arrays of that half by name.
        """
        begin = self.halves[half][0].first
        return [
            part.env.bind(
                {n: x[part.rows.start - begin : part.rows.stop - begin] for n, x in slot.items()}
            )
            for part in self.halves[half]
        ]

    def send(self, half: int, actions: Array, slot: Sequence[BoundOut]) -> None:
        """Let the scripted players of one half choose, and start its step.

        Args:
            half: which.
            actions: the learners' actions in all columns that are theirs, int32 ``[E, N]`` of
                the whole batch; the scripted players' columns are filled in.
            slot: where they write, see ``bind``.
        """
        for part, out in zip(self.halves[half], slot, strict=True):
            if self.scripted and not part.solo:
                actions[part.rows, self.scripted] = part.team.act(part.env, None, part.info)
            part.env.send(actions[part.rows], out=out)

    def recv(self, half: int) -> None:
        """Finish the step of one half; the scripted players see its outcome."""
        for part in self.halves[half]:
            _, reward, _, _, info = part.env.recv()
            part.info = {
                name: np.asarray(info[name]) for name in ("active", "done") if name in info
            }
            if self.scripted and not part.solo:
                part.team.observe(part.env, np.asarray(reward), part.info)

    def give_up(self) -> None:
        """Let steps that have been started end, whatever becomes of them."""
        for part in self.parts:
            with contextlib.suppress(RuntimeError):  # there is none, or it failed
                part.env.recv()

    def get_state(self) -> dict[str, Array]:
        """Snapshot of simulators and scripted players, plain arrays by name."""
        state: dict[str, Array] = {}
        for i, part in enumerate(self.parts):
            state[f"{i}/env"] = np.frombuffer(part.env.get_state(), np.uint8)
            state[f"{i}/active"] = np.array(part.info["active"])
            for name, array in part.team.get_state().items():
                state[f"{i}/team/{name}"] = array
        return state

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Go on from a snapshot.

        Raises:
            UsageError: the snapshot is of other worlds.
        """
        for i, part in enumerate(self.parts):
            prefix = f"{i}/team/"
            try:
                part.env.set_state(state[f"{i}/env"].tobytes())
                part.info = {"active": state[f"{i}/active"].astype(bool)}
                part.team.set_state(
                    {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
                )
            except (KeyError, ValueError) as error:
                raise UsageError(f"the snapshot of environments {part.rows}: {error}") from None

    def close(self) -> None:
        """Stop the simulators' threads."""
        for part in self.parts:
            part.env.close()


def scripted_team(kinds: Sequence[str | None], env: Any, seed: int) -> Team:
    """Scripted players of the seats that have a kind, as ``NAME`` or ``NAME:ERROR_RATE``."""
    players = []
    for agent, kind in enumerate(kinds):
        if kind is not None:
            name, _, rate = kind.partition(":")
            options = {"error_rate": float(rate)} if rate else {}
            players.append(make_player(name, env, agent, seed, **options))
    return Team(players)


def can_be_absent(game: str) -> bool:
    """Whether agents of a game can be kept out of it, so that others play alone.

    Raises:
        UsageError: there is no such game.
    """
    try:
        return any(option.name == "spawn_delay" for option in socialgrid.game_options(game))
    except ValueError as error:
        raise UsageError(str(error)) from None


def num_solo_envs(fraction: float, num_envs: int) -> int:
    """Whole number of solo environments nearest to a share of the batch."""
    return math.floor(fraction * num_envs + 0.5)


def phase_at(config: TrainConfig, episodes: int) -> Phase:
    """What the schedules say after some episodes.

    Raises:
        UsageError: there is no such game, or nobody learns.
    """
    options = dict(config.env.options)
    schedules = config.schedule.game_options()
    whole = _integer_options(config.env.game) if schedules else set()
    for name, schedule in schedules.items():
        value = schedule.at(episodes)
        options[name] = int(value) if name in whole and value.is_integer() else value
    if config.players.hide_from_learners:
        given = options.get("hide") or []
        options["hide"] = [
            hidden_at(given, slot)
            + (list(config.players.hide_from_learners) if _is_fresh(player) else [])
            for slot, player in enumerate(config.roster.players)
        ]
    solo = num_solo_envs(config.schedule.solo().at(episodes), config.env.num_envs)
    return Phase(options, solo)


def hidden_at(hide: Sequence[Any], slot: int) -> list[str]:
    """What an option ``hide`` of a game hides from the agent in a slot: kinds of objects for all,
    or lists of them by slot.
    """
    if any(isinstance(item, str) for item in hide):
        return list(hide)
    return list(hide[slot]) if slot < len(hide) else []


def _integer_options(game: str) -> set[str]:
    try:
        return {option.name for option in socialgrid.game_options(game) if option.type == "int"}
    except ValueError as error:
        raise UsageError(str(error)) from None


def _is_fresh(player: Player) -> bool:
    return player.learns and player.source is None


def build_worlds(
    config: TrainConfig,
    phase: Phase,
    seed: int,
    *,
    num_envs: int | None = None,
    first_env: int = 0,
    num_threads: int | None = None,
) -> Worlds:
    """Make the environments and scripted players of a run, or of a share of it.

    Args:
        config: of the run.
        phase: as ``phase_at`` says.
        seed: of the environments and of the scripted players.
        num_envs: another number of environments than the run's.
        first_env: index of the first environment's random streams.
        num_threads: of the simulator; the run's by default.

    Raises:
        UsageError: the game or a player refuses its options, or nobody learns.
    """
    roster = config.roster
    try:
        return Worlds(
            config.env.game,
            num_envs or config.env.num_envs,
            roster.scripted,
            phase,
            seed=seed,
            num_threads=config.env.num_threads if num_threads is None else num_threads,
            obs_mode=config.obs_mode,
            double_buffer=config.env.double_buffer,
            absent=roster.silent,
            first_env=first_env,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(about(config.env.game, error)) from None


def worlds_to_play(
    config: TrainConfig,
    options: Mapping[str, Any],
    seed: int,
    num_envs: int,
    *,
    scripted: Sequence[str | None] | None = None,
    present: Sequence[int] | None = None,
    num_threads: int | None = None,
) -> Worlds:
    """Make environments in a single half, where nobody learns.

    Args:
        config: of the run, moved to where it plays.
        options: of the game.
        seed: of the environments and of the scripted players.
        num_envs: size of the batch.
        scripted: scripted player of each place; the run's own by default.
        present: places of those who are there; everybody by default.
        num_threads: of the simulator; the run's by default.

    Raises:
        UsageError: the game or a player refuses its options, or nobody can be absent there.
    """
    kinds = config.roster.scripted if scripted is None else scripted
    absent = [place for place in range(len(kinds)) if present is not None and place not in present]
    try:
        return Worlds(
            config.env.game,
            num_envs,
            kinds,
            Phase(options, num_envs if absent else 0),
            seed=seed,
            num_threads=config.env.num_threads if num_threads is None else num_threads,
            obs_mode=config.obs_mode,
            absent=absent,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(about(config.env.game, error)) from None
