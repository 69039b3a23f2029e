"""Replay memory of independent learners that remember: sequences with stored states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from socialgrid.data.replay import Priorities, importance, in_shares, raised, storage_device
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

    Every copy of every agent's task has its own place in the ring, since agents may be in play in
    different steps: the steps in which one is follow each other there. A sequence of ``length``
    steps starts every ``stride`` steps of every copy, where the learner's memory was stored
    (Kapturowski et al. 2019, "stored state"). It may contain the ends of episodes; where a time
    limit cut one, the final observation is stored as well.
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
        self.steps = torch.zeros((num_agents, num_envs), dtype=torch.int64)
        """Steps of every copy ``[A, E]`` stored so far, forgotten ones counted."""
        self.priorities = priorities
        self._tree = SumTree(num_agents, self._starts * num_envs) if priorities else None
        self._largest = torch.ones(num_agents, dtype=torch.float64)
        # Sequences in the tree: the first of each copy, and how many, int64 [A, E].
        self._in_tree = self._drawable()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sequences of each agent that can be drawn."""
        return tuple(self._drawable()[1].sum(1).tolist())

    @property
    def size(self) -> int:
        """Sequences that can be drawn of every agent, the fewest if they differ."""
        return min(self.sizes)

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
        in_play: Tensor | None = None,
    ) -> None:
        """Store one step of every copy of every agent's task, all ``[A, E, ...]``.

        ``reset`` is set where an episode began with ``obs``; ``state`` is the memory before.
        ``next_obs``, what the step led to, is kept where ``truncated`` is set. Only what happened
        ``in_play``, bool ``[A, E]``, is stored; everything by default.
        """
        given = {
            "obs": obs,
            "reset": reset,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
        }
        if in_play is None:
            in_play = torch.ones(self.steps.shape, dtype=torch.bool)
        in_play = in_play.cpu()
        first = int(self.steps[0, 0])
        if bool(in_play.all()) and bool((self.steps == first).all()):
            slot = first % self.slots
            for name, x in given.items():
                self._kept[name][:, slot] = x
            if slot % self.stride == 0:
                self._kept["state"][:, slot // self.stride] = state
            self._led_to.copy_(next_obs)
        else:
            agent, env = in_play.nonzero(as_tuple=True)
            slots = self.steps[agent, env] % self.slots
            for name, x in given.items():
                self._put(name, (agent, slots, env), x)
            begins = slots % self.stride == 0
            agent, env, starts = agent[begins], env[begins], slots[begins] // self.stride
            self._put("state", (agent, starts, env), state)
            happened = in_play.to(self.kept_on)
            self._led_to[happened] = next_obs.to(self._led_to)[happened]
        cut = in_play & truncated.cpu()
        if bool(cut.any()):
            agent, env = cut.nonzero(as_tuple=True)
            slots = self.steps[agent, env] % self.slots
            self._final_obs[agent, slots, env] = next_obs[agent, env].to(self._final_obs)
        self.steps += in_play

    def _put(self, name: str, place: tuple[Tensor, Tensor, Tensor], x: Tensor) -> None:
        """Write what ``x`` [A, E, ...] has of some copies to places (agent, row, copy)."""
        kept = self._kept[name]
        kept[place] = x[place[0], place[2]].to(kept)

    def interrupt(self) -> None:
        """Cut off the episodes that the last steps left open: other ones follow."""
        agent, env = self.steps.nonzero(as_tuple=True)
        last = agent, (self.steps[agent, env] - 1) % self.slots, env
        kept = self._kept
        left_open = ~(kept["truncated"][last] | kept["terminated"][last]).cpu()
        agent, slots, env = (x[left_open] for x in last)
        kept["truncated"][agent, slots, env] = True
        self._final_obs[agent, slots, env] = self._led_to[agent, env]

    def sample(self, words: Tensor, beta: float | Tensor | None = None) -> Sequences:
        """Draw with replacement.

        Where no whole sequence is stored of an agent, its part of the batch means nothing.

        Args:
            words: int64 ``[A, B]``, random numbers from 0 to 2^32 - 1.
            beta: exponent of the importance weights, to draw by priority, one for all agents or
                float64 ``[A, 1]``; ``None``: uniformly.

        Raises:
            ValueError: no whole sequence is stored of anybody.
            RuntimeError: the memory was built without priorities.
        """
        first, counts = self._drawable()
        sizes = counts.sum(1)
        if not bool(sizes.any()):
            raise ValueError(f"no sequence of {self.length} steps is stored yet")
        if beta is None:
            return self._gather(self._places(words * sizes[:, None] >> 32, first, counts))
        tree = self._with_priorities()
        total = tree.total[:, None]
        index = tree.find(in_shares(words) * total)
        weight = importance(sizes, tree.get(index), total, beta)
        return self._gather(index, weight.to(self.device))

    def _places(self, drawn: Tensor, first: Tensor, counts: Tensor) -> Tensor:
        """Places of the sequences that are numbered ``drawn`` [A, B] among those of each agent.

        The oldest ones of all copies come first, then the next ones, as long as all copies have
        some; then what single copies have more than that.
        """
        envs = self.num_envs
        shared = counts.amin(1, keepdim=True)
        beyond = (drawn - shared * envs).clamp(min=0)
        ends = (counts - shared).cumsum(1)
        owner = torch.searchsorted(ends, beyond, right=True).clamp(max=envs - 1)
        before = (ends - (counts - shared)).gather(1, owner)
        together = drawn < shared * envs
        env = torch.where(together, drawn % envs, owner)
        age = torch.where(together, drawn // envs, shared + beyond - before)
        return (first.gather(1, env) + age) % self._starts * envs + env

    def set_priorities(
        self, index: Tensor, error: Tensor, agents: Sequence[bool] | None = None
    ) -> None:
        """Remember the temporal differences ``[A, B]`` that stand for drawn sequences.

        Args:
            index: int64 ``[A, B]``, as they were drawn.
            error: ``[A, B]``.
            agents: whose are meant; by default everybody's.

        Raises:
            RuntimeError: the memory was built without priorities.
        """
        tree = self._with_priorities()
        if self.priorities is None:
            raise AssertionError("a tree without priorities")
        self._largest = raised(tree, self._largest, self.priorities, index, error, agents)

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, where it lies and how it is drawn, CPU, every one ``[A, ...]``."""
        found = {name: x.cpu().clone() for name, x in self._kept.items()}
        cut = found["truncated"]
        found["final_obs"] = torch.zeros_like(found["obs"])
        found["final_obs"][cut] = self._final_obs.cpu()[cut]
        found["led_to"] = self._led_to.cpu().clone()
        found["steps"] = self.steps.clone()
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
        if int(tensors["steps"].min()) < 0:
            raise ValueError("replay memory's steps: must be 0 or more")
        for name, kept in self._kept.items():
            kept.copy_(tensors[name])
        cut = tensors["truncated"]
        self._final_obs[cut.to(self.kept_on)] = tensors["final_obs"][cut].to(self.kept_on)
        self._led_to.copy_(tensors["led_to"])
        self.steps = tensors["steps"].clone()
        if self._tree is not None:
            rows = torch.arange(self._tree.capacity).expand(self.num_agents, -1)
            self._tree.set(rows, tensors["priority"])
            self._largest = tensors["largest_priority"].clone()
            self._in_tree = self._drawable()

    def _drawable(self) -> tuple[Tensor, Tensor]:
        """Whole sequences that are still stored, by copy: the first, numbered from the first
        ever, and how many, int64 ``[A, E]`` each.
        """
        first = -(-(self.steps - self.slots).clamp(min=0) // self.stride)
        end = (self.steps - self.length - 1) // self.stride + 1
        return first, (end - first).clamp(min=0)

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
        (before, had), (now, have) = self._in_tree, self._drawable()
        nothing = torch.zeros_like(self._largest)
        self._mark(before, torch.minimum(had, (now - before).clamp(min=0)), nothing)
        come = torch.maximum(before + had, now)
        self._mark(come, now + have - come, self._largest)
        self._in_tree = now, have
        return self._tree

    def _mark(self, first: Tensor, counts: Tensor, priority: Tensor) -> None:
        """Give sequences from ``first`` on, ``counts`` of each copy, a priority float64 ``[A]``."""
        assert self._tree is not None, "a tree was looked for before"
        most = int(counts.max())
        if most <= 0:
            return
        number = torch.arange(most)[:, None]
        rows = (first[:, None] + number) % self._starts
        index = (rows * self.num_envs + torch.arange(self.num_envs)).flatten(1)
        meant = (number < counts[:, None]).flatten(1)
        kept = self._tree.get(index)
        self._tree.set(index, torch.where(meant, priority[:, None], kept))
