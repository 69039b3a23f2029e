"""The same bits run after run on a card, as far as it can be seen without one."""

import os

import pytest
import torch
from tests.python.arms import config_of

from socialgrid.models import kernels
from socialgrid.train import make_trainer, settle_on


@pytest.fixture
def ordered():
    """Torch's settings are as before when a test is over."""
    fills = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fills


@pytest.mark.parametrize(("given", "wanted"), [(None, ":4096:8"), (":16:8", ":16:8")])
def test_a_card_adds_up_in_a_fixed_order(given, wanted, ordered, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given or "")
    if given is None:
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    assert settle_on("cuda").type == "cuda"
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory, "a kernel for every tensor"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == wanted


def test_the_cpu_is_left_alone(ordered):
    settle_on("cpu")
    assert not torch.are_deterministic_algorithms_enabled()


MEMORIES = ("dqn prioritised", "sac gsde", "td3", "recurrent dqn tiles", "lectr")


@pytest.mark.parametrize("arm", ["ppo", "a3c comm", "a3c moa", "ppo influence", *MEMORIES])
def test_nobody_reads_memory_that_was_not_written(arm, ordered, monkeypatch, tmp_path):
    """New memory may hold anything: filled with NaN, it leads to the same bits."""
    monkeypatch.setattr(kernels, "KERNELS", None)
    torch.use_deterministic_algorithms(True, warn_only=True)
    ends = []
    for fills in (False, True):
        torch.utils.deterministic.fill_uninitialized_memory = fills
        trainer = make_trainer(config_of(arm, "cpu"), tmp_path / str(fills))
        trainer.begin()
        trainer.step()
        trainer.step()
        ends.append(trainer.learner.tensors())
        trainer.close()
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name
