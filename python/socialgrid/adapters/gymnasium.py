"""Gymnasium's interfaces: vector environments whose rows are agents, and single environments.

>>> import gymnasium
>>> envs = gymnasium.make_vec("socialgrid:socialgrid/GoalCycle-v0", num_envs=64, num_agents=3)
>>> envs.num_envs
192
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from .aligned import aligned_rows
from .episode import RENDER_FPS, RENDER_MODES, Episode, fresh_seed

_NAMESPACE = "socialgrid"


def register() -> None:
    """Put every game into Gymnasium's registry, as ``socialgrid/<game>``. Repeating it is safe."""
    from socialgrid._core import list_games  # noqa: PLC0415  (the package may be half imported)

    for game in list_games():
        name = f"{_NAMESPACE}/{game}"
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point=f"{__name__}:SingleAgentEnv",
                vector_entry_point=f"{__name__}:AgentRowsEnv",
                kwargs={"game": game},
            )


def autoreset_mode_of(mode: str | AutoresetMode) -> AutoresetMode:
    """Gymnasium's mode for the simulator's name of it, such as ``"next_step"``, or for its own."""
    for known in AutoresetMode:
        if mode in (known, known.name.lower(), known.value):
            return known
    names = ", ".join(repr(known.name.lower()) for known in AutoresetMode)
    raise ValueError(f"autoreset must be one of {names} or an AutoresetMode, not {mode!r}")


class AgentRowsEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """A batch of environments in which every agent is a row: row ``e * num_agents + a``.

    Rows begin their episodes with their environment and end them when their agent's play ends:
    ``terminated`` (or, at the time limit, ``truncated``) is True in that very step. Until the
    others have finished as well the row idles, with reward 0 and ``info["active"]`` False, and it
    is ``terminated`` a second time together with its environment. So every agent's episode has its
    own length and return in ``RecordEpisodeStatistics``; to Gymnasium's tools the idle steps after
    it are an episode of their own, with return 0. ``info["ended"]`` marks the ends of play alone.

    An agent can have fewer actions than ``single_action_space``: ``info["action_mask"]`` says which
    it has, and any other counts as its idle action (``simulator.idle_actions``).

    ``"same_step"`` needs Gymnasium 1.4 or newer: older versions count the episodes of such batches
    a step short. Pickled and copied, the batch goes on from the same state.

    Args:
        num_envs: environments in the batch; ``self.num_envs`` is this times ``num_agents``.
        game: a registered game, such as ``"GoalCycle-v0"``.
        seed: of the random streams until ``reset(seed=...)``; None draws one.
        num_threads: 0 uses all cores that the process may use.
        render_mode: None or ``"rgb_array"``.
        render_tile_size: pixels a tile of the pictures.
        autoreset: ``"same_step"``, ``"next_step"`` or ``"disabled"``, as for
            ``socialgrid.make_vec``, or Gymnasium's ``AutoresetMode``.
        autoreset_mode: the same by Gymnasium's name.
        **config: of the game and ``obs_mode``, as for ``socialgrid.make_vec``.
    """

    def __init__(
        self,
        num_envs: int,
        game: str,
        *,
        seed: int | None = None,
        num_threads: int = 0,
        render_mode: str | None = None,
        render_tile_size: int = 32,
        autoreset: str | AutoresetMode = "same_step",
        autoreset_mode: str | AutoresetMode | None = None,
        **config: Any,
    ) -> None:
        import socialgrid  # noqa: PLC0415

        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
        self.autoreset_mode = autoreset_mode_of(autoreset_mode or autoreset)
        if autoreset_mode is not None and autoreset != "same_step":
            raise ValueError("autoreset and autoreset_mode are two names of one option: give one")
        if self.autoreset_mode is AutoresetMode.SAME_STEP and not _counts_same_step_episodes():
            warnings.warn(
                f"Gymnasium {gymnasium.__version__} counts the episodes of environments that "
                "restart in the same step wrongly (RecordEpisodeStatistics: a step short). Use "
                "Gymnasium 1.4 or newer, or autoreset='next_step'",
                stacklevel=2,
            )
        self._seed = seed
        self._begun = False
        self.simulator = socialgrid.make_vec(
            game,
            num_envs=num_envs,
            num_threads=num_threads,
            seed=seed or 0,
            autoreset=self.autoreset_mode.name.lower(),
            **config,
        )
        """The ``socialgrid.VecEnv`` underneath."""
        self.metadata = {
            "autoreset_mode": self.autoreset_mode,
            "render_modes": ["rgb_array"],
            "render_fps": RENDER_FPS,
        }
        self.render_mode = render_mode
        self._render_tile_size = render_tile_size
        self.num_envs = num_envs * self.simulator.num_agents
        self.single_observation_space = self.simulator.single_observation_space
        self.single_action_space = spaces.Discrete(self.simulator.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        # How many actions the agent of each row has, and which of them does nothing.
        self._counts = np.tile(np.asarray(self.simulator.action_counts), num_envs)
        self._all_alike = bool((self._counts == self.simulator.num_actions).all())
        if not self._all_alike:
            own = np.arange(self.simulator.num_actions) < self._counts[:, None]
            self._action_mask = own.astype(np.int8)
            self._idle = np.tile(np.asarray(self.simulator.idle_actions, dtype=np.int64), num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode in every environment, or in some.

        Args:
            seed: None takes the next episode of every stream; an int restarts the streams, and
                ``np_random`` (for wrappers: games draw from streams of their own); a list gives
                every environment its own, with one entry an environment or one entry a row (then
                the entry of an environment's first row counts), None for the next episode.
            options: ``reset_mask`` bool [rows] restarts the environments all of whose rows are
                marked and leaves the others as they are: an environment in which an agent still
                plays goes on. Other options are ignored.

        Returns:
            views [rows, ...] and info.

        Raises:
            TypeError, ValueError: the mask is not bool [rows] or marks nothing; wrong seeds.
        """
        mask = self._mask_of_envs(options)
        given = seed
        if seed is None and self._seed is None:
            seed = fresh_seed()
        unseeded = None
        if seed is not None and not isinstance(seed, int | np.integer):
            seeds = self._seeds_of_envs(seed)
            begins = np.ones(len(seeds), dtype=np.bool_) if mask is None else mask
            unseeded = begins & np.array([each is None for each in seeds])
            if self._begun:
                mask = begins & ~unseeded
            else:
                seeds = [fresh_seed() if each is None else each for each in seeds]
            seed = cast("list[int]", seeds)
        obs, info = self.simulator.reset(seed=seed, mask=mask)
        if self._begun and unseeded is not None and unseeded.any():
            obs, info = self.simulator.reset(mask=unseeded)
        self._seed = 0 if self._seed is None else self._seed
        self._begun = True
        if isinstance(given, int | np.integer):
            super().reset(seed=int(given))  # np_random, for wrappers
        return self._rows(obs), self._info(info)

    def step(
        self, actions: ArrayLike
    ) -> tuple[
        NDArray[Any], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """One step: actions int [rows] to views, reward float32, terminated and truncated bool.

        With ``"same_step"``, where an environment's episode ended, the views are already those of
        the next episode and ``info["final_obs"]`` (object [rows], mask ``info["_final_obs"]``) has
        the last ones. Otherwise the views are the last ones; with ``"next_step"`` the next step
        ignores the environment's actions and begins its next episode (reward 0, nothing ends),
        with ``"disabled"`` it must be reset first.

        The info has ``active`` bool [rows], who acts in the next step; ``ended`` bool [rows], whose
        play ended in this one; ``visible``; ``last_actions``; ``events`` uint8 [rows, K], where
        ``simulator.event_names`` has K names; ``action_mask`` int8 [rows, actions], where agents
        differ in their actions.

        Raises:
            ActionError, FinishedError, RuntimeError: as ``socialgrid.VecEnv.step``.
        """
        given = np.asarray(actions)
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions must have shape [{self.num_envs}], got {list(given.shape)}")
        if not self._all_alike:
            surplus = (given >= self._counts) & (given < self.simulator.num_actions)
            given = np.where(surplus, self._idle, given)
        num_agents = self.simulator.num_agents
        plays = ~self._idle_agents() if num_agents > 1 else np.True_
        obs, reward, terminated, truncated, info = self.simulator.step(
            given.reshape(-1, num_agents)
        )
        terminated &= info["done"][:, None] | plays
        ends = terminated | truncated
        infos = self._info(info, ended=(ends & plays).reshape(-1))
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ends.any():
            final = np.full(self.num_envs, None, dtype=object)
            env, agent = np.nonzero(ends)
            last = obs[env, agent]
            last[info["done"][env]] = info["final_obs"][env, agent][info["done"][env]]
            for row, view in zip(np.flatnonzero(ends), aligned_rows(last), strict=True):
                final[row] = view
            infos["final_obs"] = final
            infos["_final_obs"] = aligned_rows(ends.reshape(1, -1))[0]
        return (
            self._rows(obs),
            reward.reshape(-1),
            terminated.reshape(-1),
            truncated.reshape(-1),
            infos,
        )

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture of the whole grid for every row: rows of one environment show the same."""
        if self.render_mode is None:
            return None
        count, agents = self.simulator.num_envs, self.simulator.num_agents
        pictures = [self.simulator.render(env, self._render_tile_size) for env in range(count)]
        return tuple(picture for picture in pictures for _ in range(agents))

    def close_extras(self, **kwargs: Any) -> None:
        """Release the simulator."""
        if hasattr(self, "simulator"):  # Gymnasium closes what could not be made, too
            self.simulator.close()

    def __copy__(self) -> AgentRowsEnv:
        return copy.deepcopy(self)  # nothing that changes is shared

    def _rows(self, obs: NDArray[Any]) -> NDArray[Any]:
        return obs.reshape(self.num_envs, *obs.shape[2:])

    def _idle_agents(self) -> NDArray[np.bool_]:
        """Whose play has ended already, bool [E, A]; not who is yet to enter it."""
        world = self.simulator.worlds(["agent_active", "agent_pos"])
        entered = world["agent_pos"][:, :, 0] >= 0
        idle: NDArray[np.bool_] = entered & ~world["agent_active"]
        return idle

    def _info(self, info: dict[str, Any], **flags: NDArray[np.bool_]) -> dict[str, Any]:
        """Info of the rows, and further flags of theirs; all rows have every entry."""
        rows: dict[str, Any] = {}
        for key in ("active", "visible", "last_actions", "events"):
            if key in info:
                rows[key] = self._rows(np.asarray(info[key]))
        if not self._all_alike:
            rows["action_mask"] = aligned_rows(self._action_mask.reshape(1, self.num_envs, -1))[0]
        count = len(flags)
        told = np.ones((2 * count + len(rows), self.num_envs), dtype=np.bool_)
        for index, flag in enumerate(flags.values()):
            told[index] = flag
        marks = aligned_rows(told)
        rows |= dict(zip(flags, marks[:count], strict=True))
        rows |= {f"_{key}": mark for key, mark in zip(rows, marks[count:], strict=True)}
        return rows

    def _mask_of_envs(self, options: dict[str, Any] | None) -> NDArray[np.bool_] | None:
        if not options or options.get("reset_mask") is None:
            return None
        mask = np.asarray(options["reset_mask"])
        if mask.dtype != np.bool_:
            raise TypeError(f"reset_mask must be bool [{self.num_envs}], got {mask.dtype}")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask must be bool [{self.num_envs}], got {list(mask.shape)}")
        if not mask.any():
            raise ValueError("reset_mask marks no row: mark those to restart")
        whole: NDArray[np.bool_] = np.all(mask.reshape(-1, self.simulator.num_agents), axis=1)
        return whole

    def _seeds_of_envs(self, seeds: Sequence[int | None]) -> list[int | None]:
        count, agents = self.simulator.num_envs, self.simulator.num_agents
        if len(seeds) not in (count, self.num_envs):
            raise ValueError(
                f"{len(seeds)} seeds given: expected one for each of the {count} environments "
                f"or of the {self.num_envs} rows"
            )
        return list(seeds if len(seeds) == count else seeds[::agents])


def _counts_same_step_episodes() -> bool:
    """Whether Gymnasium's own wrappers understand restarts in the same step."""
    major, minor = gymnasium.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (1, 4)


class SingleAgentEnv(gymnasium.Env[NDArray[Any], np.int64]):
    """One environment in which the caller plays agent 0.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        players: names of scripted players (``socialgrid.players``) for agents 1, 2, ...; the
            game has one agent more than there are names.
        render_mode: None, ``"human"``, ``"rgb_array"`` or ``"ansi"``.
        render_tile_size: pixels a tile of the picture; in a terminal, at most.
        **config: of the game and ``obs_mode``, as for ``socialgrid.make_vec``.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        *,
        players: Sequence[str] = (),
        render_mode: str | None = None,
        render_tile_size: int = 32,
        **config: Any,
    ) -> None:
        num_agents = config.setdefault("num_agents", 1 + len(players))
        if num_agents != 1 + len(players):
            raise ValueError(
                f"num_agents={num_agents} with {len(players)} scripted players: the caller plays "
                "agent 0, so name a player for every other agent, or use gymnasium.make_vec or "
                "socialgrid.adapters.pettingzoo"
            )
        self._check_company(game, num_agents)
        self.render_mode = render_mode
        self._episode = Episode(game, render_mode, render_tile_size, **config)
        self.simulator = self._episode.simulator
        self.observation_space = self.simulator.single_observation_space
        self.action_space = self.simulator.single_action_spaces[0]
        self._actions = np.zeros(num_agents, dtype=np.int32)
        self._players = list(players)
        self._team: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode: the view and an info as ``step`` gives. ``options`` are ignored."""
        super().reset(seed=seed)
        views = self._episode.reset(seed)
        if self._players:
            self._meet_players(seed)
        return views[0], self._episode.info_of(0)

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """One step of agent 0 (and of the scripted players, at the same time).

        The info has ``events`` uint8 [K] where ``simulator.event_names`` has K names.
        """
        if not self.action_space.contains(action):
            raise ValueError(f"action must be an integer in {self.action_space}, got {action!r}")
        self._actions[0] = action
        if self._team is not None:
            self._actions[1:] = self._team.act(self.simulator, None, self._episode.info)[0]
        views, reward, terminated, truncated = self._episode.step(self._actions)
        if self._team is not None:
            self._team.observe(self.simulator, reward[None], self._episode.info)
        info = self._episode.info_of(0)
        return views[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> Any:
        """The whole grid as it is now.

        Returns:
            uint8 [height, width, 3], or text in the mode ``"ansi"``; in the mode ``"human"`` it is
            drawn in the terminal, as it also is by every ``reset`` and ``step``.
        """
        return self._episode.render()

    def close(self) -> None:
        """Release the simulator."""
        self._episode.close()

    def __copy__(self) -> SingleAgentEnv:
        return copy.deepcopy(self)  # one that shared the simulator would step both

    @staticmethod
    def _check_company(game: str, num_agents: int) -> None:
        from socialgrid.games import game_options  # noqa: PLC0415

        (option,) = (option for option in game_options(game) if option.name == "num_agents")
        if option.low is not None and num_agents < option.low:
            raise ValueError(
                f"{game} is for at least {option.low:.0f} agents: name the scripted players of all "
                "but one, such as players=['random']"
            )

    def _meet_players(self, seed: int | None) -> None:
        from socialgrid.players import make_team  # noqa: PLC0415

        if self._team is None or seed is not None:
            team_seed = int(self.np_random.integers(2**63)) if seed is None else seed
            self._team = make_team([None, *self._players], self.simulator, team_seed)
        self._team.reset(self.simulator)
