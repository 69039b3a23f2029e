"""Gymnasium's interfaces: vector environments whose rows are agents, and single environments.

>>> import gymnasium
>>> envs = gymnasium.make_vec("socialgrid:socialgrid/GoalCycle-v0", num_envs=64, num_agents=3)
>>> envs.num_envs
192
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

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


class AgentRowsEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """A batch of environments in which every agent is a row: row ``e * num_agents + a``.

    Rows of one environment end together (autoreset mode ``SAME_STEP``). An agent that has finished
    before the others stays as an idle row with reward 0 and ``info["active"]`` False; its row ends,
    as ``terminated``, with the environment's episode. Returns and bootstraps are therefore right
    without looking at ``active``; the mask serves to leave idle rows out of a loss.

    Args:
        num_envs: environments in the batch; ``self.num_envs`` is this times ``num_agents``.
        game: a registered game, such as ``"GoalCycle-v0"``.
        seed: of the random streams until ``reset(seed=...)``; None draws one.
        num_threads: 0 uses all cores.
        render_mode: None or ``"rgb_array"``.
        render_tile_size: pixels a tile of the pictures.
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
        **config: Any,
    ) -> None:
        import socialgrid  # noqa: PLC0415

        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
        self._seed = seed
        self.simulator = socialgrid.make_vec(
            game, num_envs=num_envs, num_threads=num_threads, seed=seed or 0, **config
        )
        """The ``socialgrid.VecEnv`` underneath."""
        self.metadata = {
            "autoreset_mode": AutoresetMode.SAME_STEP,
            "render_modes": ["rgb_array"],
            "render_fps": RENDER_FPS,
        }
        self.render_mode = render_mode
        self._render_tile_size = render_tile_size
        self.num_envs = num_envs * self.simulator.num_agents
        self.single_observation_space = self.simulator.single_observation_space
        self.single_action_space = spaces.Discrete(self.simulator.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = spaces.MultiDiscrete(
            np.tile(np.asarray(self.simulator.action_counts), num_envs)
        )

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode in every environment.

        Args:
            seed: None takes the next episode of every stream; an int restarts the streams; a list
                gives every environment its own, with one entry an environment or one entry a row
                (then the entry of an environment's first row counts).
            options: nothing is understood; ``reset_mask`` is refused, since rows reset themselves.

        Returns:
            views [rows, ...] and info.
        """
        if options and "reset_mask" in options:
            raise ValueError("reset_mask: these environments reset themselves in the same step")
        if seed is None and self._seed is None:
            seed = fresh_seed()
        elif seed is not None and not isinstance(seed, int | np.integer):
            seed = self._seeds_of_envs(seed)
        self._seed = 0 if self._seed is None else self._seed
        obs, info = self.simulator.reset(seed=seed)
        return self._rows(obs), self._info(info)

    def step(
        self, actions: ArrayLike
    ) -> tuple[
        NDArray[Any], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """One step: actions int [rows] to views, reward float32, terminated and truncated bool.

        Where an environment's episode ended, the views are already those of the next episode and
        ``info["final_obs"]`` (object [rows], mask ``info["_final_obs"]``) has the last ones.
        ``info["events"]`` uint8 [rows, K], where ``simulator.event_names`` has K names.
        """
        given = np.asarray(actions)
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions must have shape [{self.num_envs}], got {list(given.shape)}")
        num_agents = self.simulator.num_agents
        obs, reward, terminated, _, info = self.simulator.step(given.reshape(-1, num_agents))
        done = info["done"][:, None]
        infos = self._info(info)
        if done.any():
            ended = np.repeat(done[:, 0], num_agents)
            final = np.full(self.num_envs, None, dtype=object)
            last_views = self._rows(info["final_obs"])
            for row in np.flatnonzero(ended):
                final[row] = last_views[row]
            infos["final_obs"], infos["_final_obs"] = final, ended
        return (
            self._rows(obs),
            reward.reshape(-1),
            (terminated & done).reshape(-1),
            (~terminated & done).reshape(-1),
            infos,
        )

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One picture of the whole grid for every environment (not for every row)."""
        if self.render_mode is None:
            return None
        count = self.num_envs // self.simulator.num_agents
        return tuple(self.simulator.render(i, self._render_tile_size) for i in range(count))

    def close_extras(self, **kwargs: Any) -> None:
        """Release the simulator."""
        self.simulator.close()

    def _rows(self, obs: NDArray[Any]) -> NDArray[Any]:
        return obs.reshape(self.num_envs, *obs.shape[2:])

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        everywhere = np.ones(self.num_envs, dtype=np.bool_)
        rows: dict[str, Any] = {}
        for key in ("active", "visible", "last_actions", "events"):
            if key in info:
                rows[key] = self._rows(np.asarray(info[key]))
                rows[f"_{key}"] = everywhere.copy()
        return rows

    def _seeds_of_envs(self, seeds: Sequence[int]) -> list[int]:
        count, agents = self.simulator.num_envs, self.simulator.num_agents
        if len(seeds) not in (count, self.num_envs):
            raise ValueError(
                f"{len(seeds)} seeds given: expected one for each of the {count} environments "
                f"or of the {self.num_envs} rows"
            )
        return list(seeds if len(seeds) == count else seeds[::agents])


class SingleAgentEnv(gymnasium.Env[NDArray[Any], np.int64]):
    """One environment in which the caller plays agent 0.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        players: names of scripted players (``socialgrid.players``) for agents 1, 2, ...; the
            game has one agent more than there are names.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``.
        render_tile_size: pixels a tile of the picture.
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
        """Begin an episode: the view and an empty info. ``options`` are ignored."""
        super().reset(seed=seed)
        goes_on = seed is None and self._episode.over
        views = self._episode.reset(seed)
        if self._players and not goes_on:
            self._meet_players(seed)
        return views[0], {}

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
        """The whole grid: uint8 [height, width, 3] or, in the mode ``"ansi"``, text."""
        return self._episode.render()

    def close(self) -> None:
        """Release the simulator."""
        self._episode.close()

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
