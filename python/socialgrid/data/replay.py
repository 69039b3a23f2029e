"""Replay memory of independent learners: uniform or prioritised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from socialgrid.data.exchange import sent
from socialgrid.data.priorities import (
    Priorities,
    importance,
    in_shares,
    largest_at_first,
    raise_priorities,
)
from socialgrid.data.sum_tree import SumTree, priority_dtype


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


class Replay:
    """One preallocated block of ``capacity`` transitions for each of ``A`` learners.

    Every learner has ``num_envs`` copies of its task; a full memory forgets the oldest transition
    first. Learners may store different numbers of transitions in a step: each has its own place to
    go on from. Observations keep their type.

    Attributes:
        device: where batches are wanted, and priorities lie.
        kept_on: where the memory lies.
        kept: what is stored, ``[A, capacity, ...]`` by the names that ``Transitions`` has.
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
        self.kept: dict[str, Tensor] = {
            name: torch.empty((*lead, *shape), dtype=dtype, device=self.kept_on)
            for name, (shape, dtype) in kinds.items()
        }
        # Agents without a transition are shown the first place in the draws of others.
        for kept in self.kept.values():
            kept[:, 0] = 0
        self._stored, self._next = [0] * num_agents, [0] * num_agents
        self.priorities = priorities
        self.cut = False
        """Transitions hold both ends of each step: none is cut off, see ``SequenceReplay``."""
        self._tree = SumTree(num_agents, self.capacity, self.device) if priorities else None
        self._largest = largest_at_first(num_agents, self.device)
        # Transitions of each agent written since priorities were last looked at.
        self._fresh = [0] * num_agents
        self._agent_offset = torch.arange(num_agents)[:, None] * self.capacity
        self._offset_there = self._agent_offset.to(self.kept_on)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Transitions of each agent that can be drawn."""
        return tuple(self._stored)

    @property
    def size(self) -> int:
        """Transitions that can be drawn of every agent, the fewest if they differ."""
        return min(self._stored)

    def add(
        self,
        obs: Tensor,
        action: Tensor,
        reward: Tensor,
        next_obs: Tensor,
        terminated: Tensor,
        truncated: Tensor,
        in_play: Tensor | None = None,
    ) -> None:
        """Store one step of every copy of every agent's task, all ``[A, E, ...]``.

        ``next_obs`` is what the step led to, also where the episode ended with it. Where
        ``truncated`` is set, ``terminated`` is not. Only what happened ``in_play``, bool
        ``[A, E]``, is stored; everything by default.
        """
        given = [obs, action, reward, next_obs, terminated, truncated]
        everybody = in_play is None or bool(in_play.all())
        first, count = self._next[0], self.num_envs
        if everybody and first + count <= self.capacity and len(set(self._next)) == 1:
            given = sent(self.kept_on, *given)
            for kept, x in zip(self.kept.values(), given, strict=True):
                kept[:, first : first + count] = x
            self.move_on([count] * self.num_agents)
            return
        if in_play is None:
            in_play = torch.ones(self.num_agents, count, dtype=torch.bool)
        in_play = in_play.cpu()
        rank = in_play.cumsum(1) - 1
        places = (torch.tensor(self._next)[:, None] + rank) % self.capacity
        rows = (places + self._agent_offset)[in_play]
        happened = [x.cpu()[in_play] for x in given]
        rows, *happened = sent(self.kept_on, rows, *happened)
        for kept, x in zip(self.kept.values(), happened, strict=True):
            kept.flatten(0, 1)[rows] = x.to(kept.dtype)
        self.move_on(in_play.sum(1).tolist())

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored, as compiled kernels are given it, where it lies on the CPU: the same
        memory, each observation a row of numbers.
        """
        kept = {name: x.flatten(2) if "obs" in name else x for name, x in self.kept.items()}
        return {name: x.numpy() for name, x in kept.items()}

    @property
    def next_places(self) -> tuple[int, ...]:
        """Where each agent's next transition goes."""
        return tuple(self._next)

    def move_on(self, counts: Sequence[int]) -> None:
        """So many transitions of each agent were written into ``kept``."""
        for agent, count in enumerate(counts):
            self._next[agent] = (self._next[agent] + count) % self.capacity
            self._stored[agent] = min(self._stored[agent] + count, self.capacity)
            self._fresh[agent] = min(self._fresh[agent] + count, self.capacity)

    def sample(self, words: Tensor) -> Transitions:
        """Draw with replacement, uniformly.

        Where nothing is stored of an agent, its part of the batch means nothing.

        Args:
            words: int64 ``[A, B]``, random numbers from 0 to 2^32 - 1; see ``AgentDraws.words``.

        Raises:
            ValueError: nothing is stored of anybody.
        """
        return self.at(self.places(words))

    def sample_by_priority(self, words: Tensor, beta: float | Tensor) -> Transitions:
        """Draw by priority; see ``places_by_priority``."""
        return self.at(*self.places_by_priority(words, beta))

    def shares(self, words: Tensor) -> Tensor:
        """What ``draw`` draws by, on the CPU: see ``in_shares``."""
        return in_shares(words).to(priority_dtype(self.device))

    def draw(self, shares: Tensor, sizes: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
        """Draw by priority after ``catch_up``; everything on the device.

        Args:
            shares: ``[A, B]`` as of ``shares``.
            sizes: int64 ``[A]``, transitions of each agent.
            beta: as of ``places_by_priority``.

        Returns:
            places int64 ``[A, B]`` and importance weights float32 ``[A, B]``.
        """
        tree = self._with_priorities()
        total = tree.total[:, None]
        index = tree.find(shares * total)
        return index, importance(sizes, tree.get(index), total, beta)

    def set_priorities(
        self, index: Tensor, error: Tensor, agents: Sequence[bool] | Tensor | None = None
    ) -> None:
        """Remember the absolute temporal differences float32 ``[A, B]`` of drawn transitions.

        Args:
            index: int64 ``[A, B]``, as they were drawn.
            error: ``[A, B]``.
            agents: whose are meant, a tensor of them on the device; by default everybody's.

        Raises:
            RuntimeError: the memory was built without priorities.
        """
        self.catch_up()
        assert self.priorities is not None, "there is a tree"
        tree = self._with_priorities()
        raise_priorities(tree, self._largest, self.priorities, index, error, agents)

    def priority(self, index: Tensor) -> Tensor:
        """Priorities to the power of alpha, ``[A, B]``, at ``index`` int64 ``[A, B]``."""
        self.catch_up()
        return self._with_priorities().get(index.to(self.device))

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, where it lies and how it is drawn, CPU, every one ``[A, ...]``."""
        most = max(self._stored)
        found = {name: x[:, :most].cpu().clone() for name, x in self.kept.items()}
        for agent, stored in enumerate(self._stored):
            for x in found.values():
                x[agent, stored:] = 0  # never written
        found["next_place"] = torch.tensor(self._next)
        found["stored"] = torch.tensor(self._stored)
        if self._tree is not None:
            rows = torch.arange(most).expand(self.num_agents, -1)
            known = {"priority": self.priority(rows), "largest_priority": self._largest}
            found |= {name: x.to("cpu", torch.float64, copy=True) for name, x in known.items()}
        return found

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``: from here on both behave alike.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype does not fit. Nothing
                has changed then.
        """
        names = {*self.kept, "next_place", "stored"}
        if self._tree is not None:
            names |= {"priority", "largest_priority"}
        if names != tensors.keys():
            missing, unknown = sorted(names - tensors.keys()), sorted(tensors.keys() - names)
            raise ValueError(f"replay memory's tensors: missing {missing}, unknown {unknown}")
        count = tensors["reward"].shape[1]
        if count > self.capacity:
            raise ValueError(
                f"{count} stored transitions do not fit a memory of {self.capacity}, "
                f"{self.num_envs} a step"
            )
        for name, end in (("next_place", self.capacity), ("stored", self.capacity + 1)):
            given = tensors[name]
            if given.shape != (self.num_agents,) or given.dtype != torch.int64:
                raise ValueError(f"replay memory's {name}: {given.dtype} {tuple(given.shape)}")
            if int(given.min()) < 0 or int(given.max()) >= end:
                raise ValueError(
                    f"replay memory's {name} {given.tolist()}: must be less than {end}"
                )
        if int(tensors["stored"].max()) != count:
            raise ValueError(f"{count} stored transitions of {tensors['stored'].tolist()}")
        for name, kept in self.kept.items():
            given, shape = tensors[name], (self.num_agents, count, *kept.shape[2:])
            if given.shape != shape or given.dtype != kept.dtype:
                raise ValueError(
                    f"replay memory's {name}: {given.dtype} {tuple(given.shape)}, "
                    f"expected {kept.dtype} {shape}"
                )
        for name, kept in self.kept.items():
            kept[:, :count] = tensors[name]
        self._stored, self._next = tensors["stored"].tolist(), tensors["next_place"].tolist()
        self._fresh = [0] * self.num_agents
        if self._tree is not None:
            self._tree.clear()
            rows = torch.arange(count).expand(self.num_agents, -1)
            self._tree.set(*sent(self.device, rows, tensors["priority"]))
            self._largest.copy_(tensors["largest_priority"])

    def places(self, words: Tensor) -> Tensor:
        """Where the transitions lie that ``sample`` draws, int64 ``[A, ..., B]`` like the words;
        see there.
        """
        self._check_filled()
        stored = torch.tensor(self._stored).view(-1, *(1,) * (words.dim() - 1))
        return words * stored >> 32

    def places_by_priority(self, words: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
        """Draw by priority: one transition from each of B equal shares of the sum.

        Args:
            words: as of ``sample``.
            beta: exponent of the importance weights, from 0 (none) to 1 (full correction); one
                for all agents, or ``[A, 1]`` of ``priority_dtype``.

        Returns:
            where the transitions lie, int64 ``[A, B]``, and their weights, float32 ``[A, B]``.

        Raises:
            ValueError: nothing is stored of anybody.
            RuntimeError: the memory was built without priorities.
        """
        self._check_filled()
        self.catch_up()
        sizes, shares = sent(self.device, torch.tensor(self._stored), self.shares(words))
        return self.draw(shares, sizes, beta)

    def at(self, index: Tensor, weight: Tensor | None = None) -> Transitions:
        """The transitions at places ``index`` int64 ``[A, B]``, of these importance weights."""
        rows = (index.to(self.kept_on) + self._offset_there).flatten()
        found = {
            name: kept.flatten(0, 1).index_select(0, rows).view(*index.shape, *kept.shape[2:])
            for name, kept in self.kept.items()
        }
        drawn = dict(zip(found, sent(self.device, *found.values()), strict=True))
        return Transitions(**drawn, index=index, weight=weight)

    def _check_filled(self) -> None:
        if not any(self._stored):
            raise ValueError("nothing is stored yet; add a step before drawing")

    def _with_priorities(self) -> SumTree:
        if self._tree is None:
            raise RuntimeError("this memory draws uniformly; build it with priorities")
        return self._tree

    def catch_up(self) -> None:
        """Give what was stored since the last time the priority that new transitions have.

        Raises:
            RuntimeError: the memory was built without priorities.
        """
        tree, most = self._with_priorities(), max(self._fresh)
        if not most:
            return
        # The last ``fresh`` places of each agent; others are given what they have.
        age = torch.arange(most, 0, -1)
        index = (torch.tensor(self._next)[:, None] - age) % self.capacity
        fresh = age <= torch.tensor(self._fresh)[:, None]
        index, fresh = sent(self.device, index, fresh)
        largest = self._largest[:, None].expand(index.shape)
        tree.set(index, torch.where(fresh, largest, tree.get(index)))
        self._fresh = [0] * self.num_agents


def storage_device(device: torch.device, size: int) -> torch.device:
    """Where to keep ``size`` bytes for use on ``device``: there, if half of its free memory holds
    them, else on the CPU.
    """
    if device.type == "cuda" and 2 * size > torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device
