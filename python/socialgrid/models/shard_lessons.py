"""Gradients of whole minibatches in one compiled call, read from the batches where they lie.

What every shard's sequences teach is added up along a binary tree over the shards. Threads take
shards of agents one after the other, without the interpreter's lock; no bit depends on how many
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.sequences import SequenceBatch, Sequences
from socialgrid.models import kernels
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.deciding import Terms
from socialgrid.models.decoder import Decoder
from socialgrid.models.heads import Head
from socialgrid.models.lessons import INGREDIENTS, OF_MODELS
from socialgrid.models.moa import ModelOfOthers
from socialgrid.models.plans import Plan, plan_of


@dataclass(frozen=True)
class Predicted:
    """A prediction of views.

    Attributes:
        decoder: by which branch.
        coef: of its error in the whole loss.
        following: whether it is of the view after each step; else of the present one.
    """

    decoder: Decoder
    coef: float
    following: bool


@dataclass(frozen=True)
class Modelled:
    """Others' next actions, predicted from what a batch keeps as ``extras`` and ``memories``.

    Attributes:
        model: by which branch; memories have its name.
        coef: of the cross-entropy in the whole loss.
        visible_only: whether only predictions of visible agents count.
    """

    model: ModelOfOthers
    coef: float
    visible_only: bool


@dataclass(frozen=True)
class Lesson:
    """What is learnt.

    Attributes:
        terms: what each decision costs, by name, in the order of the network's heads.
        predictions: what is predicted.
        models: one model of others or none.
    """

    terms: Mapping[str, Terms]
    predictions: Sequence[Predicted]
    models: Sequence[Modelled] = ()


@dataclass(frozen=True)
class Taught:
    """What came out.

    Attributes:
        rows: numbers ``[numbers, A]``, see ``lessons.of_rows``.
        parameters: that have gradients.
        grads: theirs, one after the other, each ``[A, ...]``, float32 of one axis.
    """

    rows: Tensor
    parameters: Sequence[torch.nn.Parameter]
    grads: Tensor

    def each(self) -> list[Tensor]:
        """Gradients as the parameters lie."""
        parts = torch.split(self.grads, [p.numel() for p in self.parameters])
        return [x.view(p.shape) for x, p in zip(parts, self.parameters, strict=True)]


def teach(
    network: ActorCritic,
    lesson: Lesson,
    parts: Sequence[SequenceBatch],
    sequences: Sequences,
    threads: int,
) -> Taught | None:
    """Losses and gradients of a minibatch.

    Args:
        network: of some agents.
        lesson: what is learnt.
        parts: the shards.
        sequences: which of them.
        threads: how many may compute.

    Returns:
        None where there is no compiled way.

    Raises:
        IndexError: there is no such tile, token, action or choice.
    """
    plan = plan_for(network, lesson, parts)
    if plan is None:
        return None
    assert kernels.KERNELS is not None
    agents = len(sequences.members)
    found = torch.empty((told_of(lesson), agents), dtype=torch.float32)
    grads = torch.empty(agents * sum(plan.sizes), dtype=torch.float32)
    first, size = grads.data_ptr(), grads.element_size()
    memory, kept = packed(network, lesson), list[Tensor]()
    done = kernels.KERNELS.learn_shards(
        given_network(network, plan, lesson, parts[0].views, memory),
        given_minibatches(parts, lesson, sequences, range(agents), kept),
        found.data_ptr(),
        [first + size * agents * offset for offset in plan.offsets],
        threads,
    )
    if not done:
        return None
    return Taught(found, plan.parameters, grads)


def plan_for(network: ActorCritic, lesson: Lesson, parts: Sequence[SequenceBatch]) -> Plan | None:
    """How a network is put together that learns a lesson from shards; None: not as kernels know it,
    or the shards do not lie as these take them to.
    """
    decoders, models = ([x.decoder for x in lesson.predictions], [x.model for x in lesson.models])
    plan = plan_of(network, decoders, models)
    fits = all(type(x) is Decoder for x in decoders)
    fits &= all(type(x) is ModelOfOthers and type(x.head) is Head for x in models)
    fits &= all(_models_usable(part, one.model) for part in parts for one in lesson.models)
    alike = [*parts[0].decisions] == [*lesson.terms]
    if plan is None or not fits or not alike or not usable(network, plan, parts):
        return None
    # Of what is kept from learning PyTorch says that it cannot be differentiated.
    return plan if all(p.requires_grad for p in plan.parameters) else None


def told_of(lesson: Lesson) -> int:
    """How many numbers are told of each lesson, see ``lessons.of_rows``."""
    numbers = INGREDIENTS * len(lesson.terms), OF_MODELS * len(lesson.models)
    return 1 + sum(numbers) + len(lesson.predictions)


def given_minibatches(
    parts: Sequence[SequenceBatch],
    lesson: Lesson,
    drawn: Sequences,
    places: Sequence[int],
    kept: list[Tensor],
) -> tuple[Any, ...]:
    """Minibatches of shards as kernels are told of them.

    Args:
        parts: the shards.
        lesson: what is learnt.
        drawn: one minibatch, or all of them: then starts and environments are
            ``[drawn for, minibatches, S]`` and counts ``[2, drawn for, minibatches]``.
        places: of the members among those drawn for.
        kept: what addresses are of, added; the caller holds on to it.
    """
    *drawn_for, sequences = drawn.starts[0].shape
    agents, minibatches = drawn_for if len(drawn_for) > 1 else (*drawn_for, 1)
    where = [
        (s.contiguous(), e.contiguous()) for s, e in zip(drawn.starts, drawn.envs, strict=True)
    ]
    scales = (1.0 / drawn.counts.clamp(min=1)).to(torch.float32).contiguous()
    kept += [scales, *(x for both in where for x in both)]
    return (
        batch_sizes(parts[0]),
        [
            (batch_addresses(part), *kernels.addresses(*both), _of_models_at(part, lesson, kept))
            for part, both in zip(parts, where, strict=True)
        ],
        *([*drawn.members], [*places]),
        (agents, minibatches, sequences, drawn.length, drawn.piece),
        scales.data_ptr(),
    )


def packed(network: ActorCritic, lesson: Lesson | None = None) -> list[Tensor]:
    """Weights of the memories of a network, and of a lesson's models, as kernels read them, forward
    and backward. Another thread may have them made again at the same time.
    """
    models = [] if lesson is None else [one.model.lstm for one in lesson.models]
    every = network.lstm, *models
    return [lstm.packed(backward) for lstm in every for backward in (False, True)]


def given_network(
    network: ActorCritic,
    plan: Plan,
    lesson: Lesson,
    views: Tensor,
    packed: Sequence[Tensor],
) -> tuple[Any, ...]:
    """A network as kernels are told of it, who read views like these.

    Args:
        network: the network.
        plan: how it is put together.
        lesson: what is learnt of it.
        views: some.
        packed: its memories' weights, see ``packed``, which the caller holds on to; nothing where
            kernels pack them.
    """
    memories: Sequence[Tensor | None] = packed or [None] * (2 + 2 * len(lesson.models))
    spec, atlas = network.spec, network.encoder.first.atlas
    decisions = []
    for name, terms in lesson.terms.items():
        clip = terms.clip if terms.kind == "clipped" else -1.0
        costs = clip, terms.factor, terms.value_coef, terms.entropy_coef
        mask = network.action_mask.data_ptr() if name == "action" else 0
        decisions.append((mask, costs, *plan.heads[name]))
    predictions = [
        (one.following, (one.coef, one.decoder.slope), spec.num_actions, layers)
        for one, layers in zip(lesson.predictions, plan.predictions, strict=True)
    ]
    models = []
    for i, (one, (project, head)) in enumerate(zip(lesson.models, plan.models, strict=True)):
        moa = one.model
        sizes = len(plan.layers) - len(network.encoder.project), moa.world, moa.num_actions
        mask, slots = moa.action_mask.data_ptr(), [*network.own_slots]
        told = mask, (*sizes, moa.memory), one.coef, one.visible_only, slots, project, head
        models.append((told, kernels.addresses(*memories[2 + 2 * i : 4 + 2 * i])))
    return (
        kernels.addresses(atlas, *memories[:2]),
        (
            *(spec.rows, spec.cols, 3 * spec.tile_size**2),
            *(views.element_size() if len(atlas) else 0, len(atlas)),
            *(network.config.features[-1], network.config.memory),
        ),
        *(plan.of_cells, plan.layers),
        [(one.columns, one.symbols) for one in network.hearing.channels],
        *(decisions, predictions),
        *(kernels.addresses(*plan.parameters), plan.sizes),
        models,
    )


def batch_sizes(part: SequenceBatch) -> tuple[int, ...]:
    """Sizes of a batch as kernels are told of them."""
    view = part.views[0, 0, 0].numel() * part.views.element_size()
    numbers = part.state.shape[-1], len(part.decisions), part.tokens.shape[-1]
    apart = part.state.stride(0)
    return (part.num_steps, part.num_envs, part.num_agents, view, *numbers, apart)


def batch_addresses(part: SequenceBatch) -> tuple[int, ...]:
    """Where a batch lies."""
    return kernels.addresses(
        *(part.views, part.state, part.flags, part.choices, part.judgements, part.tokens)
    )


def _of_models_at(part: SequenceBatch, lesson: Lesson, kept: list[Tensor]) -> tuple[int, ...]:
    """Where lies what models of others learn from; what that is of is kept."""
    if not lesson.models:
        return (0, 0, 0, 0)
    dense = [x.contiguous() for x in _of_models(part)]
    kept += dense
    return kernels.addresses(*dense)


def _of_models(part: SequenceBatch) -> list[Tensor]:
    """What a model of others learns from, as ``ModelledInfluence`` keeps it."""
    extras = [part.extras[name] for name in ("taken", "next_taken", "visible")]
    return [*extras, part.memories["moa"]]


def _models_usable(part: SequenceBatch, moa: ModelOfOthers) -> bool:
    """Whether what a model of others learns from lies as kernels take it to."""
    taken, following, visible, memory = every = _of_models(part)
    steps, envs, agents = part.num_steps, part.num_envs, part.num_agents
    own, seen = (steps, envs, 1, moa.world), (envs, agents, moa.world)
    return (
        all(x.device.type == "cpu" for x in every)
        and all(x.dtype == torch.int64 and x.shape == own for x in (taken, following))
        and (visible.dtype, *visible.shape[1:]) == (torch.uint8, *seen)
        and len(visible) >= steps
        and (memory.dtype, *memory.shape) == (torch.float32, steps, envs, agents, moa.state_size)
    )


def usable(network: ActorCritic, plan: Plan, parts: Sequence[SequenceBatch]) -> bool:
    """Whether everything lies as the kernels take it to, who are told addresses."""
    states, judgements = [part.state for part in parts], [part.judgements for part in parts]
    whole = [part.choices for part in parts]
    hearing = [part.tokens for part in parts if network.hearing.columns]
    flags = [part.flags for part in parts]
    dense = (*plan.parameters, *judgements, *whole, *hearing, *flags, *(p.views for p in parts))
    return (
        kernels.usable(*plan.parameters, *states, *judgements)
        and all(x[0].is_contiguous() for x in states)
        and len({x.stride(0) for x in states}) == 1
        and all(x.dtype == torch.int64 for x in whole)
        and all(x.dtype == torch.int16 for x in hearing)
        and all(x.dtype == torch.bool for x in flags)
        and all(x.is_contiguous() for x in dense)
    )
