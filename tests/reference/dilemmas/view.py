"""What the agents see, as pixels uint8 [height, width, 3]."""

from functools import cache
from itertools import product
from math import dist

import numpy as np

from tests.reference.dilemmas.config import BOXES
from tests.reference.dilemmas.world import shifted

BLACK = (0, 0, 0)
WALL = (180, 180, 180)
WATER = (113, 75, 24)
COLORS = {" ": BLACK, "@": WALL, "A": (0, 255, 0)}
COLORS_OF_GAME = {
    "Cleanup-v0": {"H": (99, 156, 194), "R": WATER, "S": WATER},
    "Harvest-v0": {},
    "Switch-v0": {"D": WALL, "O": (255, 255, 255), "S": (0, 255, 0), "s": (255, 0, 0)},
    **{box: {"#": (127, 127, 127)} for box in BOXES},
}
BEAM_COLORS = {"fire": (255, 255, 0), "clean": (100, 255, 255)}
AGENT_COLORS = (
    *((0, 0, 255), (2, 81, 154), (204, 0, 204), (216, 30, 54), (254, 151, 0)),
    *((100, 255, 255), (99, 99, 255), (250, 204, 255), (238, 223, 16)),
)


@cache
def agent_color(i):
    """The public colours for the first nine agents; then what is farthest from all there is.

    Candidates have channels 0, 42, ... 252; of equally far ones the darkest red, green, blue first.
    """
    if i < len(AGENT_COLORS):
        return AGENT_COLORS[i]
    taken = {*COLORS.values(), *BEAM_COLORS.values(), *(agent_color(j) for j in range(i))}
    taken.update(color for colors in COLORS_OF_GAME.values() for color in colors.values())
    candidates = product(range(0, 253, 42), repeat=3)
    return max(candidates, key=lambda color: min(dist(color, other) for other in taken))


def cell_color(world, pos, config, with_beams):
    if not world.contains(pos):
        return BLACK
    if with_beams and pos in world.beams:
        return BEAM_COLORS[world.beams[pos]]
    agent = world.agent_at(pos)
    if agent is not None:
        return agent_color(world.agents.index(agent))
    return {**COLORS, **COLORS_OF_GAME[config.game]}[world.cell(pos)]


def view_positions(agent, config):
    """[V][V] world positions around the agent, seen so that it looks up."""
    middle = config.view_size // 2
    # The public implementation turns the view of agents that face left or right the wrong way.
    backwards = config.view_rotation == "public" and agent.direction in (0, 2)
    upwards = agent.direction + (2 if backwards else 0)

    def position(row, col):
        return shifted(shifted(agent.pos, upwards, middle - row), upwards + 1, col - middle)

    return [
        [position(row, col) for col in range(config.view_size)] for row in range(config.view_size)
    ]


def view_image(world, i, config):
    """The view of agent i, [V * tile_size, V * tile_size, 3]; black once its play has ended."""
    agent = world.agents[i]
    colors = [
        [
            cell_color(world, pos, config, config.show_beams) if agent.active else BLACK
            for pos in line
        ]
        for line in view_positions(agent, config)
    ]
    return enlarged(colors, config.tile_size)


def world_image(world, config, tile_size):
    """The whole grid, north up, beams included, with a notch where an agent faces."""
    rows, cols = len(world.cells), len(world.cells[0])
    colors = [
        [cell_color(world, (row, col), config, with_beams=True) for col in range(cols)]
        for row in range(rows)
    ]
    image = enlarged(colors, tile_size)
    for agent in world.agents:
        if agent.active and agent.pos not in world.beams:
            top, left = agent.pos[0] * tile_size, agent.pos[1] * tile_size
            cell = image[top : top + tile_size, left : left + tile_size]
            cut_notch(np.rot90(cell, agent.direction + 1))  # it looks up
    return image


def cut_notch(cell):
    """Blacken half of the upper edge, a quarter of the cell deep; nothing in the smallest cells."""
    quarter = len(cell) // 4
    cell[:quarter, quarter : len(cell) - quarter] = BLACK


def enlarged(colors, tile_size):
    image = np.array(colors, dtype=np.uint8)
    return image.repeat(tile_size, axis=0).repeat(tile_size, axis=1)


def visible_agents(world, i, config):
    """uint8 [A]: 1 for each other agent that stands inside agent i's view."""
    agent = world.agents[i]
    seen = {pos for line in view_positions(agent, config) for pos in line}
    return np.array(
        [
            other is not agent and agent.active and other.active and other.pos in seen
            for other in world.agents
        ],
        dtype=np.uint8,
    )
