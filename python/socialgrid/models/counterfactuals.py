"""What agents would do had others done something else, and what that is to them, in one compiled
call: memories, responses, and how far those are from each other.

All that is made of a few samples stays in the cache and is gone afterwards. ``divergence`` and
``listening`` of the social mechanisms say what the numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from socialgrid.models import kernels
from socialgrid.models.deciding import layers_of_head
from socialgrid.models.heads import Head
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.models.walks import heard

_KINDS = ("kl", "jsd", "pmi")


@dataclass(frozen=True)
class Asked:
    """What the choices of one agent are to another one, in ``M`` samples.

    Attributes:
        first, actions: of the outputs, the logits of what the other one may do.
        weights: float32 ``[M, C]``, the chooser's own probabilities.
        taken: int64 ``[M]``, what it chose.
        then: int64 ``[M]``, what the other one did; only "pmi" reads it.
        counts: bool ``[M]``, samples that count for listening.
        known: bool ``[M]``, those whose influence is known.
        exerted: float32 ``[M]``, written: the influence, 0 where it is not known.
        listening: float64 ``[possible]``, added to: sums over the samples, of all choices that
            there are.
    """

    first: int
    actions: int
    weights: Tensor
    taken: Tensor
    then: Tensor
    counts: Tensor
    known: Tensor
    exerted: Tensor
    listening: Tensor


@dataclass(frozen=True)
class Counterfactual:
    """One network whose memory would have read something else.

    Attributes:
        agent: whose parameters.
        gates: ``[M, 4 * hidden]`` of all inputs but codes, see ``StackedLSTM.without_codes``.
        codes: ``[X, 4 * hidden]``, weights of all codes.
        choices: which of them are the choices, one at a time.
        read: int32 ``[M, K]``, codes that were read besides; -1 is none.
        c: ``[M, hidden]``.
        asked: those whose responses are read of the outputs.
    """

    agent: int
    gates: Tensor
    codes: Tensor
    choices: slice
    read: Tensor
    c: Tensor
    asked: Sequence[Asked]


def usable(lstm: StackedLSTM, head: Head, *given: Tensor) -> bool:
    """Whether kernels can tell what a memory and a head on it would come to."""
    own = *lstm.parameters(), *head.parameters()
    known = type(lstm) is StackedLSTM and type(head) is Head
    return known and kernels.usable(*own, *given) and not heard(lstm) and not heard(head)


def exert(
    every: Sequence[Counterfactual],
    head: Head,
    mask: Tensor | None,
    kind: Literal["kl", "jsd", "pmi"],
) -> None:
    """Influence and listening of all that is asked.

    Args:
        every: no two write to the same numbers.
        head: on the memories.
        mask: float32 ``[A, outputs]``, added to what it puts out.
        kind: of divergence.

    Raises:
        IndexError: there is no such code, choice or action.
    """
    assert kernels.KERNELS is not None
    own = [x.detach().contiguous() for x in head.parameters()]  # weight and bias in turn
    mask = None if mask is None else mask.contiguous()
    layers, kept, given = layers_of_head(head), list[Tensor](), []
    for one in every:
        gates, codes, read = one.gates.contiguous(), one.codes.contiguous(), one.read.contiguous()
        c = one.c if one.c.stride(-1) == 1 else one.c.contiguous()
        kept += [gates, codes, read, c]
        choices, count = codes[one.choices], len(gates)
        sizes = (count, len(choices), c.shape[1], c.stride(0), read.shape[1], len(codes))
        given.append(
            (
                kernels.addresses(gates, choices, c, read, codes),
                sizes,
                layers,
                [x[one.agent].data_ptr() for x in own],
                0 if mask is None else mask[one.agent].data_ptr(),
                [_asked(asked, kept) for asked in one.asked],
            )
        )
    kernels.KERNELS.exert(given, _KINDS.index(kind), kernels.threads())


def _asked(
    one: Asked, kept: list[Tensor]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    weights = one.weights if one.weights.stride(1) == 1 else one.weights.contiguous()
    rows = weights, one.taken, one.then, one.counts, one.known, one.exerted
    kept += [*rows, one.listening]
    return (
        (one.first, one.actions, len(one.listening)),
        kernels.addresses(*rows, one.listening),
        tuple(x.stride(0) for x in rows),
    )
