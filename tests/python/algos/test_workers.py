"""Pieces of work on several threads."""

import threading
import time

import pytest
import torch

from socialgrid.algos import Workers

CPU = torch.device("cpu")


def test_results_keep_their_order_and_every_worker_computes_alone():
    torch.set_num_threads(2)
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
    workers.threads = 1
    assert workers.map(work, [], CPU) == []
    here = workers.map(lambda _: threading.current_thread(), [1, 2], CPU)
    assert set(here) == {threading.current_thread()}


def test_errors_reach_the_caller_once_everybody_is_done():
    done = []

    def work(item):
        if item == 5:
            raise ValueError(f"item {item}")
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(ValueError, match="item 5"):
        Workers(2).map(work, [5, 6, 7], CPU)
    assert sorted(done) == [6, 7], "somebody still works on what the caller goes on with"


def test_a_caller_who_computes_alone_takes_part_instead_of_waiting():
    torch.set_num_threads(1)
    barrier = threading.Barrier(2, timeout=20)

    def work(item):
        barrier.wait()
        return item, threading.current_thread()

    results = Workers(2).map(work, [3, 1, 4, 2], CPU)
    assert [item for item, _ in results] == [3, 1, 4, 2]
    assert threading.current_thread() in {thread for _, thread in results}
    assert len({thread for _, thread in results}) == 2


def test_who_interrupts_is_not_given_the_other_pieces():
    torch.set_num_threads(1)
    done = []

    def work(item):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(KeyboardInterrupt):
        Workers(2).map(work, list(range(100)), CPU)
    assert len(done) <= 2
