"""Learning on several threads: the same numbers, nothing left behind."""

import threading
from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_ppo import QUICK
from tests.python.algos.tiny import MODEL, Buttons, experience

from socialgrid.algos import PPO, Workers

CPU = torch.device("cpu")


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_results_keep_their_order_and_every_worker_computes_alone():
    workers = Workers()
    barrier = threading.Barrier(2, timeout=20)

    def work(item):
        barrier.wait()
        return item, torch.get_num_threads(), threading.current_thread().name

    results = workers.map(work, [3, 1, 4, 2], CPU)
    assert [item for item, _, _ in results] == [3, 1, 4, 2]
    assert {count for _, count, _ in results} == {1}
    assert len({name for _, _, name in results}) == 2
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert workers.map(work, [], CPU) == []


@pytest.mark.usefixtures("_two_threads")
def test_errors_reach_the_caller():
    def work(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 5"):
        Workers().map(work, [5, 6, 7], CPU)


def test_threads_change_nothing_but_rounding(monkeypatch):
    monkeypatch.setattr("socialgrid.algos.on_policy.gradient_steps.piece_length", lambda *a: 5)
    monkeypatch.setattr("socialgrid.algos.on_policy.gradient_steps.FEWEST_ENVS", 1)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(1)
            env = Buttons(6, 2, horizon=5, recall=True)
            learner = PPO(env.spec, MODEL, replace(QUICK, kl_hard_limit=1.0), seed=1)
            rollout = experience(learner, env)
            torch.set_num_threads(threads)
            metrics = learner.update(rollout)
            results.append((metrics["kl_final"], learner.tensors()))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-3, atol=1e-6)
    for name, x in results[0][1].items():
        if name.startswith("model/"):
            torch.testing.assert_close(x, results[1][1][name], rtol=1e-3, atol=1e-5)
        assert torch.equal(results[1][1][name], results[2][1][name]), name
