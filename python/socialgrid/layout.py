"""A readable description of one environment's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass
class Layout:
    """What is where in one environment: for reading, writing and drawing up situations.

    Attributes:
        cells: one string a row, one character a cell. MiniGrid-style games: ``.`` empty, ``#``
            wall, ``0``-``9`` cycle tiles by index, ``G`` goal, ``L`` lava, ``D`` door, ``K`` key,
            ``O`` ball, ``B`` box. Social dilemmas, what is there now: space ground, ``@`` wall,
            ``A`` apple, ``H`` waste, ``R`` river, ``S`` stream; in Switch ``D`` closed and ``O``
            open door, ``s`` switch off, ``S`` on; in BoxTrapped ``#`` box. There a cell can only
            hold what the game's map lets it hold; beams belong to a step, not to a layout. Room
            and Hallway: ``.`` empty, ``G`` the one goal, at a wall.
        agent_pos: (row, col) of each agent, row 0 on top; (-1, -1) while it waits to enter play.
        agent_dir: 0 right, 1 down, 2 left, 3 up; always 0 in Room and Hallway.
        agent_active: whether each agent is in play; None: all are.
        agent_carrying: for example ``"yellow key"`` or None for each agent; None: nobody carries.
        agent_prestige: at least 0 for each agent; None: all 0.
        agent_last_tile: index of the last rewarded cycle tile or None for each agent.
        step: steps since the episode began.
        details: colour and state of doors, keys, balls and boxes by (row, col), for example
            ``"red locked door"``, ``"blue key"``; a ``D`` without details is a yellow locked door,
            other things are yellow.

    The social dilemmas and the rooms have nothing to carry, no prestige, no last tile and no
    details.
    """

    cells: Sequence[str]
    agent_pos: Sequence[tuple[int, int]]
    agent_dir: Sequence[int]
    agent_active: Sequence[bool] | None = None
    agent_carrying: Sequence[str | None] | None = None
    agent_prestige: Sequence[float] | None = None
    agent_last_tile: Sequence[int | None] | None = None
    step: int = 0
    details: Mapping[tuple[int, int], str] | None = None

    def __str__(self) -> str:
        """The map with agents drawn as arrows."""
        rows = [list(row) for row in self.cells]
        for index, (row, col) in enumerate(self.agent_pos):
            if self.agent_active is None or self.agent_active[index]:
                rows[row][col] = ">v<^"[self.agent_dir[index]]
        return "\n".join("".join(row) for row in rows)
