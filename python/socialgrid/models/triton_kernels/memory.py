"""An LSTM over time with resets: two launches a step, the recurrent product and all the rest."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from socialgrid.models.triton_kernels.activations import column_sums
from socialgrid.models.triton_kernels.launching import on
from socialgrid.models.weight_gradients import weight_gradient

_BLOCK = 512


def unroll(
    projected: Tensor,
    recurrent: Tensor,
    biases: tuple[Tensor, Tensor],
    h: Tensor,
    c: Tensor,
    reset: Tensor,
) -> tuple[Tensor, Tensor]:
    """Unroll over ``T`` steps, with gradient.

    Args:
        projected: ``[A, T, N, 4 * hidden]``, inputs times their weights; gates in the order
            input, forget, cell, output.
        recurrent: float32 ``[A, 4 * hidden, hidden]``.
        biases: float32 ``[A, 4 * hidden]``, both of which are added.
        h, c: float32 ``[A, N, hidden]``, state before the first step.
        reset: bool ``[A, T, N]``; the state is zeroed before the step where True.

    Returns:
        ``h`` and ``c`` after every step, ``[A, T, N, hidden]``; ``h`` in the dtype of
        ``projected`` and ``c`` in float32 without gradient.
    """
    outputs: tuple[Tensor, Tensor] = _Unroll.apply(  # type: ignore[no-untyped-call]
        projected, recurrent, *biases, h, c, reset
    )
    return outputs


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        recurrent: Tensor,
        bias: Tensor,
        recurrent_bias: Tensor,
        h: Tensor,
        c: Tensor,
        reset: Tensor,
    ) -> tuple[Tensor, Tensor]:
        agents, steps, count, width = projected.shape
        hidden = width // 4
        keeping = any(ctx.needs_input_grad)
        projected, c = projected.contiguous(), c.contiguous()
        bias, recurrent_bias = bias.contiguous(), recurrent_bias.contiguous()
        resets = reset.contiguous().view(torch.uint8)
        weight = recurrent.to(projected.dtype)
        # What the recurrent product reads in each step: the state with its reset.
        before = projected.new_empty((agents, steps if keeping else 1, count, hidden))
        torch.mul(h, (~reset[:, 0]).unsqueeze(-1), out=before[:, 0])
        out = projected.new_empty((agents, steps, count, hidden))
        cells = torch.empty_like(out, dtype=torch.float32)
        gates = torch.empty_like(projected, dtype=torch.float32) if keeping else cells
        total = agents * count * hidden
        for t in range(steps):
            now, following = (t, min(t + 1, steps - 1)) if keeping else (0, 0)
            product = torch.bmm(before[:, now], weight.mT)
            past = cells[:, t - 1] if t else c
            given = (projected, product, bias, recurrent_bias, past, resets)
            with on(projected):
                _forward[(triton.cdiv(total, _BLOCK),)](
                    *(*given, out, cells, before[:, following], gates),
                    *(past.stride(0), before.stride(0), t, steps, count, total),
                    *(keeping, t == steps - 1, hidden, _BLOCK),
                )
        if keeping:
            ctx.save_for_backward(weight, before, gates, cells, c, reset)
        ctx.mark_non_differentiable(cells)
        return out, cells

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, before, gates, cells, c, reset = ctx.saved_tensors
        agents, steps, count, width = gates.shape
        hidden = width // 4
        grad, resets = grads[0].contiguous(), reset.contiguous().view(torch.uint8)
        d_gates = before.new_empty(gates.shape)
        d_cell = torch.empty_like(c)
        later = d_cell  # what a step gives to the one before it; nothing after the last
        total = agents * count * hidden
        for t in range(steps - 1, -1, -1):
            past = cells[:, t - 1] if t else c
            with on(grad):
                _backward[(triton.cdiv(total, _BLOCK),)](
                    *(grad, later, d_cell, gates, past, resets, d_gates),
                    *(past.stride(0), t, steps, count, total),
                    *(t == steps - 1, hidden, _BLOCK),
                )
            if t or ctx.needs_input_grad[4]:
                later = torch.bmm(d_gates[:, t], weight)
        rows = d_gates.flatten(1, 2)
        wanted = ctx.needs_input_grad
        d_recurrent = weight_gradient(rows, before.flatten(1, 2)) if wanted[1] else None
        d_bias = column_sums(rows) if wanted[2] or wanted[3] else None
        keep = (~reset[:, 0]).unsqueeze(-1)
        d_h = later.float() * keep if wanted[4] else None
        d_c = d_cell * keep if wanted[5] else None
        return d_gates, d_recurrent, d_bias, d_bias, d_h, d_c, None


@triton.jit(do_not_specialize=["t"])
def _forward(
    projected,
    product,
    bias,
    recurrent_bias,
    past,
    reset,
    out,
    cells,
    following,
    gates,
    past_stride,
    following_stride,
    t,
    T,
    N,
    total,
    KEEPING: tl.constexpr,
    LAST: tl.constexpr,
    H: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Step t of a number of units, each of one agent and sequence.

    ``past`` [A, N, H]: cells before the step, without its reset; ``following`` [A, N, H]: where
    the state goes with the reset of the next step.
    """
    unit = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = unit < total
    row = unit // H
    j = unit % H
    agent = (row // N).to(tl.int64)
    n = row % N
    here = (agent * T + t) * N + n  # among rows [A, T, N]
    at = projected + here * (4 * H) + j
    to = product + row.to(tl.int64) * (4 * H) + j
    own = agent * (4 * H) + j
    x_i = tl.load(at, ok, 0.0).to(tl.float32) + tl.load(to, ok, 0.0).to(tl.float32)
    x_f = tl.load(at + H, ok, 0.0).to(tl.float32) + tl.load(to + H, ok, 0.0).to(tl.float32)
    x_g = tl.load(at + 2 * H, ok, 0.0).to(tl.float32) + tl.load(to + 2 * H, ok, 0.0).to(tl.float32)
    x_o = tl.load(at + 3 * H, ok, 0.0).to(tl.float32) + tl.load(to + 3 * H, ok, 0.0).to(tl.float32)
    x_i += tl.load(bias + own, ok, 0.0) + tl.load(recurrent_bias + own, ok, 0.0)
    x_f += tl.load(bias + own + H, ok, 0.0) + tl.load(recurrent_bias + own + H, ok, 0.0)
    x_g += tl.load(bias + own + 2 * H, ok, 0.0) + tl.load(recurrent_bias + own + 2 * H, ok, 0.0)
    x_o += tl.load(bias + own + 3 * H, ok, 0.0) + tl.load(recurrent_bias + own + 3 * H, ok, 0.0)
    i = tl.sigmoid(x_i)
    f = tl.sigmoid(x_f)
    g = 2.0 * tl.sigmoid(2.0 * x_g) - 1.0
    o = tl.sigmoid(x_o)
    kept = tl.load(reset + here, ok, 1) == 0
    within = n.to(tl.int64) * H + j
    cell = tl.where(kept, tl.load(past + agent * past_stride + within, ok, 0.0), 0.0)
    cell = f * cell + i * g
    h = o * (2.0 * tl.sigmoid(2.0 * cell) - 1.0)
    tl.store(out + here * H + j, h, ok)
    tl.store(cells + here * H + j, cell, ok)
    if KEEPING:
        to = gates + here * (4 * H) + j
        tl.store(to, i, ok)
        tl.store(to + H, f, ok)
        tl.store(to + 2 * H, g, ok)
        tl.store(to + 3 * H, o, ok)
    if not LAST:
        kept = tl.load(reset + here + N, ok, 1) == 0
        tl.store(following + agent * following_stride + within, tl.where(kept, h, 0.0), ok)


@triton.jit(do_not_specialize=["t"])
def _backward(
    grad,
    later,
    d_cell,
    gates,
    past,
    reset,
    d_gates,
    past_stride,
    t,
    T,
    N,
    total,
    LAST: tl.constexpr,
    H: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Step t backwards: ``later`` and ``d_cell`` [A, N, H] come from step t + 1, before its reset;
    ``d_cell`` goes to step t - 1 in place.
    """
    unit = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = unit < total
    row = unit // H
    j = unit % H
    agent = (row // N).to(tl.int64)
    n = row % N
    here = (agent * T + t) * N + n
    at = gates + here * (4 * H) + j
    i = tl.load(at, ok, 0.0)
    f = tl.load(at + H, ok, 0.0)
    g = tl.load(at + 2 * H, ok, 0.0)
    o = tl.load(at + 3 * H, ok, 0.0)
    kept = tl.load(reset + here, ok, 1) == 0
    within = n.to(tl.int64) * H + j
    cell = tl.where(kept, tl.load(past + agent * past_stride + within, ok, 0.0), 0.0)
    q = 2.0 * tl.sigmoid(2.0 * (f * cell + i * g)) - 1.0
    d = tl.load(grad + here * H + j, ok, 0.0).to(tl.float32)
    if LAST:
        e = d * o * (1.0 - q * q)
    else:
        kept = tl.load(reset + here + N, ok, 1) == 0
        d += tl.where(kept, tl.load(later + unit, ok, 0.0).to(tl.float32), 0.0)
        e = d * o * (1.0 - q * q) + tl.where(kept, tl.load(d_cell + unit, ok, 0.0), 0.0)
    to = d_gates + here * (4 * H) + j
    tl.store(to, e * g * i * (1.0 - i), ok)
    tl.store(to + H, e * cell * f * (1.0 - f), ok)
    tl.store(to + 2 * H, e * i * (1.0 - g * g), ok)
    tl.store(to + 3 * H, d * q * o * (1.0 - o), ok)
    tl.store(d_cell + unit, e * f, ok)
