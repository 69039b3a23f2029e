"""The expert of Switch: turns every switch on, then leaves through the door."""

from __future__ import annotations

from .core_player import STAY, CorePlayer
from .player import register_player


class ExitFinder(CorePlayer):
    """Goes to the nearest switch that is off and toggles it; once the door is open, to the door."""

    kind = "exit-finder"
    idle_action = STAY


register_player("expert", ExitFinder, ("Switch-v0",))
