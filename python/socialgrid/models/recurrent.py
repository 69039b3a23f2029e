"""The memory: LSTMs of independent agents, unrolled together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.models import kernels
from socialgrid.models.layers import uniform_parameter
from socialgrid.models.products import affine, products, products_plus
from socialgrid.models.triton_kernels import choice
from socialgrid.models.weight_gradients import weight_gradient


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
        # What acting needs of the weights, until they change; and the memory that they were made
        # of, so that no other weights get its addresses.
        self._kept: tuple[object, tuple[Tensor, Tensor, Tensor], list[Tensor]] | None = None
        self._ready: dict[bool, tuple[object, Tensor, list[Tensor]]] = {}
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
        own = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if choice.usable(x, h, c):
            from socialgrid.models.triton_kernels import memory  # noqa: PLC0415 (needs Triton)

            gates = affine(x.reshape(agents, steps * count, inputs), self.weight_ih, None)
            gates = gates.view(agents, steps, count, 4 * self.hidden)
            biases = self.bias_ih, self.bias_hh
            return memory.unroll(gates, self.weight_hh, biases, h, c, reset)
        if kernels.usable(x, h, c, *own):
            weights = kernels.Weights(*own)
            return kernels.unroll(x, weights, self.packed, h, c, reset)
        weight, recurrent, bias = self._weights(x.dtype)
        gates = affine(x.reshape(agents, steps * count, inputs), weight, bias)
        outputs: tuple[Tensor, Tensor] = _Unroll.apply(  # type: ignore[no-untyped-call]
            gates.view(agents, steps, count, 4 * self.hidden), recurrent, h, c, reset
        )
        return outputs

    @torch.no_grad()
    def alternatives(self, x: Tensor, h: Tensor, c: Tensor, columns: slice) -> Tensor:
        """Outputs after one step for every one-hot setting of some inputs.

        Args:
            x: ``[A, M, inputs]``; zero in ``columns``.
            h, c: float32 ``[A, M, hidden]``, resets applied.
            columns: the ``C`` inputs of which one at a time is 1.

        Returns:
            ``[A, M, C, hidden]`` in the dtype of ``x``, without gradient.
        """
        weight, recurrent, bias = self._weights(x.dtype)
        gates = products_plus(products(x, weight, bias), h.to(x.dtype), recurrent)
        choices = weight[:, :, columns].transpose(1, 2)
        if kernels.usable(gates, choices, c):
            return kernels.alternatives(gates, choices, c)
        act = (gates.unsqueeze(2) + choices.unsqueeze(1)).float().sigmoid_()
        i, f, s, o = act.chunk(4, -1)
        cell = (f * c.unsqueeze(2)).sub_(i).addcmul_(i, s, value=2.0)
        q = cell.mul_(2.0).sigmoid_()
        return torch.addcmul(-o, o, q, value=2.0).to(x.dtype)

    @torch.no_grad()
    def without_codes(
        self, x: Tensor, h: Tensor, agents: slice | list[int]
    ) -> tuple[Tensor, Tensor]:
        """What gates come to before the nonlinearities without the last inputs, few of which are 1
        and all others 0, and what each of those would add. Numbers of the cell gate are doubled.

        Args:
            x: ``[len(agents), M, inputs before codes]``.
            h: float32 ``[len(agents), M, hidden]``, resets applied.
            agents: whose.

        Returns:
            ``[len(agents), M, 4 * hidden]`` and ``[len(agents), codes, 4 * hidden]``.
        """
        weight, recurrent, bias = (one[agents] for one in self._weights(x.dtype))
        first = x.shape[-1]
        own = products(x, weight[:, :, :first].contiguous(), bias)
        codes = weight[:, :, first:].transpose(1, 2).contiguous()
        return products_plus(own, h.to(x.dtype), recurrent), codes

    def packed(self, backward: bool) -> Tensor:
        """The weights as kernels read them, forward or backward, kept until they change: several
        threads may need them at once.

        Changes through ``.data`` are not seen. Nothing is kept of parameters in memory that other
        processes share, who change them without telling.
        """
        key, ready = self._key(None), self._ready.get(backward)
        if ready is None or ready[0] != key or self._shared:
            own = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
            packed = kernels.Weights(*own).packed(backward=backward)
            ready = key, packed, [p.detach() for p in own]
            if not self._shared:
                self._ready[backward] = ready
        return ready[1]

    @property
    def _shared(self) -> bool:
        own = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return any(p.is_shared() for p in own)  # type: ignore[no-untyped-call]

    def _key(self, dtype: torch.dtype | None) -> object:
        own = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (dtype, *((p.data_ptr(), p._version) for p in own))

    def _weights(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Input weights, recurrent weights and bias as ``_Unroll`` wants them.

        tanh(x) = 2 sigmoid(2 x) - 1: with doubled weights of the cell gate, one sigmoid does for
        all gates, and PyTorch's is ten times as fast as its tanh. Doubling is exact.

        They are kept on the CPU only, and not of shared parameters: repeated phases of an
        accelerator, and other processes, change weights without telling anybody.
        """
        key = self._key(dtype)
        there = self.bias_ih.device.type == "cpu" and not self._shared
        keeping = there and not torch.is_grad_enabled()
        if keeping and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        double = torch.ones(4 * self.hidden, device=self.bias_ih.device)
        double[2 * self.hidden : 3 * self.hidden] = 2.0
        weight = (self.weight_ih * double[:, None]).to(dtype)
        recurrent = (self.weight_hh * double[:, None]).to(dtype)
        bias = ((self.bias_ih + self.bias_hh) * double).to(dtype)
        if keeping:
            own = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
            self._kept = key, (weight, recurrent, bias), [p.detach() for p in own]
        return weight, recurrent, bias


