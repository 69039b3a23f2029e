"""The sequential social dilemmas. Read in this order: `config`, `world`, `moves`, `games`, `view`.

This module gives the environment what it needs of this family, under the names that `grids` uses.
"""

import numpy as np

from tests.reference.dilemmas.config import GAMES, resolve
from tests.reference.dilemmas.games import new_world, step
from tests.reference.dilemmas.layout import read_layout, write_layout
from tests.reference.dilemmas.view import view_image as observation
from tests.reference.dilemmas.view import visible_agents, world_image

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

# What `worlds` tells of each agent: dtype and how to read it. Tiles, prestige and things to carry
# are unknown to these games.
AGENT_STATE = {
    "agent_pos": (np.int32, lambda agent: agent.pos),
    "agent_dir": (np.int32, lambda agent: agent.direction),
    "agent_active": (bool, lambda agent: agent.active),
    "agent_last_tile": (np.int32, lambda agent: -1),
    "agent_prestige": (np.float64, lambda agent: 0.0),
    "agent_carrying": (np.uint8, lambda agent: 0),
}


def cell_codes(world):
    """The layout characters [rows][cols] as numbers."""
    return [[ord(char) for char in line] for line in world.cells]


def default_detail(char):
    """The characters of these games tell everything."""
    return ""


def ended(world):
    """Whose play is over."""
    return [not agent.active for agent in world.agents]
