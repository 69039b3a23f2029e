"""Perceptrons by the compiled kernels: see ``kernels`` for what they are and when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from socialgrid.models import kernels


def perceptron(x: Tensor, rectified: int, parameters: Sequence[Tensor]) -> Tensor:
    """Every agent's layers, one after the other; only where kernels are ``usable``.

    Units that are zero for all samples of a block after ReLU are left out of what follows, which
    changes no bit of the result and of few gradients' signs of zero.

    Args:
        x: ``[A, N, inputs]``.
        rectified: how many layers ReLU follows.
        parameters: weight ``[A, outputs, inputs]`` and bias ``[A, outputs]`` of every layer, each
            agent's part without gaps.

    Returns:
        ``[A, N, outputs]`` of the last layer.
    """
    if torch.is_grad_enabled():
        out: Tensor = _Perceptron.apply(x, rectified, *parameters)  # type: ignore[no-untyped-call]
        return out
    return _forward(x.contiguous(), rectified, parameters, kept=False)[0]


def _sizes(x: Tensor, rectified: int, parameters: Sequence[Tensor]) -> tuple[int, ...]:
    return (*x.shape[:2], rectified, x.shape[2], *(bias.shape[1] for bias in parameters[1::2]))


def _placed(tensors: Sequence[Tensor]) -> tuple[list[int], list[int]]:
    """Addresses, and numbers from one agent's part to the next one's."""
    return [x.data_ptr() for x in tensors], [x.stride(0) for x in tensors]


def _forward(
    x: Tensor, rectified: int, parameters: Sequence[Tensor], *, kept: bool
) -> tuple[Tensor, Tensor]:
    """The result, and the room with all results if they are to be kept, for ``x`` without gaps."""
    assert kernels.KERNELS is not None
    sizes = _sizes(x, rectified, parameters)
    room = x.new_empty(kernels.KERNELS.perceptron_room(sizes, kept))
    out = x.new_empty((*sizes[:2], sizes[-1]))
    where = (x.data_ptr(), room.data_ptr(), out.data_ptr())
    kernels.KERNELS.perceptron(*_placed(parameters), where, sizes, kept, kernels.threads())
    return out, room


class _Perceptron(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rectified: int, *parameters: Tensor) -> Tensor:
        x = x.contiguous()
        out, room = _forward(x, rectified, parameters, kept=True)
        ctx.save_for_backward(room, *parameters)
        ctx.sizes = _sizes(x, rectified, parameters)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert kernels.KERNELS is not None
        room, *parameters = ctx.saved_tensors
        grad, scratch = grads[0].contiguous(), torch.empty_like(room)
        d_x = grad.new_empty((*ctx.sizes[:2], ctx.sizes[3])) if ctx.needs_input_grad[0] else None
        wanted = ctx.needs_input_grad[2]
        found = [p.new_empty(p.shape) for p in parameters] if wanted else []
        kernels.KERNELS.perceptron_back(
            *_placed(parameters),
            *_placed(found),
            kernels.addresses(room, scratch, grad, d_x),
            ctx.sizes,
            kernels.threads(),
        )
        return d_x, None, *(found if wanted else [None] * len(parameters))
