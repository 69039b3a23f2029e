"""Gradients of weights on accelerators: products of two tall matrices over their long side.

One such product has as many blocks of work as its small result has, and most of the device idles;
cut along the rows it has enough. The pieces are added in a fixed order.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE = 128  # rows and columns of a result that a block of work makes
_BLOCKS = 264  # two for each multiprocessor of the largest cards
_SHORTEST = 256  # rows that are worth a piece
_WORTH_ZEROS = 8  # pieces that are worth copies with rows of zeros at the end


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """grad^T @ x of every agent, without gradient.

    Args:
        grad: ``[A, M, O]``.
        x: ``[A, M, K]``.

    Returns:
        float32 ``[A, O, K]``.
    """
    return in_pieces(grad, x, pieces(*grad.shape, x.shape[2]))


def in_pieces(grad: Tensor, x: Tensor, count: int) -> Tensor:
    """The same, of so many pieces, each a product in the dtype of ``x``, added in float32."""
    if count == 1:
        return torch.bmm(grad.mT, x).float()
    agents, rows, outputs = grad.shape
    missing = -rows % count
    if missing:
        grad, x = F.pad(grad, (0, 0, 0, missing)), F.pad(x, (0, 0, 0, missing))
    left, right = (y.reshape(agents * count, -1, y.shape[2]) for y in (grad, x))
    parts = torch.bmm(left.mT, right).view(agents, count, outputs, -1)
    return parts.sum(1, dtype=torch.float32)


@cache
def pieces(agents: int, rows: int, outputs: int, inputs: int) -> int:
    """How many pieces of a product make enough blocks of work."""
    blocks = agents * -(-outputs // _SIDE) * -(-inputs // _SIDE)
    most = max(1, min(_BLOCKS // blocks, rows // _SHORTEST))
    even = (n for n in range(most, most // 2, -1) if rows % n == 0)
    return next(even, most if most >= _WORTH_ZEROS else 1)
