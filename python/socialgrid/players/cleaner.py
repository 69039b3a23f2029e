"""The cooperator of Cleanup: keeps the river clean, and eats apples in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core_player import STAY, CorePlayer
from .player import register_player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv


class Cleaner(CorePlayer):
    """Cleans when the river holds much waste, until it holds little; otherwise gathers apples.

    It cleans from where the beam takes most waste away for the actions of walking there, turning
    and shooting.

    Args:
        env, agent, seed, error_rate: as for every player.
        begin: share of waste among the river's cells above which it goes to clean.
        until: share at which it has done enough.
    """

    kind = "cleaner"
    idle_action = STAY

    def __init__(
        self,
        env: VecEnv,
        agent: int = 0,
        seed: int = 0,
        *,
        error_rate: float = 0.0,
        begin: float = 0.25,
        until: float = 0.05,
    ) -> None:
        if not 0.0 <= until <= begin <= 1.0:
            raise ValueError(f"0 <= until <= begin <= 1 is needed: until={until}, begin={begin}")
        self._begin, self._until = begin, until
        super().__init__(env, agent, seed, error_rate=error_rate)

    def numbers(self, env: VecEnv) -> dict[str, float]:  # noqa: D102
        return {"begin": self._begin, "until": self._until}


register_player("cleaner", Cleaner, ("Cleanup-v0",))
