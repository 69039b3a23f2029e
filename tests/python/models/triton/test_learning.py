"""A whole update of an on-policy learner, with kernels and without, from the same experience."""

from unittest.mock import patch

import torch
from tests.python.arms import config_of
from tests.python.models.triton.test_memory import check

from socialgrid.config import from_dict
from socialgrid.models.triton_kernels import activations, choice, look_ups, memory
from socialgrid.train import make_trainer


def test_an_update_with_and_without(device, tmp_path, monkeypatch):
    small = {"env": {"obs_mode": "tiles", "num_envs": 2, "rollout_steps": 6}}
    config = from_dict(small, config_of("a3c alone", device.type))
    used = []
    for module, name in ((memory, "unroll"), (look_ups, "convolve"), (activations, "unbend")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, real=real, name=name, **k: used.append(name) or real(*a, **k)
        )
    found = []
    for devices in (set(), choice.DEVICES):
        trainer = make_trainer(config, tmp_path / str(len(found)))
        with patch.object(choice, "DEVICES", set()):
            trainer.begin()
            trainer.follow_schedule()
            trainer.collect()
        before = {k: x.clone() for k, x in trainer.learner.tensors().items()}
        assert not used
        with patch.object(choice, "DEVICES", devices):
            metrics = trainer.learn()
        after = trainer.learner.tensors()
        changed = {k: after[k].double() - before[k].double() for k in after}
        found.append((metrics, changed))
        trainer.close()
    assert set(used) == {"unroll", "convolve", "unbend"}
    (metrics, changed), (other_metrics, other_changed) = found
    assert other_metrics.keys() == metrics.keys()
    for name, x in metrics.items():
        assert torch.allclose(other_metrics[name].cpu(), x.cpu(), rtol=1e-4, atol=1e-6), name
    first = [k for k in changed if k.startswith("optimiser/first/")]  # moments: gradients, scaled
    assert len(first) > 10
    check([other_changed[k] for k in first], [changed[k] for k in first], 3e-5)
