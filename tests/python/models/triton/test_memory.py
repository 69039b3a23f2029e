"""The LSTM over time: every gradient beside autograd's in float64, resets at every place."""

import pytest
import torch

from socialgrid.models import StackedLSTM
from socialgrid.models.triton_kernels import activations, choice, memory

SHAPES = [  # agents, steps, sequences, inputs, hidden
    (1, 1, 1, 1, 1),
    (1, 4, 3, 5, 48),
    (3, 2, 5, 7, 192),
    (2, 7, 11, 4, 17),
    (3, 5, 1, 3, 8),
]
TOLERANCE = 1e-5


def given(shape, device, often=0.3):
    agents, steps, count, inputs, hidden = shape
    gen = torch.Generator().manual_seed(3)
    model = StackedLSTM([torch.Generator().manual_seed(a) for a in range(agents)], inputs, hidden)
    x = torch.randn(agents, steps, count, inputs, generator=gen)
    h, c = torch.randn(2, agents, count, hidden, generator=gen)
    reset = torch.rand(agents, steps, count, generator=gen) < often
    weight = torch.randn(agents, steps, count, hidden, generator=gen)
    return model.to(device), *(y.to(device) for y in (x, h, c, reset, weight))


def everything(model, x, h, c, reset, weight):
    """Outputs, and gradients of everything that has one."""
    x, h, c = (y.clone().requires_grad_() for y in (x, h, c))
    out, cells = model(x, h, c, reset)
    asked = [x, h, c, model.weight_ih, model.weight_hh, model.bias_ih, model.bias_hh]
    return [out.detach(), cells, *torch.autograd.grad((out * weight).sum(), asked)]


def exact(model, x, h, c, reset, weight):
    """The same in float64, step by step."""
    own = model.weight_ih, model.weight_hh, model.bias_ih, model.bias_hh
    asked = [y.detach().cpu().double().requires_grad_() for y in (x, h, c, *own)]
    x, h, c, w_x, w_h, b_x, b_h = asked
    outs, cells = [], []
    for t in range(x.shape[1]):
        keep = (~reset[:, t, :, None]).cpu().double()
        h, c = h * keep, c * keep
        gates = x[:, t] @ w_x.mT + h @ w_h.mT + (b_x + b_h)[:, None]
        i, f, g, o = gates.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outs.append(h)
        cells.append(c)
    out = torch.stack(outs, 1)
    grads = torch.autograd.grad((out * weight.cpu().double()).sum(), asked)
    return [out.detach(), torch.stack(cells, 1).detach(), *grads]


def check(found, expected, tolerance=TOLERANCE):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        difference = (ours.cpu().double() - theirs.cpu().double()).abs().max()
        assert float(difference) <= tolerance * (float(theirs.abs().max()) + 1e-6)


@pytest.fixture
def calls(monkeypatch):
    """How often the kernels' memory was asked."""
    asked = []

    def counted(*args):
        asked.append(args)
        return unroll(*args)

    unroll = memory.unroll
    monkeypatch.setattr(memory, "unroll", counted)
    return asked


@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_all_gradients_are_exact(shape, device, calls):
    data = given(shape, device)
    check(everything(*data), exact(*data))
    assert calls, "the kernels computed them"


@pytest.mark.parametrize("often", [0.0, 1.0])
def test_resets_never_and_always(often, device):
    data = given((2, 4, 3, 2, 6), device, often)
    check(everything(*data), exact(*data))


@pytest.mark.parametrize("step", range(4))
def test_a_reset_at_each_step(step, device):
    model, x, h, c, reset, weight = given((2, 4, 3, 2, 6), device, 0.0)
    reset[1, step, 2] = True
    data = model, x, h, c, reset, weight
    found = everything(*data)
    check(found, exact(*data))
    h[1, 2] += 1.0
    c[1, 2] -= 1.0
    changed = everything(*data)
    assert torch.equal(changed[0][1, step:, 2], found[0][1, step:, 2]), "what was is forgotten"
    assert step == 0 or not torch.equal(changed[0][1, :step, 2], found[0][1, :step, 2])


def test_inputs_need_not_be_contiguous(device):
    model, x, h, c, reset, weight = given((2, 3, 5, 4, 6), device)
    data = (x.mT.contiguous().mT, h.mT.contiguous().mT, c.mT.contiguous().mT)
    reset_turned = reset.mT.contiguous().mT
    found = everything(model, *data, reset_turned, weight)
    check(found, everything(model, x, h, c, reset, weight), 0.0)


def test_the_same_bits_again_and_without_gradient(device):
    data = given((3, 3, 5, 4, 20), device)
    first, second = everything(*data), everything(*data)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    model, x, h, c, reset, _ = data
    for _ in range(2):
        with torch.no_grad():
            found = model(x, h, c, reset)
            # A card may take another product for memory that is laid out differently.
            check(found, first[:2], 0.0 if device.type == "cpu" else TOLERANCE)
            model.weight_hh.mul_(0.5)  # nothing is kept from before
        first = everything(*data)


def test_bfloat16_stays_near(device):
    model, x, h, c, reset, weight = given((2, 5, 4, 6, 24), device)
    found = everything(model, x.bfloat16(), h, c, reset, weight)
    assert found[0].dtype == torch.bfloat16
    assert found[1].dtype == torch.float32
    check(found, exact(model, x, h, c, reset, weight), 0.03)


def test_off_means_off(device, calls, monkeypatch):
    model, x, h, c, reset, weight = given((1, 2, 3, 4, 5), device)
    with torch.no_grad():
        model(x, h, c, reset)
        assert len(calls) == 1
        monkeypatch.setenv("SOCIALGRID_KERNELS", "off")
        out, _ = model(x, h, c, reset)
        monkeypatch.delenv("SOCIALGRID_KERNELS")
        monkeypatch.setattr(choice, "DEVICES", {"another"})
        assert torch.equal(model(x, h, c, reset)[0], out) or device.type == "cpu"
    assert len(calls) == 1
    check([out], exact(model, x, h, c, reset, weight)[:1])


def test_where_nothing_can_be_built_networks_do_without(device, calls, monkeypatch):
    data = given((1, 2, 3, 4, 5), device)

    def fail(*args, **kwargs):
        raise RuntimeError("Failed to find C compiler.\nAnd more.")

    monkeypatch.setattr(activations, "bend_", fail)
    choice.works.cache_clear()
    with pytest.warns(UserWarning, match=r"no kernels for .*Failed to find C compiler"):
        assert not choice.usable(data[1])
    with torch.no_grad():
        data[0](*data[1:5])
    assert not calls
    choice.works.cache_clear()
