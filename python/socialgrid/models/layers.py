"""Layers of independent agents, stacked on a leading agent axis.

Shapes: ``A`` agents, ``N`` samples of each, images as ``[A, N, H, W, C]`` (channels last, so that
an image is also a matrix of pixels by channels). Parameters are float32; the computation happens
in the input's dtype. Gradients reach only the agent whose samples caused them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from socialgrid.models import activation, convolutions
from socialgrid.models import dense_convolutions as dense
from socialgrid.models import weight_gradients as tall
from socialgrid.models.products import affine
from socialgrid.models.triton_kernels import choice

_ALL = slice(None)


def uniform_parameter(
    generators: Sequence[torch.Generator], shape: tuple[int, ...], bound: float
) -> nn.Parameter:
    """Parameter ``[A, *shape]``, agent ``a``'s part uniform in +-bound from ``generators[a]``."""
    rows = [torch.empty(shape).uniform_(-bound, bound, generator=g) for g in generators]
    return nn.Parameter(torch.stack(rows))


class StackedLinear(nn.Module):
    """``[A, N, inputs] -> [A, N, outputs]``, then tanh if wanted; set up like ``nn.Linear``."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        outputs: int,
        *,
        tanh: bool = False,
    ) -> None:
        super().__init__()
        self.tanh = tanh
        bound = 1.0 / math.sqrt(inputs)
        self.weight = uniform_parameter(generators, (outputs, inputs), bound)
        self.bias = uniform_parameter(generators, (outputs,), bound)

    def forward(self, x: Tensor, rows: slice = _ALL) -> Tensor:
        """Affine map of every agent's samples with its own weights, for the agents in ``rows``."""
        return affine(x, self.weight[rows], self.bias[rows], tanh=self.tanh)


def agent_by_agent(x: Tensor) -> bool:
    """Whether images are convolved agent by agent (on a CPU) or in one product (elsewhere).

    On a CPU one agent's images need no copy to get in and out of a convolution, and stay in the
    cache; an accelerator would rather launch one kernel than A.
    """
    return x.device.type == "cpu"


def by_agent(x: Tensor) -> list[tuple[slice, Tensor]]:
    """How to divide stacked images ``[A, ...]`` among calls: agents and their images."""
    agents = x.shape[0]
    if agents > 1 and agent_by_agent(x):
        return [(slice(a, a + 1), part) for a, part in enumerate(torch.split(x, 1))]
    return [(slice(0, agents), x)]


class StackedConv(nn.Module):
    """Valid convolution of stride 1 and leaky ReLU; initialised like ``torch.nn.Conv2d``."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        outputs: int,
        kernel: int,
        negative_slope: float,
    ) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.weight = uniform_parameter(generators, (outputs, kernel, kernel, inputs), bound)
        self.bias = uniform_parameter(generators, (outputs,), bound)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor, rows: slice = _ALL) -> Tensor:
        """Images of the agents in ``rows``: ``[A, N, H, W, inputs]`` to
        ``[A, N, H - k + 1, W - k + 1, outputs]``.
        """
        out: Tensor = _Convolve.apply(  # type: ignore[no-untyped-call]
            x, self.weight[rows], self.bias[rows], self.negative_slope
        )
        return out


class StackedTransposedConv(nn.Module):
    """Transposed convolution of stride 1 and leaky ReLU, like ``torch.nn.ConvTranspose2d``."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        outputs: int,
        kernel: int,
        negative_slope: float,
    ) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(outputs * kernel * kernel)
        self.weight = uniform_parameter(generators, (inputs, kernel, kernel, outputs), bound)
        self.bias = uniform_parameter(generators, (outputs,), bound)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor, rows: slice = _ALL) -> Tensor:
        """Images of the agents in ``rows``: ``[A, N, H, W, inputs]`` to
        ``[A, N, H + k - 1, W + k - 1, outputs]``.
        """
        out: Tensor = _ConvolveTransposed.apply(  # type: ignore[no-untyped-call]
            x, self.weight[rows], self.bias[rows], self.negative_slope
        )
        return out


def _patches(x: Tensor, kernel: int) -> Tensor:
    """All kernel windows as rows: ``[A, N, H, W, C] -> [A, N * P * Q, k * k * C]`` (a copy)."""
    agents, count, height, width, channels = x.shape
    rows, cols = height - kernel + 1, width - kernel + 1
    a, n, h, w, c = x.stride()
    windows = x.as_strided(
        (agents, count, rows, cols, kernel, kernel, channels), (a, n, h, w, h, w, c)
    )
    return windows.reshape(agents, count * rows * cols, kernel * kernel * channels)


def _as_nchw(x: Tensor) -> Tensor:
    """The same memory, described as PyTorch's channels-last images."""
    return x.permute(0, 3, 1, 2)


