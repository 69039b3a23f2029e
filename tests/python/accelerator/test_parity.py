"""Learners on an accelerator beside the same learners on the CPU.

Left out of the usual run: ``pytest tests/python/accelerator --accelerator cuda`` runs them, and so
does ``bench/gpu.py``. ``--accelerator cpu`` holds the CPU against itself, which shows only that
they run.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tests.python.algos.tiny import copy_rollout
from tests.python.arms import ARMS, config_of

from socialgrid.train import make_trainer

pytestmark = pytest.mark.accelerator


def off_by(a: torch.Tensor, b: torch.Tensor, floor: float) -> float:
    """Size of the difference, relative to the size of ``a``."""
    a, b = a.double(), b.double()
    assert torch.isfinite(a).all()
    assert torch.isfinite(b).all()
    return float((a - b).norm()) / max(float(a.norm()), floor)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of kernels without an exact order
@pytest.mark.parametrize("arm", ARMS)
def test_an_update_on_the_accelerator_is_the_cpus(arm: str, tmp_path: Path, accelerator: str):
    """From the same weights and experience: gradients and metrics agree, integers are equal."""
    cpu = make_trainer(config_of(arm, "cpu"), tmp_path / "cpu")
    other = make_trainer(config_of(arm, accelerator), tmp_path / "accelerator")
    assert other.device.type == accelerator
    off_policy = cpu.config.regime.name == "off-policy"
    cpu.begin()
    other.begin()
    if off_policy:
        cpu.step()
        other.learner.load_memory({k: x.clone() for k, x in cpu.learner.memory().items()})
    else:
        cpu.follow_schedule()
        other.follow_schedule()
        cpu.collect()
        copy_rollout(cpu.rollout, other.rollout)
        other.learner.load_carried({k: x.clone() for k, x in cpu.learner.carried().items()})
    before = {k: x.clone() for k, x in cpu.learner.tensors().items()}
    other.learner.load_tensors({k: x.clone() for k, x in before.items()})
    other.learner.load_meta(cpu.learner.meta())
    results = []
    for trainer in (cpu, other):
        metrics = trainer.learner.update(1) if off_policy else trainer.learn()
        after = {k: x.clone() for k, x in trainer.learner.tensors().items()}
        results.append(({k: x.cpu() for k, x in metrics.items()}, after))
    (metrics, want), (other_metrics, got) = results

    assert metrics.keys() == other_metrics.keys()
    assert want.keys() == got.keys()
    tolerance = 0.1 if other.config.run.precision == "bf16" else 2e-3
    moments = {k: x for k, x in want.items() if "optimiser/" in k and "/first/" in k}
    assert moments
    floor = 1e-4 * max(float(x.double().norm()) for x in moments.values()) + 1e-12
    for name, tensor in want.items():
        if not tensor.is_floating_point():
            assert torch.equal(tensor, got[name]), name
        elif name in moments:  # after one step Adam's first moment is the gradient
            assert off_by(tensor, got[name], floor) < tolerance, name
    for name, values in metrics.items():
        if name == "kl_final":  # after Adam's first step, whose signs hang on rounding
            continue
        for a, b in zip(
            values.flatten().tolist(), other_metrics[name].flatten().tolist(), strict=True
        ):
            if math.isfinite(a) or math.isfinite(b):
                assert abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-2), name


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
