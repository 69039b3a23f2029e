"""The expert of Switch: turns every switch on, then leaves through the door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from socialgrid.players import Player
from socialgrid.players.streams import as_unit

from .strides import STAY, TURN_TOWARDS, USE, Scene

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_OFF, _OPEN = ord("s"), ord("O")
_WAY, _WAIT = 32, 33


class ExitFinder(Player):
    """Goes to the nearest switch that is off and toggles it; once the door is open, to the door."""

    idle_action = STAY

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        scene = Scene(env, self.agent, pos, direction, solid=b"@DsS")
        off = scene.cells == _OFF
        exits = scene.cells == _OPEN
        leaving = exits.any(axis=1)
        action, _ = scene.walk(np.where(leaving[:, None], exits, off), self._words(_WAY))

        # Beside a switch: face it, then toggle. The switch it faces already comes first.
        order = (direction[:, None] + np.arange(4)) & 3
        around = scene.own[:, None] + scene.steps[order]
        beside = np.take_along_axis(off, around, axis=1)
        quarter = beside.argmax(axis=1)
        using = ~leaving & beside.any(axis=1)
        # Two that toggle one switch in the same step leave it off, so each of them sometimes waits.
        rows = np.flatnonzero(using)
        sides = around[rows, quarter[rows], None] + scene.steps
        rivals = scene.occupied[rows[:, None], sides].any(axis=1)
        waits = np.zeros_like(using)
        waits[rows] = rivals & (as_unit(self._words(_WAIT)[rows]) < 0.5)
        use = np.where(quarter == 0, USE, TURN_TOWARDS[quarter])
        return np.where(using, np.where(waits, STAY, use), action).astype(np.int32)
