"""Phases that an accelerator repeats by itself: run, recorded, repeated, and what is refused."""

import contextlib
import gc
import math

import pytest
import torch
from tests.python.pretend import DEVICE, Pretend

from socialgrid.models import ENGINES, Captured, CudaGraphs, apart, mark, pinned

CPU = torch.device("cpu")


@pytest.fixture
def device():
    with Pretend() as there:
        yield there


class Sums:
    """Adds what lies in a pinned buffer, times a factor of Python's, to a total."""

    def __init__(self, device):
        self.device = device
        self.given = pinned((3,), torch.float32, device)
        self.told = pinned((3,), torch.float32, device)
        self.total = torch.zeros(3, device=device)
        self.factor = 1.0

    def __call__(self):
        self.total += self.given.to(self.device, non_blocking=True) * self.factor
        doubled = self.total * 2
        self.told.copy_(doubled, non_blocking=True)
        return doubled


def test_without_an_engine_it_is_a_call():
    sums = Sums(CPU)
    phase = Captured(sums, CPU)
    for n in range(1, 4):
        sums.given.fill_(1.0)
        assert phase().tolist() == [2.0 * n] * 3
    sums.factor = 10.0
    assert phase().tolist() == [26.0] * 3


def test_a_repetition_does_the_same_with_what_lies_there(device):
    sums = Sums(DEVICE)
    phase, found = Captured(sums, DEVICE), []
    for n in range(4):
        sums.given.fill_(float(n))
        device.reset()
        out = phase()
        assert (device.launches == 1) == (n > 0), "the second call is recorded, then repeated"
        before = sums.told.tolist()
        assert device.waits == 0
        mark(DEVICE)()
        assert device.waits == 1
        assert n == 0 or before != sums.told.tolist(), "it arrives when the host waits"
        assert out.tolist() == sums.told.tolist()
        found.append((out, sums.told[0].item()))
    assert [x for _, x in found] == [0.0, 2.0, 6.0, 12.0], "recording itself does nothing"
    assert found[1][0] is found[2][0] is found[3][0], "the results of repetitions are the same"


def test_what_python_held_is_baked_in_until_forgotten(device):
    sums = Sums(DEVICE)
    phase = Captured(sums, DEVICE)
    sums.given.fill_(1.0)
    phase(), phase()
    sums.factor = 100.0
    assert phase().tolist() == [6.0] * 3
    phase.forget()
    assert phase().tolist() == [206.0] * 3
    assert phase().tolist() == [406.0] * 3


@pytest.mark.parametrize("off", [True, False])
def test_the_environment_turns_it_off(device, monkeypatch, off):
    monkeypatch.setenv("SOCIALGRID_GRAPHS", "off" if off else "on")
    phase = Captured(Sums(DEVICE), DEVICE)
    for _ in range(3):
        device.reset()
        phase()
    assert (device.launches > 1) == off


def test_gradients_and_steps_in_place_are_recorded(device):
    def run(*, times):
        weight = torch.arange(6.0).view(2, 3).to(DEVICE).requires_grad_()
        data = torch.ones((4, 2), device=DEVICE)

        def step():
            loss = (data @ weight).square().mean()
            (grad,) = torch.autograd.grad(loss, weight)
            with torch.no_grad():
                weight.sub_(grad, alpha=0.1)
            data.mul_(0.5)
            return loss.detach()

        phase = Captured(step, DEVICE) if times else step
        losses = [float(phase()) for _ in range(4)]
        return losses, weight.tolist()

    assert run(times=True) == run(times=False)


REFUSED = {
    "waits": lambda x: x * float(x.sum()),
    "copies back": lambda x: x.cpu(),
    "copies from the host": lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=DEVICE),
    "memory that is not pinned": lambda x: x + torch.ones(3).to(DEVICE),
    "a size that hangs on values": lambda x: x[x > 0],
    "a list as an index": lambda x: x[[0, 2]],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_graph_can_do_is_an_error(device, what):
    x = torch.zeros(3, device=DEVICE)

    def phase():
        x.add_(1.0)
        return REFUSED[what](x)

    captured = Captured(phase, DEVICE)
    captured()
    with pytest.raises(RuntimeError, match="a phase that is recorded"):
        captured()
    assert x.tolist() == [1.0] * 3, "recording changes nothing"


