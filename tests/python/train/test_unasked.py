"""Learning on a device that nobody asks is learning on one that is asked all the time.

An accelerator is waited for once an update: who has stopped, or must go back, is a matter of flags
there. Held against the way of a CPU on the same pretended device, where agents that have stopped
are left out of the network and every number is looked at once it is there.
"""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.python.arms import config_of, merged
from tests.python.pretend import DEVICE, Pretend

from socialgrid.algos import ALONE, Ranks
from socialgrid.config import from_dict
from socialgrid.models import NonFiniteError
from socialgrid.train import make_trainer

STOPS = {
    "algorithm": {
        "num_minibatches": 5,
        "kl_target": 0.002,
        "kl_hard_limit": 0.004,
        "refresh_interval": 2,
        "max_grad_norm": 0.5,
        "learning_rate": [3e-3, 3e-4, 3e-3],
    },
    "players": {"kinds": ["learner", "learner", "learner"]},
}
MORE = {"algorithm": {"num_minibatches": 3, "max_grad_norm": 0.1}}
CASES = {"ppo": STOPS, "a3c moa": {}, "behaviour cloning": MORE}


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr("socialgrid.train.on_policy.trainer.settle_on", lambda name: DEVICE)
    with Pretend() as device:
        yield device


def trainer_of(arm, folder, changes, *, asks):
    config = config_of(arm, "cpu")
    trainer = make_trainer(from_dict(merged({}, changes), config), folder)
    trainer.learner.asks = asks
    trainer.begin()
    return trainer


def numbers(values):
    """Of a row, NaN where there is none."""
    return torch.tensor(np.array(values, np.float64))


class Twins(Ranks):
    """Two ranks whose parts of the batch are the same."""

    size = 2

    def total(self, tensors):
        return [x + x for x in tensors]

    def gather(self, item):
        return [item, item]


@pytest.mark.parametrize(
    ("arm", "ranks"),
    [*((arm, ALONE) for arm in CASES), ("ppo", Twins())],
    ids=[*CASES, "ppo in two ranks"],
)
def test_flags_on_the_device_are_agents_left_out(arm, ranks, pretended, tmp_path):
    found = []
    for asks in (True, False):
        changes = merged(CASES[arm], {"algorithm": {"shards": 2}} if ranks.size > 1 else {})
        trainer = trainer_of(arm, tmp_path / str(asks), changes, asks=asks)
        trainer.learner.ranks = ranks
        rows = []
        for update in range(3):
            if update == 2:  # one that does not learn any more
                trainer.learner.set_learning([a != 1 for a in range(trainer.learner.num_agents)])
            rows.append(trainer.step())
        found.append((rows, trainer.learner.tensors(), trainer.learner.carried()))
        trainer.close()
    (rows, tensors, carried), (other_rows, other_tensors, other_carried) = found
    for mine, theirs in zip(rows, other_rows, strict=True):
        assert mine["agents"].keys() == theirs["agents"].keys()
        for name, values in mine["agents"].items():
            x, y = numbers(values), numbers(theirs["agents"][name])
            # Steps of Adam round otherwise where the device is not asked.
            torch.testing.assert_close(y, x, rtol=1e-3, atol=1e-5, equal_nan=True, msg=name)
    for name, x in tensors.items():
        torch.testing.assert_close(other_tensors[name], x, rtol=1e-4, atol=2e-5, msg=name)
    for name, x in carried.items():
        torch.testing.assert_close(other_carried[name], x, rtol=1e-4, atol=1e-6, msg=name)
    if "kl_target" in CASES[arm].get("algorithm", {}):
        steps = [n for row in rows for n in row["agents"]["gradient_steps"] if n is not None]
        restored = [n for row in rows for n in row["agents"]["restored"] if n is not None]
        assert len(set(steps)) > 1, "agents stop at different times"
        assert {0.0, 1.0} == set(restored)


@pytest.mark.parametrize("what", ["reward", "loss"])
@pytest.mark.parametrize("arm", ["ppo", "a3c tiles"])
def test_what_is_not_finite_is_found_at_the_end_and_told_as_ever(arm, what, pretended, tmp_path):
    said = []
    for asks in (True, False):
        trainer = trainer_of(arm, tmp_path / str(asks), {}, asks=asks)
        trainer.step()
        learner, rollout = trainer.learner, trainer.rollout
        trainer.collect()
        if what == "reward":
            rollout.reward[3, 2, 1] = float("nan")
        else:
            rollout.decisions["action"].value[3, 2, 0] = float("inf")
        before, carried = learner.tensors(), learner.carried()
        with pytest.raises(NonFiniteError, match=f"non-finite {what} in update 2") as error:
            learner.update(rollout)
        assert learner.asks == asks
        for name, x in learner.tensors().items():
            assert torch.equal(x, before[name]), name
        for name, x in learner.carried().items():
            assert torch.equal(x, carried[name]), name
        dump = load_file(error.value.dump)
        said.append((error.value.agent, {k: x.shape for k, x in dump.items()}))
        trainer.close()
    assert said[0] == said[1]
