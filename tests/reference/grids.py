"""The MiniGrid-style grids: what the environment needs of them, under one name each."""

import numpy as np

from tests.reference.config import GAMES, resolve
from tests.reference.generation import new_world
from tests.reference.layout import read as read_layout
from tests.reference.layout import write as write_layout
from tests.reference.render import view_image as observation
from tests.reference.render import world_image
from tests.reference.step import step
from tests.reference.tiles import from_char
from tests.reference.view import visible_agents

__all__ = [
    "AGENT_STATE",
    "GAMES",
    "cell_codes",
    "default_detail",
    "ended",
    "new_world",
    "observation",
    "read_layout",
    "resolve",
    "step",
    "visible_agents",
    "world_image",
    "write_layout",
]

# What `worlds` tells of each agent: dtype and how to read it.
AGENT_STATE = {
    "agent_pos": (np.int32, lambda agent: agent.pos),
    "agent_dir": (np.int32, lambda agent: agent.direction),
    "agent_active": (bool, lambda agent: agent.active),
    "agent_last_tile": (np.int32, lambda a: -1 if a.last_tile is None else a.last_tile),
    "agent_prestige": (np.float64, lambda agent: agent.prestige),
    "agent_carrying": (np.uint8, lambda a: ord(a.carrying.char) if a.carrying else 0),
}


def cell_codes(world):
    """The layout characters [rows][cols] as numbers."""
    return [[ord(tile.char) for tile in line] for line in world.tiles]


def default_detail(char):
    """The colour and state, in words, of what a layout shows by this character alone."""
    return from_char(char).detail


def ended(world):
    """Whose play is over."""
    return [agent.status == "ended" for agent in world.agents]
