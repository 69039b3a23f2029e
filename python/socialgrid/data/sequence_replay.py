"""Replay memory of independent learners that remember: sequences with stored states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from socialgrid.data.replay import Priorities, storage_device
from socialgrid.data.sum_tree import SumTree


@dataclass(frozen=True)
class Sequences:
    """Some sequences of every agent, drawn from its own memory, time before samples.

    Attributes:
        obs: ``[A, L + 1, B, *obs_shape]``: what was seen before each of L steps and after them.
        reset: bool ``[A, L + 1, B]``: an episode began with that observation.
        state: float32 ``[A, B, S]``, the learner's memory before the first step.
        action: int64 ``[A, L, B]``.
        reward: float32 ``[A, L, B]``.
        terminated, truncated: bool ``[A, L, B]``.
        index: int64 ``[A, B]``, places in the memory.
        final_obs: ``[A, L, B, *obs_shape]``, what truncated steps led to, zeros elsewhere;
            ``None`` if no step is truncated.
        weight: float32 ``[A, B]``, importance weights; ``None`` for uniform draws.
    """

    obs: Tensor
    reset: Tensor
    state: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    index: Tensor
    final_obs: Tensor | None = None
    weight: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, CPU, contiguous."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: x.detach().cpu().contiguous() for name, x in named if x is not None}


class SequenceReplay:
    """A ring of steps ``[A, T, E, ...]`` from which overlapping sequences are drawn.

    A sequence of ``length`` steps starts every ``stride`` steps of every copy of the task, where
    the learner's memory was stored (Kapturowski et al. 2019, "stored state"). It may contain the
    ends of episodes; where a time limit cut one, the final observation is stored as well.
    """

    def __init__(
        self,
        num_agents: int,
        capacity: int,
        obs_shape: tuple[int, ...],
        obs_dtype: torch.dtype,
        state_size: int,
        *,
        length: int,
        stride: int,
        num_envs: int = 1,
        priorities: Priorities | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Reserve the memory; the system commits it as it is written.

        Args:
            num_agents: A.
            capacity: steps of each agent; rounded down to whole strides of all copies.
            obs_shape, obs_dtype: of one observation.
            state_size: S, numbers in the learner's memory.
            length: L, steps in a sequence.
            stride: steps between the starts of sequences.
            num_envs: E, copies of the task of each agent.
            priorities: draw by priority; uniformly by default.
            device: where batches are wanted; see ``Replay``.

        Raises:
            ValueError: the capacity holds no sequence.
        """
        self.slots = capacity // num_envs // stride * stride
        if self.slots < length + 1:
            raise ValueError(
                f"capacity {capacity} holds {self.slots} steps of each of {num_envs} copies of "
                f"the task: sequences need {length + 1}"
            )
        self.num_agents, self.num_envs = num_agents, num_envs
        self.length, self.stride = length, stride
        self.device = torch.device(device)
        kinds: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "obs": (obs_shape, obs_dtype),
            "reset": ((), torch.bool),
            "action": ((), torch.int64),
            "reward": ((), torch.float32),
            "terminated": ((), torch.bool),
            "truncated": ((), torch.bool),
        }
        lead = (num_agents, self.slots, num_envs)
        size = sum(
            torch.empty((), dtype=dtype).element_size() * torch.Size((*lead, *shape)).numel()
            for shape, dtype in (*kinds.values(), kinds["obs"])
        )
        self.kept_on = storage_device(self.device, size)
        self._kept = {
            name: torch.zeros((*lead, *shape), dtype=dtype, device=self.kept_on)
            for name, (shape, dtype) in kinds.items()
        }
        # Written at truncated steps only: the system commits few pages of it.
        self._final_obs = torch.empty((*lead, *obs_shape), dtype=obs_dtype, device=self.kept_on)
        self._led_to = torch.zeros(
            (num_agents, num_envs, *obs_shape), dtype=obs_dtype, device=self.kept_on
        )
        self._starts = self.slots // stride
        self._kept["state"] = torch.zeros(
            (num_agents, self._starts, num_envs, state_size), device=self.kept_on
        )
        self.steps = 0
        """Steps of every copy stored so far, forgotten ones counted."""
        self.priorities = priorities
        self._tree = SumTree(num_agents, self._starts * num_envs) if priorities else None
        self._largest = torch.ones(num_agents, dtype=torch.float64)
        self._in_tree = range(0)

    @property
    def size(self) -> int:
        """Sequences of each agent that can be drawn."""
        return len(self._drawable()) * self.num_envs

    def add(
        self,
        obs: Tensor,
        reset: Tensor,
        state: Tensor,
        action: Tensor,
        reward: Tensor,
        next_obs: Tensor,
        terminated: Tensor,
        truncated: Tensor,
    ) -> None:
        """Store one step of every copy of every agent's task, all ``[A, E, ...]``.

        ``reset`` is set where an episode began with ``obs``; ``state`` is the memory before.
        ``next_obs``, what the step led to, is kept where ``truncated`` is set.
        """
        slot = self.steps % self.slots
        given = {
            "obs": obs,
            "reset": reset,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
        }
        for name, x in given.items():
            self._kept[name][:, slot] = x
        if bool(truncated.any()):
            cut = truncated.to(self.kept_on)
            self._final_obs[:, slot][cut] = next_obs.to(self.kept_on, self._final_obs.dtype)[cut]
        self._led_to.copy_(next_obs)
        if slot % self.stride == 0:
            self._kept["state"][:, slot // self.stride] = state
        self.steps += 1

    def interrupt(self) -> None:
        """Cut off the episodes that the last step left open: other ones follow."""
        if self.steps:
            slot = (self.steps - 1) % self.slots
            truncated = self._kept["truncated"][:, slot]
            left_open = ~(truncated | self._kept["terminated"][:, slot])
            truncated |= left_open
            self._final_obs[:, slot][left_open] = self._led_to[left_open]

    def sample(
        self, generators: Sequence[torch.Generator], batch_size: int, beta: float | None = None
    ) -> Sequences:
        """Draw with replacement, each agent by its own generator.

        Args:
            generators: one for each agent.
            batch_size: B.
            beta: exponent of the importance weights, to draw by priority; ``None``: uniformly.

        Raises:
            ValueError: no whole sequence is stored.
            RuntimeError: the memory was built without priorities.
        """
        starts = self._drawable()
        if not starts:
            raise ValueError(f"no sequence of {self.length} steps is stored yet")
        if beta is None:
            draws = [torch.randint(self.size, (batch_size,), generator=g) for g in generators]
            first = starts.start * self.num_envs
            index = (torch.stack(draws) + first).fmod(self._starts * self.num_envs)
            return self._gather(index)
        tree = self._with_priorities()
        u = torch.stack([torch.rand(batch_size, generator=g) for g in generators]).double()
        total = tree.total[:, None]
        index = tree.find((torch.arange(batch_size) + u) / batch_size * total)
        weight = (self.size * tree.get(index) / total).pow(-beta)
        weight = (weight / weight.max(1, keepdim=True).values).float()
        return self._gather(index, weight.to(self.device))

    def set_priorities(self, index: Tensor, error: Tensor) -> None:
        """Remember the temporal differences ``[A, B]`` that stand for drawn sequences.

        Raises:
            RuntimeError: the memory was built without priorities.
        """
        tree = self._with_priorities()
        if self.priorities is None:
            raise AssertionError("a tree without priorities")
        priority = (error.cpu().double().abs() + self.priorities.eps).pow(self.priorities.alpha)
        tree.set(index, priority)
        self._largest = torch.maximum(self._largest, priority.max(1).values)

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, where it lies and how it is drawn, CPU, every one ``[A, ...]``."""
        found = {name: x.cpu().clone() for name, x in self._kept.items()}
        cut = found["truncated"]
        found["final_obs"] = torch.zeros_like(found["obs"])
        found["final_obs"][cut] = self._final_obs.cpu()[cut]
        found["led_to"] = self._led_to.cpu().clone()
        found["steps"] = torch.full((self.num_agents,), self.steps)
        if self._tree is not None:
            tree = self._with_priorities()
            rows = torch.arange(tree.capacity).expand(self.num_agents, -1)
            found |= {"priority": tree.get(rows), "largest_priority": self._largest.clone()}
        return found

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``: from here on both behave alike.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype does not fit. Nothing
                has changed then.
        """
        own = self.tensors()
        if own.keys() != tensors.keys():
            missing, unknown = sorted(own.keys() - tensors), sorted(tensors.keys() - own.keys())
            raise ValueError(f"replay memory's tensors: missing {missing}, unknown {unknown}")
        for name, x in own.items():
            given = tensors[name]
            if given.shape != x.shape or given.dtype != x.dtype:
                raise ValueError(
                    f"replay memory's {name}: {given.dtype} {tuple(given.shape)}, "
                    f"expected {x.dtype} {tuple(x.shape)}"
                )
        for name, kept in self._kept.items():
            kept.copy_(tensors[name])
        cut = tensors["truncated"]
        self._final_obs[cut.to(self.kept_on)] = tensors["final_obs"][cut].to(self.kept_on)
        self._led_to.copy_(tensors["led_to"])
        self.steps = int(tensors["steps"][0])
        if self._tree is not None:
            rows = torch.arange(self._tree.capacity).expand(self.num_agents, -1)
            self._tree.set(rows, tensors["priority"])
            self._largest = tensors["largest_priority"].clone()
            self._in_tree = self._drawable()

    def _drawable(self) -> range:
        """Starts of whole sequences that are still stored, numbered from the first ever."""
        oldest = -(-max(0, self.steps - self.slots) // self.stride)
        newest = (self.steps - self.length - 1) // self.stride
        return range(oldest, max(oldest, newest + 1))

    def _gather(self, index: Tensor, weight: Tensor | None = None) -> Sequences:
        index = index.to(self.kept_on)
        start, env = index // self.num_envs, index % self.num_envs
        agent = torch.arange(self.num_agents, device=self.kept_on)[:, None]
        state = self._kept["state"][agent, start, env]
        time = torch.arange(self.length + 1, device=self.kept_on)[:, None]
        slots = (start[:, None] * self.stride + time).fmod(self.slots)
        place = (agent[..., None], slots, env[:, None])
        found = {name: x[place] for name, x in self._kept.items() if name != "state"}
        for name in ("action", "reward", "terminated", "truncated"):
            found[name] = found[name][:, :-1]
        cut = found["truncated"]
        if bool(cut.any()):
            final = self._final_obs[place][:, :-1]
            # What was never written may be no observation at all.
            never = ~cut.view(*cut.shape, *(1,) * (final.dim() - cut.dim()))
            found["final_obs"] = final.masked_fill(never, 0)
        drawn = {name: x.to(self.device) for name, x in found.items()}
        return Sequences(**drawn, state=state.to(self.device), index=index.cpu(), weight=weight)

    def _with_priorities(self) -> SumTree:
        """The tree, with exactly the sequences in it that can be drawn."""
        if self._tree is None:
            raise RuntimeError("this memory draws uniformly; build it with priorities")
        before, now = self._in_tree, self._drawable()
        gone = range(before.start, min(before.stop, now.start))
        come = range(max(before.stop, now.start), now.stop)
        for starts, priority in ((gone, torch.zeros_like(self._largest)), (come, self._largest)):
            if starts:
                rows = torch.arange(starts.start, starts.stop)[-self._starts :] % self._starts
                places = (rows[:, None] * self.num_envs + torch.arange(self.num_envs)).flatten()
                index = places.expand(self.num_agents, -1)
                self._tree.set(index, priority[:, None].expand(index.shape))
        self._in_tree = now
        return self._tree
