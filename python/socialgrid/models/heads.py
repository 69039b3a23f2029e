"""Value and policy heads: small tanh networks on the memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from socialgrid.models.layers import StackedLinear
from socialgrid.models.picking import picked


class Head(nn.Module):
    """``[A, N, inputs] -> [A, N, outputs]``, float32 whatever comes in, tanh between the layers.

    Values of steps that follow each other differ by little, and so do log-probabilities before and
    after a gradient step: rounded to bfloat16, much of their differences would be rounding.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int,
    ) -> None:
        super().__init__()
        sizes = (inputs, *hidden, outputs)
        self.layers = nn.ModuleList(
            StackedLinear(generators, before, after, tanh=i < len(hidden))
            for i, (before, after) in enumerate(pairwise(sizes))
        )

    def forward(self, core: Tensor) -> Tensor:
        """Apply the layers, in float32."""
        x = core.float()
        for layer in self.layers:
            x = layer(x)
        return x


def chosen_log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """Log-probability of the actions: ``[..., n]`` and ``[...]`` to ``[...]``."""
    return picked(logits.log_softmax(-1), action)