def test_what_a_phase_returns_outlasts_other_phases_and_nothing_else_does(device):
    x, kept = torch.ones(3, device=DEVICE), {}

    def first():
        kept["between"] = x + 1.0
        return {"sum": kept["between"].sum(), "both": (kept["between"] * 2.0, None)}

    def second():
        return x * 3.0

    phases = Captured(first, DEVICE), Captured(second, DEVICE)
    for _ in range(3):
        found = phases[0]()
        other = phases[1]()
        assert (float(found["sum"]), found["both"][0].tolist()) == (6.0, [4.0] * 3)
        assert other.tolist() == [3.0] * 3
    assert all(math.isnan(x) for x in kept["between"].tolist()), "its memory is shared"


def test_it_returns_tensors(device):
    phase = Captured(object, DEVICE)
    with pytest.raises(TypeError, match="a phase returned object"):
        phase()
    weight = torch.ones(3, device=DEVICE, requires_grad=True)
    with pytest.raises(AssertionError, match="has a gradient"):
        Captured(lambda: weight * 2.0, DEVICE)()


def test_the_host_does_its_part_between_two_graphs(device):
    """As ranks exchange what they add up."""
    x, others, order = torch.zeros(2, device=DEVICE), [], []

    def phase():
        own = x + 1.0
        there = torch.empty_like(own)

        def exchange():
            order.append(own.tolist())
            there.copy_(own * len(order))

        apart(exchange)
        x.copy_(there)
        return own + there

    captured = Captured(phase, DEVICE)
    for _ in range(4):
        device.reset()
        others.append(captured().tolist())
    assert (device.launches, device.waits) == (2 + 2, 2), "two graphs, and what the host does"
    assert order == [[1.0] * 2, [2.0] * 2, [5.0] * 2, [16.0] * 2], "not while it is recorded"
    assert others == [[2.0] * 2, [6.0] * 2, [20.0] * 2, [80.0] * 2]
    found = []
    apart(lambda: found.append(1))
    assert found, "elsewhere it is a call"


def test_memory_that_nobody_holds_is_noticed(device):
    holder = [torch.ones(3, device=DEVICE)]
    x = holder[0]
    phase = Captured(lambda: holder[0] * 2.0, DEVICE)
    phase(), phase()
    del x
    holder[0] = torch.zeros(3, device=DEVICE)
    with pytest.raises(RuntimeError, match="with memory that nobody holds"):
        phase()


def test_pinned_memory_that_is_copied_from_stays(device):
    sums = Sums(DEVICE)
    phase = Captured(sums, DEVICE)
    for overwritten in (True, False):
        phase()
        if not overwritten:
            mark(DEVICE)()
        sums.given.fill_(7.0 + overwritten)
        if overwritten:
            with pytest.raises(AssertionError, match="written to while it was copied from"):
                mark(DEVICE)()


def test_what_is_started_after_a_mark_need_not_be_done(device):
    x = [pinned((2,), torch.float32, DEVICE) for _ in range(2)]
    x[0].copy_(torch.ones(2, device=DEVICE), non_blocking=True)
    first = mark(DEVICE)
    x[1].copy_(torch.ones(2, device=DEVICE), non_blocking=True)
    first()
    assert (x[0].tolist(), x[1].tolist()) == ([1.0, 1.0], [0.0, 0.0])
    mark(DEVICE)()
    assert x[1].tolist() == [1.0, 1.0]


