"""A stacked network with what is needed to train it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.models import kernels
from socialgrid.models.adam import StackedAdam
from socialgrid.models.flat_parameters import FlatParameters


class Trained:
    """A network of ``A`` agents, its Adam and, if wanted, its slowly moving copy.

    Attributes:
        network: what is trained.
        target: the copy; the network itself if none was wanted.
        flat, target_flat: the parameters of both, each agent's in a row.
        optimiser: steps every agent on its own.
    """

    def __init__(
        self,
        network: nn.Module,
        num_agents: int,
        rate: float | Sequence[float],
        betas: tuple[float, float],
        eps: float,
        *,
        target: bool = True,
    ) -> None:
        self.network = network
        self.target: Any = copy.deepcopy(network).requires_grad_(False) if target else network
        self.flat = FlatParameters(network)
        self.target_flat = FlatParameters(self.target) if target else self.flat
        self.optimiser = StackedAdam(self.flat, num_agents, rate, betas, eps, self.flat)

    def differentiate(self, loss: Tensor) -> Tensor:
        """Gradient of ``loss`` [A] with respect to the network; returns its norms ``[A]``."""
        return self.flat.differentiate(loss)

    @torch.no_grad()
    def step(self, agents: Sequence[int], norms: Tensor, max_norm: float | None) -> None:
        """Let the given agents take a step along their gradients of the given norms."""
        block = self.flat.block
        assert block.grad is not None, "differentiate comes first"
        if kernels.usable(block, block.grad):
            scales = torch.ones_like(norms) if max_norm is None else _scales(norms, max_norm)
            self.optimiser.step_block(self.flat, agents, scales.tolist())
        else:
            if max_norm is not None:
                block.grad.mul_(_scales(norms, max_norm)[:, None])
            self.optimiser.step(self.flat, agents, agents)
        self.flat.changed()

    def follow(self, rate: float, agents: Sequence[int]) -> None:
        """Move the given agents' targets by ``rate`` towards their networks; 1 copies."""
        self.target_flat.approach(self.flat, rate, list(agents))

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Everything, every tensor ``[A, ...]``, not copied."""
        found = {f"model/{name}/{k}": p.detach() for k, p in self.network.named_parameters()}
        if self.target is not self.network:
            target = self.target.named_parameters()
            found |= {f"model/{name}-target/{k}": p.detach() for k, p in target}
        moments = self.optimiser.tensors()
        return found | {f"optimiser/{name}/{k}": x for k, x in moments.items()}


def _scales(norms: Tensor, max_norm: float) -> Tensor:
    """What shortens gradients of these norms to ``max_norm``."""
    return (max_norm / (norms + 1e-6)).clamp(max=1.0)
