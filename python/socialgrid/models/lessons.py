"""Whole gradients of recurrent actor-critics in one compiled call.

From views to features, memory, decisions and predicted views and all the way back, without the
interpreter's lock. Where networks are put together otherwise, or views have too many different
tiles to be looked up, there is no such call: everything is then done layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.sequences import Minibatch
from socialgrid.models import kernels
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.deciding import Terms, numbers_of_rows
from socialgrid.models.decoder import Decoder
from socialgrid.models.encoding import Layer
from socialgrid.models.plans import Plan, plan_of


@dataclass(frozen=True)
class Comparison:
    """Views that are predicted of a minibatch.

    Attributes:
        decoder: by which branch.
        coef: of their error in the whole loss.
        views: some ``L`` steps ``[A, L, S, ...]`` of the minibatch's views.
        weight: float32 ``[A, L, S]``.
    """

    decoder: Decoder
    coef: float
    views: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Learnt:
    """What came out, float32 ``[A]`` each.

    Attributes:
        loss: with gradient.
        decisions: by name, weighted sums of policy_loss, value_loss, entropy, kl, clip_fraction.
        errors: of the predictions.
        models: of models of others, weighted sums of loss, right predictions and all predictions.
    """

    loss: Tensor
    decisions: dict[str, tuple[Tensor, ...]]
    errors: tuple[Tensor, ...]
    models: tuple[tuple[Tensor, ...], ...] = ()


INGREDIENTS, OF_MODELS = 5, 3


def learn(
    network: ActorCritic,
    part: Minibatch,
    terms: Mapping[str, Terms],
    predictions: Sequence[Comparison],
) -> Learnt | None:
    """Loss of every agent, and its gradients.

    Args:
        network: of the minibatch's agents.
        part: what to learn from.
        terms: what each decision costs, by name, in the order of the network's heads.
        predictions: what is predicted.

    Returns:
        None where there is no compiled way.

    Raises:
        IndexError: there is no such tile, token, action or choice.
    """
    plan = plan_of(network, [one.decoder for one in predictions])
    if plan is None or not kernels.usable(part.weight, part.state, *plan.parameters):
        return None
    if not all(p.requires_grad for p in plan.parameters):
        return None  # PyTorch says what it thinks of that
    if not _fits(network, part, terms, predictions):
        return None
    dense = all(x.is_contiguous() for x in (part.views, *plan.parameters))
    if part.views.dim() < 4 or not dense or part.state.stride(-1) != 1:
        return None
    assert kernels.KERNELS is not None
    agents = part.weight.shape[0]
    rows = 1 + INGREDIENTS * len(terms) + len(predictions)
    found = part.weight.new_empty((rows, agents))
    grads = None
    if torch.is_grad_enabled():
        grads = found.new_empty((agents, sum(plan.sizes)))
    places: list[int] = []
    if grads is not None:
        first, size = grads.data_ptr(), grads.element_size()
        places = [first + size * offset for offset in plan.offsets]
    reset, tokens = part.reset.contiguous(), None
    if network.hearing.columns and part.tokens is not None:
        tokens = part.tokens.contiguous()
    packed = [network.lstm.packed(backward) for backward in (False, True)]
    kept: list[Tensor] = []  # what addresses are of, until the call is done
    decisions = [_decision(network, name, one, part, plan, kept) for name, one in terms.items()]
    compared = [
        _prediction(network, one, layers, kept)
        for one, layers in zip(predictions, plan.predictions, strict=True)
    ]
    memory, spec, atlas = network.config.memory, network.spec, network.encoder.first.atlas
    state = part.state
    where = (
        *kernels.addresses(part.views, atlas, tokens, reset, state),
        state.data_ptr() + memory * state.element_size(),
        *kernels.addresses(*packed, found),
    )
    views = part.views
    sizes = (
        *(agents, part.weight.shape[1], part.weight.shape[2]),
        *(spec.rows, spec.cols, 3 * spec.tile_size**2),
        *(views.element_size() if len(atlas) else 0, len(atlas)),
        *(views.stride(0) * views.element_size(), network.config.features[-1], memory),
        *(state.stride(0), state.stride(1), state.stride(0), state.stride(1)),
    )
    channels = network.hearing.channels
    done = kernels.KERNELS.learn(
        *(where, sizes, plan.of_cells, plan.layers),
        [(one.columns, one.symbols) for one in channels] if tokens is not None else [],
        *(decisions, compared),
        *(kernels.addresses(*plan.parameters), plan.sizes),
        *(places, [] if grads is None else [grads.shape[1]] * len(places)),
        kernels.threads(),
    )
    if not done:
        return None
    learnt = of_rows(found, terms)
    if grads is not None:
        loss = _Known.apply(learnt.loss, grads, plan, *plan.parameters)  # type: ignore[no-untyped-call]
        learnt = replace(learnt, loss=loss)
    return learnt


def of_rows(rows: Tensor, names: Iterable[str], models: int = 0) -> Learnt:
    """What numbers ``[numbers, A]`` tell: the loss, those of every decision, errors, those of so
    many models of others.
    """
    loss, *each = rows.unbind(0)
    decisions = {}
    for name in names:
        decisions[name], each = tuple(each[:INGREDIENTS]), each[INGREDIENTS:]
    errors = len(each) - OF_MODELS * models
    of_models = [each[i : i + OF_MODELS] for i in range(errors, len(each), OF_MODELS)]
    return Learnt(loss, decisions, tuple(each[:errors]), tuple(map(tuple, of_models)))


class _Known(torch.autograd.Function):
    """A loss whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, grads: Tensor, plan: Plan, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(grads)
        ctx.plan = plan
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (known,) = ctx.saved_tensors
        plan, factor = ctx.plan, grads[0]
        if not bool((factor == 1.0).all()):  # as it is, but for weighted losses
            known = known * factor[:, None]
        parts = torch.split(known, plan.sizes, 1)
        own = (x.view(p.shape) for x, p in zip(parts, plan.parameters, strict=True))
        return None, None, None, *own


