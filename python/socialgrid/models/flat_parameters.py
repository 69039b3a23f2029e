"""All parameters of a stacked network in one block, one row for each agent."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ALIGNED = 32  # numbers: 128 bytes


class FlatParameters(nn.Module):
    """The parameters of a module as one parameter ``block`` float32 ``[A, P]``.

    The module's own parameters become views of the block, so an optimiser's step, a target's
    average or a norm is a few operations on one tensor, however many layers there are. Move the
    module to its device before, not after.
    """

    def __init__(self, module: nn.Module, *, aligned: bool = False) -> None:
        """Put all parameters together.

        Args:
            module: whose.
            aligned: each parameter begins where fast products of accelerators can read it, with
                zeros before it, so that a row is somewhat longer than all parameters.
        """
        super().__init__()
        self._aligned = aligned
        self._hold(list(module.parameters()))

    def _hold(self, own: list[nn.Parameter]) -> None:
        self._own = own
        self.block = nn.Parameter(self._together([p.detach() for p in own]))
        for p, part in zip(own, self.parts(self.block.detach()), strict=True):
            p.data = part

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatParameters:
        made = FlatParameters.__new__(FlatParameters)
        memo[id(self)] = made
        nn.Module.__init__(made)
        made._aligned = self._aligned
        made._hold([copy.deepcopy(p, memo) for p in self._own])
        return made

    def _together(self, parts: Sequence[Tensor]) -> Tensor:
        rows = [x.flatten(1) for x in parts]
        if self._aligned:
            missing = (-row.shape[1] % _ALIGNED for row in rows)
            rows = [F.pad(x, (0, n)) if n else x for x, n in zip(rows, missing, strict=True)]
        return torch.cat(rows, 1)

    def parts(self, block: Tensor) -> list[Tensor]:
        """Views of a block like this one, each of the shape of a parameter."""
        found, start = [], 0
        for p in self._own:
            size = p.shape[1:].numel()
            found.append(block[:, start : start + size].view(p.shape))
            start += size + (-size % _ALIGNED if self._aligned else 0)
        return found

    @torch.no_grad()
    def gradients(self) -> Tensor:
        """The gradients of all parameters, a new block; zeros where there is none."""
        return self._together(
            [torch.zeros_like(p) if p.grad is None else p.grad for p in self._own]
        )

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
