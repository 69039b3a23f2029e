"""Triton kernels beside their slow twins, in Triton's interpreter on the CPU.

Nothing here has run on a GPU: ``pytest tests/python/models/triton --accelerator cuda`` compiles the
kernels and runs the same tests there. They are collected wherever the test extra brings Triton.
"""

import importlib.util
import platform
import sys

import pytest
import torch

from socialgrid.models import kernels
from socialgrid.models.triton_kernels import choice

BROUGHT = sys.platform == "linux" and platform.machine() == "x86_64"  # as pyproject.toml says
if not BROUGHT and importlib.util.find_spec("triton") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def device(request, monkeypatch):
    """Where kernels compute; networks there use them."""
    found = torch.device(request.config.getoption("--accelerator") or "cpu")
    monkeypatch.setattr(choice, "DEVICES", {found.type})
    monkeypatch.setattr(kernels, "KERNELS", None)  # those of the CPU
    monkeypatch.delenv("SOCIALGRID_KERNELS", raising=False)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield found
    torch.set_float32_matmul_precision(before)
