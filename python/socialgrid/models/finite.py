"""Numbers that stopped being numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from socialgrid.models import kernels


class NonFiniteError(RuntimeError):
    """A loss, reward, observation or parameter stopped being a finite number.

    Attributes:
        agent: index (among the learner's agents) of the first agent concerned.
        step: number of the update in which it happened.
        dump: file with the batch (safetensors), or ``None`` if no directory was given.
    """

    def __init__(self, what: str, step: int, agent: int, dump: Path | None = None) -> None:
        where = f"; the batch is in {dump}" if dump else "; set dump_dir to keep the batch"
        super().__init__(f"non-finite {what} in update {step}, agent {agent}{where}")
        self.what, self.step, self.agent, self.dump = what, step, agent, dump


def all_finite(*tensors: Tensor) -> bool:
    """Whether everything in these tensors of numbers is finite; one answer of a device for all."""
    if kernels.KERNELS is not None and kernels.usable(*tensors):
        dense = [x.contiguous() for x in tensors]
        return kernels.KERNELS.finite([(x.data_ptr(), x.numel()) for x in dense])
    return bool(torch.stack([x.isfinite().all() for x in tensors]).all())
