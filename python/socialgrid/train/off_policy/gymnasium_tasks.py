"""Any Gymnasium environment as a task of off-policy learners: E copies for each of A agents."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from torch import Tensor

from socialgrid.config.errors import UsageError, nearest, plain_line
from socialgrid.models.task_spec import TaskSpec
from socialgrid.report.pictures import Image
from socialgrid.train.off_policy.gymnasium_copy import Copy, make_copy
from socialgrid.train.off_policy.tasks import TaskStep
from socialgrid.train.seeds import derived_seed

Array = npt.NDArray[Any]

# What an unfit id, option or machine makes Gymnasium and its environments raise.
_REFUSALS = (
    gymnasium.error.Error,
    TypeError,
    ValueError,
    AssertionError,
    ImportError,
    AttributeError,
    OSError,
)


class GymnasiumTasks:
    """Copies of an environment in one of Gymnasium's vector environments, agent by agent.

    Copy ``e`` of agent ``a`` starts from a seed of its own that is derived from the run's seed,
    ``a`` and ``e`` alone.
    """

    def __init__(
        self,
        env_id: str,
        num_agents: int,
        num_envs: int,
        options: Mapping[str, Any],
        *,
        seed: int,
        asynchronous: bool = False,
        first_agent: int = 0,
    ) -> None:
        """Make the environments.

        Args:
            env_id: as of ``gymnasium.make``; ``module:id`` imports what registers it.
            num_agents: A.
            num_envs: E, copies for each agent.
            options: of ``gymnasium.make``.
            seed: of the run.
            asynchronous: every copy in a process of its own, which pays for slow environments
                on many cores; otherwise one after the other in this process.
            first_agent: number of the first agent: an agent's copies depend on its number only.

        Raises:
            UsageError: there is no such environment, something it needs is not installed, it
                refuses its options, or its observations or actions do not fit.
        """
        self.env_id, self.seed, self.first_agent = env_id, seed, first_agent
        self.num_envs = num_envs
        self._env_spec = find_env(env_id)
        self._options = dict(options)
        self._lead = (num_agents, num_envs)
        first = _refusable(env_id, lambda: make_copy(self._env_spec, options, check=False))
        try:
            self.spec = _spec_of(env_id, first, num_agents)
            _try_out(env_id, first)
            self.exact = first.exact
        finally:
            first.close()
        makers = [
            functools.partial(make_copy, self._env_spec, self._options, check=row == 0)
            for row in range(num_agents * num_envs)
        ]
        mode = AutoresetMode.SAME_STEP
        self._envs: AsyncVectorEnv | SyncVectorEnv
        if asynchronous:
            self._envs = AsyncVectorEnv(makers, copy=False, context="spawn", autoreset_mode=mode)
        else:
            self._envs = SyncVectorEnv(makers, copy=False, autoreset_mode=mode)
        self._seeded = False
        self._steps = 0
        self._obs = torch.empty(0)

    def reset(self, seed: int | None = None) -> Tensor:
        """See ``Tasks``."""
        if seed is not None:
            self.seed, self._steps, self._seeded = seed, 0, False
        if not self._seeded:
            return self._begin()
        self._obs = self._observed(self._envs.reset()[0])
        return self._obs

    def _begin(self) -> Tensor:
        """Begin random streams, which depend on how many steps were done before, too."""
        self._seeded = True
        agents, copies = self._lead
        seeds: list[int | None] = [
            derived_seed(self.seed, 7, self.first_agent + agent, copy, self._steps) >> 32
            for agent in range(agents)
            for copy in range(copies)
        ]  # 31 bits: some environments hand seeds to generators that take no more
        self._obs = self._observed(self._envs.reset(seed=seeds)[0])
        return self._obs

    def _observed(self, obs: Any) -> Tensor:
        """``[A * E, ...]`` as environments gave it, to ``[A, E, ...]``, copied."""
        return self._kept(obs).view(*self._lead, *self.spec.obs_shape)

    def _kept(self, obs: Any) -> Tensor:
        return torch.tensor(obs, dtype=self.spec.kept_dtype)

    def step(self, actions: Tensor) -> TaskStep:
        """See ``Tasks``."""
        obs, reward, terminated, truncated, info = self._envs.step(self._taken(actions))
        self._steps += 1
        following = self._obs = self._observed(obs)
        done = terminated | truncated
        if done.any():
            rows = np.flatnonzero(done)
            following = self._obs.clone()
            final = np.stack([info["final_obs"][row] for row in rows])
            following.view(-1, *self.spec.obs_shape)[rows] = self._kept(final)
        flags = terminated, truncated, done, np.ones_like(done)  # all are always in play
        ended = [torch.from_numpy(x).view(self._lead) for x in flags]
        rewards = torch.from_numpy(reward).to(torch.float32).view(self._lead)
        return TaskStep(self._obs, following, rewards, *ended)

    def _taken(self, actions: Tensor) -> Array:
        """Actions ``[..., D]`` or ``[...]`` as environments take them, one after the other."""
        space: Any = self._envs.single_action_space
        taken: Array = actions.cpu().numpy().reshape(-1, *space.shape).astype(space.dtype)
        # Learners know the bounds rounded to float32.
        return taken.clip(space.low, space.high) if self.spec.continuous else taken

    def get_state(self) -> dict[str, Array]:
        """See ``Tasks``. Without an exact snapshot only what new episodes are seeded from."""
        state: dict[str, Array] = {"steps": np.array(self._steps)}
        if self.exact:
            state["obs"] = self._obs.numpy().copy()
            for row, snapshot in enumerate(self._envs.get_attr("snapshot")):
                state |= {f"{row}/{name}": array for name, array in snapshot.items()}
        return state

    def set_state(self, state: Mapping[str, Array]) -> Tensor:
        """See ``Tasks``. Without an exact snapshot new episodes begin."""
        try:
            self._steps = int(state["steps"])
            self._begin()
            if self.exact:
                names = ("physics", "stream", "elapsed")
                rows = range(self._envs.num_envs)
                snapshots = [{name: state[f"{row}/{name}"] for name in names} for row in rows]
                self._envs.set_attr("snapshot", snapshots)
                self._obs = torch.from_numpy(state["obs"].copy()).view(self._obs.shape)
        except (KeyError, ValueError, RuntimeError) as error:
            raise UsageError(f"the snapshot of {self.env_id}: {error}") from None
        return self._obs

    def frames(
        self, policy: Callable[[Tensor], Tensor], agent: int = 0, max_frames: int = 300
    ) -> Iterator[Image]:
        """Play one episode of another copy and draw it.

        Args:
            policy: what agents do: ``[A, 1, *obs_shape]`` to ``[A, 1]`` or ``[A, 1, D]``.
            agent: who acts, 0 to A - 1.
            max_frames: of a longer episode, the beginning.

        Raises:
            UsageError: the environment cannot be drawn here.
        """
        if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
            os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo itself would look for a display
        if self._by_mujoco:
            _load_triton()
        options = {**self._options, "render_mode": "rgb_array"}
        env = _refusable(self.env_id, lambda: make_copy(self._env_spec, options, check=False))
        try:
            obs, _ = env.reset(seed=derived_seed(self.seed, 8, self.first_agent + agent) >> 32)
            for _ in range(max_frames):
                yield self._picture(env)
                seen = self._kept(obs).expand(self._lead[0], 1, *self.spec.obs_shape)
                action = self._taken(policy(seen)[agent])[0]
                obs, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    yield self._picture(env)
                    return
        finally:
            env.close()

    @property
    def _by_mujoco(self) -> bool:
        return "mujoco" in str(self._env_spec.entry_point)

    def _picture(self, env: Copy) -> Image:
        try:
            picture = np.asarray(env.render(), np.uint8)
        except Exception as error:  # graphics libraries raise what they like
            reason = str(error).partition("\n")[0] or type(error).__name__
            hint = (
                "; without a display MuJoCo needs MUJOCO_GL=egl or osmesa and that library"
                if self._by_mujoco
                else ""
            )
            raise UsageError(f"{self.env_id} cannot be drawn: {reason}{hint}") from None
        if picture.ndim != 3:
            raise UsageError(f"{self.env_id} cannot be drawn: it has no render_mode 'rgb_array'")
        return picture

    def close(self) -> None:
        """See ``Tasks``."""
        self._envs.close()


def find_env(env_id: str) -> EnvSpec:
    """Look an environment up in Gymnasium's registry.

    Args:
        env_id: as of ``gymnasium.make``; ``module:id`` imports what registers it.

    Raises:
        UsageError: there is no such module or environment.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(
                f"gymnasium:{env_id}: {error}; {module} must be importable: install it, or name "
                "its folder in PYTHONPATH"
            ) from None
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error:
        raise UsageError(
            f"gymnasium:{env_id}: {name!r} is not registered with Gymnasium"
            f"{nearest(name, gymnasium.registry)}; module:id imports the module that registers it"
        ) from None


