"""A further decision of every agent in every step, besides its action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from socialgrid.models.heads import Head


class DecisionHeads(nn.Module):
    """A second policy and value head on the memory, each with one embedding layer.

    Attributes:
        choices: V, values that it can have.
        weight: of this decision's policy and value loss; an action's is 1.
        entropy_coef: of its entropy in the whole loss.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        memory: int,
        embedding: int,
        choices: int,
        *,
        weight: float,
        entropy_coef: float,
    ) -> None:
        super().__init__()
        self.choices, self.weight, self.entropy_coef = choices, weight, entropy_coef
        self.policy_head = Head(generators, memory, (embedding,), choices)
        self.value_head = Head(generators, memory, (embedding,), 1)

    def logits(self, core: Tensor) -> Tensor:
        """Logits of the choices, float32 ``[A, N, V]`` of memory outputs ``[A, N, memory]``."""
        logits: Tensor = self.policy_head(core)
        return logits

    def value(self, core: Tensor) -> Tensor:
        """Value of choosing well, float32 ``[A, N]``."""
        value: Tensor = self.value_head(core)
        return value.squeeze(-1)
