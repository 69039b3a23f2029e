"""Scripted players: teachers, baselines and opponents, batched and deterministic."""

from . import (  # noqa: F401  (they register themselves)
    cleaner,
    exit_finder,
    gatherers,
    goal_cycle,
    goal_walker,
    random_player,
    room,
)
from .advisers import ScriptedAdviser, list_advisers, make_adviser
from .player import Player, list_players, make_player, register_player
from .team import Team, make_team

__all__ = [
    "Player",
    "ScriptedAdviser",
    "Team",
    "list_advisers",
    "list_players",
    "make_adviser",
    "make_player",
    "make_team",
    "register_player",
]
