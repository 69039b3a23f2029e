"""Activations after products, and the way back through them with the gradient of the bias."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from socialgrid.models.triton_kernels import choice


def bend_(x: Tensor, bias: Tensor | None, slope: float, *, tanh: bool = False) -> Tensor:
    """Activation of x + bias, in one kernel and in place where ``choice.usable(x)``.

    Args:
        x: a fresh product ``[A, ..., F]``.
        bias: float32 ``[A, F]`` or None.
        slope: of leaky ReLU left of zero; 1: none.
        tanh: tanh in the place of leaky ReLU.

    Returns:
        The result, of the same shape, in the place of ``x``.
    """
    flat = x.flatten(1, -2).contiguous()
    return _kernels().bend_(flat, bias, slope, tanh=tanh).view(x.shape)  # type: ignore[no-any-return]


def unbend(
    grad: Tensor, out: Tensor | None, slope: float = 1.0, *, tanh: bool = False, biased: bool = True
) -> tuple[Tensor, Tensor | None]:
    """From the gradient of a result to that before its activation.

    Args:
        grad: ``[A, ..., F]``.
        out: the result; None: nothing but a bias was added to a product.
        slope: of leaky ReLU left of zero.
        tanh: it was tanh in the place of leaky ReLU.
        biased: there was a bias.

    Returns:
        The gradient of the product, of the same shape, and of the bias, float32 ``[A, F]``.
    """
    if out is None:
        return grad, _column_sums(grad) if biased else None
    if choice.usable(grad, out):
        flat, bent = grad.flatten(1, -2), out.flatten(1, -2).contiguous()
        before, d_bias = _kernels().unbend(flat, bent, slope, tanh=tanh)
        return before.view(grad.shape), d_bias
    if tanh:
        before = torch.ops.aten.tanh_backward(grad, out)
    else:
        before = torch.ops.aten.leaky_relu_backward(grad, out, slope, True)
    return before, _column_sums(before) if biased else None


def _column_sums(grad: Tensor) -> Tensor:
    flat = grad.flatten(1, -2)
    if choice.usable(grad):
        return _kernels().column_sums(flat)  # type: ignore[no-any-return]
    # Not sum(dtype=float32): that would copy everything to float32 first.
    return flat.sum(1).float()


def _kernels() -> ModuleType:
    from socialgrid.models.triton_kernels import activations  # noqa: PLC0415 (needs Triton)

    return activations
