"""Scripted players of GoalCycle: one that knows the order, one that finds it out.

Paper: Ndousse et al. 2021, "Emergent Social Learning via Multi-agent Reinforcement Learning",
section 4: a novice learns from experts that have found the order of the goals.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .core_player import CorePlayer
from .player import register_player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv


def _num_tiles(env: VecEnv) -> int:
    cells = "".join(env.config.get("map") or [])
    found = sum(map(str.isdigit, cells)) or int(env.config["num_goals"])
    if not found:
        raise ValueError(
            f"{env.game}: the map has no tiles of the cycle (0, 1, 2, ...): "
            "its experts have nowhere to go"
        )
    return found


class CycleExpert(CorePlayer):
    """Knows the order of the tiles and every agent's next one (privileged)."""

    name = "expert"
    kind = "cycle-expert"

    def numbers(self, env: VecEnv) -> dict[str, float]:  # noqa: D102
        return {"targets": _num_tiles(env)}


class TrialAndErrorPlayer(CorePlayer):
    """Discovers the order within the episode by its own rewards, as a trained expert does.

    It sees the map and where the tiles are, but not their indices: tiles are told apart by their
    place. It remembers which tile it entered and what reward came, goes to the nearest tile that
    may still be the next one, and once every successor is known keeps going round.
    """

    name = "trial-and-error"
    kind = "trial-and-error"

    def numbers(self, env: VecEnv) -> dict[str, float]:  # noqa: D102
        forgets = bool(env.config.get("reset_on_mistake", False))
        return {"targets": _num_tiles(env), "forgets_on_mistake": forgets}


_GAMES = ("GoalCycle-v0",)
register_player("expert", CycleExpert, _GAMES)
register_player("trial-and-error", TrialAndErrorPlayer, _GAMES)
register_player("imperfect", partial(TrialAndErrorPlayer, error_rate=0.1), _GAMES)
