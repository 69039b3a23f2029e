"""Walking in the games whose agents step in any direction without turning.

All agents of a batch look for their nearest target at once: the targets of every environment are
flooded outward, ring by ring, until the flood touches the walker. Obstacles may differ from step
to step (other agents, apples better left alone), so nothing is kept between steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .navigation import HEADINGS, char_table

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

STEP_LEFT, STEP_RIGHT, STEP_AHEAD, STEP_BACK, STAY, TURN_CLOCKWISE, TURN_COUNTER = range(7)
USE = 7
"""What lies ahead is used: fire, toggle a switch, open the box."""
CLEAN = 8

STEP_TOWARDS = np.array([STEP_AHEAD, STEP_RIGHT, STEP_BACK, STEP_LEFT], dtype=np.int32)
"""The action that moves towards a direction, by its quarter turns clockwise from the heading."""

TURN_TOWARDS = np.array([STAY, TURN_CLOCKWISE, TURN_CLOCKWISE, TURN_COUNTER], dtype=np.int32)
"""The first action of turning towards a direction, by quarter turns clockwise likewise."""


class Scene:
    """A batch as one of its agents finds it before a step.

    Cells are numbered along the rows of a grid with a solid frame around it, C of them.

    Args:
        env: the batch, between two steps.
        agent: whose scene it is.
        pos: int32 [E, 2], (row, col) of that agent.
        direction: int32 [E].
        solid: layout characters that no agent can enter.
    """

    def __init__(
        self,
        env: VecEnv,
        agent: int,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        solid: bytes = b"@",
    ) -> None:
        world = env.worlds(["cells", "agent_pos", "agent_active"])
        E, height, width = world["cells"].shape
        self.width = width + 2
        framed = np.full((E, height + 2, self.width), ord("@"), dtype=np.uint8)
        framed[:, 1:-1, 1:-1] = world["cells"]
        self.cells: NDArray[np.uint8] = framed.reshape(E, -1)
        """uint8 [E, C]: layout characters."""
        self.solid: NDArray[np.bool_] = char_table(solid)[self.cells]
        """bool [E, C]: what no agent can enter."""
        others = world["agent_active"].copy()
        others[:, agent] = False
        which, slot = np.nonzero(others)
        self.occupied = np.zeros_like(self.solid)
        """bool [E, C]: where the other agents are."""
        self.occupied[which, self._number(world["agent_pos"][which, slot])] = True
        # An agent that is out of play may be nowhere: any cell will do.
        self.own = np.clip(self._number(pos), self.width + 1, self.cells.shape[1] - self.width - 2)
        """int64 [E]: cell of the agent."""
        self.direction = direction
        self.steps: NDArray[np.int64] = HEADINGS[:, 0] * np.int64(self.width) + HEADINGS[:, 1]
        """int64 [4]: what a step towards each direction adds to a cell's number."""

    def _number(self, pos: NDArray[np.int32]) -> NDArray[np.int64]:
        number: NDArray[np.int64] = (pos[..., 0] + np.int64(1)) * self.width + pos[..., 1] + 1
        return number

    def walk(
        self,
        targets: NDArray[np.bool_],
        words: NDArray[np.uint64],
        avoid: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """The next action on the way to the nearest target, round the other agents.

        Where the others leave no way, it goes towards the target all the same, and half of the
        time anywhere, so that two in each other's way come apart.

        Args:
            targets: bool [E, C], cells to enter or, if they are solid, to bump into.
            words: uint64 [E], random; they choose among ways of the same length.
            avoid: bool [E, C], cells that are not targets and not to be crossed.

        Returns:
            action int32 [E], and bool [E] whether there is a way; where not, the action is to stay.
        """
        free = ~self.solid
        if avoid is not None:
            free &= ~avoid
        towards = _nearest(free & ~self.occupied, targets & ~self.occupied, self, words)
        lost = np.flatnonzero(towards < 0)
        if lost.size:
            part = _nearest(free, targets, self, words, lost)
            part[(part >= 0) & ((words[lost] >> np.uint64(8)) & np.uint64(1) > 0)] = -2
            towards[lost] = part
        astray = towards == -2
        towards[astray] = (words[astray] >> np.uint64(16)) & np.uint64(3)
        found = towards >= 0
        turns = (towards - self.direction) & 3
        return np.where(found, STEP_TOWARDS[turns], STAY).astype(np.int32), found


def _nearest(
    free: NDArray[np.bool_],
    targets: NDArray[np.bool_],
    scene: Scene,
    words: NDArray[np.uint64],
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Direction int64 [N] of the first step to the nearest target, -1 where there is no way.

    ``rows`` int64 [N] names the environments to look at; None looks at all.
    """
    if rows is None:
        rows = np.arange(len(free))
    else:
        free, targets = free[rows], targets[rows]
    width, cells = scene.width, free.shape[1]
    # Ways of the same length: the first in an order that starts at a random direction.
    order = (words[rows, None].astype(np.int64) + np.arange(4)) & 3
    around = scene.own[rows, None] + scene.steps[order]
    answer = np.full(len(rows), -1, dtype=np.int64)
    left = np.arange(len(rows))
    flood = targets.copy()
    while left.size:
        touched = np.take_along_axis(flood, around[left], axis=1)
        done = touched.any(axis=1)
        first = touched[done].argmax(axis=1)
        answer[left[done]] = order[left[done], first]
        # Frames are not free, so rows of the grid and environments do not run into each other.
        flat, spread = flood.reshape(-1), flood.reshape(-1).copy()
        spread[1:] |= flat[:-1]
        spread[:-1] |= flat[1:]
        spread[width:] |= flat[:-width]
        spread[:-width] |= flat[width:]
        spread &= free.reshape(-1)
        spread |= flat
        grown = spread.reshape(-1, cells)
        going = ~done & (grown != flood).any(axis=1)
        if going.all():
            flood = grown
        else:
            flood, free, left = grown[going], free[going], left[going]
    return answer
