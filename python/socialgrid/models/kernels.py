"""The compiled kernels of networks on CPUs, and when they are used.

They are part of the extension and work on the memory of float32 tensors, whatever the version of
PyTorch. ``SOCIALGRID_KERNELS=off`` in the environment does without them; other values choose one of
the sets that the processor can run (``avx512``, ``avx2``, ``portable``), of which the fastest is
taken otherwise. Results differ from those without kernels by rounding, at most 3e-6 of the largest
of them. What is computed for a row depends neither on the number of threads nor on the other rows
of a call.

Kernels do what modules do without calling them. Where somebody listens to a network by a hook, of a
module or of a parameter's gradient, or has put another ``forward`` on a module, it is computed by
operators, which call everybody: ``walks.heard`` tells.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from socialgrid import _core


def chosen(name: str | None) -> _core.Kernels | None:
    """The set of kernels of a name; None for "off", and where there are none.

    Raises:
        ValueError: the processor has no set of this name.
        ImportError: the extension was compiled for the simulator alone.
    """
    if not hasattr(_core, "kernel_sets"):
        raise ImportError(
            "socialgrid was compiled for the simulator alone (SOCIALGRID_KERNELS=OFF): install it "
            "without that option for learners"
        )
    sets = _core.kernel_sets()
    if name == "off" or not (name or sets):
        return None
    if name and name not in sets:
        known = ", ".join(("off", *sets))
        raise ValueError(f"SOCIALGRID_KERNELS={name}: here it must be one of {known}")
    return _core.Kernels(name or sets[0])


KERNELS = chosen(os.environ.get("SOCIALGRID_KERNELS"))


_here = threading.local()


def threads() -> int:
    """How many threads a kernel that is called here may use: as many as torch, unless
    ``use_threads`` has said another number in the same thread. No bit depends on it.
    """
    return getattr(_here, "threads", 0) or torch.get_num_threads()


def use_threads(count: int) -> int:
    """Let kernels that this thread calls use so many threads; 0: as many as torch. Returns what was
    said before.
    """
    before: int = getattr(_here, "threads", 0)
    _here.threads = count
    return before


def usable(*tensors: Tensor) -> bool:
    """Whether kernels can work on these tensors, and are wanted."""
    return KERNELS is not None and all(
        x.dtype == torch.float32 and x.device.type == "cpu" for x in tensors
    )


@dataclass(frozen=True)
class Weights:
    """An LSTM's weights: ``[A, 4 * hidden, inputs]``, ``[A, 4 * hidden, hidden]``, two biases
    ``[A, 4 * hidden]``; gates in the order input, forget, cell, output.
    """

    input: Tensor
    recurrent: Tensor
    bias_input: Tensor
    bias_recurrent: Tensor

    def packed(self, *, backward: bool = False) -> Tensor:
        """In the order in which ``unroll`` reads them, forward or backward."""
        assert KERNELS is not None
        agents, width, inputs = self.input.shape
        parts = [x.detach().contiguous() for x in (self.input, self.recurrent)]
        biases = [x.detach().contiguous() for x in (self.bias_input, self.bias_recurrent)]
        out = self.input.new_empty((agents, KERNELS.packed(inputs, width // 4)))
        where = (*addresses(*parts), *((0, 0) if backward else addresses(*biases)))
        KERNELS.pack((*where, out.data_ptr()), agents, inputs, width // 4)
        return out


def unroll(
    x: Tensor,
    weights: Weights,
    packed: Callable[[bool], Tensor],
    h: Tensor,
    c: Tensor,
    reset: Tensor,
) -> tuple[Tensor, Tensor]:
    """An LSTM over time.

    Args:
        x: ``[A, T, N, inputs]``.
        weights: of every agent.
        packed: gives ``weights.packed(backward=...)``; they are asked for on the way back, too.
        h, c: ``[A, N, hidden]``, state before the first step; no gradient reaches them.
        reset: bool ``[A, T, N]``; the state is zeroed before the step where True.

    Returns:
        ``h`` and ``c`` after every step, ``[A, T, N, hidden]``, ``c`` without gradient.
    """
    own = (weights.input, weights.recurrent, weights.bias_input, weights.bias_recurrent)
    outputs: tuple[Tensor, Tensor] = _Unroll.apply(  # type: ignore[no-untyped-call]
        x, *own, packed, h, c, reset
    )
    return outputs


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        recurrent: Tensor,
        bias: Tensor,
        recurrent_bias: Tensor,
        packed: Callable[[bool], Tensor],
        h: Tensor,
        c: Tensor,
        reset: Tensor,
    ) -> tuple[Tensor, Tensor]:
        assert KERNELS is not None
        ready = packed(False)
        x, reset = x.contiguous(), reset.contiguous()
        h, c = _dense_rows(h), _dense_rows(c)
        out = x.new_empty((*x.shape[:3], recurrent.shape[2]))
        cells = torch.empty_like(out)
        keeping = any(ctx.needs_input_grad)
        gates = x.new_empty((*x.shape[:3], recurrent.shape[1])) if keeping else None
        kept = (x, h, c, reset, gates, out, cells)
        KERNELS.unroll(addresses(ready, *kept), _sizes(x, recurrent, h, c), threads())
        if keeping:
            ctx.save_for_backward(weight, recurrent, bias, recurrent_bias, *kept)
            ctx.packed = packed
        ctx.mark_non_differentiable(cells)
        return out, cells

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert KERNELS is not None
        *own, x, h, c, reset, gates, out, cells = ctx.saved_tensors
        ready = ctx.packed(True)
        weight, recurrent, bias, _ = own
        wanted = ctx.needs_input_grad
        d_x = torch.empty_like(x) if wanted[0] else None
        d_weights: list[Tensor | None] = [None, None, None]
        if any(wanted[1:5]):
            d_weights = [torch.empty_like(one) for one in (weight, recurrent, bias)]
        grad, d_gates = grads[0].contiguous(), torch.empty_like(gates)
        KERNELS.unroll_back(
            addresses(ready, x, h, c, reset, gates, out, cells),
            _sizes(x, recurrent, h, c),
            addresses(grad, d_gates, d_x, *d_weights),
            threads(),
        )
        return d_x, *d_weights, d_weights[2], None, None, None, None


def alternatives(gates: Tensor, weights: Tensor, c: Tensor) -> Tensor:
    """Outputs of an LSTM after one step for every one-hot setting of some inputs.

    Args:
        gates: ``[A, M, 4 * hidden]``, of all other inputs and the state, the cell gate's doubled.
        weights: ``[A, C, 4 * hidden]`` of these inputs, likewise.
        c: ``[A, M, hidden]``.

    Returns:
        ``[A, M, C, hidden]``, without gradient.
    """
    assert KERNELS is not None
    agents, count, hidden = c.shape
    choices = weights.shape[1]
    gates, weights, c = gates.contiguous(), weights.contiguous(), _dense_rows(c)
    out = gates.new_empty((agents, count, choices, hidden))
    sizes = (agents, count, choices, hidden, *c.stride()[:2])
    KERNELS.alternatives(addresses(gates, weights, c, out), sizes, threads())
    return out


def _dense_rows(state: Tensor) -> Tensor:
    return state if state.stride(-1) == 1 else state.contiguous()


def addresses(*tensors: Tensor | None) -> tuple[int, ...]:
    """Where tensors lie; 0 for none."""
    return tuple(0 if x is None else x.data_ptr() for x in tensors)


def _sizes(x: Tensor, recurrent: Tensor, h: Tensor, c: Tensor) -> tuple[int, ...]:
    return (*x.shape, recurrent.shape[2], *h.stride()[:2], *c.stride()[:2])
