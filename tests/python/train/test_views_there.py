"""Agents that look at views and learn from replay memories, on a (pretended) accelerator: steps
that it repeats by itself are those that are started one by one, bit for bit."""

import pytest
import torch
from tests.python.arms import config_of
from tests.python.pretend import DEVICE, Pretend

from socialgrid.models import kernels
from socialgrid.train import make_trainer


@pytest.mark.parametrize("arm", ["dqn views", "dqn tiles", "sac tiles", "recurrent dqn"])
def test_repeated_steps_are_those_that_are_started_one_by_one(arm, monkeypatch, tmp_path):
    monkeypatch.setattr(kernels, "KERNELS", None)
    monkeypatch.setattr("socialgrid.train.off_policy.trainer.settle_on", lambda name: DEVICE)
    found = []
    for graphs in ("off", "on"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        with Pretend() as device:
            trainer = make_trainer(config_of(arm, "cpu"), tmp_path / graphs)
            trainer.begin()
            rows = trainer.step()["agents"]
            found.append((trainer.learner.tensors(), rows, device.launches))
            trainer.close()
    (tensors, rows, started), (again, rows_again, repeated) = found
    assert repeated < started / 2, "most operations were repeated"
    assert tensors.keys() == again.keys()
    for name, x in tensors.items():
        assert torch.equal(x, again[name]), name
    assert repr(rows) == repr(rows_again)
