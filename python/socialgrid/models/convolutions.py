"""Convolutions of stacked images by the compiled kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid.models import kernels

_FEWEST = 8  # inputs and outputs that are worth a kernel's while


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether kernels convolve these stacked images by ``[A, O, k, k, C]`` faster than PyTorch."""
    return min(weight.shape[1], weight.shape[4]) >= _FEWEST and kernels.usable(x, weight)


def correlate(x: Tensor, weight: Tensor, bias: Tensor | None, slope: float) -> Tensor:
    """Valid cross-correlation and leaky ReLU, without gradient.

    Args:
        x: ``[A, N, H, W, C]``.
        weight: ``[A, O, k, k, C]``.
        bias: ``[A, O]`` or None.
        slope: of the leaky ReLU left of zero; 1: none.

    Returns:
        ``[A, N, H - k + 1, W - k + 1, O]``.
    """
    agents, count, rows, cols, inputs = x.shape
    _, outputs, kernel, _, _ = weight.shape
    sizes = (agents, count, rows, cols, inputs, outputs, kernel)
    out = x.new_empty((agents, count, rows - kernel + 1, cols - kernel + 1, outputs))
    return _convolve(x, weight, bias, slope, out, sizes, spread=False)


def spread(y: Tensor, weight: Tensor, bias: Tensor | None, slope: float) -> Tensor:
    """Adjoint of the correlation with respect to its input, and leaky ReLU, without gradient.

    Args:
        y: ``[A, N, P, Q, O]``.
        weight: ``[A, O, k, k, C]``.
        bias: ``[A, C]`` or None.
        slope: of the leaky ReLU left of zero; 1: none.

    Returns:
        ``[A, N, P + k - 1, Q + k - 1, C]``.
    """
    agents, count, down, across, outputs = y.shape
    _, _, kernel, _, inputs = weight.shape
    rows, cols = down + kernel - 1, across + kernel - 1
    sizes = (agents, count, rows, cols, inputs, outputs, kernel)
    out = y.new_empty((agents, count, rows, cols, inputs))
    return _convolve(y, weight, bias, slope, out, sizes, spread=True)


def rectified(grad: Tensor, out: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Through a leaky ReLU, and the sum of that over all pixels.

    Args:
        grad: of the result, ``[A, N, P, Q, O]``.
        out: the result.
        slope: of the leaky ReLU left of zero.

    Returns:
        The gradient before it, and of the bias ``[A, O]``.
    """
    assert kernels.KERNELS is not None
    grad, out = grad.contiguous(), out.contiguous()
    before, bias = torch.empty_like(out), out.new_empty((len(out), out.shape[-1]))
    where = (grad.data_ptr(), out.data_ptr(), before.data_ptr(), bias.data_ptr())
    sizes = (len(out), out[0, ..., 0].numel(), out.shape[-1])
    kernels.KERNELS.rectified(where, sizes, slope)
    return before, bias


def weight_gradient(y: Tensor, x: Tensor, kernel: int) -> Tensor:
    """Gradient of the correlation with respect to its weight, ``[A, O, k, k, C]``.

    Args:
        y: gradient of the output ``[A, N, P, Q, O]``.
        x: input ``[A, N, H, W, C]``.
        kernel: k.
    """
    assert kernels.KERNELS is not None
    agents, count, rows, cols, inputs = x.shape
    outputs = y.shape[-1]
    x, y = x.contiguous(), y.contiguous()
    turned = x.new_empty((agents, kernel * kernel * inputs, outputs))
    where = (x.data_ptr(), y.data_ptr(), turned.data_ptr())
    sizes = (agents, count, rows, cols, inputs, outputs, kernel)
    kernels.KERNELS.tap_gradients(where, sizes, kernels.threads())
    return turned.transpose(1, 2).reshape(agents, outputs, kernel, kernel, inputs)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None, *, tanh: bool) -> Tensor:
    """x @ weight^T + bias, then tanh if wanted, without gradient.

    Args:
        x: ``[A, M, K]``.
        weight: ``[A, O, K]``.
        bias: ``[A, O]`` or None.
        tanh: of the result.

    Returns:
        ``[A, M, O]``.
    """
    agents, count, inputs = x.shape
    outputs = weight.shape[1]
    sizes = (agents, count, 1, 1, inputs, outputs, 1)
    out = x.new_empty((agents, count, outputs))
    return _convolve(x, weight, bias, 1.0, out, sizes, spread=False, tanh=tanh)


def tanh_(x: Tensor) -> None:
    """tanh of contiguous numbers, in place."""
    assert kernels.KERNELS is not None
    kernels.KERNELS.tanh(x.data_ptr(), x.numel())


def affine_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """grad^T @ x of every agent: ``[A, M, O]`` and ``[A, M, K]`` to ``[A, O, K]``."""
    assert kernels.KERNELS is not None
    agents, count, outputs = grad.shape
    inputs = x.shape[2]
    grad, x = grad.contiguous(), x.contiguous()
    out = x.new_empty((agents, outputs, inputs))
    where = (grad.data_ptr(), x.data_ptr(), out.data_ptr())
    sizes = (agents, count, 1, 1, outputs, inputs, 1)
    kernels.KERNELS.tap_gradients(where, sizes, kernels.threads())
    return out


def _convolve(
    given: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    slope: float,
    out: Tensor,
    sizes: tuple[int, ...],
    *,
    spread: bool,
    tanh: bool = False,
) -> Tensor:
    assert kernels.KERNELS is not None
    given, weight = given.contiguous(), weight.contiguous()
    packed = out.new_empty((sizes[0], kernels.KERNELS.packed_taps(sizes, spread)))
    kernels.KERNELS.pack_taps((weight.data_ptr(), packed.data_ptr()), sizes, spread)
    bias = None if bias is None else bias.contiguous()
    where = (
        given.data_ptr(),
        packed.data_ptr(),
        0 if bias is None else bias.data_ptr(),
        out.data_ptr(),
    )
    kernels.KERNELS.convolve(where, sizes, spread, slope, tanh, kernels.threads())
    return out
