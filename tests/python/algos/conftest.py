"""Sets of compiled kernels."""

import pytest

from socialgrid import _core
from socialgrid.models import kernels


@pytest.fixture(params=_core.kernel_sets())
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


@pytest.fixture
def fastest(monkeypatch):
    """The fastest set: what is the same for all."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
