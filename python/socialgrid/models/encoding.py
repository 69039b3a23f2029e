"""Encoders in one compiled call, forward and backward, a few views at a time.

A look-up and the layers after it need no more memory than the cache has: what they make of a view
is made again on the way back rather than kept. Views of an agent that are the same are encoded
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.models import kernels, lookup
from socialgrid.models.layers import StackedConv, StackedLinear

Layer = tuple[int, int, int, int, int, float, bool]
"""Rows, columns, inputs, outputs, size of the kernel, slope of leaky ReLU, whether tanh follows."""


@dataclass(frozen=True)
class Chain:
    """Layers of all agents after the look-up.

    Attributes:
        layers: their geometry.
        weights: weight ``[A, ...]`` and bias ``[A, outputs]`` of each in turn.
    """

    layers: Sequence[Layer]
    weights: Sequence[Tensor]


def layers_of(
    rows: int, cols: int, convs: Iterable[nn.Module], affine: nn.ModuleList
) -> list[Layer]:
    """Geometry of convolutions of images ``[rows, cols]``, and of affine layers after them."""
    found: list[Layer] = []
    for conv in convs:
        assert isinstance(conv, StackedConv)
        outputs, kernel, _, inputs = conv.weight.shape[1:]
        found.append((rows, cols, inputs, outputs, kernel, conv.negative_slope, False))
        rows, cols = rows - kernel + 1, cols - kernel + 1
    for layer in affine:
        assert isinstance(layer, StackedLinear)
        outputs, inputs = layer.weight.shape[1:]
        found.append((1, 1, inputs, outputs, 1, 1.0, layer.tanh))
    return found


def encode(seen: lookup.Seen, agents: int, first: lookup.Layers, chain: Chain) -> Tensor:
    """Features ``[A, N, F]``.

    Args:
        seen: views of all agents, ``A * N`` of them, every one by itself.
        agents: A.
        first: what the look-up stands for.
        chain: the layers after it.
    """
    tiles = seen.tiles.view(agents, -1, seen.tiles.shape[1])
    features: Tensor = _Encode.apply(  # type: ignore[no-untyped-call]
        tiles, first, chain.layers, first.table(seen.pixels), first.bias, *chain.weights
    )
    return features


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tiles: Tensor,
        first: lookup.Layers,
        layers: Sequence[Layer],
        table: Tensor,
        bias: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        assert kernels.KERNELS is not None
        table, bias, *weights = (x.contiguous() for x in (table, bias, *weights))  # type: ignore[assignment]
        out = table.new_empty((*tiles.shape[:2], layers[-1][3]))
        views: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
        for agent, own in enumerate(tiles):
            distinct, place = lookup.distinct_rows(own)
            features = out[agent]
            if place is not None:
                features = out.new_empty((len(distinct), out.shape[2]))
            kernels.KERNELS.encode(
                (distinct.data_ptr(), table[agent].data_ptr(), bias[agent].data_ptr()),
                _sizes(first, distinct, table),
                first.slope,
                layers,
                [x[agent].data_ptr() for x in weights],
                features.data_ptr(),
                kernels.threads(),
            )
            if place is not None:
                torch.index_select(features, 0, place, out=out[agent])
            views.append((distinct, place, None if place is None else features))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(out, table, bias, *weights)
            ctx.views, ctx.first, ctx.layers = views, first, layers
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert kernels.KERNELS is not None
        out, table, bias, *weights = ctx.saved_tensors
        grad = grads[0].contiguous()
        d_table, d_bias = torch.empty_like(table), torch.empty_like(bias)
        d_weights = [torch.zeros_like(x) for x in weights]
        for agent, (distinct, place, features) in enumerate(ctx.views):
            own = grad[agent]
            if place is not None:
                own = grad.new_zeros(features.shape)
                where = (grad[agent].data_ptr(), place.data_ptr(), own.data_ptr())
                kernels.KERNELS.add_rows(where, len(place), grad.shape[2])
            kernels.KERNELS.encode_back(
                (distinct.data_ptr(), table[agent].data_ptr(), bias[agent].data_ptr()),
                _sizes(ctx.first, distinct, table),
                ctx.first.slope,
                ctx.layers,
                [x[agent].data_ptr() for x in weights],
                (
                    (out[agent] if features is None else features).data_ptr(),
                    own.data_ptr(),
                    *(d_table[agent].data_ptr(), d_bias[agent].data_ptr()),
                ),
                [x[agent].data_ptr() for x in d_weights],
            )
        return None, None, None, d_table, d_bias, *d_weights


def _sizes(first: lookup.Layers, tiles: Tensor, table: Tensor) -> tuple[int, ...]:
    _, places, count, outputs = table.shape
    return len(tiles), *first.shape, round(places**0.5), count, outputs
