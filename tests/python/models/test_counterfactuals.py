"""What others would have done, compiled, against the same in PyTorch's float64 step by step."""

import pytest
import torch

from socialgrid import _core
from socialgrid.models import counterfactuals, heads, kernels
from socialgrid.social import listening
from socialgrid.social.influence.divergence import influence

SETS = _core.kernel_sets()
CASES = {  # samples, choices, actions, units, layers of the head, tokens that are read, scale
    "one": (1, 1, 1, 1, (), 0, 1.0),
    "few": (5, 3, 4, 17, (6,), 2, 2.0),
    "harvest": (75, 8, 8, 128, (), 5, 1.0),
    "many": (33, 19, 21, 30, (), 1, 3.0),
    "certain": (40, 4, 5, 12, (), 3, 60.0),
}


@pytest.fixture(params=SETS)
def compiled(request, monkeypatch):
    """Every set of kernels of this processor."""
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))


class Case:
    """Two agents who would have heard something else, each asked for what two would do."""

    def __init__(self, name):
        count, choices, actions, units, layers, columns, scale = CASES[name]
        self.gen = torch.Generator().manual_seed(sum(map(ord, name)))
        self.choices, self.actions = choices, actions
        generators = [torch.Generator().manual_seed(i) for i in range(2)]
        self.head = heads.Head(generators, units, layers, 2 * actions)
        with torch.no_grad():
            self.head.layers[-1].weight.mul_(scale)
        self.mask = torch.zeros(2, 2 * actions)
        if actions > 2:
            self.mask[1, -1] = -1e9
        total, self.first = choices + 4, 3
        self.gates, self.codes = self.normal(2, count, 4 * units), self.normal(2, total, 4 * units)
        self.read = torch.randint(-1, total, (2, count, columns), generator=self.gen).int()
        self.c = self.normal(2, count, 2, units)[:, :, 1]  # rows that are not next to each other
        self.weights = self.normal(2, 2, count, choices).softmax(-1)
        self.taken = torch.randint(choices, (count, 4), generator=self.gen).t().view(2, 2, count)
        self.then = torch.randint(max(1, actions - 1), (2, 2, count), generator=self.gen)
        self.counts = torch.rand((2, 2, count), generator=self.gen) < 0.7
        self.known = self.counts & (torch.rand((2, 2, count), generator=self.gen) < 0.7)
        self.possible = max(1, choices - 1)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.gen)

    def compiled(self, kind):
        """Influence ``[2, 2, M]`` and sums of listening ``[2, 2, possible]``."""
        found = torch.full((*self.taken.shape[:2], self.taken.shape[2], 3), 7.0)[..., 1]
        heard = torch.ones((2, 2, self.possible), dtype=torch.float64)
        every = []
        for agent in range(2):
            asked = [
                counterfactuals.Asked(
                    *(who * self.actions, self.actions, self.weights[agent, who]),
                    *(self.taken[agent, who], self.then[agent, who]),
                    *(self.counts[agent, who], self.known[agent, who]),
                    *(found[agent, who], heard[agent, who]),
                )
                for who in range(2)
            ]
            choices = slice(self.first, self.first + self.choices)
            given = self.gates, self.codes, self.read, self.c
            gates, codes, read, c = (x[agent] for x in given)
            one = counterfactuals.Counterfactual(agent, gates, codes, choices, read, c, asked)
            every.append(one)
        counterfactuals.exert(every, self.head, self.mask, kind)
        return found, heard - 1.0

    @torch.no_grad()
    def exact(self, kind):
        gates = self.gates.double()
        nothing = torch.zeros_like(self.codes[:, :1])
        codes = torch.cat((nothing, self.codes), 1).double()
        for column in self.read.unbind(-1):
            gates = gates + torch.stack([codes[a, column[a].long() + 1] for a in range(2)])
        own = codes[:, 1 + self.first : 1 + self.first + self.choices]
        i, f, s, o = (gates[:, :, None] + own[:, None]).sigmoid().chunk(4, -1)
        cell = f * self.c.double()[:, :, None] + i * (2.0 * s - 1.0)
        core = (o * cell.tanh()).flatten(1, 2)
        for layer in self.head.layers:
            core = core @ layer.weight.double().mT + layer.bias.double()[:, None]
            core = core.tanh() if layer.tanh else core
        logits = core.view(2, -1, self.choices, 2 * self.actions) + self.mask[:, None, None]
        logits = torch.stack(logits.split(self.actions, -1), 1)
        given = self.weights.double(), self.taken, kind, self.then
        found = influence(logits, *given) * self.known
        heard = listening(logits[..., : self.possible, :]) * self.counts[..., None]
        return found, heard.sum(2)


@pytest.mark.parametrize("kind", ["kl", "jsd", "pmi"])
@pytest.mark.parametrize("name", CASES)
def test_influence_and_listening_are_exact(compiled, name, kind):
    case = Case(name)
    for found, expected in zip(case.compiled(kind), case.exact(kind), strict=True):
        scale = max(1.0, float(expected.abs().max()))
        near = {"rtol": 3e-6, "atol": 3e-6 * scale}
        torch.testing.assert_close(found.double(), expected, **near)
    if name != "one":
        assert float(case.exact(kind)[0].abs().max()) > 1e-3


def test_threads_change_no_bit(compiled):
    case = Case("harvest")
    whole = case.compiled("kl")
    kernels.use_threads(3)
    try:
        shared = case.compiled("kl")
    finally:
        kernels.use_threads(0)
    assert all(torch.equal(x, y) for x, y in zip(whole, shared, strict=True))


def test_what_is_ruled_out_is_no_response(compiled):
    case = Case("few")
    case.mask[:] = 0.0
    case.mask[:, 1] = -torch.inf
    for kind in ("kl", "jsd"):
        for found, expected in zip(case.compiled(kind), case.exact(kind), strict=True):
            torch.testing.assert_close(found.double(), expected, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("of", ["gates", "c", "weights", "codes"])
def test_what_is_no_number_comes_to_none(compiled, of):
    case = Case("few")
    case.known[:], case.counts[:] = True, True
    getattr(case, of)[0, 0, 0] = torch.nan
    for kind in ("kl", "jsd", "pmi"):
        found, _ = case.compiled(kind)
        assert torch.equal(found.isnan(), case.exact(kind)[0].isnan())


@pytest.mark.parametrize(
    ("of", "number"), [("taken", 3), ("taken", -1), ("then", 4), ("read", 7), ("read", -2)]
)
def test_what_there_is_not_is_refused(compiled, of, number):
    case = Case("few")
    getattr(case, of)[1, -1, -1] = number
    with pytest.raises(IndexError, match=str(number)):
        case.compiled("pmi")
