"""What CUDA itself makes of phases: shared memory, cuts, messages beside graphs, and failures.

See ``test_parity.py`` for how these tests are run; the pretended device of the other tests imitates
what is held here. On a CPU phases are called every time.
"""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from socialgrid.models import Captured, apart, mark, pinned

pytestmark = pytest.mark.accelerator

LARGE = 1 << 24  # numbers, 64 MiB


def grown(x: Tensor, times: int) -> Tensor:
    """Sums of copies of ``x``, several of which live at once."""
    found = [x * (k + 1.0) for k in range(times)]
    return torch.stack([one.sum() for one in found])


def test_phases_share_their_memory_and_keep_what_they_return(accelerator: str):
    device = torch.device(accelerator)
    x = torch.ones(LARGE, device=device)
    phases = [Captured(lambda times=times: grown(x, times), device) for times in (3, 4, 2)]
    cuda = device.type == "cuda"
    taken = []
    for phase in phases:
        phase()
        phase()
        if cuda:
            torch.cuda.empty_cache()
        taken.append(torch.cuda.memory_reserved() if cuda else 0)
    assert taken[2] <= taken[1] <= taken[0] + 2 * 4 * LARGE, "each keeps memory of its own"
    for value in (1.0, 2.0):
        x.fill_(value)
        found = [phase() for phase in (phases[2], phases[0], phases[1])]
        for sums, times in zip(found, (2, 3, 4), strict=True):
            assert sums.tolist() == [LARGE * value * (k + 1.0) for k in range(times)]


@pytest.mark.parametrize("message", [False, True])
def test_the_host_has_its_turn_between_graphs(accelerator: str, message: bool):
    """It adds something, or lets nccl bring it, with a process group of one."""
    device = torch.device(accelerator)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if message:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        x, count = torch.ones(1000, device=device, requires_grad=True), [0]

        def phase() -> Tensor:
            (own,) = torch.autograd.grad((x * x).sum(), x)
            there = [torch.empty_like(own)]

            def exchange() -> None:
                count[0] += 1
                if message:
                    dist.all_gather(there, own)
                else:
                    there[0].copy_(own)
                there[0].add_(count[0])

            apart(exchange)
            with torch.no_grad():
                x.add_(there[0])
            return x.detach() * 1.0

        captured, value = Captured(phase, device), 1.0
        for k in range(5):
            value += 2.0 * value + k + 1
            assert captured().tolist() == [value] * 1000
    finally:
        if message:
            dist.destroy_process_group()


def test_copies_to_pinned_memory_have_arrived_at_the_mark(accelerator: str):
    device = torch.device(accelerator)
    near, there = pinned((LARGE,), torch.float32, device), torch.zeros(LARGE, device=device)

    def phase() -> None:
        there.add_(1.0)
        near.copy_(there, non_blocking=True)

    captured = Captured(phase, device)
    later = torch.ones(LARGE, device=device)
    for k in range(4):
        captured()
        arrive = mark(device)
        for _ in range(20):
            later = later * 1.5  # work that nobody waits for
        arrive()
        assert float(near[-1]) == k + 1.0


def test_what_could_not_be_recorded_leaves_the_rest_alone(accelerator: str):
    device = torch.device(accelerator)
    x = torch.ones(LARGE // 64, device=device)
    good = Captured(lambda: grown(x, 2), device)
    good(), good()
    if device.type == "cuda":
        bad = Captured(lambda: x * float(x.sum()), device)
        bad()
        stream = torch.cuda.current_stream()
        with pytest.raises(RuntimeError):
            bad()
        assert torch.cuda.current_stream() == stream
    other = Captured(lambda: grown(x, 3), device)
    for _ in range(3):
        assert other().tolist() == [LARGE // 64 * (k + 1.0) for k in range(3)]
        assert good().tolist() == [LARGE // 64 * (k + 1.0) for k in range(2)]
