"""Matrix products of stacked agents, by whatever computes them fastest here.

On CPUs for which PyTorch's BLAS has no fast path, its oneDNN multiplies float32 matrices more than
twice as fast, but only an operator without gradient offers that. Where the operator is missing, and
for other types and devices, these are batched products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from socialgrid.models import activation, convolutions, kernels
from socialgrid.models.triton_kernels import choice
from socialgrid.models.weight_gradients import weight_gradient

_FEW = 512  # rows up to which the kernels' products cost less than the call of another library

ONEDNN_LINEAR: Any = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    else None
)


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, rectify: bool = False
) -> Tensor:
    """x @ weight^T + bias, without gradient, of one agent or of several at once.

    Args:
        x: ``[M, K]`` or ``[A, M, K]``.
        weight: ``[O, K]`` or ``[A, O, K]``.
        bias: ``[O]`` or ``[A, O]``.
        rectify: apply ReLU to the result.

    Returns:
        ``[M, O]`` or ``[A, M, O]``.
    """
    if x.dim() == 2 and _by_onednn(x):
        after = "relu" if rectify else "none"
        found: Tensor = ONEDNN_LINEAR(x, weight, bias, after, [], "")
        return found
    if bias is None:
        found = x @ weight.mT
    elif x.dim() == 2:
        found = torch.addmm(bias, x, weight.mT)
    else:
        found = torch.baddbmm(bias[:, None], x, weight.mT)
    return found.relu_() if rectify else found


def products(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight^T + bias for every agent, without gradient.

    Args:
        x: ``[A, M, K]``.
        weight: ``[A, O, K]``.
        bias: ``[A, O]``.

    Returns:
        ``[A, M, O]``.
    """
    if _by_onednn(x):
        biases = [None] * len(x) if bias is None else bias
        rows = [product(*one) for one in zip(x, weight, biases, strict=True)]
        return rows[0][None] if len(rows) == 1 else torch.stack(rows)
    return product(x, weight, bias)


def products_plus(addend: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """addend + x @ weight^T for every agent: ``[A, M, O]``, without gradient."""
    if _by_onednn(x):
        return products(x, weight).add_(addend)
    return torch.baddbmm(addend, x, weight.transpose(1, 2))


def affine(x: Tensor, weight: Tensor, bias: Tensor | None, *, tanh: bool = False) -> Tensor:
    """x @ weight^T + bias for every agent, in the dtype of ``x``, with gradient.

    Args:
        x: ``[A, M, K]``.
        weight: ``[A, O, K]``.
        bias: ``[A, O]``.
        tanh: apply tanh to the result.
    """
    out: Tensor = _Affine.apply(x, weight, bias, tanh)  # type: ignore[no-untyped-call]
    return out


def _by_onednn(x: Tensor) -> bool:
    if x.dtype != torch.float32 or x.device.type != "cpu":
        return False
    return ONEDNN_LINEAR is not None and x.numel() > 0


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, tanh: bool) -> Tensor:
        compiled = kernels.usable(x, weight)
        if tanh and choice.usable(x):
            out = activation.bend_(products(x, weight.to(x.dtype)), bias, 1.0, tanh=True)
        elif compiled and x.shape[1] <= _FEW:
            out = convolutions.affine(x, weight, bias, tanh=tanh)
        else:
            out = products(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
            if tanh and compiled:
                convolutions.tanh_(out)
            elif tanh:
                out.tanh_()
        ctx.save_for_backward(x, weight, out if tanh else None)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, squashed = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        grad, d_bias = activation.unbend(grads[0], squashed, tanh=True, biased=wanted[2])
        dx = products(grad, weight.to(x.dtype).transpose(1, 2)) if wanted[0] else None
        if kernels.usable(x, weight):
            d_weight = convolutions.affine_gradient(grad, x)
        elif x.device.type != "cpu":
            d_weight = weight_gradient(grad, x)
        else:
            d_weight = products(grad.transpose(1, 2), x.transpose(1, 2)).to(weight.dtype)
        return dx, d_weight, d_bias, None
