"""One copy of a Gymnasium environment as tasks use it. No heavy imports: workers load this."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import re
import signal
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

Array = npt.NDArray[Any]

_CLASSIC = re.compile(r"gymnasium\.envs\.classic_control\.\w+")
_MUJOCO = re.compile(r"gymnasium\.envs\.mujoco\.\w+_v5")


class Copy(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment without its infos, and with its state as arrays where that can be had.

    Observations are copies: an environment may write them all into one array of its own, and
    vector environments show the last one of an episode after they have begun the next.
    Gathering the infos of copies takes as long as a step of classic control, and nobody reads them
    here. State is an attribute, which vector environments of either kind can read and set.
    """

    @property
    def exact(self) -> bool:
        """Whether ``snapshot`` holds everything that the rest of an episode depends on.

        So it is for Gymnasium's own classic control and MuJoCo (v5) environments.
        """
        layer: Any = self.env
        while isinstance(layer, gymnasium.Wrapper):
            if type(layer) not in (PassiveEnvChecker, OrderEnforcing, TimeLimit):
                return False
            layer = layer.env
        module = type(layer).__module__
        return bool(_CLASSIC.fullmatch(module) or _MUJOCO.fullmatch(module))

    @property
    def snapshot(self) -> dict[str, Array]:
        """Physics, random stream and the time limit's counter, for exact environments only."""
        env: Any = self.unwrapped
        stream = json.dumps(env.np_random.bit_generator.state).encode()
        limit = self._limit
        return {
            "physics": _mujoco_state(env) if hasattr(env, "data") else np.array(env.state),
            "stream": np.frombuffer(stream, np.uint8),
            "elapsed": np.array(0 if limit is None else limit._elapsed_steps),
        }

    @snapshot.setter
    def snapshot(self, snapshot: Mapping[str, Array]) -> None:
        env: Any = self.unwrapped
        if hasattr(env, "data"):
            _set_mujoco_state(env, snapshot["physics"])
        else:
            env.state = snapshot["physics"].copy()
        env.np_random.bit_generator.state = json.loads(snapshot["stream"].tobytes())
        if self._limit is not None:
            self._limit._elapsed_steps = int(snapshot["elapsed"])

    @property
    def _limit(self) -> Any:
        """The wrapper that counts the episode's steps, if there is one."""
        layer: Any = self.env
        while isinstance(layer, gymnasium.Wrapper):
            if isinstance(layer, TimeLimit):
                return layer
            layer = layer.env
        return None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        return np.array(self.env.reset(seed=seed, options=options)[0]), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act."""
        obs, reward, terminated, truncated, _ = self.env.step(action)
        return np.array(obs), reward, terminated, truncated, {}


def make_copy(spec: EnvSpec, options: Mapping[str, Any], check: bool) -> Copy:
    """Make an environment.

    Args:
        spec: of Gymnasium's registry.
        options: of ``gymnasium.make``.
        check: warn of breaches of Gymnasium's interface.
    """
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process sees to it
    return Copy(gymnasium.make(spec, **{"disable_env_checker": not check, **options}))


def _mujoco_state(env: Any) -> Array:
    """All that a step depends on, float64.

    That is MuJoCo's own state and, since rewards measure a step from them, the positions of
    bodies, which lag behind the joints until the next step.
    """
    mujoco = importlib.import_module("mujoco")
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, kind))
    mujoco.mj_getState(env.model, env.data, state, kind)
    return np.concatenate([state, env.data.xpos.ravel(), env.data.xipos.ravel()])


def _set_mujoco_state(env: Any, physics: Array) -> None:
    mujoco = importlib.import_module("mujoco")
    kind, data = mujoco.mjtState.mjSTATE_INTEGRATION, env.data
    size = mujoco.mj_stateSize(env.model, kind)
    if len(physics) != size + 2 * data.xpos.size:
        raise ValueError(f"{len(physics)} numbers, this model has {size + 2 * data.xpos.size}")
    state, bodies, inertias = np.split(physics, [size, size + data.xpos.size])
    mujoco.mj_setState(env.model, data, state, kind)
    data.xpos[:] = bodies.reshape(data.xpos.shape)
    data.xipos[:] = inertias.reshape(data.xipos.shape)
