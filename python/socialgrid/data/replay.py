"""Replay memory of independent learners: uniform or prioritised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from socialgrid.data.sum_tree import SumTree


@dataclass(frozen=True)
class Transitions:
    """Some transitions of every agent, drawn from its own replay memory.

    Attributes:
        obs, next_obs: ``[A, B, *obs_shape]`` as they were stored. After the last step of an
            episode ``next_obs`` is its final observation, not the next episode's first.
        action: ``[A, B, *action_shape]``.
        reward: float32 ``[A, B]``.
        terminated: bool ``[A, B]``: nothing follows, so values do not bootstrap.
        truncated: bool ``[A, B]``: cut by a time limit; values bootstrap from ``next_obs``.
        index: int64 ``[A, B]``, places in the memory.
        weight: float32 ``[A, B]``, importance weights; ``None`` for uniform draws.
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminated: Tensor
    truncated: Tensor
    index: Tensor
    weight: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, CPU, contiguous."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: x.detach().cpu().contiguous() for name, x in named if x is not None}


@dataclass(frozen=True)
class Priorities:
    """Prioritised replay (Schaul et al. 2016), proportional variant.

    Transition i is drawn with probability p_i^alpha / sum_k p_k^alpha, p being the last absolute
    temporal difference plus ``eps`` (eq. 1), and weighs (N P(i))^-beta over the largest weight of
    its batch (section 3.4). New transitions get the largest priority so far.
    """

    alpha: float = 0.6
    eps: float = 1e-6


