"""Learners on an accelerator beside the same learners on the CPU.

Left out of the usual run: ``pytest tests/python/accelerator --accelerator cuda`` runs them, and so
does ``bench/gpu.py``. ``--accelerator cpu`` holds the CPU against itself, which shows only that
they run.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.python.algos.tiny import copy_rollout

from socialgrid.config import TrainConfig, from_dict, load_preset
from socialgrid.train import make_trainer

pytestmark = pytest.mark.accelerator

MINI3 = {"players": {"kinds": ["trial-and-error", "learner", "learner"]}}
PAIR = {"players": {"kinds": ["learner", "learner"]}}
BF16 = {"run": {"precision": "bf16"}}
# name: preset, algorithm (None: the preset's), mechanisms, changes
ARMS: dict[str, tuple[str, str | None, list[str], dict[str, Any]]] = {
    "ppo": ("goal-cycle-mini", None, [], MINI3),
    "ppo reconstruction": (
        "goal-cycle-mini",
        None,
        [],
        MINI3 | {"aux": {"reconstruction": {"coef": 1.0}}},
    ),
    "ppo tiles": ("goal-cycle-mini", None, [], MINI3 | {"env": {"obs_mode": "tiles"}}),
    "ppo bf16": ("goal-cycle-mini", None, [], MINI3 | BF16),
    "full network": ("goal-cycle", None, [], MINI3),
    "dqn": ("room-mini", None, [], {}),
    "dqn prioritised": ("room-mini", None, [], {"algorithm": {"prioritised": True}}),
    "dqn views": ("goal-cycle-mini", "dqn", [], {"env": {"obs_mode": "rgb"}}),
    "dqn tiles": ("goal-cycle-mini", "dqn", [], {"env": {"obs_mode": "tiles"}}),
    "recurrent dqn": ("room-mini", "recurrent-dqn", [], {}),
    "recurrent dqn tiles": ("goal-cycle-mini", "recurrent-dqn", [], {}),
    "discrete sac": ("room-mini", "sac", [], {}),
    "sac": ("pendulum-mini", "sac", [], {}),
    "sac gsde": ("pendulum-mini", "sac", [], {"algorithm": {"state_dependent_noise": True}}),
    "td3": ("pendulum-mini", "td3", [], {}),
    "mixed": (
        "room-mini",
        None,
        ["peers"],
        {"players": {**PAIR["players"], "algorithms": ["dqn", "sac"]}},
    ),
    "peers": ("room-mini", None, ["peers"], {}),
    "lectr": ("room-mini", None, ["lectr"], PAIR),
}
for _algorithm in ("ppo", "a3c"):
    ARMS[f"{_algorithm} alone"] = ("cleanup-mini", _algorithm, [], {})
    for _mechanisms in (
        ["visible-actions"],
        ["influence"],
        ["comm"],
        ["moa"],
        ["inequity"],
        ["prosocial"],
        ["collective"],
        ["moa", "visible-actions"],
    ):
        _name = f"{_algorithm} {'+'.join(_mechanisms)}"
        ARMS[_name] = ("cleanup-mini", _algorithm, _mechanisms, {})


def merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """``a`` with ``b``'s entries, table by table."""
    tables = {k: {**a[k], **b[k]} for k in a.keys() & b.keys() if isinstance(a[k], dict)}
    return {**a, **b, **tables}


def config_of(arm: str, device: str) -> TrainConfig:
    """A few steps of an arm on a device, with one gradient step in the update compared."""
    preset, algorithm, mechanisms, changes = ARMS[arm]
    base = load_preset(preset).choose(algorithm, mechanisms)
    small: dict[str, Any] = {
        "run": {"threads": 1, "device": device, "precision": "float32"},
        "logging": {"tensorboard": False, "curves": False, "video": False},
        "env": {"num_envs": 8, "rollout_steps": 12, "num_threads": 1},
    }
    if base.regime.name == "off-policy":
        small["env"] = {"num_envs": 2, "rollout_steps": 40, "num_threads": 1}
        small["algorithm"] = {
            "learning_starts": 24,
            "batch_size": 16,
            "buffer_size": 400,
            "train_interval": 8,
            "gradient_steps": 2,
        }
        if base.algorithm.name == "recurrent-dqn":
            small["algorithm"] |= {"burn_in": 2, "sequence_length": 6, "batch_size": 8}
        if "lectr" in mechanisms:
            small["social"] = {"lectr": {"batch_size": 8, "buffer_size": 200}}
    elif base.algorithm.name == "ppo":
        small["algorithm"] = {
            "num_minibatches": 1,
            "minibatch_sequences": 6,
            "sequence_length": 6,
            "kl_target": None,
            "kl_hard_limit": 1e9,
        }
    else:
        small["algorithm"] = {"workers": 1}
    whole = merged(small, changes)
    if device == "cpu":  # what the others are held against is exact
        whole["run"] |= {"precision": "float32"}
    return from_dict(whole, base)


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
