"""Tensors arrive as they were, of whatever type, in one copy; the host waits where it reads."""

import pytest
import torch
from tests.python.pretend import DEVICE, Far, Pretend

from socialgrid.data import Board, SumTree, fetched, sent

CPU = torch.device("cpu")


def some():
    """Tensors of all sizes of numbers, one without any, one that lies otherwise."""
    return [
        torch.arange(6.0).view(2, 3).mT,
        torch.tensor([True, False, True]),
        torch.arange(3, dtype=torch.int16),
        torch.zeros(0, 4),
        torch.tensor(7),
        torch.tensor([1.5, -2.5], dtype=torch.float64),
    ]


def test_there_and_back_in_one_copy_each():
    with Pretend() as device:
        there = sent(DEVICE, *some())
        assert all(isinstance(x, Far) for x in there)
        assert (device.copies, device.waits) == (1, 0)
        back = fetched(*there)
        assert (device.copies, device.waits) == (1, 1)
        for x, y in zip(some(), back, strict=True):
            assert x.dtype == y.dtype
            assert torch.equal(x, y)


def test_what_is_there_already_stays_and_the_order_is_kept():
    with Pretend() as device:
        own, near = torch.ones(2, device=DEVICE), torch.zeros(3)
        first, second = sent(DEVICE, own, near)
        assert first is own
        assert second.shape == (3,)
        assert sent(DEVICE, own)[0] is own
        assert device.copies == 1
        mixed = fetched(near, own, own * 2)
        assert device.waits == 1
        assert [x.tolist() for x in mixed] == [[0.0] * 3, [1.0] * 2, [2.0] * 2]
    assert sent(CPU, near)[0] is near, "nothing is copied on the CPU"


def test_what_was_sent_does_not_change_with_what_it_was_sent_from():
    with Pretend():
        near = torch.zeros(3)
        (there,) = sent(DEVICE, near)
        near += 1
        assert there.tolist() == [0.0] * 3


@pytest.mark.parametrize("where", [CPU, DEVICE])
def test_a_board_is_overwritten_where_it_is(where):
    with Pretend() as device:
        kinds = {"a": ((2, 3), torch.float32), "b": ((), torch.bool), "c": ((5,), torch.int64)}
        board = Board(kinds, where)
        first = {name: board[name] for name in kinds}
        device.reset()
        board.write({"a": torch.ones(2, 3), "b": torch.tensor(True), "c": torch.arange(5)})
        assert (device.waits, device.copies) == (0, int(where == DEVICE))
        assert all(board[name] is x for name, x in first.items())
        assert [x.cpu().tolist() for x in first.values()] == [[[1.0] * 3] * 2, True, list(range(5))]


@pytest.mark.parametrize("capacity", [5, 1024, 5000])
def test_a_tree_there_finds_what_a_tree_here_finds(capacity):
    gen = torch.Generator().manual_seed(capacity)
    here = SumTree(3, capacity)
    with Pretend() as device:
        there = SumTree(3, capacity, DEVICE)
        for _ in range(4):
            index = torch.stack([torch.randperm(capacity, generator=gen)[:40] for _ in range(3)])
            priority = torch.randint(4, index.shape, generator=gen) / 4  # sums are exact
            here.set(index, priority)
            there.set(*sent(DEVICE, index, priority))
        mass = torch.rand(3, 200, generator=gen, dtype=torch.float64) * here.total[:, None]
        mass[:, -1] = here.total  # rounding may bring it there
        device.reset()
        found, total = there.find(sent(DEVICE, mass)[0]), there.total
        assert device.waits == 0
        assert torch.equal(found.cpu(), here.find(mass))
        assert torch.equal(total.cpu(), here.total)
        assert torch.equal(there.get(found).cpu() > 0, torch.ones(3, 200, dtype=torch.bool))
        there.clear()
        assert there.total.tolist() == [0.0] * 3
