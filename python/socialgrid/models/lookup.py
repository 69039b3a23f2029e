"""Encoding by look-up: every view once, and its first convolutions from a table of its tiles.

Views are made of few different tiles. What a tile adds to the result of the first convolution over
several cells depends on its place in the window only, so that a table of all tiles at all places
replaces the convolution, and the one of each cell before it, exactly; and views that are the same
are encoded once. Both fall back where there is nothing to gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid import _core
from socialgrid.models import kernels

_MOST_TILES = 2048
_CELLS_A_TILE = 16  # fewer cells for a tile are not worth a table
_WORTH_SHARING = 0.9  # share of distinct views from which on all are encoded


@dataclass(frozen=True)
class Seen:
    """Views by their tiles.

    Attributes:
        tiles: int16 ``[N, cells]``, bits of the 16-bit numbers of tiles.
        pixels: ``[K, bytes]`` of every tile, as the views have them.
    """

    tiles: Tensor
    pixels: Tensor


def see(views: Tensor) -> Seen | None:
    """Take views apart.

    Args:
        views: ``[N, cells, bytes]`` or ``[N, cells]``.

    Returns:
        None where they have too many different tiles.
    """
    views = views.contiguous()
    if views.dtype == torch.uint16:  # which PyTorch hardly computes with
        views = views.view(torch.int16)
    count, cells = views.shape[:2]
    flat = views.view(count * cells, -1)
    limit = min(_MOST_TILES, count * cells // _CELLS_A_TILE)
    tiles = torch.empty((count, cells), dtype=torch.int16)
    first = torch.empty(limit, dtype=torch.int64)
    width = flat.shape[1] * flat.element_size()
    where = (flat.data_ptr(), tiles.data_ptr(), first.data_ptr())
    found = _core.distinct(where, count * cells, width, limit, False)
    if found > limit:
        return None
    return Seen(tiles, flat[first[:found]])


@dataclass(frozen=True)
class Layers:
    """What agents do with a view before everything is one image.

    Attributes:
        cell: weight ``[A, C, bytes]`` and bias ``[A, C]`` of the layer of each cell, if there is
            one; leaky ReLU follows. Pixels count 0 to 1.
        weight: ``[A, outputs, k, k, C or bytes]`` of the convolution.
        bias: ``[A, outputs]``.
        slope: of leaky ReLUs left of zero.
        shape: rows and columns of a view.
        atlas: ``[tiles, bytes]``: views are numbers of its rows; empty: they are pixels.
    """

    cell: tuple[Tensor, Tensor] | None
    weight: Tensor
    bias: Tensor
    slope: float
    shape: tuple[int, int]
    atlas: Tensor

    def table(self, tiles: Tensor) -> Tensor:
        """``[A, k * k, K, outputs]``: what each tile adds at each place of the window."""
        if len(self.atlas):
            tiles = self.atlas[tiles[:, 0].long()]
        agents, outputs, kernel, _, inputs = self.weight.shape
        x = (tiles.float() / 255.0).expand(agents, -1, -1)
        if self.cell is not None:
            weight, bias = self.cell
            x = F.leaky_relu(torch.baddbmm(bias[:, None], x, weight.mT), self.slope)
        places = self.weight.permute(0, 2, 3, 4, 1).reshape(agents, kernel**2, inputs, outputs)
        return torch.matmul(x[:, None], places)


def convolve(seen: Seen, layers: Layers) -> Tensor:
    """The first convolution over several cells and leaky ReLU of a single agent's layers:
    ``[1, N, P, Q, outputs]``.
    """
    out: Tensor = _LookUp.apply(  # type: ignore[no-untyped-call]
        seen.tiles, layers.table(seen.pixels)[0], layers.bias[0], layers.slope, layers.shape
    )
    return out


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tiles: Tensor, table: Tensor, bias: Tensor, slope: float, shape: Sequence[int]
    ) -> Tensor:
        assert kernels.KERNELS is not None
        places, count, outputs = table.shape
        kernel = round(places**0.5)
        edge = kernel - 1
        out = table.new_empty((1, len(tiles), shape[0] - edge, shape[1] - edge, outputs))
        table, bias = table.contiguous(), bias.contiguous()
        sizes = (len(tiles), *shape, kernel, count, outputs)
        where = (tiles.data_ptr(), table.data_ptr(), bias.data_ptr(), out.data_ptr())
        kernels.KERNELS.look_up(where, sizes, slope, kernels.threads())
        ctx.save_for_backward(tiles, out)
        ctx.slope, ctx.sizes = slope, sizes
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert kernels.KERNELS is not None
        tiles, out = ctx.saved_tensors
        _, _, _, kernel, count, outputs = ctx.sizes
        grad = grads[0].contiguous()
        d_table = grad.new_empty((kernel * kernel, count, outputs))
        d_bias = grad.new_empty(outputs)
        where = (
            *(tiles.data_ptr(), out.data_ptr(), grad.data_ptr()),
            *(d_table.data_ptr(), d_bias.data_ptr()),
        )
        kernels.KERNELS.look_up_back(where, ctx.sizes, ctx.slope, kernels.threads())
        return None, d_table, d_bias, None, None


def distinct_rows(tiles: Tensor) -> tuple[Tensor, Tensor | None]:
    """Distinct rows of ``[N, cells]`` and the place of every row among them; all rows and nothing
    where most are distinct.
    """
    count, cells = tiles.shape
    place, first = torch.empty(count, dtype=torch.int64), torch.empty(count, dtype=torch.int64)
    where = (tiles.data_ptr(), place.data_ptr(), first.data_ptr())
    found = _core.distinct(where, count, cells * tiles.element_size(), count, True)
    if found > _WORTH_SHARING * count:
        return tiles, None
    return tiles[first[:found]], place
