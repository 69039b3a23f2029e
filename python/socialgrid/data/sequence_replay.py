"""Replay memory of independent learners that remember: sequences with stored states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
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
from socialgrid.data.replay import storage_device
from socialgrid.data.sum_tree import SumTree, priority_dtype


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
        # What can be drawn after these steps, which is asked several times.
        self._known: tuple[Tensor, int, tuple[Tensor, Tensor]] | None = None
        self.priorities = priorities
        items = self._starts * num_envs
        self._tree = SumTree(num_agents, items, self.device) if priorities else None
        self._largest = largest_at_first(num_agents, self.device)
        self.cut = False
        """Whether any stored step may be truncated."""
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
            "state": state,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
        }
        if in_play is None:
            in_play = torch.ones(self.steps.shape, dtype=torch.bool)
        in_play = in_play.cpu()
        cut = in_play & truncated.cpu()
        there = sent(self.kept_on, next_obs, *given.values())
        next_obs, given = there[0], dict(zip(given, there[1:], strict=True))
        first = int(self.steps[0, 0])
        if bool(in_play.all()) and bool((self.steps == first).all()):
            slot = first % self.slots
            state = given.pop("state")
            for name, x in given.items():
                self._kept[name][:, slot] = x
            if slot % self.stride == 0:
                self._kept["state"][:, slot // self.stride] = state
            self._led_to.copy_(next_obs)
        else:
            self._add_some(given, next_obs, in_play)
        if bool(cut.any()):
            self.cut = True
            agent, env = cut.nonzero(as_tuple=True)
            slots = self.steps[agent, env] % self.slots
            agent, slots, env = sent(self.kept_on, agent, slots, env)
            self._final_obs[agent, slots, env] = next_obs[agent, env].to(self._final_obs)
        self.steps += in_play

    def _add_some(self, given: Mapping[str, Tensor], next_obs: Tensor, in_play: Tensor) -> None:
        """Store of everything that lies where the memory does what happened ``in_play``."""
        agent, env = in_play.nonzero(as_tuple=True)
        slots = self.steps[agent, env] % self.slots
        begins = slots % self.stride == 0
        begun = agent[begins], slots[begins] // self.stride, env[begins]
        places = sent(self.kept_on, agent, slots, env, *begun)
        for name, x in given.items():
            who, row, copy = places[3:] if name == "state" else places[:3]
            kept = self._kept[name]
            kept[who, row, copy] = x[who, copy].to(kept)
        agent, _, env = places[:3]
        self._led_to[agent, env] = next_obs[agent, env].to(self._led_to)

    def interrupt(self) -> None:
        """Cut off the episodes that the last steps left open: other ones follow."""
        agent, env = self.steps.nonzero(as_tuple=True)
        slots = (self.steps[agent, env] - 1) % self.slots
        agent, slots, env = last = sent(self.kept_on, agent, slots, env)
        kept = self._kept
        ended = kept["truncated"][tuple(last)] | kept["terminated"][tuple(last)]
        kept["truncated"][tuple(last)] |= ~ended
        # What led to the end of an episode is its final observation already, or is not used.
        self._final_obs[agent, slots, env] = self._led_to[agent, env]
        self.cut = True

    def sample(self, words: Tensor, beta: float | Tensor | None = None) -> Sequences:
        """Draw with replacement.

        Where no whole sequence is stored of an agent, its part of the batch means nothing.

        Args:
            words: int64 ``[A, B]``, random numbers from 0 to 2^32 - 1.
            beta: exponent of the importance weights, to draw by priority, one for all agents or
                ``[A, 1]`` of ``priority_dtype``; ``None``: uniformly.

        Raises:
            ValueError: no whole sequence is stored of anybody.
            RuntimeError: the memory was built without priorities.
        """
        if beta is None:
            return self.at(self.places(words))
        return self.at(*self.places_by_priority(words, beta))

    def places(self, words: Tensor) -> Tensor:
        """Where the sequences lie that ``sample`` draws uniformly, int64 ``[A, B]``; see there."""
        self._check_filled()
        first, counts = self._drawable()
        return self._numbered(words * counts.sum(1)[:, None] >> 32, first, counts)

    def places_by_priority(self, words: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
        """Where the sequences lie that ``sample`` draws by priority, int64 ``[A, B]``, and their
        importance weights, float32 ``[A, B]``; see there.
        """
        self._check_filled()
        self.catch_up()
        sizes, shares = sent(self.device, torch.tensor(self.sizes), self.shares(words))
        return self.draw(shares, sizes, beta)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored, as compiled kernels are given it, where it lies on the CPU: the same
        memory, each observation a row of bytes.
        """
        found: dict[str, NDArray[Any]] = {name: x.numpy() for name, x in self._kept.items()}
        for name, x in (("obs", self._kept["obs"]), ("final_obs", self._final_obs)):
            found[name] = x.flatten(3).numpy().view(np.uint8)
        return found

    @property
    def obs_dtype(self) -> torch.dtype:
        """Of stored observations."""
        return self._kept["obs"].dtype

    def shares(self, words: Tensor) -> Tensor:
        """What ``draw`` draws by, on the CPU: see ``in_shares``."""
        return in_shares(words).to(priority_dtype(self.device))

    def draw(self, shares: Tensor, sizes: Tensor, beta: float | Tensor) -> tuple[Tensor, Tensor]:
        """Draw by priority; see ``Replay.draw``."""
        tree = self._with_priorities()
        total = tree.total[:, None]
        index = tree.find(shares * total)
        return index, importance(sizes, tree.get(index), total, beta)

    def _check_filled(self) -> None:
        if not any(self.sizes):
            raise ValueError(f"no sequence of {self.length} steps is stored yet")

    def _numbered(self, drawn: Tensor, first: Tensor, counts: Tensor) -> Tensor:
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
        self, index: Tensor, error: Tensor, agents: Sequence[bool] | Tensor | None = None
    ) -> None:
        """Remember the temporal differences ``[A, B]`` that stand for drawn sequences.

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

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, where it lies and how it is drawn, CPU, every one ``[A, ...]``."""
        found = {name: x.cpu().clone() for name, x in self._kept.items()}
        cut = found["truncated"]
        found["final_obs"] = torch.zeros_like(found["obs"])
        found["final_obs"][cut] = self._final_obs.cpu()[cut]
        found["led_to"] = self._led_to.cpu().clone()
        found["steps"] = self.steps.clone()
        if self._tree is not None:
            self.catch_up()
            rows = torch.arange(self._tree.capacity, device=self.device)
            priority = self._tree.get(rows.expand(self.num_agents, -1))
            known = {"priority": priority, "largest_priority": self._largest}
            found |= {name: x.to("cpu", torch.float64, copy=True) for name, x in known.items()}
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
        self.cut = bool(cut.any())
        self._final_obs[cut.to(self.kept_on)] = tensors["final_obs"][cut].to(self.kept_on)
        self._led_to.copy_(tensors["led_to"])
        self.steps = tensors["steps"].clone()
        if self._tree is not None:
            rows = torch.arange(self._tree.capacity).expand(self.num_agents, -1)
            self._tree.set(*sent(self.device, rows, tensors["priority"]))
            self._largest.copy_(tensors["largest_priority"])
            self._in_tree = self._drawable()

    def _drawable(self) -> tuple[Tensor, Tensor]:
        """Whole sequences that are still stored, by copy: the first, numbered from the first
        ever, and how many, int64 ``[A, E]`` each.
        """
        key = self.steps, self.steps._version
        if self._known is None or self._known[0] is not key[0] or self._known[1] != key[1]:
            first = -(-(self.steps - self.slots).clamp(min=0) // self.stride)
            end = (self.steps - self.length - 1) // self.stride + 1
            self._known = *key, (first, (end - first).clamp(min=0))
        return self._known[2]

    def at(self, index: Tensor, weight: Tensor | None = None) -> Sequences:
        """The sequences at places ``index`` int64 ``[A, B]``, of these importance weights."""
        place = index.to(self.kept_on)
        start, env = place // self.num_envs, place % self.num_envs
        agent = torch.arange(self.num_agents, device=self.kept_on)[:, None]
        state = self._kept["state"][agent, start, env]
        time = torch.arange(self.length + 1, device=self.kept_on)[:, None]
        slots = (start[:, None] * self.stride + time).fmod(self.slots)
        where = (agent[..., None], slots, env[:, None])
        found = {name: x[where] for name, x in self._kept.items() if name != "state"}
        for name in ("action", "reward", "terminated", "truncated"):
            found[name] = found[name][:, :-1]
        cut = found["truncated"]
        # Nobody asks an accelerator what it has drawn.
        if bool(cut.any()) if cut.device.type == "cpu" else self.cut:
            final = self._final_obs[where][:, :-1]
            # What was never written may be no observation at all.
            never = ~cut.view(*cut.shape, *(1,) * (final.dim() - cut.dim()))
            found["final_obs"] = final.masked_fill(never, 0)
        found["state"] = state
        drawn = dict(zip(found, sent(self.device, *found.values()), strict=True))
        return Sequences(**drawn, index=index, weight=weight)

    def _with_priorities(self) -> SumTree:
        if self._tree is None:
            raise RuntimeError("this memory draws uniformly; build it with priorities")
        return self._tree

    def catch_up(self) -> None:
        """Let exactly those sequences have priorities that can be drawn.

        Raises:
            RuntimeError: the memory was built without priorities.
        """
        self._with_priorities()
        (before, had), (now, have) = self._in_tree, self._drawable()
        self._mark(before, torch.minimum(had, (now - before).clamp(min=0)), None)
        come = torch.maximum(before + had, now)
        self._mark(come, now + have - come, self._largest)
        self._in_tree = now, have

    def _mark(self, first: Tensor, counts: Tensor, priority: Tensor | None) -> None:
        """Give sequences from ``first`` on, ``counts`` of each copy, a priority ``[A]`` or none."""
        tree, most = self._with_priorities(), int(counts.max())
        if most <= 0:
            return
        number = torch.arange(most)[:, None]
        rows = (first[:, None] + number) % self._starts
        index = (rows * self.num_envs + torch.arange(self.num_envs)).flatten(1)
        meant = (number < counts[:, None]).flatten(1)
        index, meant = sent(self.device, index, meant)
        known = tree.get(index)
        given = torch.zeros_like(known) if priority is None else priority[:, None]
        tree.set(index, torch.where(meant, given, known))
