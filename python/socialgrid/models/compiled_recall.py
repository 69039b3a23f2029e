"""What networks make of a recorded batch in one compiled call: memories, values, what comes after.

Nothing is copied but what kernels read at a time; there are as many results as there were before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
    parts = ends.tokens, ends.index, ends.final_views, ends.final_tokens
    given = [x.contiguous() for x in parts]
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
