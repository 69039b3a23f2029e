"""Losses of policies and values in one compiled call, with their gradients.

An algorithm's ``policy_loss`` may say by ``compiled`` that there is a kernel for it. It is the
method itself that says so: whoever overrides it is asked in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from socialgrid.data.sequences import Judged
from socialgrid.models import kernels
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.decision import DecisionHeads
from socialgrid.models.encoding import Layer
from socialgrid.models.heads import Head
from socialgrid.models.layers import StackedLinear
from socialgrid.models.walks import heard

Kind = Literal["clipped", "policy gradient"]
_Loss = TypeVar("_Loss", bound=Callable[..., Any])


def compiled(kind: Kind) -> Callable[[_Loss], _Loss]:
    """Say that a method computes what a kernel does: PPO's clipped loss with the numbers ``kl`` and
    ``clip_fraction``, or the loss of the policy gradient with none.
    """

    def mark(method: _Loss) -> _Loss:
        method.compiled = kind  # type: ignore[attr-defined]
        return method

    return mark


def kind_of(method: Callable[..., Any]) -> Kind | None:
    """What it was marked as, if it was."""
    found: Kind | None = getattr(method, "compiled", None)
    return found


@dataclass(frozen=True)
class Terms:
    """How losses of a decision add up: factor * (policy + value_coef * value) - entropy_coef *
    entropy.

    Attributes:
        kind: of the policy's loss.
        clip: of PPO's ratios, above and below 1.
    """

    kind: Kind
    clip: float
    factor: float
    value_coef: float
    entropy_coef: float


@dataclass(frozen=True)
class Losses:
    """Weighted sums float32 ``[A]``.

    Attributes:
        whole: with gradient.
        others: policy_loss, value_loss, entropy, kl, clip_fraction; the last two are PPO's.
    """

    whole: Tensor
    others: tuple[Tensor, ...]


def usable(core: Tensor, heads: ActorCritic | DecisionHeads) -> bool:
    """Whether kernels can judge what these heads decide."""
    parts = heads.policy_head, heads.value_head
    own = (p for head in parts for p in head.parameters())
    return kernels.usable(core, *own) and not any(map(heard, parts))


def losses(
    core: Tensor,
    heads: ActorCritic | DecisionHeads,
    made: Judged,
    weight: Tensor,
    terms: Terms,
) -> Losses:
    """What decisions cost.

    Args:
        core: ``[A, N, memory]``.
        heads: what made them.
        made: ``[A, L, S]`` of ``N`` in all.
        weight: ``[A, N]``.
        terms: what is added up.

    Raises:
        IndexError: there is no such choice.
    """
    mask = heads.action_mask if isinstance(heads, ActorCritic) else None
    parts = heads.policy_head, heads.value_head
    weights = [x for head in parts for layer in head.layers for x in (layer.weight, layer.bias)]
    whole, others = _Losses.apply(  # type: ignore[no-untyped-call]
        core,
        made,
        weight,
        mask,
        terms,
        (layers_of_head(parts[0]), layers_of_head(parts[1])),
        *weights,
    )
    return Losses(whole, others.unbind(0))


def layers_of_head(head: Head) -> list[Layer]:
    """A head as the compiled kernels know it."""
    found: list[Layer] = []
    for layer in head.layers:
        assert isinstance(layer, StackedLinear)
        outputs, inputs = layer.weight.shape[1:]
        found.append((1, 1, inputs, outputs, 1, 1.0, layer.tanh))
    return found


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        core: Tensor,
        made: Judged,
        weight: Tensor,
        mask: Tensor | None,
        terms: Terms,
        layers: tuple[Sequence[Layer], Sequence[Layer]],
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        assert kernels.KERNELS is not None
        agents, count, _ = core.shape
        core, weight, *own = (x.contiguous() for x in (core, weight, *weights))
        choice, choice_row = numbers_of_rows(made.choice)
        numbers, number_row = numbers_of_rows(made.log_prob, made.advantage, made.target)
        sizes = [x[0].numel() for x in own]
        found = core.new_empty((6, agents))
        d_core, grads = None, core.new_empty((agents, 0))
        if any(ctx.needs_input_grad):
            d_core, grads = torch.empty_like(core), core.new_empty((agents, sum(sizes)))
        parts = torch.split(grads, sizes, 1) if d_core is not None else ()
        kernels.KERNELS.decide(
            kernels.addresses(core, *choice, *numbers, weight, mask, found),
            (agents, count, choice_row, number_row),
            (
                terms.clip if terms.kind == "clipped" else -1.0,
                *(terms.factor, terms.value_coef, terms.entropy_coef),
            ),
            layers[0],
            layers[1],
            kernels.addresses(*own),
            sizes,
            0 if d_core is None else d_core.data_ptr(),
            kernels.addresses(*parts),
            [grads.shape[1]] * len(parts),
            kernels.threads(),
        )
        if d_core is not None:
            ctx.save_for_backward(d_core, grads)
            ctx.sizes, ctx.shapes = sizes, [x.shape for x in own]
        whole, others = found[0], found[1:]
        ctx.mark_non_differentiable(others)
        return whole, others

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_core, d_weights = ctx.saved_tensors
        factor = grads[0][:, None]
        parts = torch.split(d_weights * factor, ctx.sizes, 1)
        own = (part.view(x) for part, x in zip(parts, ctx.shapes, strict=True))
        return d_core * factor[..., None], None, None, None, None, None, *own


def numbers_of_rows(*given: Tensor) -> tuple[list[Tensor], int]:
    """Numbers of rows ``[A, N]`` of ``[A, L, S]``, and how far one is from the next in all."""
    flat = [x.flatten(1) for x in given]
    distance = flat[0].stride(1)
    if any(x.stride() != (x.shape[1] * distance, distance) for x in flat):
        return [x.contiguous() for x in flat], 1
    return flat, distance
