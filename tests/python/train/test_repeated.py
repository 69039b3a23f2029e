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
from socialgrid.train import Group, make_trainer

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


def run_of(arm, changes, folder, pretended, ranks=None):
    """Rows, what was learnt, and launches and waits of the last update."""
    config = from_dict(merged({}, changes), config_of(arm, "cpu"))
    trainer = make_trainer(config, folder)
    if ranks is not None:
        trainer.ranks = trainer.learner.ranks = ranks
    learner, spent, update = trainer.learner, [], trainer.learner.update

    def counted(*args, **kwargs):
        before = pretended.launches, pretended.waits
        told = update(*args, **kwargs)
        spent.append((pretended.launches - before[0], pretended.waits - before[1]))
        return told

    learner.update = counted
    trainer.begin()
    rows = [trainer.step() for _ in range(UPDATES)]
    tensors = learner.tensors() | learner.carried()
    trainer.close()
    return rows, tensors, spent[-1]


def assert_twins(first, second):
    (rows, tensors, _), (others, again, _) = first, second
    for name, x in tensors.items():
        assert torch.equal(again[name], x), name
    for mine, theirs in zip(rows, others, strict=True):
        for kind in ("agents", "pairs"):
            for name, values in mine.get(kind, {}).items():
                x, y = numbers(values), numbers(theirs[kind][name])
                assert torch.equal(x.nan_to_num(-7.0), y.nan_to_num(-7.0)), name


@pytest.mark.parametrize("arm", REPEATED)
def test_repetitions_are_exactly_their_eager_twin(arm, pretended, monkeypatch, tmp_path):
    changes, most = REPEATED[arm]
    found = []
    for graphs in ("off", "on"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        found.append(run_of(arm, changes, tmp_path / graphs, pretended))
    assert_twins(*found)
    (eager, _), (repeated, _) = (one[-1] for one in found)
    assert repeated <= most < eager, (repeated, eager)


class Half(Group):
    """The first of two ranks on a card; the other one has a third of its gradients."""

    def __init__(self):
        self.rank, self.size, self.neighbours, self.exchanges = 0, 2, 2, 0

    def _exchange(self, others, own):
        self.exchanges += 1
        for other in others:
            other.copy_(own)
        if len(own) > 4096:  # gradients, which are many, and float32
            others[1].view(torch.float32).mul_(1.0 / 3.0)

    def gather(self, item):
        return [item, item]

    def hear(self, item):
        return item


# By arm, in two ranks: launches of an update, those of its exchanges (four to six each) included.
IN_RANKS = {"ppo": 270, "a3c tiles": 130, "behaviour cloning": 220}


@pytest.mark.parametrize("arm", IN_RANKS)
def test_ranks_repeat_all_but_what_they_exchange(arm, pretended, monkeypatch, tmp_path):
    """A phase is cut where numbers of other processes come in."""
    changes = merged(REPEATED[arm][0], {"algorithm": {"shards": 2}})
    found, ranks = [], {}
    for graphs in ("off", "on"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        ranks[graphs] = Half()
        found.append(run_of(arm, changes, tmp_path / graphs, pretended, ranks[graphs]))
    assert_twins(*found)
    (eager, _), (repeated, waits) = (one[-1] for one in found)
    assert repeated <= IN_RANKS[arm] < eager / 2, (repeated, eager)
    assert waits <= 2
    assert ranks["on"].exchanges == ranks["off"].exchanges > 4 * UPDATES - 1
