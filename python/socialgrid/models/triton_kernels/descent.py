"""A step of Adam of all agents in one pass over their parameters."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from socialgrid.models.triton_kernels.launching import on

_BLOCK = 1024


def descend_(
    block: Tensor,
    grad: Tensor,
    moments: tuple[Tensor, Tensor],
    numbers: tuple[Tensor, Tensor, Tensor, Tensor],
    betas: tuple[float, float],
    eps: float,
) -> None:
    """See ``StackedAdam.step_where``; everything contiguous, ``[A, P]``, on one device.

    Args:
        block: parameters, float32, changed in place.
        grad: float32; of agents that take no step anything.
        moments: float32, changed in place.
        numbers: of each agent whether it takes a step (bool), its steps with this one (int64), its
            rate and the factor of its gradient (float32).
        betas, eps: Adam's.
    """
    agents, size = block.shape
    stepping, steps, rates, scales = (x.contiguous() for x in numbers)
    logs = tuple(math.log(beta) if beta > 0.0 else -math.inf for beta in betas)
    with on(block):
        _descend[(triton.cdiv(size, _BLOCK), agents)](
            *(block, grad, *moments, stepping.view(torch.uint8), steps, rates, scales),
            *(size, *(1.0 - beta for beta in betas), *logs, eps, _BLOCK),
        )


@triton.jit
def _descend(
    block,
    grad,
    first,
    second,
    stepping,
    steps,
    rates,
    scales,
    size,
    share1,
    share2,
    log1,
    log2,
    eps,
    BLOCK: tl.constexpr,
) -> None:
    """A piece of an agent's parameters; those of agents that take no step are not read."""
    agent = tl.program_id(1).to(tl.int64)
    if tl.load(stepping + agent) != 0:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        ok, at = at < size, agent * size + at
        count = tl.load(steps + agent).to(tl.float64)
        root = tl.sqrt(1.0 - tl.exp(count * log2))
        rate = (tl.load(rates + agent) * root / (1.0 - tl.exp(count * log1))).to(tl.float32)
        least = (eps * root).to(tl.float32)
        g = tl.load(grad + at, ok, 0.0) * tl.load(scales + agent)
        m, v = tl.load(first + at, ok, 0.0), tl.load(second + at, ok, 0.0)
        m += share1 * (g - m)
        v += share2 * (g * g - v)
        p = tl.load(block + at, ok, 0.0)
        tl.store(first + at, m, ok)
        tl.store(second + at, v, ok)
        tl.store(block + at, p - m / (tl.sqrt(v) + least) * rate, ok)