class Cuda:
    """In the place of ``torch.cuda``: tells of what it is asked for."""

    def __init__(self, monkeypatch, *, spoilt=False):
        self.told, self.stream, self.pools, self.spoilt = [], "default", 0, spoilt
        self.ended, cuda = [], self

        class Graph:
            def replay(self):
                cuda.told.append(f"replay {self.number}")

        class Way:
            def __init__(self, graph, pool, *, capture_error_mode):
                assert capture_error_mode == "thread_local"
                self.graph, self.own = graph, pool

            def __enter__(self):
                cuda.stream = "side"
                self.graph.number = sum(one.startswith("begin") for one in cuda.told)
                cuda.told.append(f"begin {self.graph.number} in pool {self.own}")

            def __exit__(self, *error):
                if cuda.spoilt:
                    raise RuntimeError("operation failed due to a previous error during capture")
                cuda.told.append("end")
                cuda.stream = "default"

        def handle():
            self.pools += 1
            return self.pools

        def end_pool(device, pool):
            self.ended.append(pool)

        name = "_cuda_endAllocateToPool"  # PyTorch's own
        monkeypatch.setattr(torch._C, name, end_pool, raising=False)
        for name, stand in {
            "CUDAGraph": Graph,
            "graph_pool_handle": handle,
            "graph": Way,
            "device": lambda device: contextlib.nullcontext(),
            "current_device": lambda: 0,
            "current_stream": lambda: cuda.stream,
            "set_stream": lambda stream: setattr(cuda, "stream", stream),
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand)
        monkeypatch.setitem(ENGINES, "cuda", CudaGraphs())


CUDA = torch.device("cuda")


def test_graphs_share_a_pool_for_as_long_as_one_of_them_lives(monkeypatch):
    cuda = Cuda(monkeypatch)
    first, second = (Captured(lambda: None, CUDA) for _ in range(2))
    for phase in (first, second, first, second, first):
        phase()
    assert cuda.told == [
        *("begin 0 in pool 1", "end", "replay 0", "begin 1 in pool 1", "end", "replay 1"),
        "replay 0",
    ]
    first.forget()
    second.forget()
    gc.collect()
    first(), first()
    assert cuda.told[-3:] == ["begin 2 in pool 2", "end", "replay 2"], "the old pool is gone"


def test_a_cut_ends_a_graph_and_begins_another(monkeypatch):
    cuda = Cuda(monkeypatch)
    phase = Captured(lambda: apart(lambda: cuda.told.append("host")), CUDA)
    phase()
    cuda.told.clear()
    phase()
    assert cuda.told == [
        *("begin 0 in pool 1", "end", "begin 1 in pool 1", "end"),
        *("replay 0", "host", "replay 1"),
    ]


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyboardInterrupt, None])
def test_whoever_cannot_record_leaves_nothing_behind(monkeypatch, error):
    """Neither another stream, nor the garbage collector off; the first error is told, be it that
    of the end (None).
    """
    cuda, calls = Cuda(monkeypatch, spoilt=True), []

    def phase():
        calls.append(gc.isenabled())
        if len(calls) > 1 and error is not None:
            raise error("not permitted")

    before = Captured(lambda: None, CUDA)
    cuda.spoilt = False
    before(), before()
    cuda.spoilt = True
    captured = Captured(phase, CUDA)
    captured()
    for _ in range(2):
        words = "not permitted" if error else "previous error"
        with pytest.raises(error or RuntimeError, match=words) as caught:
            captured()
        if error in (RuntimeError, None):
            assert "SOCIALGRID_GRAPHS=off" in caught.value.__notes__[0]
        assert (cuda.stream, gc.isenabled()) == ("default", True)
    assert calls == [True, False, False]
    ran = []
    apart(lambda: ran.append(1))
    assert ran, "nothing is being recorded"
    assert cuda.ended == [1, 2], "PyTorch does not take them to be recorded any more"
    cuda.spoilt = False
    after = Captured(lambda: None, CUDA)
    after(), after()
    assert cuda.told[-3:] == ["begin 3 in pool 3", "end", "replay 3"], "not in a spoilt pool"
    before()
    assert cuda.told[-1] == "replay 0"
