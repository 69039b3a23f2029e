"""Experts of the games with a goal to walk to: Empty, Cluttered, FourRooms, Maze and DoorKey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core_player import CorePlayer
from .player import register_player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv


class _GoalWalker(CorePlayer):
    name = "expert"

    def numbers(self, env: VecEnv) -> dict[str, float]:
        return {"targets": max(1, "".join(env.config.get("map") or []).count("G"))}


class GoalExpert(_GoalWalker):
    """Walks the shortest path to the nearest goal; never over lava."""

    kind = "goal-expert"


class DoorKeyExpert(_GoalWalker):
    """Fetches the key, opens the door, walks to the goal.

    Made for maps with one door and its key. What state the door is in it infers from what came of
    its own actions: with other agents about it may close an open door once before passing.
    """

    kind = "door-key-expert"


register_player("expert", GoalExpert, ("Empty-v0", "Cluttered-v0", "FourRooms-v0", "Maze-v0"))
register_player("expert", DoorKeyExpert, ("DoorKey-v0",))
