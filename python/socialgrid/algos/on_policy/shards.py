"""A batch dealt out to shards, and what is added up over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from socialgrid.algos.ranks import ALONE, Ranks
from socialgrid.algos.workers import Workers
from socialgrid.data.rollout import Rollout
from socialgrid.data.standing import Standing
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.recall import Recall

T = TypeVar("T")


def tree_sum(parts: Sequence[T], plus: Callable[[T, T], T]) -> T:
    """Add up along a balanced binary tree over the numbers of the parts.

    Sums of floats depend on their order. Of this one every half, quarter and so on is a sum by
    itself: whoever holds a whole branch can add it up alone, and the bits are the same.

    >>> tree_sum(["a", "b", "c", "d"], "({}{})".format)
    '((ab)(cd))'
    """
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return plus(tree_sum(parts[:half], plus), tree_sum(parts[half:], plus))


def added(parts: Sequence[Tensor]) -> Tensor:
    """``tree_sum`` of tensors of one shape."""
    return tree_sum(parts, torch.add)


class Shards:
    """A recorded batch, its environments dealt out to shards that threads compute side by side.

    Everything that is done row by row is done shard by shard, each by one thread; then neither
    results nor their bits depend on how many threads there are.

    Where several processes train the run, each has a part of the batch: as many of its shards as
    the others, one after the other.

    Attributes:
        count: how many shards the whole batch has, all of the same number of environments.
        first: number of the first one here.
        within: how many of them a part holds: one. On an accelerator, which divides the work
            itself, a single part holds all of them.
        parts: what is here of the batch, part by part.
        rollouts: what the parts were copied from.
        num_steps, num_envs: of what is here.
    """

    def __init__(
        self,
        rollout: Rollout,
        model: ActorCritic,
        device: torch.device,
        count: int = 1,
        workers: Workers | None = None,
        ranks: Ranks = ALONE,
        standing: Standing | None = None,
    ) -> None:
        """Copy a rollout to a device.

        Args:
            rollout: what was recorded here.
            model: the network of all its agents, as it acted.
            device: where to.
            count: number of shards, which can share the environments evenly, as ranks can them.
            workers: who computes.
            ranks: the processes that have parts of the batch.
            standing: where everything is to lie that may stay, where there is a single part.
        """
        self.count, here = count, count // ranks.size
        self.first = ranks.rank * here
        self.num_steps, self.num_envs = rollout.num_steps, rollout.num_envs
        self._workers, self._device, self._ranks = workers or Workers(1), device, ranks
        parts = here if device.type == "cpu" else 1
        self.within, each = here // parts, rollout.num_envs // parts
        self.rollouts = [rollout]
        if parts > 1:
            self.rollouts = [rollout.part(first, each) for first in range(0, self.num_envs, each)]

        def copied(part: Rollout) -> Recall:
            return Recall(part, model, device, standing)

        self.parts = self._workers.map(copied, self.rollouts, device)
        self._counts: Tensor | None = None

    def map(self, function: Callable[[int], T]) -> list[T]:
        """``function`` of every part's number, one beside the other, in the order of the parts."""
        return self._workers.map(function, range(len(self.parts)), self._device)

    def added(self, parts: Sequence[Tensor]) -> Tensor:
        """What tensors of every part come to, those of the other processes too."""
        return self._ranks.total([added(parts)])[0]

    def total(self, of: Callable[[Recall], Tensor]) -> Tensor:
        """What a small number of every part comes to."""
        return self.added([of(part) for part in self.parts])

    def counts(self) -> Tensor:
        """Steps in play, and those that the next view can be compared with, int64 ``[2, A]``."""
        if self._counts is None:
            counts = self.total(lambda part: part.flags[..., 1:].sum((0, 1)).t())
            self._counts = self.parts[0].standing.put("counts", counts)
        return self._counts

    def mean(self, of: Callable[[Recall], Tensor]) -> Tensor:
        """Mean ``[A]`` over the steps in play of something ``[T, E, A]`` of every part."""
        total = self.total(lambda part: (of(part) * part.mask).sum((0, 1)))
        return total / self.counts()[0].clamp(min=1)

    def last_state(self, model: ActorCritic) -> Tensor:
        """Memory after the last step, float32 ``[E, A, S]`` (resets not applied)."""
        return torch.cat(self.map(lambda k: self.parts[k].last_state(model)))
