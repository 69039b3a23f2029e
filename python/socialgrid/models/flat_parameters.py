"""All parameters of a stacked network in one block, one row for each agent."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FlatParameters(nn.Module):
    """The parameters of a module as one parameter ``block`` float32 ``[A, P]``.

    The module's own parameters become views of the block, so an optimiser's step, a target's
    average or a norm is a few operations on one tensor, however many layers there are. Move the
    module to its device before, not after.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._own = list(module.parameters())
        rows = [p.detach().flatten(1) for p in self._own]
        self.block = nn.Parameter(torch.cat(rows, 1))
        parts = torch.split(self.block.detach(), [row.shape[1] for row in rows], 1)
        for p, part in zip(self._own, parts, strict=True):
            p.data = part.view(p.shape)

    def differentiate(self, loss: Tensor) -> Tensor:
        """Put the gradient of ``loss`` [A] into ``block.grad``; returns its norms ``[A]``."""
        grads = torch.autograd.grad(loss.sum(), self._own)
        self.block.grad = torch.cat([g.flatten(1) for g in grads], 1)
        norms: Tensor = torch.linalg.vector_norm(self.block.grad, dim=1)
        return norms

    def requires_gradient(self, wanted: bool) -> None:
        """Whether graphs built from now on reach these parameters."""
        for p in self._own:
            p.requires_grad_(wanted)

    def changed(self) -> None:
        """To be called when ``block`` was changed: the module's parameters count as changed."""
        torch.autograd.graph.increment_version(self._own)

    @torch.no_grad()
    def approach(self, other: FlatParameters, rate: float, rows: list[int]) -> None:
        """Move the given rows by ``rate`` towards another network's: 1 copies."""
        if len(rows) == len(self.block):
            self.block.lerp_(other.block, rate)
        else:
            for row in rows:
                self.block[row].lerp_(other.block[row], rate)
        self.changed()
