"""What a run goes on from, put together of what its ranks have, and dealt out to other ranks.

A checkpoint of several ranks is the one that a single process would have written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid._core import join_states, take_from_state
from socialgrid.train.run import named
from socialgrid.train.worlds import stretches

Array = npt.NDArray[Any]
Range = tuple[int, int]
_SNAPSHOT = "env"  # of a simulator, among the arrays of a part of the worlds


@dataclass(frozen=True)
class Extent:
    """Environments of a run, and how whoever plays them divides them.

    Attributes:
        parts: first environment and the one behind the last of each simulator, in order.
        halves: likewise of those that are acted in at a time.
    """

    parts: tuple[Range, ...]
    halves: tuple[Range, ...]

    @classmethod
    def of(cls, first: int, num_envs: int, num_solo: int, *, double_buffer: bool) -> Extent:
        """The extent of a batch: see ``stretches``.

        Args:
            first: number of its first environment in the run.
            num_envs, num_solo: of its environments.
            double_buffer: whether it has two halves.
        """
        halves = stretches(num_envs, num_solo, double_buffer=double_buffer)
        parts = [(first + low, first + high) for half in halves for low, high, _ in half]
        ends = [(first + half[0][0], first + half[-1][1]) for half in halves]
        return cls(tuple(parts), tuple(ends))

    @property
    def whole(self) -> Range:
        """All of them."""
        return self.parts[0][0], self.parts[-1][1]


def joined(
    arrays: Sequence[Mapping[str, Array]], extents: Sequence[Extent], whole: Extent
) -> dict[str, Array]:
    """Put together what ranks go on from, ``Trainer.arrays`` of each.

    Args:
        arrays: by rank.
        extents: by rank.
        whole: the extent of the run.

    Raises:
        ValueError: they are not of one run.
    """
    return _dealt(arrays, extents, whole)


def share(arrays: Mapping[str, Array], whole: Extent, own: Extent) -> dict[str, Array]:
    """What one rank goes on from.

    Args:
        arrays: of the run, as one process has them.
        whole: the extent of the run.
        own: the extent of the rank.

    Raises:
        KeyError, ValueError: they are of another run.
    """
    return _dealt([arrays], [whole], own)


def _dealt(
    arrays: Sequence[Mapping[str, Array]], extents: Sequence[Extent], wanted: Extent
) -> dict[str, Array]:
    parts, halves, rest = list[_Piece](), list[_Piece](), list[_Piece]()
    for one, extent in zip(arrays, extents, strict=True):
        parts += [_Piece(*ends, named(one, f"worlds/{i}/")) for i, ends in enumerate(extent.parts)]
        halves += [
            _Piece(*ends, {"memory": one[f"memory/{i}"]}) for i, ends in enumerate(extent.halves)
        ]
        others = {k: x for k, x in one.items() if not k.startswith(("worlds/", "memory/"))}
        rest.append(_Piece(*extent.whole, others))
    found: dict[str, Array] = {}
    for i, ends in enumerate(wanted.parts):
        found |= {f"worlds/{i}/{name}": x for name, x in _stretch(parts, *ends).items()}
    found |= _stretch(rest, *wanted.whole)
    for i, ends in enumerate(wanted.halves):
        found[f"memory/{i}"] = _stretch(halves, *ends)["memory"]
    return found


@dataclass(frozen=True)
class _Piece:
    """Arrays of the environments from ``low`` to before ``high``."""

    low: int
    high: int
    arrays: Mapping[str, Array]

    def cut(self, low: int, high: int) -> Mapping[str, Array]:
        """Those of some of them."""
        if (low, high) == (self.low, self.high):
            return self.arrays
        first, last = low - self.low, high - self.low
        return {
            name: _bytes(take_from_state(x.tobytes(), first, last - first))
            if name == _SNAPSHOT
            else x[first:last] if x.ndim else x  # what has no environments all have alike
            for name, x in self.arrays.items()
        }  # fmt: skip


def _stretch(pieces: Sequence[_Piece], low: int, high: int) -> Mapping[str, Array]:
    """Arrays of a stretch of environments, from the pieces that have them."""
    cuts = [
        piece.cut(max(low, piece.low), min(high, piece.high))
        for piece in pieces
        if piece.low < high and low < piece.high
    ]
    if len(cuts) == 1:
        return cuts[0]
    return {name: _together(name, [one[name] for one in cuts]) for name in cuts[0]}


def _together(name: str, arrays: Sequence[Array]) -> Array:
    if name == _SNAPSHOT:
        return _bytes(join_states([x.tobytes() for x in arrays]))
    return np.concatenate(arrays) if arrays[0].ndim else arrays[0]


def _bytes(data: bytes) -> Array:
    return np.frombuffer(data, np.uint8)