class Replay:
    """One preallocated block of ``capacity`` transitions for each of ``A`` learners.

    Every learner has ``num_envs`` copies of its task, all of which are stored in each step; a full
    memory forgets the oldest step first. Observations keep their type.
    """

    def __init__(
        self,
        num_agents: int,
        capacity: int,
        obs_shape: tuple[int, ...],
        obs_dtype: torch.dtype,
        action_shape: tuple[int, ...] = (),
        action_dtype: torch.dtype = torch.int64,
        *,
        num_envs: int = 1,
        priorities: Priorities | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Reserve the memory; the system commits it as it is written.

        Args:
            num_agents: A.
            capacity: transitions of each agent, rounded down to a multiple of ``num_envs``.
            obs_shape, obs_dtype: of one observation.
            action_shape, action_dtype: of one action.
            num_envs: E, copies of the task of each agent.
            priorities: draw by priority; uniformly by default.
            device: where batches are wanted. The memory lies there too if it takes no more than
                half of what is free there, otherwise on the CPU.

        Raises:
            ValueError: the capacity holds less than one step.
        """
        if capacity < num_envs:
            raise ValueError(f"capacity {capacity} holds less than one step of {num_envs} copies")
        self.num_agents, self.num_envs = num_agents, num_envs
        self.capacity = capacity // num_envs * num_envs
        self.device = torch.device(device)
        kinds: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "obs": (obs_shape, obs_dtype),
            "action": (action_shape, action_dtype),
            "reward": ((), torch.float32),
            "next_obs": (obs_shape, obs_dtype),
            "terminated": ((), torch.bool),
            "truncated": ((), torch.bool),
        }
        lead = (num_agents, self.capacity)
        size = sum(
            torch.empty((), dtype=dtype).element_size() * torch.Size((*lead, *shape)).numel()
            for shape, dtype in kinds.values()
        )
        self.kept_on = storage_device(self.device, size)
        self._kept = {
            name: torch.empty((*lead, *shape), dtype=dtype, device=self.kept_on)
            for name, (shape, dtype) in kinds.items()
        }
        self.size = 0
        self._next = 0
        self.priorities = priorities
        self._tree = SumTree(num_agents, self.capacity) if priorities else None
        self._largest = torch.ones(num_agents, dtype=torch.float64)
        # Places written since priorities were last looked at.
        self._fresh: list[int] = []
        self._agent_offset = torch.arange(num_agents)[:, None] * self.capacity

    def add(
        self,
        obs: Tensor,
        action: Tensor,
        reward: Tensor,
        next_obs: Tensor,
        terminated: Tensor,
        truncated: Tensor,
    ) -> None:
        """Store one step of every copy of every agent's task, all ``[A, E, ...]``.

        ``next_obs`` is what the step led to, also where the episode ended with it. Where
        ``truncated`` is set, ``terminated`` is not.
        """
        here = slice(self._next, self._next + self.num_envs)
        given = (obs, action, reward, next_obs, terminated, truncated)
        for kept, x in zip(self._kept.values(), given, strict=True):
            kept[:, here] = x
        if self._tree is not None:
            self._fresh.append(self._next)
        self._next = (self._next + self.num_envs) % self.capacity
        self.size = min(self.size + self.num_envs, self.capacity)

    def sample(self, generators: Sequence[torch.Generator], batch_size: int) -> Transitions:
        """Draw with replacement, uniformly, each agent by its own generator.

        Raises:
            ValueError: nothing is stored.
        """
        self._check_filled()
        draws = [torch.randint(self.size, (batch_size,), generator=g) for g in generators]
        return self._gather(torch.stack(draws))

    def sample_by_priority(
        self, generators: Sequence[torch.Generator], batch_size: int, beta: float
    ) -> Transitions:
        """Draw by priority: one transition from each of ``batch_size`` equal shares of the sum.

        Args:
            generators: one for each agent.
            batch_size: B.
            beta: exponent of the importance weights, from 0 (none) to 1 (full correction).

        Raises:
            ValueError: nothing is stored.
            RuntimeError: the memory was built without priorities.
        """
        self._check_filled()
        tree = self._with_priorities()
        u = torch.stack([torch.rand(batch_size, generator=g) for g in generators]).double()
        share = (torch.arange(batch_size) + u) / batch_size
        total = tree.total[:, None]
        index = tree.find(share * total)
        weight = (self.size * tree.get(index) / total).pow(-beta)
        weight = (weight / weight.max(1, keepdim=True).values).float()
        return self._gather(index, weight.to(self.device))

    def set_priorities(self, index: Tensor, error: Tensor) -> None:
        """Remember the absolute temporal differences float32 ``[A, B]`` of drawn transitions.

        Raises:
            RuntimeError: the memory was built without priorities.
        """
        tree = self._with_priorities()
        if self.priorities is None:
            raise AssertionError("a tree without priorities")
        priority = (error.cpu().double().abs() + self.priorities.eps).pow(self.priorities.alpha)
        tree.set(index, priority)
        self._largest = torch.maximum(self._largest, priority.max(1).values)

    def priority(self, index: Tensor) -> Tensor:
        """Priorities to the power of alpha, float64 ``[A, B]``, at ``index`` int64 ``[A, B]``."""
        return self._with_priorities().get(index)

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, where it lies and how it is drawn, CPU, every one ``[A, ...]``."""
        found = {name: x[:, : self.size].cpu().clone() for name, x in self._kept.items()}
        found["next_place"] = torch.full((self.num_agents,), self._next)
        if self._tree is not None:
            rows = torch.arange(self.size).expand(self.num_agents, -1)
            found |= {"priority": self.priority(rows), "largest_priority": self._largest.clone()}
        return found

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``: from here on both behave alike.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype does not fit. Nothing
                has changed then.
        """
        names = {*self._kept, "next_place"}
        if self._tree is not None:
            names |= {"priority", "largest_priority"}
        if names != tensors.keys():
            missing, unknown = sorted(names - tensors.keys()), sorted(tensors.keys() - names)
            raise ValueError(f"replay memory's tensors: missing {missing}, unknown {unknown}")
        count = tensors["reward"].shape[1]
        if count > self.capacity or count % self.num_envs:
            raise ValueError(
                f"{count} stored transitions do not fit a memory of {self.capacity}, "
                f"{self.num_envs} a step"
            )
        for name, kept in self._kept.items():
            given, shape = tensors[name], (self.num_agents, count, *kept.shape[2:])
            if given.shape != shape or given.dtype != kept.dtype:
                raise ValueError(
                    f"replay memory's {name}: {given.dtype} {tuple(given.shape)}, "
                    f"expected {kept.dtype} {shape}"
                )
        for name, kept in self._kept.items():
            kept[:, :count] = tensors[name]
        self.size, self._next = count, int(tensors["next_place"][0])
        if self._tree is not None:
            self._fresh = []
            self._tree = SumTree(self.num_agents, self.capacity)
            rows = torch.arange(count).expand(self.num_agents, -1)
            self._tree.set(rows, tensors["priority"])
            self._largest = tensors["largest_priority"].clone()

    def _gather(self, index: Tensor, weight: Tensor | None = None) -> Transitions:
        rows = (index + self._agent_offset).flatten().to(self.kept_on)
        found = {
            name: kept.flatten(0, 1).index_select(0, rows).view(*index.shape, *kept.shape[2:])
            for name, kept in self._kept.items()
        }
        drawn = {name: x.to(self.device) for name, x in found.items()}
        return Transitions(**drawn, index=index, weight=weight)

    def _check_filled(self) -> None:
        if not self.size:
            raise ValueError("nothing is stored yet; add a step before drawing")

    def _with_priorities(self) -> SumTree:
        """The tree, with all that was stored in it."""
        if self._tree is None:
            raise RuntimeError("this memory draws uniformly; build it with priorities")
        if self._fresh:
            starts = torch.tensor(self._fresh[-(self.capacity // self.num_envs) :])
            places = (starts[:, None] + torch.arange(self.num_envs)).flatten()
            index = places.expand(self.num_agents, -1)
            self._tree.set(index, self._largest[:, None].expand(index.shape))
            self._fresh = []
        return self._tree


def storage_device(device: torch.device, size: int) -> torch.device:
    """Where to keep ``size`` bytes for use on ``device``: there, if half of its free memory holds
    them, else on the CPU.
    """
    if device.type == "cuda" and 2 * size > torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device
