"""Players that gather apples: greedily, sustainably, and after opening the box for another.

The pairs of cooperators and defectors are those of the Schelling diagrams: Jaques et al. 2019,
"Social Influence as Intrinsic Motivation for Multi-Agent Deep Reinforcement Learning",
section 10.2 and figure 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core_player import STAY, CorePlayer
from .player import register_player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv

# By the game's neighbourhood: how far, squared, apples count when apples grow in a cell; and how
# many cells that is.
_NEIGHBOURHOODS = {"public": (2, 8), "paper": (4, 12)}


class Gatherer(CorePlayer):
    """Walks to the nearest apple, whatever comes of it; stays where there is none."""

    kind = "gatherer"
    idle_action = STAY


class SustainableGatherer(CorePlayer):
    """Leaves apples whose neighbours are too few to grow them again.

    It eats only apples with at least ``neighbours`` others around them, counted as the game counts
    them when it grows apples (option ``neighbourhood`` of Harvest), and walks round the rest.
    """

    kind = "sustainable-gatherer"
    idle_action = STAY

    def __init__(
        self,
        env: VecEnv,
        agent: int = 0,
        seed: int = 0,
        *,
        error_rate: float = 0.0,
        neighbours: int = 3,
    ) -> None:
        self._radius_squared, most = _NEIGHBOURHOODS[env.config.get("neighbourhood", "public")]
        if not 0 <= neighbours <= most:
            raise ValueError(f"neighbours must lie in [0, {most}], got {neighbours}")
        self._neighbours = neighbours
        super().__init__(env, agent, seed, error_rate=error_rate)

    def numbers(self, env: VecEnv) -> dict[str, float]:  # noqa: D102
        return {"neighbours": self._neighbours, "radius_squared": self._radius_squared}


class BoxOpener(CorePlayer):
    """Box Trapped: agent 0 first lets agent 1 out, then both go from apple to apple.

    A box that must be held open it opens for as long as agent 1 is on its start cell.
    """

    kind = "box-opener"
    idle_action = STAY

    def numbers(self, env: VecEnv) -> dict[str, float]:  # noqa: D102
        rows: list[str] = env.config["map"]
        row, col = next((row, line.index("T")) for row, line in enumerate(rows) if "T" in line)
        return {"trap_row": row, "trap_col": col, "held": bool(env.config.get("held", False))}


register_player("harvester", Gatherer, ("Cleanup-v0",))
register_player("greedy-harvester", Gatherer, ("Harvest-v0",))
register_player("sustainable-harvester", SustainableGatherer, ("Harvest-v0",))
register_player("expert", BoxOpener, ("BoxTrapped-v0", "BoxTrapped-v1"))
