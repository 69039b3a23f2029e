"""First layers as sums of table rows, and gradients of tables as sums over each tile's cells.

What a tile adds to a convolution depends on the tile and its place in the window only: a table of
all tiles at all places does for the product, and for a layer of single cells before it. On the way
back cells are sorted by tile, cut into pieces and added piece by piece, always in the same order.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from socialgrid.models.lookup import Layers
from socialgrid.models.products import affine
from socialgrid.models.triton_kernels.activations import unbend
from socialgrid.models.triton_kernels.launching import on

_ROWS = 64  # pixels that a program makes
PIECE = 256  # cells of a tile that a program adds
STEP = 64  # of which so many at once
_COLS = 128  # outputs of a program at most


def convolve(
    views: Tensor, layers: Layers, dtype: torch.dtype, table: Tensor | None = None
) -> Tensor:
    """The layers' convolution and leaky ReLU, with gradient.

    Args:
        views: numbers of the layers' tiles, of 16 bits, ``[A, N, cells]``.
        layers: of the same agents.
        dtype: of the result.
        table: ``table_of`` these layers, made before; no gradient reaches what it was made of.

    Returns:
        ``[A, N, P, Q, outputs]``.
    """
    if table is None:
        table = table_of(layers)
    tiles = views.view(torch.int16) if views.dtype == torch.uint16 else views
    kernel = layers.weight.shape[2]
    out: Tensor = _LookUp.apply(  # type: ignore[no-untyped-call]
        tiles.contiguous(), table, layers.bias, layers.slope, layers.shape, kernel, dtype
    )
    return out


def table_of(layers: Layers) -> Tensor:
    """``[A, K, k * k, outputs]``: what each tile adds at each place of the window."""
    agents, outputs, kernel, _, inputs = layers.weight.shape
    x = (layers.atlas.float() / 255.0).expand(agents, -1, -1)
    if layers.cell is not None:
        x = F.leaky_relu(affine(x, *layers.cell), layers.slope)
    places = layers.weight.permute(0, 2, 3, 1, 4).reshape(agents, -1, inputs)
    return affine(x, places, None).view(agents, -1, kernel * kernel, outputs)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tiles: Tensor,
        table: Tensor,
        bias: Tensor,
        slope: float,
        shape: tuple[int, int],
        kernel: int,
        dtype: torch.dtype,
    ) -> Tensor:
        agents, count, _ = tiles.shape
        known, _, outputs = table.shape[1:]
        down, across = (n - kernel + 1 for n in shape)
        rows = table.to(dtype).contiguous()
        out = rows.new_empty((agents, count, down, across, outputs))
        pixels, cols = count * down * across, min(_COLS, triton.next_power_of_2(outputs))
        grid = (triton.cdiv(pixels, _ROWS), agents, triton.cdiv(outputs, cols))
        if out.numel():
            with on(out):
                _look_up[grid](
                    *(tiles, rows, bias.contiguous(), out, pixels, known, slope),
                    *(*shape, kernel, outputs, _ROWS, cols),
                )
        ctx.save_for_backward(tiles, out)
        ctx.sizes = known, slope, shape, kernel
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tiles, out = ctx.saved_tensors
        known, slope, shape, kernel = ctx.sizes
        flat = out.flatten(1, 3)
        grad, d_bias = unbend(grads[0].reshape(flat.shape), flat, slope, tanh=False)
        d_table = add_by_tile(tiles, grad, known, shape, kernel)
        return None, d_table, d_bias, None, None, None, None


def add_by_tile(
    tiles: Tensor, grad: Tensor, known: int, shape: tuple[int, int], kernel: int
) -> Tensor:
    """Sums of the pixels whose window has a tile at a place, float32 ``[A, K, k * k, outputs]``.

    Args:
        tiles: ``[A, N, cells]``.
        grad: contiguous ``[A, N * P * Q, outputs]``.
        known: K.
        shape: rows and columns of a view.
        kernel: k.
    """
    agents, outputs, places = len(tiles), grad.shape[2], kernel * kernel
    if tiles.numel() == 0:
        return grad.new_zeros((agents, known, places, outputs), dtype=torch.float32)
    every = agents * known
    own = torch.arange(agents, dtype=torch.int32, device=grad.device).view(-1, 1, 1) * known
    keys, order = ((tiles.int() & 0xFFFF) + own).flatten().sort(stable=True)
    each = torch.arange(every + 1, dtype=torch.int32, device=grad.device)
    starts = torch.searchsorted(keys, each)
    ends = starts.diff().add_(PIECE - 1).div_(PIECE, rounding_mode="floor").cumsum(0)
    most = tiles.numel() // PIECE + min(every, tiles.numel())
    numbers = torch.arange(most, dtype=torch.int64, device=grad.device)
    owner = torch.searchsorted(ends, numbers, right=True)
    cols = min(_COLS, triton.next_power_of_2(outputs))
    sums = grad.new_empty((most, places, outputs), dtype=torch.float32)
    found = sums.new_empty((agents, known, places, outputs))
    with on(grad):
        _add_pieces[(most, triton.cdiv(outputs, cols))](
            *(grad, order, starts, ends, owner, sums, every),
            *(*shape, kernel, outputs, PIECE, STEP, cols),
        )
        _add_tiles[(every, places, triton.cdiv(outputs, cols))](
            *(sums, ends, found, places, outputs, STEP, cols)
        )
    return found


@triton.jit
def _look_up(
    tiles,
    table,
    bias,
    out,
    pixels,
    known,
    slope,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    KERNEL: tl.constexpr,
    OUTPUTS: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """A number of an agent's pixels: bias, a row of the table for each place, leaky ReLU."""
    DOWN: tl.constexpr = HEIGHT - KERNEL + 1
    ACROSS: tl.constexpr = WIDTH - KERNEL + 1
    agent = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = tl.program_id(2) * COLS + tl.arange(0, COLS)
    ok = pixel < pixels
    both = ok[:, None] & (col < OUTPUTS)[None, :]
    view = agent * (pixels // (DOWN * ACROSS)) + pixel // (DOWN * ACROSS)
    corner = pixel % (DOWN * ACROSS) // ACROSS * WIDTH + pixel % ACROSS
    total = tl.zeros((ROWS, COLS), tl.float32)
    total += tl.load(bias + agent * OUTPUTS + col, col < OUTPUTS, 0.0).to(tl.float32)[None, :]
    for place in tl.static_range(KERNEL * KERNEL):
        cell = corner + place // KERNEL * WIDTH + place % KERNEL
        tile = tl.load(tiles + view * (HEIGHT * WIDTH) + cell, ok, 0).to(tl.int64) & 0xFFFF
        row = ((agent * known + tile) * (KERNEL * KERNEL) + place) * OUTPUTS
        total += tl.load(table + row[:, None] + col[None, :], both, 0.0).to(tl.float32)
    total = tl.where(total > 0, total, total * slope)
    at = (agent * pixels + pixel) * OUTPUTS
    tl.store(out + at[:, None] + col[None, :], total, both)


@triton.jit
def _add_pieces(
    grad,
    order,
    starts,
    ends,
    owner,
    sums,
    every,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    KERNEL: tl.constexpr,
    OUTPUTS: tl.constexpr,
    PIECE: tl.constexpr,
    STEP: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """At most PIECE cells of one tile: for each place the sum of the pixels that saw it there.

    ``order``: cells sorted by tile; tile i has those from ``starts[i]`` on, and the pieces up to
    ``ends[i]``; ``owner``: of which tile a piece is, ``every`` where there are no more.
    """
    DOWN: tl.constexpr = HEIGHT - KERNEL + 1
    ACROSS: tl.constexpr = WIDTH - KERNEL + 1
    piece = tl.program_id(0)
    col = tl.program_id(1) * COLS + tl.arange(0, COLS)
    tile = tl.load(owner + piece)
    if tile < every:
        stop = tl.load(starts + tile + 1)
        before = tl.load(ends + tile - 1, tile > 0, 0)
        start = tl.load(starts + tile) + (piece - before) * PIECE
        for place in tl.static_range(KERNEL * KERNEL):
            total = tl.zeros((STEP, COLS), tl.float32)
            for step in range(PIECE // STEP):
                at = start + step * STEP + tl.arange(0, STEP)
                cell = tl.load(order + at, at < stop, 0)
                view = cell // (HEIGHT * WIDTH)
                within = (cell % (HEIGHT * WIDTH)).to(tl.int32)
                y = within // WIDTH - place // KERNEL
                x = within % WIDTH - place % KERNEL
                ok = (at < stop) & (y >= 0) & (y < DOWN) & (x >= 0) & (x < ACROSS)
                row = ((view * DOWN + y) * ACROSS + x) * OUTPUTS
                both = ok[:, None] & (col < OUTPUTS)[None, :]
                total += tl.load(grad + row[:, None] + col[None, :], both, 0.0).to(tl.float32)
            to = sums + (piece.to(tl.int64) * (KERNEL * KERNEL) + place) * OUTPUTS + col
            tl.store(to, tl.sum(total, 0), col < OUTPUTS)


@triton.jit
def _add_tiles(
    sums,
    ends,
    found,
    PLACES: tl.constexpr,
    OUTPUTS: tl.constexpr,
    STEP: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """All pieces of one tile at one place."""
    tile = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1)
    col = tl.program_id(2) * COLS + tl.arange(0, COLS)
    piece = tl.load(ends + tile - 1, tile > 0, 0)
    stop = tl.load(ends + tile)
    total = tl.zeros((STEP, COLS), tl.float32)
    while piece < stop:
        row = piece + tl.arange(0, STEP)
        both = (row < stop)[:, None] & (col < OUTPUTS)[None, :]
        at = (row * PLACES + place) * OUTPUTS
        total += tl.load(sums + at[:, None] + col[None, :], both, 0.0)
        piece += STEP
    to = found + (tile * PLACES + place) * OUTPUTS + col
    tl.store(to, tl.sum(total, 0), col < OUTPUTS)
