"""Several scripted players that share a batch with learners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .player import Player, make_player

if TYPE_CHECKING:
    from socialgrid.vec_env import VecEnv


class Team:
    """The scripted agents of a batch, addressed together; see :func:`make_team`."""

    def __init__(self, players: Sequence[Player]) -> None:
        self.players = tuple(players)
        self.agents = tuple(player.agent for player in self.players)
        """Slots that are scripted, in ascending order."""

    def reset(self, env: VecEnv, env_mask: NDArray[np.bool_] | None = None) -> None:
        """Forget the episode of the marked environments (bool [E], None: all)."""
        for player in self.players:
            player.reset(env, env_mask)

    def act(self, env: VecEnv, obs: object, info: Mapping[str, Any]) -> NDArray[np.int32]:
        """Actions int32 [E, len(agents)], columns in the order of :attr:`agents`."""
        actions = np.zeros((env.num_envs, len(self.players)), dtype=np.int32)
        for column, player in enumerate(self.players):
            actions[:, column] = player.act(env, obs, info)
        return actions

    def observe(self, env: VecEnv, reward: NDArray[np.float32], info: Mapping[str, Any]) -> None:
        """Pass on what a step brought: reward float32 [E,A] and the step's info."""
        for player in self.players:
            player.observe(env, reward, info)

    def get_state(self) -> dict[str, NDArray[Any]]:
        """All players' states in one flat mapping, keys ``agent<slot>/<name>``."""
        return {
            f"agent{player.agent}/{key}": value
            for player in self.players
            for key, value in player.get_state().items()
        }

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`get_state` gave; ValueError where it does not fit."""
        parts: dict[str, dict[str, NDArray[Any]]] = {
            f"agent{player.agent}": {} for player in self.players
        }
        for key, value in state.items():
            slot, _, name = key.partition("/")
            if slot not in parts:
                raise ValueError(
                    f"the state has {key!r}, but the scripted agents are {self.agents}"
                )
            parts[slot][name] = value
        for player in self.players:
            player.set_state(parts[f"agent{player.agent}"])


def make_team(names: Sequence[str | None], env: VecEnv, seed: int = 0, **options: Any) -> Team:
    """Scripted players by name, one entry per agent; None leaves a slot to a learner.

    Args:
        names: such as ``["expert", "trial-and-error", None]``.
        env: the batch.
        seed: shared by the players, who mix in their slot.
        **options: passed to every player.

    Raises:
        ValueError: not one entry per agent, or a name that :func:`make_player` refuses.
    """
    if len(names) != env.num_agents:
        raise ValueError(f"{len(names)} players named for a game of {env.num_agents} agents")
    return Team(
        [
            make_player(name, env, agent, seed, **options)
            for agent, name in enumerate(names)
            if name is not None
        ]
    )
