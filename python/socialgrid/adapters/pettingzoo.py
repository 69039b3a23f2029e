"""PettingZoo's parallel interface, and AEC through PettingZoo's own conversion.

>>> from socialgrid.adapters.pettingzoo import parallel_env
>>> env = parallel_env("GoalCycle-v0", num_agents=3)
>>> env.possible_agents
['agent_0', 'agent_1', 'agent_2']
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray

from socialgrid._core import ConfigError
from socialgrid.extras import naming_the_extra

from .aligned import aligned_rows
from .episode import RENDER_FPS, RENDER_MODES, Episode

with naming_the_extra():
    from pettingzoo.utils.conversions import (  # type: ignore[import-untyped]
        parallel_to_aec_wrapper,
    )
    from pettingzoo.utils.env import ParallelEnv  # type: ignore[import-untyped]
    from pettingzoo.utils.wrappers import OrderEnforcingWrapper  # type: ignore[import-untyped]


class GridParallelEnv(ParallelEnv[str, NDArray[Any], int]):  # type: ignore[misc]
    """One environment of a game; see :func:`parallel_env`.

    Attributes:
        possible_agents: ``agent_0``, ``agent_1``, ...
        agents: those in play; empty before ``reset`` and after an episode.
        observation_spaces: of each agent, what :meth:`observation_space` gives.
        action_spaces: of each agent, what :meth:`action_space` gives.
        state_space: of what :meth:`state` gives.
        simulator: the ``socialgrid.VecEnv`` of one environment underneath.
    """

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
        self.possible_agents = [f"agent_{i}" for i in range(self.simulator.num_agents)]
        self.agents: list[str] = []
        self._slot = {name: i for i, name in enumerate(self.possible_agents)}
        counts = np.array(self.simulator.action_counts)
        own = np.arange(self.simulator.num_actions) < counts[:, None]
        self._action_masks = own.astype(np.int8)
        # Objects of their own: each has its own random stream to sample from.
        self.observation_spaces = {
            name: copy.deepcopy(self.simulator.single_observation_space)
            for name in self.possible_agents
        }
        num_actions = self.simulator.num_actions
        self.action_spaces = {name: spaces.Discrete(num_actions) for name in self.possible_agents}
        height, width = self.simulator.grid_shape
        tile = int(self.simulator.config["tile_size"])
        self.state_space = spaces.Box(0, 255, (height * tile, width * tile, 3), np.uint8)
        self._np_random: np.random.Generator | None = None

    def observation_space(self, agent: str) -> spaces.Box:
        """The agent's view; the same object on every call."""
        return self.observation_spaces[self._known(agent)]

    def action_space(self, agent: str) -> spaces.Discrete:
        """The agent's actions; the same object on every call.

        Where agents differ in their numbers of actions this is the largest one; the agent's
        ``action_mask`` in the infos says which are its own, and with the others it does nothing.
        """
        return self.action_spaces[self._known(agent)]

    @property
    def np_random(self) -> np.random.Generator:
        """Random numbers for wrappers, as in Gymnasium: ``reset(seed=...)`` starts them anew.

        Games draw theirs from streams of their own.
        """
        if self._np_random is None:
            self._np_random, _ = seeding.np_random()
        return self._np_random

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self._np_random = value

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, dict[str, Any]]]:
        """Begin an episode with all agents. ``options`` are ignored.

        Returns:
            views, and infos with the keys that ``step`` gives.
        """
        views = self._episode.reset(seed)
        if seed is not None:
            self._np_random, _ = seeding.np_random(seed)
        self.agents = list(self.possible_agents)
        return {name: views[slot] for name, slot in self._slot.items()}, self._infos(self._slot)

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

        Entries for agents that have finished are ignored. Agents that end in this step are in the
        results and no longer in ``self.agents``; once nobody is, all results are empty. The infos
        have ``action_mask`` int8 [n], 1 for the agent's own actions, and ``events`` uint8 [K] where
        ``simulator.event_names`` has K names.

        Raises:
            RuntimeError: before ``reset``.
            ValueError: an action is missing, not an integer or out of range, or is for an agent
                that there is not; nothing has changed.
        """
        if not self._episode.begun:
            raise RuntimeError("call reset() before the first step()")
        if strangers := [name for name in actions if name not in self._slot]:
            raise ValueError(f"actions for {strangers}: there are {self.possible_agents}")
        if not self.agents:
            return {}, {}, {}, {}, {}
        if missing := [name for name in self.agents if name not in actions]:
            raise ValueError(f"actions needed for {self.agents}: there is none for {missing}")
        chosen = np.zeros(len(self.possible_agents), dtype=np.int32)
        for name in self.agents:
            action = actions[name]
            if not self.action_spaces[name].contains(action):
                raise ValueError(
                    f"{name}: action must be an integer in 0..{self.action_spaces[name].n - 1}, "
                    f"got {action!r}"
                )
            slot = self._slot[name]
            idle = self.simulator.idle_actions[slot]
            own = action < self.simulator.action_counts[slot]
            chosen[slot] = action if own or idle is None else idle
        views, reward, terminated, truncated = self._episode.step(chosen)
        stepped = {name: self._slot[name] for name in self.agents}
        ended = terminated | truncated
        self.agents = [name for name, slot in stepped.items() if not ended[slot]]
        return (
            {name: views[slot] for name, slot in stepped.items()},
            {name: float(reward[slot]) for name, slot in stepped.items()},
            {name: bool(terminated[slot]) for name, slot in stepped.items()},
            {name: bool(truncated[slot]) for name, slot in stepped.items()},
            self._infos(stepped),
        )

    def state(self) -> NDArray[np.uint8]:
        """The whole grid as a picture, in tiles of the size that views have.

        Returns:
            uint8 [height * tile_size, width * tile_size, 3]. It shows what can be seen, so not the
            order of goals that look alike, the time, or an agent beneath another.

        Raises:
            RuntimeError: before ``reset``.
        """
        if not self._episode.begun:
            raise RuntimeError("call reset() before state()")
        return self.simulator.render(0, int(self.simulator.config["tile_size"]))

    def render(self) -> NDArray[np.uint8] | str | None:
        """The whole grid as it is now.

        Returns:
            uint8 [height, width, 3], or text in the mode ``"ansi"``; in the mode ``"human"`` it is
            drawn in the terminal, as it also is by every ``reset`` and ``step``.
        """
        return self._episode.render()

    def close(self) -> None:
        """Release the simulator."""
        self._episode.close()

    def __copy__(self) -> GridParallelEnv:
        return copy.deepcopy(self)  # one that shared the simulator would step both

    def _known(self, agent: str) -> str:
        if agent not in self._slot:
            raise KeyError(f"no agent {agent!r}: there are {self.possible_agents}")
        return agent

    def _infos(self, slots: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        masks, events = aligned_rows(self._action_masks), self._episode.events()
        infos: dict[str, dict[str, Any]] = {}
        for name, slot in slots.items():
            infos[name] = {"action_mask": masks[slot]}
            if events is not None:
                infos[name]["events"] = events[slot]
        return infos


def parallel_env(
    game: str,
    *,
    render_mode: str | None = None,
    render_tile_size: int = 32,
    max_cycles: int | None = None,
    **config: Any,
) -> GridParallelEnv:
    """A game as a PettingZoo parallel environment.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        render_mode: None, ``"human"``, ``"rgb_array"`` or ``"ansi"``.
        render_tile_size: pixels a tile of the picture.
        max_cycles: PettingZoo's name for the option ``max_steps``.
        **config: of the game and ``obs_mode``, as for ``socialgrid.make_vec``.

    Returns:
        An environment whose agents are ``agent_0``, ``agent_1``, ...; views are arrays of
        ``socialgrid.VecEnv.obs_shape``.

    Raises:
        ValueError: an unknown render mode; ``socialgrid.ConfigError`` for the game's own keys, and
            for both ``max_cycles`` and ``max_steps``.
    """
    if max_cycles is not None:
        if "max_steps" in config:
            raise ConfigError(
                f"max_cycles={max_cycles} and max_steps={config['max_steps']}: they are two names "
                "of one option, so give one of them"
            )
        config["max_steps"] = max_cycles
    return GridParallelEnv(game, render_mode, render_tile_size, config)


class GridAECEnv(OrderEnforcingWrapper):  # type: ignore[misc]
    """One environment of a game, agent by agent; see :func:`aec_env`."""

    def __init__(self, env: GridParallelEnv) -> None:
        super().__init__(parallel_to_aec_wrapper(env))

    def __copy__(self) -> GridAECEnv:
        return copy.deepcopy(self)

    def __str__(self) -> str:
        return str(self.env)


def aec_env(game: str, **options: Any) -> GridAECEnv:
    """The same as an agent-by-agent environment, converted by PettingZoo.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        **options: as for :func:`parallel_env`.
    """
    return GridAECEnv(parallel_env(game, **options))
