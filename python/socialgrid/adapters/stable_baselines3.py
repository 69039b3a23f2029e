"""Stable-Baselines3's vector environment: the batch itself, in which every agent is a row.

>>> from stable_baselines3 import PPO
>>> from socialgrid.adapters.stable_baselines3 import RowsVecEnv
>>> model = PPO("MlpPolicy", RowsVecEnv("GoalCycle-v0", num_envs=16, num_agents=3))
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from socialgrid.extras import naming_the_extra

from .gymnasium import AgentRowsEnv

with naming_the_extra():
    from stable_baselines3.common.vec_env.base_vec_env import (
        VecEnv,
        VecEnvIndices,
        VecEnvObs,
        VecEnvStepReturn,
    )


class RowsVecEnv(VecEnv):
    """A batch whose rows are agents, row ``e * num_agents + a``: one policy plays them all.

    Where a row's episode ended, the view is already the next episode's, and the row's info has
    ``terminal_observation`` and ``TimeLimit.truncated``, as Stable-Baselines3 wants it.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        num_envs: environments in the batch; ``self.num_envs`` is this times ``num_agents``.
        **options: as for :class:`socialgrid.adapters.gymnasium.AgentRowsEnv`.

    Raises:
        ValueError: another ``autoreset`` than ``"same_step"``.
    """

    def __init__(self, game: str, num_envs: int, **options: Any) -> None:
        self.rows = AgentRowsEnv(num_envs, game, **options)
        """The Gymnasium vector environment underneath."""
        if self.rows.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError("autoreset: Stable-Baselines3 wants the next episode in the same step")
        self._actions: NDArray[Any] | None = None
        super().__init__(
            self.rows.num_envs, self.rows.single_observation_space, self.rows.single_action_space
        )

    def reset(self) -> VecEnvObs:
        """Begin an episode in every environment: views [rows, ...]; infos are in ``reset_infos``.

        After ``seed(s)`` environment e takes the seed of its first row, ``s + e * num_agents``.
        """
        seeds = [seed for seed in self._seeds if seed is not None]
        views, info = self.rows.reset(seed=seeds or None)
        self.reset_infos = self._infos(info)
        self._reset_seeds()
        self._reset_options()
        return views

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions int [rows] of the step that ``step_wait`` does."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Views [rows, ...], reward float32 [rows], done bool [rows] and an info for each row.

        Raises:
            RuntimeError: no actions have been given.
        """
        if self._actions is None:
            raise RuntimeError("call step_async() before step_wait()")
        actions, self._actions = self._actions, None
        views, reward, terminated, truncated, info = self.rows.step(actions)
        done = terminated | truncated
        infos = self._infos(info)
        for row in np.flatnonzero(done):
            infos[row]["terminal_observation"] = info["final_obs"][row]
            infos[row]["TimeLimit.truncated"] = bool(truncated[row])
        return views, reward, done, infos

    def close(self) -> None:
        """Release the simulator."""
        self.rows.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture of its whole grid for every row, in the render mode ``"rgb_array"``."""
        return self.rows.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the batch, once for each row asked about."""
        return [getattr(self.rows, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batch; the rows share it, so it cannot be set for some.

        Raises:
            ValueError: for some of the rows.
        """
        self._require_all(f"set_attr({attr_name!r})", indices)
        setattr(self.rows, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the batch once; its result, once for each row.

        Raises:
            ValueError: for some of the rows.
        """
        self._require_all(f"env_method({method_name!r})", indices)
        return [getattr(self.rows, method_name)(*args, **kwargs)] * self.num_envs

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """No row has a wrapper of its own."""
        return [False for _ in self._get_indices(indices)]

    def __copy__(self) -> RowsVecEnv:
        return copy.deepcopy(self)  # one that shared the batch would step both

    def _require_all(self, call: str, indices: VecEnvIndices) -> None:
        if sorted(self._get_indices(indices)) != list(range(self.num_envs)):
            raise ValueError(f"{call}: rows are one batch and share everything; leave out indices")

    def _infos(self, info: dict[str, Any]) -> list[dict[str, Any]]:
        shared = {k: v for k, v in info.items() if f"_{k}" in info and k != "final_obs"}
        return [{k: v[row] for k, v in shared.items()} for row in range(self.num_envs)]
