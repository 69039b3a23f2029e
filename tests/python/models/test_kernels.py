"""The compiled kernels against slow twins: in float64, and in plain PyTorch."""

import pytest
import torch

from socialgrid import _core
from socialgrid.models import StackedLSTM, kernels

SETS = _core.kernel_sets()
SHAPES = [  # agents, steps, sequences, inputs, hidden
    (1, 1, 1, 1, 1),
    (1, 64, 2, 3, 5),
    (2, 7, 5, 11, 10),
    (3, 4, 33, 20, 64),
    (5, 3, 7, 65, 33),
    (16, 2, 3, 8, 17),
    (1, 16, 29, 130, 48),
]


@pytest.fixture(params=["off", *SETS])
def name(request, monkeypatch):
    """Every set of kernels of this processor, and none."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))
    return request.param


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def stack(agents, inputs, hidden):
    return StackedLSTM([torch.Generator().manual_seed(a) for a in range(agents)], inputs, hidden)


def data(agents, steps, count, inputs, hidden, often=0.2):
    gen = torch.Generator().manual_seed(1)
    x = torch.randn(agents, steps, count, inputs, generator=gen)
    h, c = torch.randn(2, agents, count, hidden, generator=gen) * 0.5
    reset = torch.rand(agents, steps, count, generator=gen) < often
    weight = torch.randn(agents, steps, count, hidden, generator=gen)
    return x, h, c, reset, weight


def everything(model, x, h, c, reset, weight):
    """Outputs and all gradients of a weighted sum of them."""
    x = x.clone().requires_grad_()
    own = list(model.parameters())
    out, cells = model(x, h, c, reset)
    grads = torch.autograd.grad((out * weight).sum(), [x, *own])
    return [out.detach(), cells, *grads]


def exact(model, x, h, c, reset, weight):
    """The same in float64, step by step."""
    w_x, w_h, b_x, b_h = [
        p.detach().double().requires_grad_()
        for p in (model.weight_ih, model.weight_hh, model.bias_ih, model.bias_hh)
    ]
    x, h, c = x.double().requires_grad_(), h.double(), c.double()
    outs, cells = [], []
    for t in range(x.shape[1]):
        keep = (~reset[:, t, :, None]).double()
        h, c = h * keep, c * keep
        gates = x[:, t] @ w_x.mT + h @ w_h.mT + (b_x + b_h)[:, None]
        i, f, s, o = gates.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * s.tanh()
        h = o.sigmoid() * c.tanh()
        outs.append(h)
        cells.append(c)
    out = torch.stack(outs, 1)
    names = {
        id(model.weight_ih): w_x,
        id(model.weight_hh): w_h,
        id(model.bias_ih): b_x,
        id(model.bias_hh): b_h,
    }
    own = [names[id(p)] for p in model.parameters()]
    grads = torch.autograd.grad((out * weight.double()).sum(), [x, *own])
    return [out.detach(), torch.stack(cells, 1).detach(), *grads]


def close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        scale = float(theirs.abs().max()) + 1e-6
        assert ours.shape == theirs.shape
        assert float((ours.double() - theirs).abs().max()) < 3e-6 * scale


@pytest.mark.parametrize("shape", SHAPES)
def test_memory_over_time_and_its_gradients_are_exact(name, shape):
    agents, _, _, inputs, hidden = shape
    model = stack(agents, inputs, hidden)
    given = data(*shape)
    close(everything(model, *given), exact(model, *given))


@pytest.mark.parametrize("often", [0.0, 1.0])
def test_states_are_zeroed_never_or_always(name, often):
    model = stack(2, 4, 6)
    given = data(2, 5, 3, 4, 6, often)
    close(everything(model, *given), exact(model, *given))


def test_memory_without_gradient_is_that_with_gradient(compiled):
    model = stack(3, 20, 30)
    x, h, c, reset, weight = data(3, 5, 14, 20, 30)
    found = everything(model, x, h, c, reset, weight)
    for _ in range(2):
        with torch.no_grad():
            out, cells = model(x, h, c, reset)
        assert torch.equal(out, found[0])
        assert torch.equal(cells, found[1])
        with torch.no_grad():  # weights kept from before are used no longer
            model.weight_hh.mul_(0.5)
        found = everything(model, x, h, c, reset, weight)


def test_any_number_of_threads_gives_the_same_bits(compiled, threads):
    model = stack(3, 64, 64)
    given = data(3, 8, 70, 64, 64)
    results = []
    for count in (1, 2, 3, 5):
        threads(count)
        results.append(everything(model, *given))
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_a_sequence_depends_neither_on_others_nor_on_other_agents(compiled):
    shape = (4, 6, 17, 9, 40)
    model = stack(4, 9, 40)
    x, h, c, reset, weight = data(*shape)
    found = everything(model, x, h, c, reset, weight)[:3]
    lone = StackedLSTM([torch.Generator().manual_seed(2)], 9, 40)
    some = (slice(2, 3), slice(None), slice(5, 12))
    part = everything(
        lone, x[some], h[some[0], some[2]], c[some[0], some[2]], reset[some], weight[some]
    )
    for ours, theirs in zip(part[:3], found, strict=True):
        assert torch.equal(ours, theirs[some])


def test_what_is_given_may_lie_in_memory_as_it_likes(compiled):
    model = stack(2, 8, 12)
    x, h, c, reset, weight = data(2, 5, 7, 8, 12)
    expected = everything(model, x, h, c, reset, weight)
    state = torch.stack((h, c), -1)
    apart = everything(
        model,
        x.transpose(1, 2).contiguous().transpose(1, 2),
        state[..., 0],
        torch.cat((h, c), -1)[..., 12:],
        reset.transpose(1, 2).contiguous().transpose(1, 2),
        weight.transpose(0, 1).contiguous().transpose(0, 1),
    )
    for ours, theirs in zip(apart, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_gradients_are_given_where_they_are_wanted(name):
    model = stack(2, 8, 12)
    x, h, c, reset, weight = data(2, 5, 7, 8, 12)
    expected = everything(model, x, h, c, reset, weight)
    loss = (model(x, h, c, reset)[0] * weight).sum()
    grads = torch.autograd.grad(loss, list(model.parameters()))
    close(grads, expected[3:])
    model.requires_grad_(False)
    x.requires_grad_()
    (alone,) = torch.autograd.grad((model(x, h, c, reset)[0] * weight).sum(), x)
    close([alone], [expected[2]])
    model.bias_hh.requires_grad_()
    (bias,) = torch.autograd.grad((model(x.detach(), h, c, reset)[0] * weight).sum(), model.bias_hh)
    close([bias], [expected[-1]])
    assert not model(x, h, c, reset)[1].requires_grad


def test_what_is_no_number_stays_in_its_sequence(name):
    model = stack(1, 4, 20)
    x, h, c, reset, _ = data(1, 5, 7, 4, 20, 0.0)
    with torch.no_grad():
        clean = model(x, h, c, reset)[0]
        x[0, 2, 3, 1] = float("nan")
        out, cells = model(x, h, c, reset)
    assert out[0, 2:, 3].isnan().all()
    assert cells[0, 2:, 3].isnan().all()
    assert torch.equal(out[0, :2, 3], clean[0, :2, 3])
    others = [0, 1, 2, 4, 5, 6]
    torch.testing.assert_close(out[:, :, others], clean[:, :, others], rtol=0, atol=1e-6)


def test_large_numbers_saturate(name):
    model = stack(1, 4, 20)
    x, h, c, reset, _ = data(1, 5, 7, 4, 20)
    with torch.no_grad():
        out, cells = model(x * 1e6, h, c * 1e4, reset)
    assert out.isfinite().all()
    assert cells.isfinite().all()
    assert float(out.abs().max()) <= 1.0


def test_what_was_compiled_for_the_simulator_alone_says_so(monkeypatch):
    monkeypatch.delattr(_core, "kernel_sets")
    with pytest.raises(ImportError, match=r"simulator alone \(SOCIALGRID_KERNELS=OFF\)"):
        kernels.chosen(None)


def test_the_environment_chooses_the_kernels():
    assert kernels.chosen("off") is None
    assert [kernels.chosen(name).name for name in SETS] == SETS
    assert [kernels.chosen(name).name for name in (None, "")] == [SETS[0]] * 2
    with pytest.raises(ValueError, match=r"^SOCIALGRID_KERNELS=mmx: here it must be one of off"):
        kernels.chosen("mmx")


def test_other_types_take_the_slow_path(compiled):
    model = stack(1, 4, 6)
    x, h, c, reset, _ = data(1, 3, 5, 4, 6)
    assert kernels.usable(x, h, c)
    assert not kernels.usable(x.bfloat16())
    with torch.no_grad():
        rough = model(x.bfloat16(), h, c, reset)[0]
    assert rough.dtype == torch.bfloat16
    with torch.no_grad():
        torch.testing.assert_close(rough.float(), model(x, h, c, reset)[0], rtol=0, atol=0.02)


@torch.no_grad()
def test_what_others_change_in_shared_memory_is_seen(compiled):
    model, given = stack(2, 3, 5), data(2, 4, 6, 3, 5)[:4]
    before, _ = model(*given)
    assert model.packed(False) is model.packed(False), "kept as long as nothing changes"
    model.share_memory()
    assert torch.equal(model(*given)[0], before)
    torch.from_numpy(model.weight_hh.numpy()).mul_(2.0)  # which is not counted
    assert not torch.equal(model(*given)[0], before)


@pytest.mark.parametrize(
    ("agents", "count", "choices", "hidden"), [(1, 1, 1, 1), (2, 5, 3, 17), (5, 33, 9, 128)]
)
def test_alternatives_are_the_steps_that_each_of_them_would_be(
    compiled, threads, agents, count, choices, hidden
):
    inputs, first = choices + 7, 4
    columns = slice(first, first + choices)
    model = stack(agents, inputs, hidden)
    x, h, c, *_ = data(agents, 1, count, inputs, hidden)
    x, apart = x[:, 0], torch.stack((c, c), 2)[:, :, 0]  # rows of c that are not next to each other
    x[..., columns] = 0.0
    found = model.alternatives(x, h, apart, columns)
    assert found.shape == (agents, count, choices, hidden)
    never = torch.zeros(agents, 1, count, dtype=torch.bool)
    zero = torch.zeros(agents, 1, count, hidden)
    for choice in range(choices):
        one = x.clone()
        one[..., first + choice] = 1.0
        outs, *_ = exact(model, one[:, None], h, c, never, zero)
        torch.testing.assert_close(found[:, :, choice], outs[:, 0].float(), rtol=1e-5, atol=3e-6)
    threads(3)
    assert torch.equal(model.alternatives(x, h, apart, columns), found)
