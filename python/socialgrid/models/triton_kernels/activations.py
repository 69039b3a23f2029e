"""Bias and activation in one, and the way back with the gradient of the bias."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from socialgrid.models.triton_kernels.launching import on

_BLOCK = 1024
_BLOCKS = 512  # about how many a card needs to be busy


def bend_(x: Tensor, bias: Tensor | None, slope: float, *, tanh: bool) -> Tensor:
    """Activation of x + bias, in place.

    Args:
        x: contiguous ``[A, N, F]``.
        bias: float32 ``[A, F]`` or None.
        slope: of leaky ReLU left of zero; 1: none.
        tanh: tanh in the place of leaky ReLU.

    Returns:
        ``x``.
    """
    agents, count, width = x.shape
    if x.numel() == 0:
        return x
    size = count * width
    grid = (triton.cdiv(size, _BLOCK), agents)
    own = x if bias is None else bias.contiguous()
    with on(x):
        _bend[grid](x, own, size, width, slope, bias is not None, tanh, _BLOCK)
    return x


def unbend(grad: Tensor, out: Tensor, slope: float, *, tanh: bool) -> tuple[Tensor, Tensor]:
    """The way back through ``bend_``.

    Args:
        grad: of the result, ``[A, N, F]``.
        out: the result, contiguous.
        slope: as it was.
        tanh: as it was.

    Returns:
        The gradient of what went in, ``[A, N, F]`` in the dtype of ``out``, and of the bias,
        float32 ``[A, F]``.
    """
    before = torch.empty_like(out)
    return before, _back(grad, out, before, slope, tanh)


def column_sums(grad: Tensor) -> Tensor:
    """Sums over the rows of every agent: ``[A, N, F]`` to float32 ``[A, F]``."""
    return _back(grad, None, None, 1.0, False)


def _back(
    grad: Tensor, out: Tensor | None, before: Tensor | None, slope: float, tanh: bool
) -> Tensor:
    agents, count, width = grad.shape
    if grad.numel() == 0:
        return grad.new_zeros((agents, width), dtype=torch.float32)
    grad = grad.contiguous()
    cols = min(128, triton.next_power_of_2(width))
    rows = 2048 // cols
    across = triton.cdiv(width, cols)
    blocks, wanted = triton.cdiv(count, rows), triton.cdiv(_BLOCKS, agents * across)
    steps = triton.next_power_of_2(triton.cdiv(blocks, wanted))  # few programs for all sizes
    pieces = triton.cdiv(blocks, steps)
    sums = grad.new_empty((agents, pieces, width), dtype=torch.float32)
    where = (grad, grad if out is None else out, grad if before is None else before, sums)
    with on(grad):
        _unbend[(across, pieces, agents)](
            *where, count, width, slope, tanh, before is not None, steps, rows, cols
        )
    return sums[:, 0] if pieces == 1 else sums.sum(1)


@triton.jit
def _bend(
    x,
    bias,
    size,
    width,
    slope,
    BIASED: tl.constexpr,
    TANH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    agent = tl.program_id(1)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = i < size
    at = x + agent.to(tl.int64) * size + i
    value = tl.load(at, ok, 0.0).to(tl.float32)
    if BIASED:
        value += tl.load(bias + agent * width + i % width, ok, 0.0).to(tl.float32)
    if TANH:
        value = 2.0 * tl.sigmoid(2.0 * value) - 1.0
    else:
        value = tl.where(value > 0, value, value * slope)
    tl.store(at, value, ok)


@triton.jit
def _unbend(
    grad,
    out,
    before,
    sums,
    count,
    width,
    slope,
    TANH: tl.constexpr,
    BENT: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """One block: STEPS times ROWS rows, COLS columns of an agent."""
    agent, piece = tl.program_id(2), tl.program_id(1)
    col = tl.program_id(0) * COLS + tl.arange(0, COLS)
    base = agent.to(tl.int64) * count * width
    total = tl.zeros((ROWS, COLS), tl.float32)
    for step in range(STEPS):
        row = (piece * STEPS + step) * ROWS + tl.arange(0, ROWS)
        ok = (row < count)[:, None] & (col < width)[None, :]
        at = base + row.to(tl.int64)[:, None] * width + col[None, :]
        value = tl.load(grad + at, ok, 0.0).to(tl.float32)
        if BENT:
            bent = tl.load(out + at, ok, 0.0).to(tl.float32)
            if TANH:
                value = value * (1.0 - bent * bent)
            else:
                value = tl.where(bent > 0, value, value * slope)
            tl.store(before + at, value, ok)
        total += value
    here = sums + (agent * tl.num_programs(1) + piece) * width + col
    tl.store(here, tl.sum(total, 0), col < width)
