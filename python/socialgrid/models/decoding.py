"""Decoders in one compiled call: the error of predicted views and its gradients, a few at a time.

What layers make of a view stays in the cache and is gone afterwards: gradients are computed with
the error itself, where they are wanted at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from socialgrid.models import kernels
from socialgrid.models.encoding import Layer


@dataclass(frozen=True)
class Shape:
    """What decoders of all agents look like.

    Attributes:
        actions: how many there are.
        cells, pixels: of a view, and numbers of a cell's pixels.
        layers: the affine layer and the transposed convolutions, as the convolutions of which they
            are the adjoints.
        slope: of leaky ReLU after the last layer.
    """

    actions: int
    cells: int
    pixels: int
    layers: Sequence[Layer]
    slope: float


@dataclass(frozen=True)
class Rows:
    """What decoders are held against.

    Attributes:
        action: int64 ``[A, N]``.
        weight: float32 ``[A, N]``, of each view's error.
        views: prepared: uint8 ``[A, N, cells, pixels]``, or numbers of tiles ``[A, N, cells]``, of
            which an agent's lie together.
        atlas: uint8 ``[tiles, pixels]``; empty where views are pixels.
    """

    action: Tensor
    weight: Tensor
    views: Tensor
    atlas: Tensor


def error(core: Tensor, rows: Rows, shape: Shape, weights: Sequence[Tensor]) -> Tensor:
    """Weighted sum ``[A]`` of the views' mean absolute errors.

    Args:
        core: ``[A, N, memory]``.
        rows: everything else of every view.
        shape: of the decoders.
        weights: weight and bias ``[A, ...]`` of each layer in turn, the last one's too.

    Raises:
        IndexError: there is no such action or tile.
    """
    found: Tensor = _Error.apply(core, rows, shape, *weights)  # type: ignore[no-untyped-call]
    return found


class _Error(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, core: Tensor, rows: Rows, shape: Shape, *weights: Tensor) -> Tensor:
        assert kernels.KERNELS is not None
        agents, count, memory = core.shape
        core, *own = (x.contiguous() for x in (core, *weights))
        action, weight = rows.action.contiguous(), rows.weight.contiguous()
        views = rows.views
        if not views[0].is_contiguous():
            views = views.contiguous()
        bytes_of_number = 0 if views.dim() == 4 else views.element_size()
        sizes = [x[0].numel() for x in own]
        found = core.new_empty(agents)
        d_core, grads = None, core.new_empty((agents, 0))
        if any(ctx.needs_input_grad):
            d_core, grads = torch.empty_like(core), core.new_empty((agents, sum(sizes)))
        parts = torch.split(grads, sizes, 1) if d_core is not None else ()
        kernels.KERNELS.decode(
            kernels.addresses(core, action, weight, views, rows.atlas, found),
            (
                *(agents, count, memory, shape.actions, shape.cells, shape.pixels),
                *(bytes_of_number, len(rows.atlas), views.stride(0) * views.element_size()),
            ),
            shape.layers,
            shape.slope,
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
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_core, d_weights = ctx.saved_tensors
        factor = grads[0][:, None]
        parts = torch.split(d_weights * factor, ctx.sizes, 1)
        own = (part.view(x) for part, x in zip(parts, ctx.shapes, strict=True))
        return d_core * factor[..., None], None, None, *own
