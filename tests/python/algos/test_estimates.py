"""Advantages and value targets in one compiled call, against PyTorch step by step."""

from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_shards import ENVS, KINDS, SHARDS
from tests.python.algos.test_taught import MODEL, SOCIAL
from tests.python.algos.tiny import Buttons, experience

from socialgrid.models import compiled_recall

PUBLIC = {"delta": "public", "value_target": "discounted_return"}


def judged(kind, social, members, *, refresh, by_steps=False, threads=1, odd=False, **changes):
    """What a batch holds once it is judged, and by what it was."""
    torch.manual_seed(0)
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    env.ends_by_termination = odd
    config = replace(config, shards=SHARDS, **changes)
    learner = make(env.spec, MODEL, config, seed=1, social=SOCIAL[social])
    learner.workers.threads = threads
    if by_steps:
        learner.estimated_at_once = lambda *_: False
    rollout = experience(learner, env)
    rollout.active[3:6, 2, 1] = False
    rollout.truncated[4, ::2, 0] = True  # of some there is no last view
    batch = learner.shards(rollout)
    learner.rewards(batch, 0.0)
    for p in learner.model.parameters():  # other parameters than those that acted
        p.data *= 1.25
    network = learner.model if members == [0, 1, 2] else learner.model.take_agents(members)
    learner.estimate(batch, network, members, refresh=refresh)
    return [
        {
            "numbers": p.judgements,
            "state": p.state,
            **{f"values/{n}": x for n, x in p.values.items()},
        }
        for p in batch.parts
    ]


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize("members", [[0, 1, 2], [2, 0]])
@pytest.mark.parametrize("social", ["nothing", "comm"])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [("ppo", {}), ("ppo", PUBLIC), ("a3c", {}), ("ppo", {"normalize_advantages": False})],
    ids=str,
)
def test_a_batch_is_judged_as_pytorch_does(
    compiled, monkeypatch, kind, social, members, refresh, changes
):
    given = (kind, social, members)
    expected = judged(*given, refresh=refresh, by_steps=True, **changes)
    done, estimate = [], compiled_recall.estimate

    def told(*words):
        done.append(estimate(*words))
        return done[-1]

    monkeypatch.setattr(compiled_recall, "estimate", told)
    found = judged(*given, refresh=refresh, threads=3, **changes)
    assert done == [True]
    for part, other in zip(found, expected, strict=True):
        assert other["numbers"].abs().sum() > 0
        for name, x in part.items():
            if name == "numbers":  # where PyTorch rounds products before it adds them
                torch.testing.assert_close(x, other[name], rtol=1e-5, atol=1e-6)
            else:
                assert torch.equal(x, other[name]), name


def test_terminations_do_not_bootstrap():
    found = judged("ppo", "nothing", [0, 1, 2], refresh=True, odd=True)
    expected = judged("ppo", "nothing", [0, 1, 2], refresh=True, odd=True, by_steps=True)
    for part, other in zip(found, expected, strict=True):
        torch.testing.assert_close(part["numbers"], other["numbers"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["ppo", "a3c"])
def test_whoever_discounts_otherwise_is_asked(monkeypatch, kind):
    make, config = KINDS[kind]
    asked = []

    class Mine(make):
        def advantages(self, *words):
            asked.append(words)
            return super().advantages(*words)

    monkeypatch.setitem(KINDS, kind, (Mine, config))
    mine = judged(kind, "nothing", [0, 1, 2], refresh=True)
    assert len(asked) == SHARDS
    monkeypatch.setitem(KINDS, kind, (make, config))
    for part, other in zip(mine, judged(kind, "nothing", [0, 1, 2], refresh=True), strict=True):
        torch.testing.assert_close(part["numbers"], other["numbers"], rtol=1e-5, atol=1e-6)


def test_views_with_too_many_tiles_are_judged_by_pytorch(monkeypatch):
    found = []
    estimate = compiled_recall.estimate
    monkeypatch.setattr(
        compiled_recall, "estimate", lambda *words: found.append(estimate(*words)) or found[-1]
    )
    make, config = KINDS["ppo"]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    both = []
    for by_steps in (False, True):
        learner = make(env.spec, MODEL, replace(config, shards=SHARDS), seed=1)
        if by_steps:
            learner.estimated_at_once = lambda *_: False
        torch.manual_seed(0)
        rollout = experience(learner, Buttons(ENVS, 3, horizon=5, recall=True))
        rollout.obs.random_(0, 256)
        both.append(learner.update(rollout) | learner.tensors())
    assert found
    assert not any(found)
    for name, x in both[0].items():
        assert torch.equal(x.nan_to_num(-7.0), both[1][name].nan_to_num(-7.0)), name
