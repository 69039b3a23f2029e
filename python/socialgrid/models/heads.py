"""Value and policy heads: small tanh networks on the memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from socialgrid.models.layers import StackedLinear


class Head(nn.Module):
    """``[A, N, inputs] -> [A, N, outputs]``, float32, tanh between the layers."""

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
            StackedLinear(generators, before, after) for before, after in pairwise(sizes)
        )

    def forward(self, core: Tensor) -> Tensor:
        """Apply the layers; the result is float32 whatever the input's dtype."""
        x = core
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < last:
                x = x.tanh_()
        return x.float()
