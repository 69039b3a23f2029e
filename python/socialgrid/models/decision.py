"""Message heads: what to say next, and what saying it is worth (Jaques et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from socialgrid.models.heads import Head


class MessageHeads(nn.Module):
    """A second policy and value head on the memory, each with one embedding layer."""

    def __init__(
        self, generators: Sequence[torch.Generator], memory: int, embedding: int, vocabulary: int
    ) -> None:
        super().__init__()
        self.policy_head = Head(generators, memory, (embedding,), vocabulary)
        self.value_head = Head(generators, memory, (embedding,), 1)

    def logits(self, core: Tensor) -> Tensor:
        """Logits of the symbols, float32 ``[A, N, V]`` of memory outputs ``[A, N, memory]``."""
        logits: Tensor = self.policy_head(core)
        return logits

    def value(self, core: Tensor) -> Tensor:
        """Value of speaking, float32 ``[A, N]``."""
        value: Tensor = self.value_head(core)
        return value.squeeze(-1)
