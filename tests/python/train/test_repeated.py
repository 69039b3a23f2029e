"""Updates that an accelerator repeats by itself are those that it is told step by step, exactly.

On the pretended device, where a number that was baked in by mistake, or memory that moved, makes
repetitions compute something else than the eager twin.
"""

import pytest
import torch
from tests.python.arms import config_of, merged
from tests.python.pretend import DEVICE, Pretend
from tests.python.train.test_unasked import CASES, numbers

from socialgrid.config import from_dict
from socialgrid.train import make_trainer

UPDATES = 4
ANNEALED = {"algorithm": {"learning_rate_end": 1e-5, "learning_rate_steps": 400}}
# By arm: changes, and launches of an update whose phases are all repeated.
REPEATED = {
    "ppo": (merged(CASES["ppo"], {"env": {"rollout_steps": 16}}), 180),
    "full network": ({}, 140),
    "a3c tiles": (merged(ANNEALED, {"env": {"double_buffer": True}}), 100),
    "behaviour cloning": (merged(CASES["behaviour cloning"], {}), 180),
    "ppo moa": ({}, 170),
    "a3c comm": ({}, 150),
    "ppo influence": ({}, 400),
}


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr("socialgrid.train.on_policy.trainer.settle_on", lambda name: DEVICE)
    with Pretend() as device:
        yield device


@pytest.mark.parametrize("arm", REPEATED)
def test_repetitions_are_exactly_their_eager_twin(arm, pretended, monkeypatch, tmp_path):
    changes, most = REPEATED[arm]
    found = []
    for graphs in ("off", "on"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        config = from_dict(merged({}, changes), config_of(arm, "cpu"))
        trainer = make_trainer(config, tmp_path / graphs)
        learner, launches, update = trainer.learner, [], trainer.learner.update

        def counted(*args, update=update, launches=launches, **kwargs):
            before = pretended.launches
            told = update(*args, **kwargs)
            launches.append(pretended.launches - before)
            return told

        learner.update = counted
        trainer.begin()
        rows = [trainer.step() for _ in range(UPDATES)]
        tensors = learner.tensors() | learner.carried()
        found.append((rows, tensors, launches[-1]))
        trainer.close()
    (rows, tensors, eager), (others, again, repeated) = found

    assert repeated <= most < eager, (repeated, eager)
    for name, x in tensors.items():
        assert torch.equal(again[name], x), name
    for mine, theirs in zip(rows, others, strict=True):
        for kind in ("agents", "pairs"):
            for name, values in mine.get(kind, {}).items():
                x, y = numbers(values), numbers(theirs[kind][name])
                assert torch.equal(x.nan_to_num(-7.0), y.nan_to_num(-7.0)), name
