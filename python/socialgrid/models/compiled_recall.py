"""What networks make of a recorded batch in one compiled call: memories, values, what comes after.

Nothing is copied but what kernels read at a time; there are as many results as there were before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.returns import Discounting
from socialgrid.data.sequences import SequenceBatch
from socialgrid.models import kernels
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.deciding import Terms
from socialgrid.models.plans import Plan, plan_of
from socialgrid.models.shard_lessons import (
    Lesson,
    batch_addresses,
    batch_sizes,
    given_network,
    packed,
    usable,
)


@dataclass(frozen=True)
class Ends:
    """What steps do not show of what came after them.

    Attributes:
        tokens: heard after the last step, int16 ``[E, A, K]``.
        index: steps and environments in which episodes ended, int64 ``[F, 2]``.
        final_views: prepared, ``[F, A, ...]``.
        final_tokens: int16 ``[F, A, K]``.
    """

    tokens: Tensor
    index: Tensor
    final_views: Tensor
    final_tokens: Tensor

    def each(self) -> tuple[Tensor, ...]:
        """In this order."""
        return self.tokens, self.index, self.final_views, self.final_tokens


def refresh(
    network: ActorCritic,
    part: SequenceBatch,
    members: Sequence[int],
    block: int,
    log_probs: Tensor | None,
) -> bool:
    """Recompute memories and values of a batch, in place.

    Args:
        network: of the members.
        part: the batch.
        members: columns.
        block: steps at a time.
        log_probs: float32 ``[T, E, len(members)]``, written: of the recorded actions.

    Returns:
        whether there is a compiled way; otherwise nothing is promised of memories after the first
        step, nor of values.

    Raises:
        IndexError: there is no such tile, token or action.
    """
    plan = _plan(network, part)
    if plan is None:
        return False
    assert kernels.KERNELS is not None
    memory = packed(network)
    return kernels.KERNELS.refresh(
        given_network(network, plan, _values_of(network), part.views, memory),
        *(batch_sizes(part), batch_addresses(part)),
        *([*members], block),
        kernels.addresses(*(part.values[name] for name in network.heads)),
        0 if log_probs is None else log_probs.data_ptr(),
        kernels.threads(),
    )


def foresee(
    network: ActorCritic, part: SequenceBatch, members: Sequence[int], ends: Ends
) -> dict[str, tuple[Tensor, Tensor]] | None:
    """Values of what comes after steps, by decision, from stored memories.

    Args:
        network: of the members.
        part: the batch.
        members: columns.
        ends: what came after.

    Returns:
        ``[E, len(members)]`` after the last steps and ``[F, len(members)]`` at the ends of
        episodes; None where there is no compiled way.

    Raises:
        IndexError: there is no such tile or token.
    """
    plan = _plan(network, part)
    if plan is None:
        return None
    given = [x.contiguous() for x in ends.each()]
    assert kernels.KERNELS is not None
    heads, agents = [*network.heads], len(members)
    last = torch.empty((len(heads), part.num_envs, agents), dtype=torch.float32)
    final = torch.empty((len(heads), len(ends.index), agents), dtype=torch.float32)
    memory = packed(network)
    done = kernels.KERNELS.foresee(
        given_network(network, plan, _values_of(network), part.views, memory),
        *(batch_sizes(part), batch_addresses(part), [*members]),
        kernels.addresses(*given, last, final),
        len(ends.index),
        kernels.threads(),
    )
    return {n: (last[i], final[i]) for i, n in enumerate(heads)} if done else None


def estimate(
    network: ActorCritic,
    parts: Sequence[SequenceBatch],
    ends: Sequence[Ends],
    members: Sequence[int],
    block: int,
    by: Discounting,
    threads: int,
) -> bool:
    """Advantages and value targets of all shards, in place.

    Args:
        network: of the members.
        parts: the shards, with rewards.
        ends: of each.
        members: columns.
        block: steps at a time in which memories and values are recomputed before; 0: they are not.
        by: how rewards count.
        threads: how many may compute.

    Returns:
        whether there is a compiled way; otherwise all is to be done again.

    Raises:
        IndexError: there is no such tile, token or action.
    """
    plans = [_plan(network, part) for part in parts]
    if plans[0] is None or None in plans or not all(_judgeable(network, part) for part in parts):
        return False
    assert kernels.KERNELS is not None
    if block:
        # Of everybody, and nothing else than what is computed anew.
        alone = len(members) == parts[0].num_agents
        alone &= parts[0].state.shape[-1] == 2 * network.config.memory
        for part in parts:
            part.own_state(first_only=alone)
    memory, kept = packed(network), list[Tensor]()
    return kernels.KERNELS.estimate(
        given_network(network, plans[0], _values_of(network), parts[0].views, memory),
        batch_sizes(parts[0]),
        [_course(network, part, own, kept) for part, own in zip(parts, ends, strict=True)],
        *([*members], block),
        ((by.gamma, by.lam), by.delta == "public", by.target == "discounted_return"),
        threads,
    )


def _judgeable(network: ActorCritic, part: SequenceBatch) -> bool:
    """Whether kernels can read what steps of a batch were rewarded with."""
    rewards = [part.rewards.get(name) for name in network.heads]
    flags = part.terminated, part.truncated, part.continues
    whole = part.terminated.shape  # others, that PyTorch would expand, have no row of each agent
    return (
        len(part.rewards) == len(rewards)
        and all(x is not None and kernels.usable(x) and x.shape == whole for x in rewards)
        and all(x.dtype == torch.bool for x in flags)
    )


def _course(
    network: ActorCritic, part: SequenceBatch, ends: Ends, kept: list[Tensor]
) -> tuple[Any, ...]:
    """A shard as the kernel is told of it; what its addresses are of is kept."""
    after = [x.contiguous() for x in ends.each()]
    kept += after
    return (
        batch_addresses(part),
        kernels.addresses(*(part.values[name] for name in network.heads)),
        [_rows(part.rewards[name]) for name in network.heads],
        [_rows(x) for x in (part.terminated, part.truncated, part.continues)],
        kernels.addresses(*after),
        len(part.final_index),
        _rows(part.final_slots.unsqueeze(-1)),
    )


def _rows(x: Tensor) -> tuple[int, tuple[int, ...]]:
    return x.data_ptr(), x.stride()


def _plan(network: ActorCritic, part: SequenceBatch) -> Plan | None:
    plan = plan_of(network)
    if plan is None or not usable(network, plan, [part]):
        return None
    values = [x for name in network.heads if (x := part.values.get(name)) is not None]
    fits = len(values) == len(network.heads) and [*part.decisions] == [*network.heads]
    dense = all(x.dtype == torch.float32 and x.is_contiguous() for x in values)
    return plan if fits and dense else None


def _values_of(network: ActorCritic) -> Lesson:
    """Nothing is learnt; decisions are valued."""
    terms: Mapping[str, Terms] = dict.fromkeys(
        network.heads, Terms("policy gradient", 0.0, 0.0, 0.0, 0.0)
    )
    return Lesson(terms, ())
