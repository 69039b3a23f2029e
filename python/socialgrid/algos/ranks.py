"""Several processes that train one run, each in a part of its environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from socialgrid.models.finite import NonFiniteError

T = TypeVar("T")


class LostRankError(Exception):
    """Another process of the run has ended, failed or fallen silent.

    Attributes:
        tells: whether it falls to this process to say so.
        signal: that stopped the other one; ``None``: it was something else.
    """

    signal: int | None = None

    def __init__(self, words: str, *, tells: bool) -> None:
        super().__init__(words)
        self.tells = tells


class Ranks:
    """The processes that train one run together; of this class: a single one, by itself.

    All of them call the same methods in the same order. Each holds a whole branch of the tree that
    shards are added along, in the order of the ranks.

    Attributes:
        rank: number of this process; 0 leads: it writes what the run leaves behind.
        size: how many there are.
        neighbours: how many of them share this machine.
    """

    rank, size, neighbours = 0, 1, 1

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sums over the ranks along the tree, the same bits in each; tensors alike in all.

        Raises:
            LostRankError: another one is gone.
        """
        return list(tensors)

    def gather(self, item: T) -> list[T]:
        """What each rank has, in their order, in all of them.

        Raises:
            LostRankError: another one is gone.
        """
        return [item]

    def collect(self, item: T) -> list[T]:
        """What each rank has, in rank 0; elsewhere nothing.

        Raises:
            LostRankError: another one is gone.
        """
        return [item]

    def hear(self, item: T) -> T:
        """What rank 0 has, in all of them.

        Raises:
            LostRankError: another one is gone.
        """
        return item

    def tell(self, words: str, signal: int | None = None) -> bool:
        """Leave word of why this rank ends.

        Args:
            words: in one line.
            signal: that stops it.

        Returns:
            whether it is the first to do so, which has to tell the user.
        """
        return True

    def missing(self) -> LostRankError | None:
        """Say farewell to the others in haste, and see whether one of them is gone."""
        return None

    def close(self) -> None:
        """Part, once nothing is left to be said."""


ALONE = Ranks()


def raise_first(ranks: Ranks, error: NonFiniteError | None) -> None:
    """Raise, in all ranks, what the first of them found that found anything.

    Raises:
        NonFiniteError: there was something.
        LostRankError: a rank is gone.
    """
    own = None if error is None else (error.what, error.step, error.agent, error.dump)
    for found in ranks.gather(own):
        if found is not None:
            raise NonFiniteError(*found)
