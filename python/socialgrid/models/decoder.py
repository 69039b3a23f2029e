"""Auxiliary branch: from memory and action to a predicted view (paper, figure 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from socialgrid.models import convolutions, decoding, kernels
from socialgrid.models.config import ModelConfig
from socialgrid.models.encoders import Encoder
from socialgrid.models.encoding import Layer
from socialgrid.models.layers import (
    StackedLinear,
    StackedTransposedConv,
    by_agent,
    uniform_parameter,
)
from socialgrid.models.products import products
from socialgrid.models.spec import ViewSpec
from socialgrid.models.triton_kernels import choice
from socialgrid.models.walks import heard
from socialgrid.models.weight_gradients import weight_gradient


class Decoder(nn.Module):
    """One fully connected layer and transposed convolutions that mirror the encoder's."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        spec: ViewSpec,
        config: ModelConfig,
        *,
        linear: bool = False,
    ) -> None:
        super().__init__()
        if config.first_kernel != 1:
            raise ValueError(
                f"first_kernel {config.first_kernel}: predicting views needs a first convolution "
                "of one cell (first_kernel 1)"
            )
        shrink = (config.kernel - 1) * (len(config.channels) - 1)
        self.rows, self.cols = spec.rows - shrink, spec.cols - shrink
        self.num_actions = spec.num_actions
        self.slope = 1.0 if linear else config.negative_slope
        channels = config.channels[::-1]
        self.expand = StackedLinear(
            generators,
            config.memory + spec.num_actions,
            self.rows * self.cols * channels[0],
            tanh=True,
        )
        self.convs = nn.ModuleList(
            StackedTransposedConv(generators, inputs, outputs, config.kernel, config.negative_slope)
            for inputs, outputs in pairwise(channels)
        )
        pixels = spec.tile_size**2
        bound = 1.0 / math.sqrt(3 * pixels)
        self.weight = uniform_parameter(generators, (channels[-1], pixels * 3), bound)
        self.bias = uniform_parameter(generators, (3,), bound)

    def predict(self, core: Tensor, action: Tensor) -> Tensor:
        """Predicted pixels, 1 being white.

        Args:
            core: ``[A, N, memory]``, the LSTM's output.
            action: int64 ``[A, N]``.

        Returns:
            ``[A, N, cells, t * t * 3]``, the layout of ``to_patches``.
        """
        x = self._expand(core, action)
        pixels = []
        for rows, part in by_agent(x):
            grid = self._convolve(part, rows)
            weight, bias = self._last(grid.dtype, rows)
            out = torch.baddbmm(bias[:, None], grid.flatten(1, 3), weight)
            pixels.append(F.leaky_relu(out, self.slope))
        return torch.cat(pixels).view(*action.shape, -1, self.weight.shape[2])

    def forward(self, core: Tensor, action: Tensor, target: Tensor) -> Tensor:
        """Mean absolute error of each predicted view (eq. 3), without keeping the prediction.

        Args:
            core: ``[A, N, memory]``.
            action: int64 ``[A, N]``.
            target: uint8 ``[A, N, cells, t * t * 3]``.

        Returns:
            float32 ``[A, N]``, pixels counting 0 to 1.
        """
        x = self._expand(core, action)
        errors: list[Tensor] = []
        for rows, part in by_agent(x):
            grid = self._convolve(part, rows)
            weight, bias = self._last(grid.dtype, rows)
            given = grid.flatten(1, 3), weight, bias, target[rows].flatten(1, 2), self.slope
            if choice.usable(*given[:3]):
                from socialgrid.models.triton_kernels import (  # noqa: PLC0415 (needs Triton)
                    absolute_errors,
                )

                errors.append(absolute_errors.absolute_errors(*given))
            else:
                errors.append(_AbsoluteError.apply(*given))  # type: ignore[no-untyped-call]
        per_cell = errors[0] if len(errors) == 1 else torch.cat(errors)
        return per_cell.view(*action.shape, -1).mean(-1)

    def error(
        self, core: Tensor, action: Tensor, views: Tensor, weight: Tensor, encoder: Encoder
    ) -> Tensor:
        """Weighted sum of the predicted views' mean absolute errors, float32 ``[A]``.

        Args:
            core: ``[A, N, memory]``.
            action: int64 ``[A, N]``.
            views: what there was to see, as ``encoder`` reads it, ``[A, N, ...]``.
            weight: float32 ``[A, N]``.
            encoder: of the same agents.
        """
        weights = self.in_order()
        alike = core.shape[:2] == action.shape == weight.shape == views.shape[:2]
        known = kernels.usable(core, weight, *weights) and not heard(self)
        if alike and action.dtype == torch.int64 and known:
            rows = decoding.Rows(action, weight, views, encoder.first.atlas)
            return decoding.error(core, rows, self.shape(), weights)
        found: Tensor = self(core, action, encoder.pixels(views))
        return (found * weight).sum(1)

    def in_order(self) -> list[nn.Parameter]:
        """Weight and bias of every layer in turn."""
        layers: list[Any] = [self.expand, *self.convs, self]
        return [x for layer in layers for x in (layer.weight, layer.bias)]

    def shape(self) -> decoding.Shape:
        """As the compiled kernels know it."""
        features, inputs = self.expand.weight.shape[1:]
        layers: list[Layer] = [(1, 1, inputs, features, 1, 1.0, True)]
        rows, cols = self.rows, self.cols
        for conv in self.convs:
            assert isinstance(conv, StackedTransposedConv)
            outputs, kernel, _, inputs = conv.weight.shape[1:]
            rows, cols = rows + kernel - 1, cols + kernel - 1
            layers.append((rows, cols, inputs, outputs, kernel, conv.negative_slope, False))
        pixels = self.weight.shape[2]
        return decoding.Shape(self.num_actions, rows * cols, pixels, layers, self.slope)

    def _expand(self, core: Tensor, action: Tensor) -> Tensor:
        chosen = F.one_hot(action, self.num_actions).to(core.dtype)
        x: Tensor = self.expand(torch.cat((core, chosen), -1))
        return x.view(*action.shape, self.rows, self.cols, -1)

    def _convolve(self, x: Tensor, rows: slice) -> Tensor:
        grid = x
        for conv in self.convs:
            grid = conv(grid, rows)
        return grid

    def _last(self, dtype: torch.dtype, rows: slice) -> tuple[Tensor, Tensor]:
        """The last layer has kernel = stride = tile size: every cell becomes its own pixels."""
        weight = self.weight[rows].to(dtype)
        return weight, self.bias[rows].to(dtype).repeat(1, weight.shape[2] // 3)


class _AbsoluteError(torch.autograd.Function):
    """mean_j |leaky_relu(x @ weight + bias)_j - target_j / 255| over the pixels of a cell."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, target: Tensor, slope: float
    ) -> Tensor:
        # In units of 1/255, in which the target is exact even in bfloat16.
        out = products(x, weight.transpose(1, 2) * 255.0, bias * 255.0)
        F.leaky_relu_(out, slope)
        difference = torch.sub(out, target.to(out.dtype))
        error = difference.abs().sum(-1).float().div_(255.0 * out.shape[-1])
        # What is left of the chain rule up to the matrix product, apart from the incoming factor.
        factor = torch.ops.aten.leaky_relu_backward(difference.sign_(), out, slope, True)
        ctx.save_for_backward(x, weight, factor)
        return error

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, factor = ctx.saved_tensors
        d_out = factor * (grads[0] / factor.shape[-1]).to(x.dtype).unsqueeze(-1)
        if kernels.usable(x, d_out):
            d_weight = convolutions.affine_gradient(x, d_out)
        elif x.device.type != "cpu":
            d_weight = weight_gradient(x, d_out)
        else:
            d_weight = products(x.transpose(1, 2), d_out.transpose(1, 2))
        return products(d_out, weight), d_weight, d_out.sum(1), None, None
