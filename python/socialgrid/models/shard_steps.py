"""Steps along the gradients of one minibatch after the other in one compiled call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.data.sequences import SequenceBatch, Sequences
from socialgrid.models import kernels
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.adam import StackedAdam
from socialgrid.models.lessons import INGREDIENTS
from socialgrid.models.shard_lessons import (
    Lesson,
    given_minibatches,
    given_network,
    plan_for,
    told_of,
)
from socialgrid.models.walks import named_parameters

_DIVERGENCE = 3  # its place among the ingredients of a decision


@dataclass(frozen=True)
class Bounds:
    """What steps are held to.

    Attributes:
        divergence: of the actions' policy in a minibatch, beyond which an agent takes no step;
            infinite: there is none.
        norm: of gradients, likewise: longer ones are made shorter.
    """

    divergence: float
    norm: float


def descend(
    network: ActorCritic,
    lesson: Lesson,
    parts: Sequence[SequenceBatch],
    drawn: Sequences,
    places: Sequence[int],
    which: range,
    optimiser: StackedAdam,
    bounds: Bounds,
    threads: int,
) -> tuple[Tensor, Tensor] | None:
    """Take steps with one minibatch after the other, until somebody takes none.

    Args:
        network: of some agents.
        lesson: what is learnt.
        parts: the shards.
        drawn: all minibatches, of the members and others: starts and environments
            ``[drawn for, minibatches, S]``, counts ``[2, drawn for, minibatches]``.
        places: of the members among those drawn for.
        which: of the minibatches.
        optimiser: whose steps of the members are taken.
        bounds: what these are held to.
        threads: how many may compute.

    Returns:
        numbers ``[numbers, n, A]``, see ``lessons.of_rows``, of the ``n`` minibatches that
        everybody has learnt from, and who took a step with each, bool ``[n, A]``: all but those
        whom the bound stops in the last of them. Where ``n`` is less than there are and nobody was
        stopped, there is no compiled way with the next one, or a loss is not finite; nobody has
        moved in it. None: there is none at all.

    Raises:
        IndexError: there is no such tile, token, action or choice.
    """
    plan = plan_for(network, lesson, parts)
    if plan is None or len({p.data_ptr() for p in plan.parameters}) < len(plan.parameters):
        return None  # what is there twice has two gradients, but takes one step
    names = {id(p): name for name, p in named_parameters(network)}
    moments = [
        (optimiser.first[names[id(p)]], optimiser.second[names[id(p)]]) for p in plan.parameters
    ]
    every = [x for both in moments for x in both]
    if not kernels.usable(*every) or not all(x.is_contiguous() for x in every):
        return None
    assert kernels.KERNELS is not None
    found = torch.empty((told_of(lesson), len(which), len(drawn.members)), dtype=torch.float32)
    steps, rates, kept = optimiser.steps.tolist(), optimiser.rate.tolist(), list[Tensor]()
    divergence = 1 + INGREDIENTS * [*lesson.terms].index("action") + _DIVERGENCE
    try:
        done = kernels.KERNELS.learn_minibatches(
            given_network(network, plan, lesson, parts[0].views, ()),
            given_minibatches(parts, lesson, drawn, places, kept),
            (which.start, len(which)),
            found.data_ptr(),
            (
                [kernels.addresses(*both) for both in moments],
                [(a, steps[a], rates[a]) for a in drawn.members],
                (*optimiser.betas, optimiser.eps, bounds.norm),
            ),
            (divergence, bounds.divergence),
            threads,
        )
    finally:
        torch.autograd.graph.increment_version(plan.parameters)
    found = found[:, :done]
    stepping = ~(found[divergence].double() > bounds.divergence)
    optimiser.steps[[*drawn.members]] += stepping.sum(0)
    return found, stepping
