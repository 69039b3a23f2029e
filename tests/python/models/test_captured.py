"""Phases that an accelerator repeats by itself: run, recorded, repeated, and what is refused."""

import pytest
import torch
from tests.python.pretend import DEVICE, Pretend

from socialgrid.models import Captured, pinned, wait_for

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
        wait_for(DEVICE)
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
    "waits": lambda x: float(x.sum()),
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


def test_whoever_cannot_record_is_told_how_to_do_without(monkeypatch):
    def refuses(graph):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", refuses)
    captured = Captured(lambda: None, torch.device("cuda"))
    captured()
    with pytest.raises(RuntimeError, match="not permitted") as caught:
        captured()
    assert "SOCIALGRID_GRAPHS=off" in caught.value.__notes__[0]
