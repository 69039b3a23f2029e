"""Convolutions of small images as one matrix, zeros included, for accelerators.

Copies of all windows are k * k times as large as an image and cost more time than the product they
are for. The matrix of a whole convolution has H * W / k^2 times its multiplications (five times for
7x7 cells and k = 3), which cost tensor cores less.
"""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid.models.weight_gradients import weight_gradient as tall_product

_MOST = 6.0  # times the multiplications


def worthwhile(count: int, height: int, width: int, kernel: int, numbers: int) -> bool:
    """Whether the matrix has few zeros, and is smaller than the windows that it does without.

    Args:
        count: images of an agent.
        height, width: of the larger side, H and W.
        kernel: k.
        numbers: of an image of the side whose windows are not meant.
    """
    few = kernel > 1 and height * width <= _MOST * kernel * kernel
    return few and count * kernel * kernel >= numbers


def correlate(x: Tensor, weight: Tensor) -> Tensor:
    """``[A, N, H, W, C]`` by ``[A, O, k, k, C]``: ``[A, N, P, Q, O]``, without gradient."""
    agents, count, height, width, _ = x.shape
    outputs, kernel = weight.shape[1:3]
    out = torch.bmm(x.flatten(2), matrix(weight, height, width))
    return out.view(agents, count, height - kernel + 1, width - kernel + 1, outputs)


def spread(y: Tensor, weight: Tensor) -> Tensor:
    """The adjoint: ``[A, N, P, Q, O]`` to ``[A, N, H, W, C]``, without gradient."""
    agents, count, down, across, _ = y.shape
    kernel, inputs = weight.shape[2], weight.shape[4]
    height, width = down + kernel - 1, across + kernel - 1
    out = torch.bmm(y.flatten(2), matrix(weight, height, width).mT)
    return out.view(agents, count, height, width, inputs)


def weight_gradient(y: Tensor, x: Tensor, kernel: int) -> Tensor:
    """Gradient of the correlation of ``x`` by its weight, float32 ``[A, O, k, k, C]``.

    Args:
        y: gradient of the output ``[A, N, P, Q, O]``.
        x: input ``[A, N, H, W, C]``.
        kernel: k.
    """
    agents, _, height, width, inputs = x.shape
    whole = tall_product(x.flatten(2), y.flatten(2))
    sides = (agents, height, width, inputs, *y.shape[2:])
    return _taps(whole.view(sides), kernel).sum((1, 2)).permute(0, 4, 1, 2, 3)


def matrix(weight: Tensor, height: int, width: int) -> Tensor:
    """``[A, O, k, k, C]`` as ``[A, H * W * C, P * Q * O]``."""
    agents, outputs, kernel, _, inputs = weight.shape
    down, across = height - kernel + 1, width - kernel + 1
    whole = weight.new_zeros((agents, height, width, inputs, down, across, outputs))
    taps = _taps(whole, kernel)
    taps.copy_(weight.permute(0, 2, 3, 4, 1)[:, None, None].expand(taps.shape))
    return whole.view(agents, height * width * inputs, down * across * outputs)


def _taps(whole: Tensor, kernel: int) -> Tensor:
    """Where the weight stands in ``[A, H, W, C, P, Q, O]``: ``[A, P, Q, k, k, C, O]``."""
    agents, _, _, inputs, down, across, outputs = whole.shape
    a, h, w, c, p, q, o = whole.stride()
    shape = (agents, down, across, kernel, kernel, inputs, outputs)
    return whole.as_strided(shape, (a, p + h, q + w, h, w, c, o))
