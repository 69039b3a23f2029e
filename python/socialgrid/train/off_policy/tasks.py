"""Tasks of off-policy learners, agent axis first: copies of a game for each, or a shared world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import socialgrid
from socialgrid.config.errors import UsageError, about
from socialgrid.data.rollout import as_signed
from socialgrid.models import ViewSpec
from socialgrid.models.task_spec import TaskSpec
from socialgrid.train.worlds import Worlds

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TaskStep:
    """What one step of E copies of A agents' tasks brought.

    Attributes:
        obs: ``[A, E, *obs_shape]``, what the next decision sees; where an episode ended, the first
            observation of the next one. Numbers of tiles in 16 bits are int16, as ``as_signed``
            makes them, here and below.
        next_obs: ``[A, E, *obs_shape]``, what the step led to; the final observation where an
            episode ended.
        reward: float32 ``[A, E]``.
        terminated: bool ``[A, E]``, the agent's play ended in this step.
        truncated: bool ``[A, E]``, a time limit cut it off.
        done: bool ``[A, E]``, the episode ended and another one began.
        in_play: bool ``[A, E]``, the agent was in play in this step. Where it was not, waiting
            for its play to begin or for others' to end, the step is nobody's experience.
    """

    obs: Tensor
    next_obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    done: Tensor
    in_play: Tensor


class Tasks(Protocol):
    """E copies of a task for each of A agents.

    Attributes:
        spec: observations and actions; ``spec.num_agents`` is A.
        num_envs: E.
        exact: whether ``set_state`` goes on bit for bit; otherwise new episodes begin there.
    """

    spec: TaskSpec
    num_envs: int
    exact: bool

    def reset(self, seed: int | None = None) -> Tensor:
        """Start new episodes everywhere; first observations ``[A, E, *obs_shape]``.

        Args:
            seed: begin other random streams; ``None``: go on with those there are.
        """
        ...

    def step(self, actions: Tensor) -> TaskStep:
        """Act: int64 ``[A, E]`` or float32 ``[A, E, D]`` in the task's units."""
        ...

    def get_state(self) -> dict[str, Array]:
        """Snapshot, plain arrays by name."""
        ...

    def set_state(self, state: Mapping[str, Array]) -> Tensor:
        """Go on from a snapshot; observations ``[A, E, *obs_shape]`` as they are then.

        Raises:
            UsageError: the snapshot is of other tasks.
        """
        ...

    def close(self) -> None:
        """Free what the tasks hold."""
        ...


def spec_of(env: Any, slots: Sequence[int], num_agents: int) -> TaskSpec:
    """What agents in ``slots`` of a simulated world see and do.

    Raises:
        UsageError: they do not all have the same actions.
    """
    counts = {env.action_counts[slot] for slot in slots}
    if len(counts) > 1:
        raise UsageError(
            f"{env.game}: off-policy learners need agents with the same actions, those of "
            f"agents {list(slots)} have {sorted(counts)}"
        )
    if env.obs_mode == "vector":
        return TaskSpec(num_agents, env.obs_shape, env.obs_dtype.name, counts.pop())
    view = ViewSpec.of(env, tuple(slots))
    return TaskSpec.of_view(view, num_agents, env.obs_dtype.name)


class OwnGames:
    """Every agent plays a game for one by itself: a batch of ``A * E`` environments."""

    exact = True

    def __init__(
        self,
        game: str,
        num_agents: int,
        num_envs: int,
        options: Mapping[str, Any],
        *,
        seed: int,
        num_threads: int = 0,
        obs_mode: str | None = None,
        first_agent: int = 0,
    ) -> None:
        """Make the simulator.

        Args:
            game: its name.
            num_agents: A.
            num_envs: E, copies for each agent.
            options: of the game.
            seed: of the environments.
            num_threads: of the simulator; 0 for all cores that the process may use.
            obs_mode: of the observations; the game's own by default.
            first_agent: number of the first agent: an agent's copies depend on its number only.

        Raises:
            UsageError: the game refuses, or is no game for one.
        """
        try:
            self.env: Any = socialgrid.make_vec(
                game,
                num_envs=num_agents * num_envs,
                num_threads=num_threads,
                seed=seed,
                first_env_index=first_agent * num_envs,
                obs_mode=obs_mode,
                num_agents=1,
                **options,
            )
        except (ValueError, TypeError) as error:
            raise UsageError(about(game, error)) from None
        self.spec = spec_of(self.env, [0], num_agents)
        self.num_envs = num_envs
        self._lead = (num_agents, num_envs)

    def _per_agent(self, array: Array) -> Tensor:
        """``[A * E, 1, ...] -> [A, E, ...]``."""
        return as_signed(torch.from_numpy(array)).view(*self._lead, *array.shape[2:])

    def reset(self, seed: int | None = None) -> Tensor:
        """See ``Tasks``."""
        return self._per_agent(self.env.reset(seed=seed)[0])

    def step(self, actions: Tensor) -> TaskStep:
        """See ``Tasks``."""
        chosen = actions.to("cpu", torch.int32).reshape(-1, 1).numpy()
        obs, reward, terminated, truncated, info = self.env.step(chosen)
        done = torch.from_numpy(info["done"]).view(self._lead)
        following = seen = self._per_agent(obs)
        if bool(done.any()):
            final = self._per_agent(info["final_obs"])
            mask = done.view(*self._lead, *(1,) * (seen.ndim - 2))
            following = torch.where(mask, final, seen)
        return TaskStep(
            seen,
            following,
            self._per_agent(reward),
            self._per_agent(terminated),
            self._per_agent(truncated),
            done,
            torch.ones_like(done),
        )

    def get_state(self) -> dict[str, Array]:
        """See ``Tasks``."""
        return {"env": np.frombuffer(self.env.get_state(), np.uint8)}

    def set_state(self, state: Mapping[str, Array]) -> Tensor:
        """See ``Tasks``."""
        try:
            self.env.set_state(state["env"].tobytes())
        except (KeyError, ValueError) as error:
            raise UsageError(f"the snapshot of the environments: {error}") from None
        return self._per_agent(self.env.observe())

    def close(self) -> None:
        """See ``Tasks``."""
        self.env.close()