def correlate(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Valid cross-correlation of stacked images.

    Args:
        x: ``[A, N, H, W, C]``.
        weight: ``[A, O, k, k, C]``.
        bias: ``[A, O]``.

    Returns:
        ``[A, N, H - k + 1, W - k + 1, O]``.
    """
    agents, count, height, width, _ = x.shape
    outputs, kernel = weight.shape[1], weight.shape[2]
    if agent_by_agent(x):
        # oneDNN's direct convolution beats grouped ones and window copies on every CPU tried.
        return _stack(
            [
                F.conv2d(_as_nchw(x[a]), _as_nchw(weight[a]), None if bias is None else bias[a])
                for a in range(agents)
            ]
        )
    if dense.worthwhile(count, height, width, kernel, height * width * outputs):
        out = dense.correlate(x, weight)
        return out if bias is None else out.add_(bias[:, None, None, None])
    windows, flat = _patches(x, kernel), weight.flatten(2).transpose(1, 2)
    out = torch.bmm(windows, flat) if bias is None else torch.baddbmm(bias[:, None], windows, flat)
    return out.view(agents, count, height - kernel + 1, width - kernel + 1, outputs)


def spread(y: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Adjoint of ``correlate`` with respect to its input: a transposed convolution.

    Args:
        y: ``[A, N, P, Q, O]``.
        weight: ``[A, O, k, k, C]``.
        bias: ``[A, C]``.

    Returns:
        ``[A, N, P + k - 1, Q + k - 1, C]``.
    """
    agents, count, rows, cols, _ = y.shape
    kernel, channels = weight.shape[2], weight.shape[4]
    if agent_by_agent(y):
        return _stack(
            [
                F.conv_transpose2d(
                    _as_nchw(y[a]), _as_nchw(weight[a]), None if bias is None else bias[a]
                )
                for a in range(agents)
            ]
        )
    edge = kernel - 1
    if dense.worthwhile(count, rows + edge, cols + edge, kernel, rows * cols * channels):
        out = dense.spread(y, weight)
        return out if bias is None else out.add_(bias[:, None, None, None])
    windows = _patches(F.pad(y, (0, 0, edge, edge, edge, edge)), kernel)
    flat = weight.flip(2, 3).permute(0, 2, 3, 1, 4).flatten(1, 3)
    out = torch.bmm(windows, flat) if bias is None else torch.baddbmm(bias[:, None], windows, flat)
    return out.view(agents, count, rows + edge, cols + edge, channels)


def weight_gradient(y: Tensor, x: Tensor, kernel: int) -> Tensor:
    """Gradient of ``correlate`` with respect to its weight, float32 ``[A, O, k, k, C]``.

    Args:
        y: gradient of the output ``[A, N, P, Q, O]``.
        x: input ``[A, N, H, W, C]``.
        kernel: k.
    """
    agents, count, _, _, outputs = y.shape
    shape = (agents, outputs, kernel, kernel, x.shape[-1])
    if not agent_by_agent(y):
        height, width = x.shape[2:4]
        if dense.worthwhile(count, height, width, kernel, height * width * outputs):
            return dense.weight_gradient(y, x, kernel)
        return tall.weight_gradient(y.flatten(1, 3), _patches(x, kernel)).view(shape)
    total = y.new_zeros(shape, dtype=torch.float32)
    for a in range(agents):
        if y.dtype == torch.float32:
            total[a] = _direct_weight_gradient(y[a], x[a], total[a])
            continue
        # In bfloat16 a copy of the windows and one matrix product are twice as fast as oneDNN's,
        # as long as the copy stays in the cache.
        for first in range(0, count, 256):
            block = slice(first, first + 256)
            rows = y[a, block].reshape(-1, outputs).t()
            windows = _patches(x[a : a + 1, block], kernel)[0]
            total[a].view(outputs, -1).add_(torch.mm(rows, windows))
    return total


def _direct_weight_gradient(y: Tensor, x: Tensor, like: Tensor) -> Tensor:
    grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        *(_as_nchw(y), _as_nchw(x), _as_nchw(like)),
        *(None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]),
    )
    return grads[1].permute(0, 2, 3, 1)


def _stack(images: list[Tensor]) -> Tensor:
    """PyTorch's channels-last images as ``[A, N, H, W, C]``; no copy for one agent."""
    rows = [image.permute(0, 2, 3, 1) for image in images]
    return rows[0][None] if len(rows) == 1 else torch.stack(rows)


class _Convolve(torch.autograd.Function):
    """leaky_relu(correlate(x, weight) + bias), keeping only its input and output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: float) -> Tensor:
        if choice.usable(x):
            out = activation.bend_(correlate(x, weight.to(x.dtype)), bias, slope)
        elif convolutions.worthwhile(x, weight):
            out = convolutions.correlate(x, weight, bias, slope)
        else:
            out = F.leaky_relu_(correlate(x, weight.to(x.dtype), bias.to(x.dtype)), slope)
        ctx.save_for_backward(x, weight, out)
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, out = ctx.saved_tensors
        if convolutions.worthwhile(x, weight):
            grad, d_bias = convolutions.rectified(grads[0], out, ctx.slope)
            dx = convolutions.spread(grad, weight, None, 1.0) if ctx.needs_input_grad[0] else None
            return dx, convolutions.weight_gradient(grad, x, weight.shape[2]), d_bias, None
        grad, own = activation.unbend(grads[0], out, ctx.slope)
        dx = spread(grad, weight.to(x.dtype)) if ctx.needs_input_grad[0] else None
        return dx, weight_gradient(grad, x, weight.shape[2]), own, None


class _ConvolveTransposed(torch.autograd.Function):
    """leaky_relu(spread(x, weight) + bias), keeping only its input and output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: float) -> Tensor:
        if choice.usable(x):
            out = activation.bend_(spread(x, weight.to(x.dtype)), bias, slope)
        elif convolutions.worthwhile(x, weight):
            out = convolutions.spread(x, weight, bias, slope)
        else:
            out = F.leaky_relu_(spread(x, weight.to(x.dtype), bias.to(x.dtype)), slope)
        ctx.save_for_backward(x, weight, out)
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, out = ctx.saved_tensors
        if convolutions.worthwhile(x, weight):
            grad, d_bias = convolutions.rectified(grads[0], out, ctx.slope)
            dx = convolutions.correlate(grad, weight, None, 1.0)
            return dx, convolutions.weight_gradient(x, grad, weight.shape[2]), d_bias, None
        grad, own = activation.unbend(grads[0], out, ctx.slope)
        dx = correlate(grad, weight.to(x.dtype))
        return dx, weight_gradient(x, grad, weight.shape[2]), own, None
