"""The mutable state of one environment."""

from dataclasses import dataclass, field

import numpy as np

from tests.reference.rng import Stream

# Right, down, left, up as (row, col).
DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))


@dataclass(eq=False)
class Agent:
    pos: tuple
    direction: int
    active: bool = True
    last_action: int = -1


@dataclass
class World:
    cells: list  # [rows][cols] of characters: what is there now
    base: tuple  # the game's map, one string a row
    rng: Stream
    agents: list
    events: np.ndarray  # uint8 [A, K]: what each agent did in this step
    step: int = 0
    beams: dict = field(default_factory=dict)  # position -> "fire" or "clean", of this step

    def contains(self, pos):
        return 0 <= pos[0] < len(self.cells) and 0 <= pos[1] < len(self.cells[0])

    def cell(self, pos):
        return self.cells[pos[0]][pos[1]]

    def set_cell(self, pos, char):
        self.cells[pos[0]][pos[1]] = char

    def places(self, chars):
        """The positions that hold one of `chars` on the game's map, row by row."""
        return [
            (row, col)
            for row, line in enumerate(self.base)
            for col, char in enumerate(line)
            if char in chars
        ]

    def count(self, char):
        """How many cells hold `char` now."""
        return sum(line.count(char) for line in self.cells)

    def agent_at(self, pos):
        """The agent in play on a cell, or None."""
        for agent in self.agents:
            if agent.active and agent.pos == pos:
                return agent
        return None


def shifted(pos, direction, distance=1):
    """The position so many cells away in a direction."""
    d_row, d_col = DIRECTIONS[direction % 4]
    return (pos[0] + distance * d_row, pos[1] + distance * d_col)
