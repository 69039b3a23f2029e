"""Where kernels are started."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


def on(x: Tensor) -> AbstractContextManager[object]:
    """Kernels started inside run on the device of ``x``."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
