"""The player every comparison starts from."""

from __future__ import annotations

from .core_player import CorePlayer
from .player import register_player


class RandomPlayer(CorePlayer):
    """Uniformly random actions, in any game."""

    name = "random"
    kind = "random"


register_player("random", RandomPlayer)
