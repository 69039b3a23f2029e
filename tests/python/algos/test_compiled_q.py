"""All gradient steps of deep Q-networks in one call, against the steps one by one without it."""

import math

import pytest
import torch
from tests.python.algos.off_policy_tasks import remember

from socialgrid import _core
from socialgrid.algos import DQN, DQNConfig
from socialgrid.models import NonFiniteError, TaskSpec, kernels


@pytest.fixture(params=_core.kernel_sets())
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


def learner_of(agents=3, **options):
    config = DQNConfig(
        **{"hidden": (24, 16), "batch_size": 20, "buffer_size": 60, "learning_starts": 10},
        **{"gradient_steps": 5, "learning_rate": (1e-2, 3e-3, 1e-3)[:agents]},
        **options,
    )
    task = TaskSpec(agents, (5,), num_actions=3)
    learner = DQN(task, config, num_envs=2, seed=4)
    remember(learner, 20)
    return learner


def same(one, other, exact=False):
    for name, x in one.tensors().items():
        if exact or not x.is_floating_point():
            assert torch.equal(x, other.tensors()[name]), name
        else:
            torch.testing.assert_close(x, other.tensors()[name], rtol=1e-4, atol=2e-6, msg=name)
    assert one.meta() == other.meta()


@pytest.mark.parametrize(
    "options",
    [
        {"double": False},
        {"double": True, "max_grad_norm": 0.05},
        {"double": True, "max_grad_norm": None, "tau": 1.0, "target_interval": 3},
    ],
)
@pytest.mark.parametrize("learning", [[True, True, True], [False, True, True], [False] * 3])
def test_steps_are_those_that_are_taken_one_by_one(compiled, monkeypatch, options, learning):
    fast, slow = learner_of(**options), learner_of(**options)
    used = kernels.KERNELS
    for each in (fast, slow):
        each.set_learning(learning)
    for _ in range(3):
        monkeypatch.setattr(kernels, "KERNELS", used)
        numbers = fast.update()
        monkeypatch.setattr(kernels, "KERNELS", None)
        expected = slow.update()
        assert numbers.keys() == expected.keys()
        for name, x in expected.items():
            torch.testing.assert_close(numbers[name], x, rtol=1e-4, atol=1e-6, equal_nan=True)
            assert x.isfinite().tolist() == learning
        same(fast, slow)


def test_ends_are_told_from_time_limits(compiled, monkeypatch):
    fast, slow = learner_of(tau=1.0), learner_of(tau=1.0)
    for each in (fast, slow):
        memory = each.memory()
        memory["terminated"] = ~memory["terminated"]
        each.load_memory(memory)
    fast.update()
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update()
    same(fast, slow)


def test_what_agents_learn_depends_neither_on_threads_nor_on_others(compiled):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = learner_of()
        for _ in range(2):
            alone.update()
        for threads in (2, 5):
            torch.set_num_threads(threads)
            together = learner_of()
            for _ in range(2):
                together.update()
            same(alone, together, exact=True)
    finally:
        torch.set_num_threads(before)
    single = DQN(
        TaskSpec(1, (5,), num_actions=3),
        DQNConfig(
            **{"hidden": (24, 16), "batch_size": 20, "buffer_size": 60, "learning_starts": 10},
            **{"gradient_steps": 5, "learning_rate": 3e-3},
        ),
        **{"num_envs": 2, "seed": 4, "agent_ids": [1]},
    )
    single.load_memory({name: x[1:2] for name, x in alone.memory().items()})
    for _ in range(2):
        single.update()
    for name, x in single.tensors().items():
        assert torch.equal(x[0], alone.tensors()[name][1]), name


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("where", ["reward", "next_obs"])
def test_nobody_goes_on_where_somebody_is_not_finite(compiled, where, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        learner, twin = learner_of(), learner_of()
        broken = learner.memory()
        drawn = [learner.draws.words([k] * 3, range(1), kind=4, places=20) for k in range(4)]
        places = [set((words[1, 0] * learner.replay.sizes[1] >> 32).tolist()) for words in drawn]
        late = next(iter(places[3] - places[0] - places[1] - places[2]))
        broken[where][1, late] = math.nan
        learner.load_memory(broken)
        with pytest.raises(NonFiniteError, match="q loss in update 4, agent 1"):
            learner.update()
        twin.update(3)
        after, wanted = learner.tensors(), twin.tensors()
        for name, x in wanted.items():
            assert torch.equal(after[name], x), name
    finally:
        torch.set_num_threads(before)


def test_infinite_gradients_are_told_from_losses(compiled):
    learner = learner_of(1)
    tensors = learner.tensors()
    tensors["model/q/heads.0.layers.2.weight"][:] = 1e30
    tensors["model/q/heads.0.layers.1.weight"][:] = 1e20
    tensors["model/q/heads.0.layers.0.weight"][:] *= 1e-30
    tensors["model/q/heads.0.layers.0.bias"][:] = 1e-25
    tensors["model/q/heads.0.layers.1.bias"][:] = 0.0
    learner.load_tensors(tensors)
    with pytest.raises(NonFiniteError, match="q gradient in update 1, agent 0"):
        learner.update()
    for name, x in learner.tensors().items():
        assert torch.equal(x, tensors[name]), name
