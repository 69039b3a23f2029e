"""Experts of the games with a goal to walk to: Empty, Cluttered, FourRooms, Maze and DoorKey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core_player import CorePlayer
from .player import register_player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv


class _GoalWalker(CorePlayer):
    name = "expert"

    def __init__(
        self, env: VecEnv, agent: int = 0, seed: int = 0, *, error_rate: float = 0.0
    ) -> None:
        goals = "".join(env.config.get("map") or []).count("G")
        super().__init__(env, agent, seed, error_rate=error_rate, targets=max(1, goals))


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