def _fits(
    network: ActorCritic,
    part: Minibatch,
    terms: Mapping[str, Terms],
    predictions: Sequence[Comparison],
) -> bool:
    """Whether everything lies as the kernels take it to, who are told addresses."""
    shape, (first, *_, last) = part.weight.shape, part.views.shape[:3]
    if part.views.shape[1] != shape[1] + 1 or (first, last) != (shape[0], shape[2]):
        return False
    tokens = part.tokens
    if network.hearing.columns and (tokens is None or tokens.dtype != torch.int16):
        return False
    made = [part.decisions[name] for name in terms]
    numbers = [x for one in made for x in (one.log_prob, one.advantage, one.target)]
    whole = all(one.choice.dtype == torch.int64 for one in made)
    seen = part.views[:, 1:]
    return (
        whole
        and all(
            x.shape == shape and x.dtype == torch.float32
            for x in (*numbers, *(one.weight for one in predictions))
        )
        and all(
            type(one.decoder) is Decoder
            and (one.views.dtype, one.views.shape, one.views.stride())
            == (seen.dtype, seen.shape, seen.stride())
            for one in predictions
        )
    )


def _decision(
    network: ActorCritic,
    name: str,
    terms: Terms,
    part: Minibatch,
    plan: Plan,
    kept: list[Tensor],
) -> tuple[Any, ...]:
    """As the kernel is told of a decision; what its addresses are of is kept."""
    made, weight = part.decisions[name], part.weight.contiguous()
    choice, choice_row = numbers_of_rows(made.choice)
    numbers, number_row = numbers_of_rows(made.log_prob, made.advantage, made.target)
    mask = network.action_mask if name == "action" else None
    kept += [*choice, *numbers, weight]
    clip = terms.clip if terms.kind == "clipped" else -1.0
    return (
        kernels.addresses(*choice, *numbers, weight, mask),
        (choice_row, number_row),
        (clip, terms.factor, terms.value_coef, terms.entropy_coef),
        *plan.heads[name],
    )


def _prediction(
    network: ActorCritic, one: Comparison, layers: list[Layer], kept: list[Tensor]
) -> tuple[Any, ...]:
    weight = one.weight.contiguous()
    kept.append(weight)
    where = kernels.addresses(one.views, weight)
    return where, (one.coef, one.decoder.slope), network.spec.num_actions, layers
