"""The player every comparison starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from socialgrid.players import Player
from socialgrid.players.streams import as_choice

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

_PURPOSE = 16


class RandomPlayer(Player):
    """Uniformly random actions, in any game."""

    name = "random"

    def choose(
        self,
        env: VecEnv,
        pos: NDArray[np.int32],
        direction: NDArray[np.int32],
        content: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        return as_choice(self._words(_PURPOSE), self._num_actions)