class _Unroll(torch.autograd.Function):
    """The recurrence, with its backward pass written out: one fused sweep each way.

    With s = sigmoid(gates) split into i, f, s, o and q = sigmoid(2 c):
    c = f c + i (2 s - 1) and h = o (2 q - 1).
    """

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, recurrent: Tensor, h: Tensor, c: Tensor, reset: Tensor
    ) -> tuple[Tensor, Tensor]:
        agents, steps, count, width = projected.shape
        hidden = width // 4
        dtype = projected.dtype
        keeping = ctx.needs_input_grad[0]
        new = projected.new_empty
        out = new((steps, agents, count, hidden))
        cells = new((steps, agents, count, hidden), dtype=torch.float32)
        acts = new((steps, agents, count, width), dtype=torch.float32) if keeping else None
        squashed = torch.empty_like(cells) if keeping else None
        keep = (~reset).unsqueeze(-1)
        resets_at = steps_with_reset(reset)
        h = h.to(dtype)
        first = (h, c)
        for t in range(steps):
            if resets_at[t]:
                h, c = h * keep[:, t], c * keep[:, t]
            gates = products_plus(projected[:, t], h, recurrent)
            act = gates.float() if acts is None else acts[t].copy_(gates)
            i, f, s, o = act.sigmoid_().chunk(4, -1)
            c = torch.mul(f, c, out=cells[t]).sub_(i).addcmul_(i, s, value=2.0)
            q = torch.mul(c, 2.0, out=None if squashed is None else squashed[t]).sigmoid_()
            h = out[t].copy_(torch.addcmul(-o, o, q, value=2.0))
        if acts is not None:
            ctx.save_for_backward(acts, out, cells, squashed, recurrent, reset, *first)
        h_all, c_all = out.transpose(0, 1), cells.transpose(0, 1)
        ctx.mark_non_differentiable(c_all)
        return h_all, c_all

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        acts, out, cells, squashed, recurrent, reset, h_first, c_first = ctx.saved_tensors
        steps, agents, count, width = acts.shape
        hidden = width // 4
        grad_out = grads[0].transpose(0, 1).float()
        resets_at = steps_with_reset(reset)
        keep = (~reset).unsqueeze(-1)
        backwards = recurrent.transpose(1, 2)
        d_gates = out.new_empty((agents, steps, count, width))
        h_before = out.new_empty((agents, steps, count, hidden))
        dh: Tensor | None = None
        dc: Tensor | None = None
        for t in range(steps - 1, -1, -1):
            i, f, s, o = acts[t].chunk(4, -1)
            q = squashed[t]
            h_prev = out[t - 1] if t else h_first
            c_prev = cells[t - 1] if t else c_first
            if resets_at[t]:
                h_prev, c_prev = h_prev * keep[:, t], c_prev * keep[:, t]
            h_before[:, t] = h_prev
            total = grad_out[t] if dh is None else dh.add_(grad_out[t])
            # Through h = o (2 q - 1), where dq/dc = 2 q (1 - q), plus what later steps passed back.
            through = torch.mul(total, o)
            d_cell = torch.addcmul(q, q, q, value=-1.0).mul_(through).mul_(4.0)
            if dc is not None:
                d_cell.add_(dc)
            step = torch.empty_like(acts[t])
            d_i, d_f, d_s, d_o = step.chunk(4, -1)
            torch.addcmul(-d_cell, d_cell, s, value=2.0, out=d_i)
            torch.mul(d_cell, c_prev, out=d_f)
            torch.mul(d_cell, i, out=d_s).mul_(2.0)
            torch.addcmul(-total, total, q, value=2.0, out=d_o)
            step.mul_(torch.addcmul(acts[t], acts[t], acts[t], value=-1.0))
            rounded = d_gates[:, t].copy_(step)
            dc = d_cell.mul_(f)
            if t:
                dh = products(rounded, backwards).float()
                if resets_at[t]:
                    dh, dc = dh * keep[:, t], dc * keep[:, t]
        flat, past = d_gates.view(agents, -1, width), h_before.view(agents, -1, hidden)
        if flat.device.type == "cpu":
            d_weight = products(flat.mT, past.mT)
        else:
            d_weight = weight_gradient(flat, past)
        return d_gates, d_weight, None, None, None


def steps_with_reset(reset: Tensor) -> list[bool]:
    """Steps at which states have to be zeroed; accelerators zero always rather than ask."""
    if reset.device.type != "cpu":
        return [True] * reset.shape[1]
    flags: list[bool] = reset.transpose(0, 1).flatten(1).any(1).tolist()
    return flags