class SharedWorlds:
    """E worlds in which A agents meet each other and scripted players.

    An agent's play may begin after its world's episode and end before it; until then the agent is
    out of play.
    """

    exact = True

    def __init__(self, worlds: Worlds, slots: Sequence[int]) -> None:
        """Take seats.

        Args:
            worlds: environments in a single half, scripted players included.
            slots: seats of the A agents.
        """
        self.worlds, self.slots = worlds, list(slots)
        env = worlds.env
        self.spec = spec_of(env, self.slots, len(self.slots))
        self.num_envs = worlds.num_envs
        lead = (self.num_envs, env.num_agents)
        obs_type = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}
        obs = torch.zeros((*lead, *env.obs_shape), dtype=obs_type[env.obs_dtype.name])
        self._out = {
            "obs": obs,
            "final_obs": torch.zeros_like(obs),
            "reward": torch.zeros(lead),
            "terminated": torch.zeros(lead, dtype=torch.bool),
            "truncated": torch.zeros(lead, dtype=torch.bool),
            "done": torch.zeros(self.num_envs, dtype=torch.bool),
            "active": torch.zeros(lead, dtype=torch.bool),
        }
        self._slot = worlds.bind(0, self._out)
        # Who is in play before the next step, [A, E], and for how many steps nobody has been.
        self._in_play = torch.zeros((len(self.slots), self.num_envs), dtype=torch.bool)
        self._idle = 0

    def _seats(self, x: Tensor) -> Tensor:
        """``[E, N, ...] -> [A, E, ...]``, copied."""
        return as_signed(x)[:, self.slots].transpose(0, 1).contiguous()

    def reset(self, seed: int | None = None) -> Tensor:
        """See ``Tasks``.

        Raises:
            ValueError: a seed is given; scripted players have streams of their own.
        """
        if seed is not None:
            raise ValueError("worlds with scripted players begin with the seed they were made with")
        first = self.worlds.reset()
        self._in_play = self._seats(torch.from_numpy(first.active))
        self._idle = 0
        return self._seats(torch.from_numpy(first.obs))

    def step(self, actions: Tensor) -> TaskStep:
        """See ``Tasks``.

        Raises:
            UsageError: none of the agents ever comes into play.
        """
        worlds, out, in_play = self.worlds, self._out, self._in_play
        limit = 2 * worlds.env.max_steps  # a whole episode lies in it
        self._idle = 0 if bool(in_play.any()) else self._idle + 1
        if self._idle > limit:
            raise UsageError(
                f"{worlds.env.game}: none of the agents {self.slots} has been in play for {limit} "
                f"steps, longer than an episode; env.options.spawn_delay must be less than "
                f"max_steps {worlds.env.max_steps}"
            )
        worlds.actions[:, self.slots] = actions.T.cpu().numpy()
        worlds.send(0, worlds.actions, self._slot)
        worlds.recv(0)
        done = out["done"]
        obs = following = self._seats(out["obs"])
        if bool(done.any()):
            mask = done.view(1, -1, *(1,) * (obs.ndim - 2))
            following = torch.where(mask, self._seats(out["final_obs"]), obs)
        self._in_play = self._seats(out["active"])
        return TaskStep(
            obs,
            following,
            self._seats(out["reward"]),
            terminated=self._seats(out["terminated"]) & in_play,
            truncated=self._seats(out["truncated"]) & in_play,
            done=done.expand(len(self.slots), -1).clone(),
            in_play=in_play,
        )

    def get_state(self) -> dict[str, Array]:
        """See ``Tasks``."""
        return self.worlds.get_state()

    def set_state(self, state: Mapping[str, Array]) -> Tensor:
        """See ``Tasks``."""
        self.worlds.set_state(state)
        active = np.concatenate([part.info["active"] for part in self.worlds.parts])
        self._in_play = self._seats(torch.from_numpy(active))
        self._idle = 0
        seen = [np.asarray(part.env.observe()) for part in self.worlds.parts]
        return self._seats(torch.from_numpy(np.concatenate(seen)))

    def close(self) -> None:
        """See ``Tasks``."""
        self.worlds.close()


def has_several_agents(game: str) -> bool:
    """Whether several agents can meet in a world of a game.

    Raises:
        UsageError: there is no such game.
    """
    try:
        options = {option.name: option for option in socialgrid.game_options(game)}
    except ValueError as error:
        raise UsageError(str(error)) from None
    highest = options["num_agents"].high
    return highest is None or highest > 1
