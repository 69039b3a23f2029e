"""What a scripted player is, and the registry that makes one by name.

:class:`Player` is the plain path, for players of one's own in any game: a subclass says in Python
what to do. The package's players say it in the core (``core_player.py``).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from socialgrid.lookup import warn_of_misspelt

from .streams import as_choice, as_unit, random_words

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

# Of the actions of the games whose agents turn and walk.
LEFT, FORWARD, NOOP = 0, 2, 6

_ERROR, _ERROR_ACTION, _BLOCKED, _BLOCKED_ACTION = range(4)


class Player:
    """Plays one agent slot in every environment of a batch.

    A subclass says in :meth:`choose` what to do; this class adds errors, gets out of the way of
    other agents where they block each other, and saves and restores.

    Args:
        env: the batch, a ``socialgrid.VecEnv``. Only its geometry is kept. A world that was reset,
            restored or laid out since the last call is noticed, and what the player remembers of
            the one before it forgotten.
        agent: the slot to play.
        seed: of the player's own random numbers. They depend on (seed, agent, global environment
            index, number of calls) alone.
        error_rate: probability, at each step, of a uniformly random action instead of the chosen.
    """

    name = "player"
    idle_action = NOOP
    """What it does while its agent is not in play."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        warn_of_misspelt(cls, Player)

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        if not 0 <= agent < env.num_agents:
            raise ValueError(
                f"agent {agent} does not exist: the game has agents 0 to {env.num_agents - 1}"
            )
        if not 0.0 <= error_rate <= 1.0:
            raise ValueError(f"error_rate must lie in [0, 1], got {error_rate}")
        self.agent = agent
        self.seed = seed
        self.error_rate = error_rate
        self.num_envs = env.num_envs
        self._num_agents = env.num_agents
        self._env_index = np.arange(self.num_envs, dtype=np.uint64)
        self._env_index += np.uint64(env.first_env_index)
        self._num_actions = env.action_counts[agent]
        self._can_block = not env.config.get("ghost_mode", True)
        self._calls = 0
        # What was seen and done at the last call, to notice what came of it.
        self._known = np.zeros(self.num_envs, dtype=np.bool_)
        self._pos = np.zeros((self.num_envs, 2), dtype=np.int32)
        self._dir = np.zeros(self.num_envs, dtype=np.int32)
        self._action = np.zeros(self.num_envs, dtype=np.int32)
        self._aside = np.zeros(self.num_envs, dtype=np.bool_)
        # ``worlds(["restart"])`` of the worlds it remembers; -1: of those it meets next.
        self._restart = np.full(self.num_envs, -1, dtype=np.int64)

    def reset(self, env: VecEnv, env_mask: NDArray[np.bool_] | None = None) -> None:
        """Forget the episode of the marked environments.

        For the end of a story that the batch does not tell; its own resets are noticed.

        Args:
            env: the batch.
            env_mask: bool [E]; None marks all.
        """
        self.forget(self._mask(env_mask))

    def act(self, env: VecEnv, obs: object, info: Mapping[str, Any]) -> NDArray[np.int32]:
        """The player's next action in every environment.

        Args:
            env: the batch, between two steps.
            obs: what ``reset`` or ``step`` returned last; scripted players of the grid games
                do not look at it, so None will do.
            info: likewise.

        Returns:
            int32 [E]; a no-op where the agent is not in play.
        """
        self._check(env)
        world = env.worlds(["agent_pos", "agent_dir", "agent_active", "content", "restart"])
        others = self._others(world["restart"])
        if others.any():
            self.forget(others)
        self._restart = world["restart"]
        pos = np.ascontiguousarray(world["agent_pos"][:, self.agent])
        direction = np.ascontiguousarray(world["agent_dir"][:, self.agent])
        active = world["agent_active"][:, self.agent]
        chosen = self.choose(env, pos, direction, world["content"])
        if np.shape(chosen) != (self.num_envs,) or np.asarray(chosen).dtype.kind not in "iu":
            raise ValueError(
                f"{type(self).__name__}.choose: an integer for each environment is needed, shape "
                f"({self.num_envs},), not {np.asarray(chosen).dtype} of shape {np.shape(chosen)}"
            )
        if self._can_block:
            # Two that want past each other would stand there for ever, so each of them now and
            # then takes a turn and a step aside.
            stuck = self._known & (self._action == FORWARD) & (pos == self._pos).all(axis=1)
            turns = stuck & (as_unit(self._words(_BLOCKED)) < 0.5)
            side = LEFT + as_choice(self._words(_BLOCKED_ACTION), 2)
            chosen = np.where(turns, side, np.where(self._aside & self._known, FORWARD, chosen))
            self._aside = turns
        if self.error_rate > 0.0:
            errs = as_unit(self._words(_ERROR)) < self.error_rate
            random = as_choice(self._words(_ERROR_ACTION), self._num_actions)
            chosen = np.where(errs, random, chosen)
        action = np.where(active, chosen, min(self.idle_action, self._num_actions - 1)).astype(
            np.int32
        )
        self._pos, self._dir, self._action = pos, direction, action
        self._known = active.copy()
        self._calls += 1
        return action.copy()

    def observe(self, env: VecEnv, reward: NDArray[np.float32], info: Mapping[str, Any]) -> None:
        """Take in what a step brought. Call it after every ``env.step`` or ``env.recv``.

        Args:
            env: the batch.
            reward: float32 [E,A], the rewards of the game itself.
            info: of the same step; ``info["done"]`` marks the environments that began anew.
        """
        self._check(env)
        earned = self._earned(reward)
        restart = env.worlds(["restart"])["restart"]
        over = np.array(info["done"], dtype=np.bool_) | self._others(restart)
        self.learn(env, earned, over)
        if over.any():
            self.forget(over)
        self._restart = restart

    def _others(self, restart: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which worlds, bool [E], are others than those it remembers; ``restart`` int64 [E]."""
        others: NDArray[np.bool_] = (restart != self._restart) & (self._restart >= 0)
        return others

    def _earned(self, reward: NDArray[Any]) -> NDArray[Any]:
        """The own reward [E] of ``reward`` [E,A]."""
        given = np.asarray(reward)
        if given.shape != (self.num_envs, self._num_agents):
            raise ValueError(
                f"reward must be [{self.num_envs}, {self._num_agents}], got {list(given.shape)}"
            )
        own: NDArray[Any] = given[:, self.agent]
        return own

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        """Actions int32 [E] of an agent at pos [E,2] (row, col), facing direction [E].

        Whatever is derived from the cells of a world holds as long as ``content`` [E] is the same
        (``env.worlds(["content"])``).
        """
        raise TypeError(f"{type(self).__name__} does not say how it plays")

    def learn(self, env: VecEnv, reward: NDArray[np.float32], done: NDArray[np.bool_]) -> None:
        """Hook: the own reward float32 [E] of the last action; ``done`` worlds are over."""

    def forget(self, env_mask: NDArray[np.bool_]) -> None:
        """Hook: drop what belongs to the episode in the marked environments (bool [E])."""
        self._known &= ~env_mask

    def memory(self) -> dict[str, NDArray[Any]]:
        """Hook: the arrays a subclass wants saved; they are restored in place."""
        return {}

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Everything that decides future actions, as plain arrays (copies)."""
        state: dict[str, NDArray[Any]] = {
            "calls": np.array(self._calls, dtype=np.int64),
            "seed": np.array(self.seed & ((1 << 64) - 1), dtype=np.uint64),
            "known": self._known,
            "pos": self._pos,
            "dir": self._dir,
            "action": self._action,
            "aside": self._aside,
        }
        return {key: value.copy() for key, value in {**state, **self.memory()}.items()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue where :meth:`get_state` was taken; restore the environment itself first.

        Raises:
            ValueError: the state is of another kind of player, batch size or seed.
        """
        own = self.get_state()
        if set(state) != set(own):
            odd = sorted(set(state) ^ set(own))
            raise ValueError(f"not a state of a {self.name!r} player: {', '.join(odd)} differ")
        for key, value in own.items():
            given = np.asarray(state[key])
            if given.shape != value.shape or given.dtype != value.dtype:
                raise ValueError(
                    f"state {key!r} must be {value.dtype} {list(value.shape)}, "
                    f"got {given.dtype} {list(given.shape)}"
                )
        if int(state["seed"]) != int(own["seed"]):
            raise ValueError(
                f"the state belongs to seed {int(state['seed'])}, this player has {self.seed}"
            )
        self._calls = int(state["calls"])
        own_arrays = {
            "known": self._known,
            "pos": self._pos,
            "dir": self._dir,
            "action": self._action,
            "aside": self._aside,
            **self.memory(),
        }
        for key, array in own_arrays.items():
            array[...] = state[key]
        self._restart[...] = -1

    def __getstate__(self) -> dict[str, Any]:
        # A copy goes on in a copy of the batch, whose worlds have other numbers.
        return {**self.__dict__, "_restart": np.full_like(self._restart, -1)}

    def _words(self, purpose: int) -> NDArray[np.uint64]:
        return random_words(self.seed, self.agent, self._env_index, self._calls, purpose)

    def _mask(self, env_mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        if env_mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        mask = np.asarray(env_mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(
                f"env_mask must be bool [{self.num_envs}], got {mask.dtype} {list(mask.shape)}"
            )
        return mask

    def _check(self, env: VecEnv) -> None:
        if env.num_envs != self.num_envs:
            raise ValueError(
                f"this player was made for {self.num_envs} environments, not {env.num_envs}"
            )


PlayerFactory = Callable[..., Player]
_registry: dict[tuple[str, str], PlayerFactory] = {}
_ANY_GAME = "*"


def register_player(name: str, factory: PlayerFactory, games: Iterable[str] = (_ANY_GAME,)) -> None:
    """Make ``factory(env, agent, seed, **options)`` known under a name.

    Args:
        name: what :func:`make_player` calls it.
        factory: a :class:`Player` subclass or a function that returns a player.
        games: game ids such as ``"Maze-v0"``; by default the player suits every game.

    Raises:
        ValueError: one of the games has another player of that name.
    """
    games = tuple(games)
    for game in games:
        known = _registry.get((name, game)) or _registry.get((name, _ANY_GAME)) or factory
        if _named(known) != _named(factory):
            raise ValueError(f"there is a player {name!r} for {game} already; give yours a name")
    for game in games:
        _registry[name, game] = factory


def _named(factory: PlayerFactory) -> tuple[object, object]:
    """Where a factory is written: a module that is imported again makes the same one anew."""
    return getattr(factory, "__module__", None), getattr(factory, "__qualname__", factory)


def list_players(game: str) -> list[str]:
    """Names of the scripted players that can play a game such as ``"Maze-v0"``."""
    own, any_game = (
        [name for name, plays in _registry if plays == wanted] for wanted in (game, _ANY_GAME)
    )
    return list(dict.fromkeys([*own, *any_game]))


def make_player(name: str, env: VecEnv, agent: int = 0, seed: int = 0, **options: Any) -> Player:
    """A scripted player for one agent slot of a batch.

    Args:
        name: one of ``list_players(env.game)``.
        env: the batch it will play in.
        agent: its slot.
        seed: of its own random numbers.
        **options: of the player; all of them take ``error_rate``.

    Raises:
        ValueError: no such player for this game, no such slot, or an option out of range.
        TypeError: an option the player does not have.
    """
    factory = _registry.get((name, env.game)) or _registry.get((name, _ANY_GAME))
    if factory is None:
        known = list_players(env.game)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no player {name!r} for {env.game}: there are {', '.join(known)}{hint}")
    player = factory(env, agent, seed, **options)
    player.name = name
    return player
