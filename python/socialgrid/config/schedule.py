"""Values that change with the number of episodes played."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from socialgrid.config.errors import UsageError


@dataclass(frozen=True)
class Schedule:
    """A piecewise constant function of the number of finished episodes.

    Attributes:
        starts: episode numbers, ascending, the first one 0.
        values: ``values[i]`` holds from episode ``starts[i]`` on.
    """

    starts: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str, where: str) -> Schedule:
        """Read ``"0:0.5, 81920:1.0"``; a single number is a constant.

        Args:
            text: comma-separated ``episode:value`` pairs.
            where: name of the option, for the error message.

        Raises:
            UsageError: the text is not such a list, or its episodes do not ascend from 0.
        """
        starts: list[int] = []
        values: list[float] = []
        for item in text.split(","):
            start, colon, value = item.strip().rpartition(":")
            try:
                starts.append(int(start) if colon else 0)
                values.append(float(value))
            except ValueError:
                raise UsageError(
                    f"{where}: {item.strip()!r} is not episode:value, as in '0:0.5, 81920:1.0'"
                ) from None
        if starts[0] != 0 or any(a >= b for a, b in itertools.pairwise(starts)):
            raise UsageError(f"{where}: episodes {starts} must start at 0 and ascend")
        return cls(tuple(starts), tuple(values))

    def at(self, episodes: int) -> float:
        """Value after ``episodes`` finished episodes."""
        current = self.values[0]
        for start, value in zip(self.starts, self.values, strict=True):
            if episodes >= start:
                current = value
        return current
