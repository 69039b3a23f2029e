"""Where and how torch computes."""

from __future__ import annotations

import os
from typing import Any

import torch

from socialgrid._core import usable_cores
from socialgrid.algos.ranks import ALONE, Ranks
from socialgrid.config import RunConfig, UsageError
from socialgrid.models.kernels import use_threads


def prepare_torch(run: RunConfig) -> None:
    """Set what a run says of how torch computes.

    Torch itself has one thread: how it rounds depends on their number. Work is shared among
    threads in whole pieces, or by kernels (``threads_of``).
    """
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    use_threads(1)
    # In bf16 what stays float32 (heads, losses) may be rounded to TF32, which is finer.
    rounded = run.precision in ("tf32", "bf16")
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded  # of convolutions; torch's own default is yes
    # Parts of products of bfloat16 are added up in float32; torch's own default allows bfloat16.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def threads_of(run: RunConfig, ranks: Ranks = ALONE) -> int:
    """How many threads compute independent pieces of work, one piece each at a time."""
    return run.threads or cores_of(ranks)


def cores_of(ranks: Ranks) -> int:
    """Cores of this machine that belong to each of the processes of a run that are on it."""
    return max(1, usable_cores() // ranks.neighbours)


def settle_on(name: str) -> torch.device:
    """Choose a device, and see to it that the same run has the same bits on it.

    On CUDA, operations add up in a fixed order, and cuBLAS has a workspace for each stream
    (``CUBLAS_WORKSPACE_CONFIG``, unless it is set already, as it is read with the first product).
    Nothing here reads memory that nobody wrote: it is not filled, which would take a kernel for
    every new tensor.

    Raises:
        UsageError: this machine does not have it.
    """
    device = choose_device(name)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        settings: Any = torch.utils.deterministic
        settings.fill_uninitialized_memory = False
    return device


def choose_device(name: str) -> torch.device:
    """Device by name; "auto" takes cuda, then mps, then cpu.

    Raises:
        UsageError: this machine does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    if name not in available:
        raise UsageError(f"device: {name!r} is not one of auto, {', '.join(available)}")
    if not available[name]:
        here = ", ".join(kind for kind, yes in available.items() if yes)
        raise UsageError(f"run.device: {name} is not available on this machine ({here})")
    return torch.device(name)
