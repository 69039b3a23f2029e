"""The mutable state of one environment."""

from dataclasses import dataclass, field

from tests.reference.rng import Stream
from tests.reference.tiles import Tile

# Right, down, left, up as (row, col).
DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))
NOWHERE = (-1, -1)


@dataclass(eq=False)  # two agents in the same state are still two agents
class Agent:
    status: str = "waiting"  # "waiting" to enter play, "active", or "ended"
    pos: tuple = NOWHERE
    direction: int = 0
    arrival: int = 0  # when it came to its cell; the earliest arrival on a cell is drawn
    carrying: Tile | None = None
    prestige: float = 0.0
    last_tile: int | None = None  # GoalCycle: the tile it was last rewarded for
    last_action: int = -1

    @property
    def active(self):
        return self.status == "active"


@dataclass
class World:
    tiles: list  # [rows][cols] of Tile
    rng: Stream
    agents: list
    start_cells: set | None = None  # agents enter play only here; None: anywhere
    step: int = 0
    arrivals: int = field(default=0, repr=False)

    def tile(self, pos):
        return self.tiles[pos[0]][pos[1]]

    def set_tile(self, pos, tile):
        self.tiles[pos[0]][pos[1]] = tile

    def contains(self, pos):
        return 0 <= pos[0] < len(self.tiles) and 0 <= pos[1] < len(self.tiles[0])

    def cells(self):
        """All positions, row by row."""
        return [(r, c) for r in range(len(self.tiles)) for c in range(len(self.tiles[0]))]

    def empty_cells(self):
        return [pos for pos in self.cells() if self.tile(pos).kind == "empty"]

    def agents_at(self, pos):
        """The agents in play on a cell."""
        return [agent for agent in self.agents if agent.active and agent.pos == pos]

    def drawn_at(self, pos):
        """The agents to be seen on a cell, first arrival first.

        One whose play has ended stays to be seen where it ended, though it blocks nobody.
        """
        if not self.contains(pos):
            return []
        here = [agent for agent in self.agents if agent.status != "waiting" and agent.pos == pos]
        return sorted(here, key=lambda agent: agent.arrival)

    def move_to(self, agent, pos):
        agent.pos = pos
        agent.arrival = self.arrivals
        self.arrivals += 1

    def ahead(self, agent):
        d_row, d_col = DIRECTIONS[agent.direction]
        return (agent.pos[0] + d_row, agent.pos[1] + d_col)
