"""What LeCTR's agents read and how they decide: networks, and what follows from their decisions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from socialgrid.models.layers import StackedLinear


def readable_values(values: Tensor, scale: Tensor) -> Tensor:
    """Action values as networks read them.

    Args:
        values: ``[..., K]``.
        scale: ``[..., 1]``, largest absolute value so far.

    Returns:
        ``[..., K + 2]``: differences to the best over the distance d from best to worst (zeros
        where all are the same), the best and d over ``scale``.
    """
    best = values.amax(-1, keepdim=True)
    distance = best - values.amin(-1, keepdim=True)
    relative = (values - best) / distance.clamp(min=1e-8)
    return torch.cat((relative, best / scale, distance / scale), -1)


def outcomes(ask: Tensor, answers: Tensor) -> Tensor:
    """With which probability each action is carried out as advised, or the own intention.

    Of those who answer, one is followed, each with the same probability. Given that j answers,
    that is j with E[1 / (1 + N)], N being how many others answer too:
    the integral over t in [0, 1] of prod_l (1 - q_l + q_l t), l answering with q_l. It is a
    polynomial of degree n - 1 in t at most, for which Gauss's rule is exact.

    Args:
        ask: P(ask), ``[...]``.
        answers: P(answer) of n teachers, ``[..., n, K + 1]``, the last for none.

    Returns:
        ``[..., K + 1]``, the last for the own intention.
    """
    at, weight = _gauss(answers.shape[-2], answers.dtype, answers.device)
    answering = answers[..., :-1].sum(-1, keepdim=True)
    factors = 1.0 - answering * (1.0 - at)
    # Not by prod: on the way back that asks the device whether anything is 0.
    every = functools.reduce(torch.mul, factors.unbind(-2))
    others = every.unsqueeze(-2) / factors
    followed = (others * weight).sum(-1)
    advised = ask[..., None] * (followed[..., None] * answers[..., :-1]).sum(-2)
    return torch.cat((advised, 1.0 - advised.sum(-1, keepdim=True)), -1)


@functools.cache
def _gauss(teachers: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Gauss's nodes in [0, 1] and weights for as many teachers, once on each device."""
    nodes, weights = np.polynomial.legendre.leggauss((teachers + 1) // 2)
    made = (torch.tensor(x, dtype=dtype, device=device) for x in (0.5 * (nodes + 1), 0.5 * weights))
    return next(made), next(made)


def td_error(
    reward: Tensor, best_next: Tensor, terminated: Tensor, value: Tensor | float, gamma: float
) -> Tensor:
    """r + gamma max Q(o', .) - value, all of one shape."""
    return reward + gamma * best_next * ~terminated - value


class Layers(nn.Module):
    """``[A, N, inputs] -> [A, N, outputs]``, ReLU after every layer but the last.

    Small networks of many agents: one batched product a layer, however many agents there are.
    """

    def __init__(self, generators: Sequence[torch.Generator], sizes: Sequence[int]) -> None:
        super().__init__()
        self._stack = [StackedLinear(generators, *ends) for ends in pairwise(sizes)]
        self.layers = nn.ModuleList(self._stack)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for i, layer in enumerate(self._stack):
            x = F.relu(x) if i else x
            x = torch.baddbmm(layer.bias[:, None], x, layer.weight.transpose(1, 2))
        return x


class AdvisingPolicies(nn.Module):
    """Every agent's student and teacher."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        seen: tuple[int, int],
        hidden: tuple[int, ...],
        num_actions: int,
    ) -> None:
        super().__init__()
        self.student = Layers(generators, (seen[0], *hidden, 2))
        self.teacher = Layers(generators, (seen[1], *hidden, num_actions + 1))


def room_for_steps(
    lead: tuple[int, ...], kept: int, size: int, device: torch.device
) -> dict[str, Tensor]:
    """Zeros for steps that are kept until it is known what was learnt from them.

    Args:
        lead: first sizes of everything.
        kept: numbers that are kept of what was seen.
        size: numbers of an observation.
        device: where they are.
    """
    kinds: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "seen": ((kept,), torch.float32),
        "outcome": ((), torch.int64),
        "next_obs": ((size,), torch.float32),
        "action": ((), torch.int64),
        "reward": ((), torch.float32),
        "terminated": ((), torch.bool),
        "truncated": ((), torch.bool),
        "best_next": ((), torch.float32),
    }
    return {
        name: torch.zeros((*lead, *shape), dtype=dtype, device=device)
        for name, (shape, dtype) in kinds.items()
    }


class Tally:
    """Means over agents' steps of some numbers by name.

    Attributes:
        sums, counts: float64 ``[A, names]``.
    """

    def __init__(self, names: Sequence[str], agents: int, device: torch.device) -> None:
        """Nothing is counted yet."""
        self._names = tuple(names)
        self.sums = torch.zeros(agents, len(names), dtype=torch.float64, device=device)
        self.counts = torch.zeros_like(self.sums)

    def add(self, name: str, x: Tensor, of: Tensor | None = None) -> None:
        """Add ``[A, M]`` to what a mean is taken of, of as many as there are or as ``of`` says."""
        k = self._names.index(name)
        self.sums[:, k] += x.sum(1)
        self.counts[:, k] += x.shape[1] if of is None else of.sum(1)

    def take(self, read: Callable[[Tensor], Sequence[Tensor]]) -> dict[str, Tensor]:
        """Means since the last call, float32 ``[A]``, NaN of nothing; ``read``: to the CPU."""
        (means,) = read((self.sums / self.counts).float())
        self.sums.zero_()
        self.counts.zero_()
        return {name: means[:, k].clone() for k, name in enumerate(self._names)}


def check_tensors(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Check that an adviser's tensors are those that it has: names, shapes and types.

    Raises:
        ValueError: they are not.
    """
    if own.keys() != given.keys():
        missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
        raise ValueError(f"adviser's tensors: missing {missing}, unknown {unknown}")
    for name, x in own.items():
        if given[name].shape != x.shape or given[name].dtype != x.dtype:
            raise ValueError(
                f"adviser's {name}: {given[name].dtype} {tuple(given[name].shape)}, "
                f"expected {x.dtype} {tuple(x.shape)}"
            )
