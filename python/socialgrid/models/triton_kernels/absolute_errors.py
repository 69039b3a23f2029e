"""Errors of predicted views, and what is left of the chain rule, in one pass over a product."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from socialgrid.models.triton_kernels.launching import on
from socialgrid.models.weight_gradients import weight_gradient

_ALIGNED = 8  # numbers of bf16 in 16 bytes, which rows of fast products begin at
_NUMBERS = 2048  # of a block
_BLOCKS = 512  # about how many a card needs to be busy


def absolute_errors(
    x: Tensor, weight: Tensor, bias: Tensor, target: Tensor, slope: float
) -> Tensor:
    """mean_j |leaky_relu(x @ weight + bias)_j - target_j / 255|, with gradient.

    Args:
        x: ``[A, M, K]``.
        weight: ``[A, K, pixels]``.
        bias: ``[A, pixels]``.
        target: uint8 ``[A, M, pixels]``.
        slope: of leaky ReLU left of zero.

    Returns:
        float32 ``[A, M]``.
    """
    errors: Tensor = _Errors.apply(x, weight, bias, target, slope)  # type: ignore[no-untyped-call]
    return errors


class _Errors(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, target: Tensor, slope: float
    ) -> Tensor:
        pixels = weight.shape[2]
        padded = F.pad(weight, (0, -pixels % _ALIGNED))
        # In units of 1/255, in which the target is exact even in bfloat16.
        factor = torch.bmm(x, padded * 255.0)
        agents, count, width = factor.shape
        errors = factor.new_empty((agents, count), dtype=torch.float32)
        cols = triton.next_power_of_2(width)
        rows = max(1, _NUMBERS // cols)
        if factor.numel():
            given = factor, bias.contiguous(), target.contiguous(), errors
            with on(factor):
                _compare[(triton.cdiv(count, rows), agents)](
                    *given, count, slope, pixels, width, rows, cols
                )
        ctx.save_for_backward(x, padded, factor)
        ctx.pixels = pixels
        return errors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, padded, factor = ctx.saved_tensors
        pixels = ctx.pixels
        d_out, sums = _scaled(factor, grads[0].contiguous(), 1.0 / pixels)
        d_weight = weight_gradient(x, d_out)[..., :pixels]
        return torch.bmm(d_out, padded.mT), d_weight, sums[:, :pixels], None, None


def _scaled(factor: Tensor, grad: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Rows times their gradients ``[A, M]`` times a number, and sums over the rows ``[A, W]``."""
    agents, count, width = factor.shape
    if factor.numel() == 0:
        return factor, factor.new_zeros((agents, width), dtype=torch.float32)
    cols = triton.next_power_of_2(width)
    rows = max(1, _NUMBERS // cols)
    blocks = triton.cdiv(count, rows)
    steps = triton.next_power_of_2(triton.cdiv(blocks, triton.cdiv(_BLOCKS, agents)))
    pieces = triton.cdiv(blocks, steps)
    out = torch.empty_like(factor)
    sums = grad.new_empty((agents, pieces, width), dtype=torch.float32)
    with on(factor):
        _scale[(pieces, agents)](factor, grad, out, sums, count, scale, width, steps, rows, cols)
    return out, sums[:, 0] if pieces == 1 else sums.sum(1)


@triton.jit
def _compare(
    product,
    bias,
    target,
    errors,
    count,
    slope,
    PIXELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """From products to errors; in their place the slope of each error by what it is made from."""
    agent = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = tl.arange(0, COLS)
    ok = row < count
    here = agent * count + row
    own = col < PIXELS
    seen = ok[:, None] & own[None, :]
    at = product + (here * WIDTH)[:, None] + col[None, :]
    value = tl.load(at, seen, 0.0).to(tl.float32)
    value += 255.0 * tl.load(bias + agent * PIXELS + col, own, 0.0).to(tl.float32)[None, :]
    bent = tl.where(value > 0, 1.0, slope)
    wanted = tl.load(target + (here * PIXELS)[:, None] + col[None, :], seen, 0).to(tl.float32)
    off = tl.where(seen, value * bent - wanted, 0.0)
    tl.store(errors + here, tl.sum(tl.abs(off), 1) / (255.0 * PIXELS), ok)
    sign = tl.where(off > 0, 1.0, tl.where(off < 0, -1.0, 0.0))
    tl.store(at, sign * bent, ok[:, None] & (col < WIDTH)[None, :])


@triton.jit
def _scale(
    factor,
    grad,
    out,
    sums,
    count,
    scale,
    WIDTH: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """STEPS times ROWS rows of an agent."""
    piece, agent = tl.program_id(0), tl.program_id(1).to(tl.int64)
    col = tl.arange(0, COLS)
    total = tl.zeros((ROWS, COLS), tl.float32)
    for step in range(STEPS):
        row = (piece * STEPS + step) * ROWS + tl.arange(0, ROWS)
        both = (row < count)[:, None] & (col < WIDTH)[None, :]
        here = agent * count + row
        at = (here * WIDTH)[:, None] + col[None, :]
        weight = tl.load(grad + here, row < count, 0.0) * scale
        value = tl.load(factor + at, both, 0.0).to(tl.float32) * weight[:, None]
        tl.store(out + at, value, both)
        total += value
    to = sums + (agent * tl.num_programs(0) + piece) * WIDTH + col
    tl.store(to, tl.sum(total, 0), col < WIDTH)
