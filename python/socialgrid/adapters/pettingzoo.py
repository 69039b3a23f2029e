"""PettingZoo's parallel interface, and AEC through PettingZoo's own conversion.

>>> from socialgrid.adapters.pettingzoo import parallel_env
>>> env = parallel_env("GoalCycle-v0", num_agents=3)
>>> env.possible_agents
['agent_0', 'agent_1', 'agent_2']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo.utils.conversions import parallel_to_aec  # type: ignore[import-untyped]
from pettingzoo.utils.env import AECEnv, ParallelEnv  # type: ignore[import-untyped]

from .episode import RENDER_FPS, RENDER_MODES, Episode


class GridParallelEnv(ParallelEnv[str, NDArray[Any], int]):  # type: ignore[misc]
    """One environment of a game; see :func:`parallel_env`."""

    def __init__(
        self, game: str, render_mode: str | None, render_tile_size: int, config: dict[str, Any]
    ) -> None:
        self.metadata = {
            "name": game,
            "render_modes": RENDER_MODES,
            "render_fps": RENDER_FPS,
            "is_parallelizable": True,
        }
        self.render_mode = render_mode
        self._episode = Episode(game, render_mode, render_tile_size, **config)
        self.simulator = self._episode.simulator
        """The ``socialgrid.VecEnv`` of one environment underneath."""
        self.possible_agents = [f"agent_{i}" for i in range(self.simulator.num_agents)]
        self.agents: list[str] = []
        self._slot = {name: i for i, name in enumerate(self.possible_agents)}
        self._choices = dict(
            zip(self.possible_agents, self.simulator.single_action_spaces, strict=True)
        )

    def observation_space(self, agent: str) -> spaces.Box:
        """The agent's view; the same object on every call."""
        if agent not in self._slot:
            raise KeyError(f"no agent {agent!r}: there are {self.possible_agents}")
        return self.simulator.single_observation_space

    def action_space(self, agent: str) -> spaces.Discrete:
        """The agent's actions; the same object on every call."""
        return self._choices[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, dict[str, Any]]]:
        """Begin an episode with all agents. ``options`` are ignored."""
        views = self._episode.reset(seed)
        self.agents = list(self.possible_agents)
        return (
            {name: views[slot] for name, slot in self._slot.items()},
            {name: {} for name in self.agents},
        )

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[
        dict[str, NDArray[Any]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """One step of all agents in play: ``actions`` has an entry for each of ``self.agents``.

        Agents that end in this step are in the results and no longer in ``self.agents``. Their
        infos have ``events`` uint8 [K] where ``simulator.event_names`` has K names.

        Raises:
            ValueError: an action is missing, not an integer or out of range, or is for an agent
                that is not in play.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        if set(actions) != set(self.agents):
            raise ValueError(f"actions needed for {self.agents}, got them for {list(actions)}")
        chosen = np.zeros(len(self.possible_agents), dtype=np.int32)
        for name, action in actions.items():
            if not self._choices[name].contains(action):
                raise ValueError(
                    f"{name}: action must be an integer in 0..{self._choices[name].n - 1}, "
                    f"got {action!r}"
                )
            chosen[self._slot[name]] = action
        views, reward, terminated, truncated = self._episode.step(chosen)
        stepped = {name: self._slot[name] for name in self.agents}
        ended = terminated | truncated
        self.agents = [name for name, slot in stepped.items() if not ended[slot]]
        return (
            {name: views[slot] for name, slot in stepped.items()},
            {name: float(reward[slot]) for name, slot in stepped.items()},
            {name: bool(terminated[slot]) for name, slot in stepped.items()},
            {name: bool(truncated[slot]) for name, slot in stepped.items()},
            {name: self._episode.info_of(slot) for name, slot in stepped.items()},
        )

    def render(self) -> NDArray[np.uint8] | str | None:
        """The whole grid: uint8 [height, width, 3] or, in the mode ``"ansi"``, text."""
        return self._episode.render()

    def close(self) -> None:
        """Release the simulator."""
        self._episode.close()


def parallel_env(
    game: str, *, render_mode: str | None = None, render_tile_size: int = 32, **config: Any
) -> GridParallelEnv:
    """A game as a PettingZoo parallel environment.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``.
        render_tile_size: pixels a tile of the picture.
        **config: of the game and ``obs_mode``, as for ``socialgrid.make_vec``.

    Returns:
        An environment whose agents are ``agent_0``, ``agent_1``, ...; views are arrays of
        ``socialgrid.VecEnv.obs_shape``.
    """
    return GridParallelEnv(game, render_mode, render_tile_size, config)


def aec_env(
    game: str, *, render_mode: str | None = None, render_tile_size: int = 32, **config: Any
) -> AECEnv[str, NDArray[Any], int | None]:
    """The same as an agent-by-agent environment, converted by PettingZoo."""
    env = parallel_env(game, render_mode=render_mode, render_tile_size=render_tile_size, **config)
    return parallel_to_aec(env)
