"""When Triton kernels are used. Nothing here imports Triton."""

from __future__ import annotations

import importlib.util
import os
import warnings
from functools import cache

import torch
from torch import Tensor

# ruff: noqa: PLC0415 (Triton is imported where kernels are used)

DEVICES = {"cuda"}
"""Types of devices that kernels run on; tests add the CPU, for Triton's interpreter."""

_DTYPES = (torch.float32, torch.bfloat16)
_OLDEST = (8, 0)  # compute capability that Triton supports


def usable(*tensors: Tensor) -> bool:
    """Whether Triton kernels can work on these tensors, and are wanted.

    ``SOCIALGRID_KERNELS=off`` in the environment does without them, as on the CPU.
    """
    if any(x.device.type not in DEVICES or x.dtype not in _DTYPES for x in tensors):
        return False
    return os.environ.get("SOCIALGRID_KERNELS") != "off" and works(tensors[0].device)


@cache
def works(device: torch.device) -> bool:
    """Whether Triton is here and can build for a device; it needs a C compiler and Python's
    headers, which a machine that only runs programs may lack.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _OLDEST:
        return False
    try:
        from socialgrid.models.triton_kernels import activations

        activations.bend_(torch.zeros((1, 1, 1), device=device), None, 1.0, tanh=True)
    except Exception as error:  # whatever a compiler can fail with
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"Triton builds no kernels for {device} ({why}): without them", stacklevel=2)
        return False
    return True
