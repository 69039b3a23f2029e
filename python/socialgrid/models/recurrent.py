"""The memory: LSTMs of independent agents, unrolled together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.models.layers import uniform_parameter


class StackedLSTM(nn.Module):
    """LSTM with two bias vectors, gates in PyTorch's order (input, forget, cell, output).

    The inputs of a whole sequence are projected at once; only the recurrent product is done step
    by step, for all agents together. The cell state is float32 whatever the compute dtype.
    """

    def __init__(self, generators: Sequence[torch.Generator], inputs: int, hidden: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(hidden)
        self.hidden = hidden
        self.weight_ih = uniform_parameter(generators, (4 * hidden, inputs), bound)
        self.weight_hh = uniform_parameter(generators, (4 * hidden, hidden), bound)
        self.bias_ih = uniform_parameter(generators, (4 * hidden,), bound)
        self.bias_hh = uniform_parameter(generators, (4 * hidden,), bound)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """Unroll over ``T`` steps.

        Args:
            x: ``[A, T, N, inputs]``.
            h, c: float32 ``[A, N, hidden]``, state before the first step.
            reset: bool ``[A, T, N]``; the state is zeroed before the step where True.

        Returns:
            ``h`` and ``c`` after every step, ``[A, T, N, hidden]``; ``h`` in the dtype of ``x``
            and ``c`` in float32 without gradient (gradients flow inside the sequence).
        """
        agents, steps, count, inputs = x.shape
        bias = (self.bias_ih + self.bias_hh).to(x.dtype)
        weight = self.weight_ih.to(x.dtype)
        gates = torch.baddbmm(
            bias[:, None], x.reshape(agents, steps * count, inputs), weight.transpose(1, 2)
        )
        outputs: tuple[Tensor, Tensor] = _Unroll.apply(  # type: ignore[no-untyped-call]
            gates.view(agents, steps, count, 4 * self.hidden), self.weight_hh, h, c, reset
        )
        return outputs


class _Unroll(torch.autograd.Function):
    """The recurrence, with its backward pass written out: one fused sweep each way."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight_hh: Tensor, h: Tensor, c: Tensor, reset: Tensor
    ) -> tuple[Tensor, Tensor]:
        agents, steps, count, width = projected.shape
        hidden = width // 4
        dtype = projected.dtype
        recurrent = weight_hh.to(dtype).transpose(1, 2)
        keeping = ctx.needs_input_grad[0]
        new = projected.new_empty
        out = new((steps, agents, count, hidden))
        cells = new((steps, agents, count, hidden), dtype=torch.float32)
        acts = new((steps, agents, count, width), dtype=torch.float32) if keeping else None
        squashed = torch.empty_like(cells) if keeping else None
        keep = None if not _any(reset) else (~reset).unsqueeze(-1)
        resets_at = _steps_with_reset(reset)
        h = h.to(dtype)
        first = (h, c)
        for t in range(steps):
            if keep is not None and resets_at[t]:
                h, c = h * keep[:, t], c * keep[:, t]
            gates = torch.baddbmm(projected[:, t], h, recurrent)
            act = gates.float() if acts is None else acts[t].copy_(gates)
            act[..., : 2 * hidden].sigmoid_()
            act[..., 2 * hidden : 3 * hidden].tanh_()
            act[..., 3 * hidden :].sigmoid_()
            i, f, g, o = act.chunk(4, -1)
            c = torch.mul(f, c, out=cells[t]).addcmul_(i, g)
            tanh_c = torch.tanh(c) if squashed is None else torch.tanh(c, out=squashed[t])
            h = out[t].copy_(tanh_c * o)
        if acts is not None:
            ctx.save_for_backward(acts, out, cells, squashed, weight_hh, reset, *first)
        h_all, c_all = out.transpose(0, 1), cells.transpose(0, 1)
        ctx.mark_non_differentiable(c_all)
        return h_all, c_all

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        acts, out, cells, squashed, weight_hh, reset, h_first, c_first = ctx.saved_tensors
        steps, agents, count, width = acts.shape
        hidden = width // 4
        dtype = out.dtype
        weight = weight_hh.to(dtype)
        grad_out = grads[0].transpose(0, 1)
        resets_at = _steps_with_reset(reset)
        keep = None if not _any(reset) else (~reset).unsqueeze(-1)
        d_gates = out.new_empty((agents, steps, count, width))
        h_before = out.new_empty((agents, steps, count, hidden))
        dh: Tensor | None = None
        dc: Tensor | None = None
        for t in range(steps - 1, -1, -1):
            i, f, g, o = acts[t].chunk(4, -1)
            h_prev = out[t - 1] if t else h_first
            c_prev = cells[t - 1] if t else c_first
            reset_here = keep is not None and resets_at[t]
            if reset_here and keep is not None:
                h_prev, c_prev = h_prev * keep[:, t], c_prev * keep[:, t]
            h_before[:, t] = h_prev
            total = grad_out[t].float() if dh is None else grad_out[t] + dh
            tanh_c = squashed[t]
            # dc through h = o tanh(c), plus what later steps passed back.
            d_cell = torch.addcmul(total, total, tanh_c * tanh_c, value=-1).mul_(o)
            if dc is not None:
                d_cell.add_(dc)
            step = torch.empty_like(acts[t])
            d_i, d_f, d_g, d_o = step.chunk(4, -1)
            torch.mul(d_cell, g, out=d_i)
            torch.mul(d_cell, c_prev, out=d_f)
            torch.mul(d_cell, i, out=d_g)
            torch.mul(total, tanh_c, out=d_o)
            _through_sigmoid(step[..., : 2 * hidden], acts[t][..., : 2 * hidden])
            d_g.addcmul_(d_g * g, g, value=-1)
            _through_sigmoid(d_o, o)
            d_gates[:, t] = step
            dc = d_cell.mul_(f)
            if t:
                dh = torch.bmm(step.to(dtype), weight).float()
                if reset_here and keep is not None:
                    dh, dc = dh * keep[:, t], dc * keep[:, t]
        flat = d_gates.view(agents, steps * count, width)
        d_weight = torch.bmm(flat.transpose(1, 2), h_before.view(agents, -1, hidden)).float()
        return d_gates, d_weight, None, None, None


def _through_sigmoid(grad: Tensor, act: Tensor) -> None:
    """Multiply ``grad`` in place by act (1 - act)."""
    grad.mul_(torch.addcmul(act, act, act, value=-1))


def _any(reset: Tensor) -> bool:
    """Whether resets have to be applied; accelerators always apply rather than wait to know."""
    return reset.device.type != "cpu" or bool(reset.any())


def _steps_with_reset(reset: Tensor) -> list[bool]:
    if reset.device.type != "cpu":
        return [True] * reset.shape[1]
    flags: list[bool] = reset.transpose(0, 1).flatten(1).any(1).tolist()
    return flags
