"""Scripted players of Room and Hallway: an expert, and an adversary that gives wrong advice.

Paper: Derstroff et al. 2024, "Peer Learning: Learning Complex Policies in Groups from Scratch via
Action Recommendations": scripted peers beside the ones that learn.
"""

from __future__ import annotations

from .core_player import CorePlayer
from .player import register_player


class RoomExpert(CorePlayer):
    """Walks the shortest path to the goal and stays on it."""

    name = "expert"
    kind = "room-expert"


class RoomAdversary(CorePlayer):
    """Goes to the corner farthest from the goal as the expert goes to the goal; never collects."""

    name = "adversary"
    kind = "room-adversary"


register_player("expert", RoomExpert, ("Room-v0", "Hallway-v0"))
register_player("adversary", RoomAdversary, ("Room-v0",))
