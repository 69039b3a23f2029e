"""Which part of the world an agent's view shows, and which agents it sees there."""

import numpy as np

from tests.reference.tiles import EMPTY
from tests.reference.visibility import visible_cells
from tests.reference.world import DIRECTIONS


def view_positions(agent, config):
    """[V][V] world positions, seen so that the agent looks up; some may lie outside the map."""
    ahead = DIRECTIONS[agent.direction]
    right = DIRECTIONS[(agent.direction + 1) % 4]
    size = config.view_size

    def position(row, col):
        forward = size - 1 - config.view_offset - row
        sideways = col - size // 2
        return tuple(agent.pos[k] + forward * ahead[k] + sideways * right[k] for k in (0, 1))

    return [[position(row, col) for col in range(size)] for row in range(size)]


def tile_or_outside(world, pos):
    """Cells outside the map look and let sight through like empty ones."""
    return world.tile(pos) if world.contains(pos) else EMPTY


def view_mask(world, i, config):
    """bool [V, V]: the cells agent i sees. An agent out of play sees nothing."""
    agent = world.agents[i]
    if not agent.active:
        return np.zeros((config.view_size, config.view_size), dtype=bool)
    if config.see_through_walls[i]:
        return np.ones((config.view_size, config.view_size), dtype=bool)
    positions = view_positions(agent, config)
    opaque = [[tile_or_outside(world, pos).opaque for pos in line] for line in positions]
    return visible_cells(opaque, config.view_offset)


def visible_agents(world, i, config):
    """uint8 [A]: 1 for each other agent that stands on a cell agent i sees."""
    seen = set()
    if world.agents[i].active:
        mask = view_mask(world, i, config)
        positions = view_positions(world.agents[i], config)
        seen = {positions[row][col] for row, col in np.argwhere(mask)}
    return np.array(
        [j != i and other.active and other.pos in seen for j, other in enumerate(world.agents)],
        dtype=np.uint8,
    )
