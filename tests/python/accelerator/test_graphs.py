"""Phases that an accelerator repeats by itself beside the same phases, started one by one.

See ``test_parity.py`` for how these tests are run. On a CPU phases are never repeated, and the
pretended device of the other tests has graphs of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.python.arms import config_of

from socialgrid.train import make_trainer

pytestmark = pytest.mark.accelerator

ARMS = (
    *("ppo", "ppo tiles", "full network", "ppo moa+visible-actions", "ppo comm", "ppo influence"),
    *("a3c alone", "a3c moa", "a3c comm", "behaviour cloning", "full network bf16"),
    *("dqn", "dqn prioritised", "dqn tiles", "recurrent dqn", "discrete sac", "sac", "sac gsde"),
    *("td3", "mixed", "peers", "lectr"),
)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of kernels without an exact order
@pytest.mark.parametrize("arm", ARMS)
def test_graphs_do_what_their_eager_twins_do(
    arm: str, tmp_path: Path, accelerator: str, monkeypatch: pytest.MonkeyPatch
):
    """Four rows: a phase is run, recorded with the next call, and repeated from then on."""
    ends = []
    for graphs in ("on", "off"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        trainer = make_trainer(config_of(arm, accelerator), tmp_path / graphs)
        trainer.begin()
        for _ in range(4):
            trainer.step()
        ends.append(trainer.learner.tensors())
        trainer.close()
    for name, tensor in ends[0].items():
        twin = ends[1][name]
        if tensor.is_floating_point():
            assert torch.isfinite(tensor).all(), name
            torch.testing.assert_close(tensor, twin, rtol=1e-3, atol=1e-5, msg=name)
        else:
            assert torch.equal(tensor, twin), name