def _load_triton() -> None:
    """Load Triton, if it is here, before what draws MuJoCo's pictures in software.

    That loads an LLVM for everybody, whose functions Triton's library, which PyTorch may load any
    time, would take for those of its own LLVM if it came later; the process would end.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("triton._C.libtriton")


def _refusable(env_id: str, make: Callable[[], Copy]) -> Copy:
    """Make an environment; a refusal becomes one line."""
    try:
        return make()
    except _REFUSALS as error:
        if isinstance(error, gymnasium.error.DependencyNotInstalled) and "MuJoCo" in str(error):
            reason = 'MuJoCo is not installed: pip install "socialgrid[mujoco]"'
        else:
            reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"gymnasium:{env_id}: {reason}") from None


def _spec_of(env_id: str, env: Copy, num_agents: int) -> TaskSpec:
    """What agents see and do.

    Raises:
        UsageError: the spaces are of kinds that learners do not take.
    """
    obs, action = env.observation_space, env.action_space
    if not isinstance(obs, spaces.Box):
        problem = f"observations are {obs}; they must be a Box, which gymnasium.wrappers."
        raise UsageError(f"gymnasium:{env_id}: {problem}FlattenObservation makes of others")
    if obs.dtype == np.uint8 and len(obs.shape) > 1:
        problem = f"observations are pictures {obs.shape}; learners read vectors here"
        raise UsageError(f"gymnasium:{env_id}: {problem}")
    numbers = isinstance(action, spaces.Box) and np.issubdtype(action.dtype, np.floating)
    if not (numbers or isinstance(action, spaces.Discrete)):
        problem = f"actions are {action}; they must be Discrete or a Box of floating-point numbers"
        raise UsageError(f"gymnasium:{env_id}: {problem}")
    if not all(obs.shape) or not obs.shape:
        problem = f"observations have the shape {obs.shape}; they must be arrays of numbers"
        raise UsageError(f"gymnasium:{env_id}: {problem}, such as (1,)")
    if isinstance(action, spaces.Box) and not (action.shape and all(action.shape)):
        problem = f"actions have the shape {action.shape}; they must be arrays of numbers"
        raise UsageError(f"gymnasium:{env_id}: {problem}, such as (1,)")
    try:
        return TaskSpec.of_spaces(obs, action, num_agents)
    except ValueError as error:
        raise UsageError(f"gymnasium:{env_id}: {error}") from None


def _try_out(env_id: str, env: Copy) -> None:
    """Take a step, and see whether what comes back is what the spaces promise.

    Args:
        env_id: its name.
        env: a copy that nobody else uses.

    Raises:
        UsageError: it is not, or the environment fails.
    """
    try:
        seen, _ = env.reset(seed=0)
        env.action_space.seed(0)
        after, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    except Exception as error:  # environments raise what they like
        reason = plain_line(str(error)) or type(error).__name__
        raise UsageError(f"gymnasium:{env_id}: a first step fails: {reason}") from None
    space: Any = env.observation_space
    problem = ""
    for obs in (seen, after):
        array = np.asarray(obs)
        if array.shape != space.shape:
            problem = f"an observation has the shape {array.shape}, its space says {space.shape}"
        elif not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
            problem = f"an observation is of type {array.dtype}, its space says {space.dtype}"
    try:
        single = np.ndim(reward) == 0 and math.isfinite(float(reward))
    except (TypeError, ValueError):
        single = False
    if not single:
        problem = f"its reward is {reward!r}; it must be a single finite number"
    for name, value in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(value, bool | np.bool_):
            problem = f"{name} is {value!r}; it must be True or False"
    if problem:
        raise UsageError(plain_line(f"gymnasium:{env_id}: {problem}"))
