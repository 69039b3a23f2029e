"""Advised runs on a (pretended) accelerator: what they are on the CPU, and what is not finite."""

import math

import pytest
import torch
from tests.python.arms import config_of, merged
from tests.python.pretend import DEVICE, Pretend

from socialgrid.config import from_dict
from socialgrid.models import NonFiniteError, kernels
from socialgrid.train import make_trainer

LECTR = {"social": {"lectr": {"learning_starts": 8, "interval": 4, "cost": 0.1}}}
CHANGES = {
    "peers": {"social": {"peers": {"follow_steps": 2, "trust_samples": 12}}},
    "mixed": {"social": {"peers": {"advice": ["critic", "trust", "agent-values"]}}},
    "lectr": LECTR,
}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setattr(kernels, "KERNELS", None)


def run(arm, folder, device=None):
    """A trainer after three rows, and the rows."""
    config = config_of(arm, "cpu")
    config = from_dict(merged(CHANGES[arm], {"env": {"rollout_steps": 30}}), config)
    trainer = make_trainer(config, folder)
    trainer.begin()
    rows = [trainer.step() for _ in range(2)]
    if device is not None:
        device.reset()
    rows.append(trainer.step())
    return trainer, rows


@pytest.mark.parametrize("arm", CHANGES)
def test_an_advised_run_is_the_cpus(arm, monkeypatch, tmp_path):
    here, rows = run(arm, tmp_path / "here")
    monkeypatch.setattr("socialgrid.train.off_policy.trainer.settle_on", lambda name: DEVICE)
    with Pretend() as device:
        there, found = run(arm, tmp_path / "there", device)
        updates = there.update - rows[1]["update"]
        assert device.waits <= 30 + 1 + 2 * updates, "one a step and one a row, two an update"
        for mine, theirs in (
            (there.adviser.tensors(), here.adviser.tensors()),
            (there.learner.tensors(), here.learner.tensors()),
        ):
            assert mine.keys() == theirs.keys()
            for name, x in theirs.items():
                torch.testing.assert_close(mine[name], x, rtol=5e-3, atol=5e-4, equal_nan=True)
    if arm == "lectr":
        assert here.adviser.updates > 10
    for mine, theirs in zip(found, rows, strict=True):
        assert mine["members"].keys() == theirs["members"].keys()
        for name, x in theirs["members"].items():
            torch.testing.assert_close(
                torch.tensor(mine["members"][name]), torch.tensor(x), rtol=5e-3, atol=5e-4
            )


@pytest.mark.parametrize("arm", ["peers", "lectr"])
def test_repeated_decisions_are_those_that_are_started_one_by_one(arm, monkeypatch, tmp_path):
    monkeypatch.setattr("socialgrid.train.off_policy.trainer.settle_on", lambda name: DEVICE)
    found = []
    for graphs in ("off", "on"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        with Pretend():
            trainer, rows = run(arm, tmp_path / graphs)
            tensors = {**trainer.adviser.tensors(), **trainer.learner.tensors()}
            found.append((tensors, [row["members"] for row in rows]))
    for name, x in found[0][0].items():
        assert torch.equal(x.nan_to_num(-7.0), found[1][0][name].nan_to_num(-7.0)), name
    assert found[0][1] == found[1][1]


def test_advising_that_is_not_finite_stops_there_too(monkeypatch, tmp_path):
    monkeypatch.setattr("socialgrid.train.off_policy.trainer.settle_on", lambda name: DEVICE)
    with Pretend():
        there, _ = run("lectr", tmp_path / "there")
        adviser, before = there.adviser, there.adviser.tensors()
        broken = {name: x.clone() for name, x in before.items()}
        broken["replay/reward"][1] = math.nan
        adviser.load_tensors(broken)
        with pytest.raises(NonFiniteError, match=r"gradient of advising critic in update") as error:
            there.step()
        assert error.value.agent == 1
        assert error.value.step == int(before["counters"][1]) + 1
        learnt = ("model/", "optimiser/")
        after = {name: x for name, x in adviser.tensors().items() if name.startswith(learnt)}
        assert after
        for name, x in after.items():
            assert torch.equal(x.cpu(), before[name]), name
