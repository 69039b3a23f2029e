"""Learners on an accelerator beside the same learners on the CPU.

Left out of the usual run: ``pytest tests/python/accelerator --accelerator cuda`` runs them, and so
does ``bench/gpu.py``. ``--accelerator cpu`` holds the CPU against itself, which shows only that
they run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.python.agreement import disagreements, updates
from tests.python.arms import ARMS, config_of

from socialgrid.train import make_trainer

pytestmark = pytest.mark.accelerator


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of kernels without an exact order
@pytest.mark.parametrize("arm", ARMS)
def test_an_update_on_the_accelerator_is_the_cpus(
    arm: str, tmp_path: Path, accelerator: str, record_property: Callable[[str, object], None]
):
    """From the same weights and experience: gradients and metrics agree, integers are equal."""
    cpu = make_trainer(config_of(arm, "cpu"), tmp_path / "cpu")
    other = make_trainer(config_of(arm, accelerator), tmp_path / "accelerator")
    assert other.device.type == accelerator
    half = other.config.run.precision == "bf16"
    sizes = (1e-3, 0.1) if half else (1e-4, 1e-2)
    found = max(disagreements(*updates(cpu, other), floor=sizes[0], least=sizes[1]))
    record_property("difference", f"{found[0]:.3g} {found[1]}")
    assert found[0] < (0.1 if half else 2e-3), found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("arm", ["ppo", "a3c comm", "a3c moa", "dqn", "sac", "peers"])
def test_the_same_run_twice_is_the_same_run(arm: str, tmp_path: Path, accelerator: str):
    """Two runs with one seed on one card: the same bits."""
    weights = []
    for name in ("first", "second"):
        trainer = make_trainer(config_of(arm, accelerator), tmp_path / name)
        trainer.begin()
        trainer.step()
        trainer.step()
        weights.append({k: x.clone() for k, x in trainer.learner.tensors().items()})
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
