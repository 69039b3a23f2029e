"""bf16 beside float32: one update of every algorithm that computes in it, with every mechanism.

In plain PyTorch, as accelerators compute. What falls out of the tolerance wants more than eight
bits somewhere: heads did until they stayed float32 (0.18 of a gradient of the full network).
"""

import dataclasses

import pytest
from tests.python.agreement import disagreements, updates
from tests.python.arms import ARMS, config_of

from socialgrid.models import kernels
from socialgrid.train import make_trainer

ON_POLICY = [arm for arm in ARMS if config_of(arm, "cpu").regime.name == "on-policy"]


@pytest.mark.parametrize("arm", [arm for arm in ON_POLICY if "bf16" not in arm])
def test_an_update_in_bf16_is_that_of_float32_but_for_rounding(arm, monkeypatch, tmp_path):
    """Means of advantages cancel: they are compared with a tenth of the advantages' deviation."""
    monkeypatch.setattr(kernels, "KERNELS", None)
    exact = config_of(arm, "cpu")
    half = dataclasses.replace(exact, run=dataclasses.replace(exact.run, precision="bf16"))
    trainers = [make_trainer(one, tmp_path / one.run.precision) for one in (exact, half)]
    found = max(disagreements(*updates(*trainers), floor=1e-3, least=0.1))
    for trainer in trainers:
        trainer.close()
    assert 1e-6 < found[0] < 0.1, found
