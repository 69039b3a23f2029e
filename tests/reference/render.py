"""Tiles, cells and views as pixels.

Images are uint8 [height, width, 3]. A shape is a function of (x, y) in units of a tile, x to the
right and y down, that tells which points it covers.
"""

from functools import cache
from math import exp, tanh

import numpy as np

from tests.reference.tiles import COLORS, EMPTY
from tests.reference.view import tile_or_outside, view_mask, view_positions

SHADOW = (35, 25, 30)
WALL = (74, 65, 42)
CYCLE = (255, 255, 0)
GOAL = (0, 255, 0)
LAVA = (255, 128, 0)
BLACK = (0, 0, 0)
SUBPIXELS = 3
TRIANGLE = ((0.12, 0.19), (0.87, 0.50), (0.12, 0.81))


def rect(x_min, x_max, y_min, y_max):
    return lambda x, y: (x_min <= x) & (x <= x_max) & (y_min <= y) & (y <= y_max)


def circle(x_mid, y_mid, radius):
    return lambda x, y: (x - x_mid) ** 2 + (y - y_mid) ** 2 <= radius * radius


def triangle(a, b, c):
    """Corners clockwise as seen on screen: inside lies to the right of every edge."""

    def right_of(p, q, x, y):
        return (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) >= 0

    return lambda x, y: right_of(a, b, x, y) & right_of(b, c, x, y) & right_of(c, a, x, y)


def quarter_turns(point, direction):
    """Turn a point about the tile's centre, clockwise on screen."""
    x, y = point
    for _ in range(direction):
        x, y = 1 - y, x
    return x, y


WHOLE = rect(0, 1, 0, 1)


def paintings(tile):
    """What to paint for a tile, first things first: (shape, colour) pairs."""
    color = COLORS.get(tile.color, BLACK)
    if tile.kind == "door":
        return door_paintings(tile.state, color)
    return {
        "empty": [],
        "wall": [(WHOLE, WALL)],
        "cycle": [(WHOLE, CYCLE)],
        "goal": [(WHOLE, GOAL)],
        "lava": [(WHOLE, LAVA)],
        "key": [
            (rect(0.50, 0.63, 0.31, 0.88), color),  # shaft
            (rect(0.38, 0.50, 0.59, 0.66), color),  # two teeth
            (rect(0.38, 0.50, 0.81, 0.88), color),
            (circle(0.56, 0.28, 0.190), color),  # ring
            (circle(0.56, 0.28, 0.064), BLACK),
        ],
        "ball": [(circle(0.5, 0.5, 0.31), color)],
        "box": [
            (rect(0.12, 0.88, 0.12, 0.88), color),
            (rect(0.18, 0.82, 0.18, 0.82), BLACK),
            (rect(0.16, 0.84, 0.47, 0.53), color),
        ],
    }[tile.kind]


def door_paintings(state, color):
    if state == "open":
        return [(rect(0.88, 1.0, 0.0, 1.0), color), (rect(0.92, 0.96, 0.04, 0.96), BLACK)]
    if state == "closed":
        return [
            (WHOLE, color),
            (rect(0.04, 0.96, 0.04, 0.96), BLACK),
            (rect(0.08, 0.92, 0.08, 0.92), color),
            (rect(0.12, 0.88, 0.12, 0.88), BLACK),
            (circle(0.75, 0.50, 0.08), color),  # handle
        ]
    dim = tuple(int(0.45 * channel) for channel in color)
    return [
        (WHOLE, color),
        (rect(0.06, 0.94, 0.06, 0.94), dim),
        (rect(0.52, 0.75, 0.50, 0.56), color),  # key slot
    ]


def paint(shapes, tile_size):
    """Draw shapes with 3x3 samples a pixel; a pixel is their mean, truncated."""
    n = tile_size * SUBPIXELS
    centres = (np.arange(n) + 0.5) / n
    canvas = np.zeros((n, n, 3))
    for covers, color in shapes:
        canvas[covers(centres[None, :], centres[:, None])] = color
    samples = canvas.reshape(tile_size, SUBPIXELS, tile_size, SUBPIXELS, 3)
    return samples.mean(axis=3).mean(axis=1).astype(np.uint8)


@cache
def tile_image(tile, tile_size):
    return paint(paintings(tile), tile_size)


@cache
def agent_image(direction, color, tile_size):
    """An agent alone on black, in a named colour or in a prestige agent's (r, g, b)."""
    shape = triangle(*(quarter_turns(corner, direction) for corner in TRIANGLE))
    if isinstance(color, str):
        return paint([(shape, COLORS[color])], tile_size)
    white = paint([(shape, COLORS["white"])], tile_size)
    return ((white.astype(int) * color) >> 8).astype(np.uint8)


def prestige_color(prestige, config):
    """Red without prestige, blue with much."""
    x = prestige / config.prestige_scale
    s = tanh(x) if config.prestige_mapping == "tanh" else 1 / (1 + exp(-x))
    return (int(255 * (1 - s)), 0, int(255 * s))


def color_of(world, agent, config):
    color = config.color[world.agents.index(agent)]
    return prestige_color(agent.prestige, config) if color == "prestige" else color


@cache
def cell_image(tile, agent, tile_size, turns=0):
    """A tile with at most one agent, given as (direction, colour), on it.

    The finished picture is turned counter-clockwise by `turns` quarters.
    """
    image = tile_image(tile, tile_size)
    if agent is not None:
        above = agent_image(*agent, tile_size)
        image = above if tile == EMPTY else blend(image, above)
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
    if (corners == 0).all(axis=-1).any():
        image = add_grid_lines(image)
    return np.rot90(image, turns)


def blend(image, above):
    """Lay an agent over a tile, weighted by its brightness."""
    weight = above.astype(int).sum(axis=-1, keepdims=True)
    most = weight.max()
    if most == 0:
        return image
    return ((image * (most - weight) + above * weight) // most).astype(np.uint8)


def add_grid_lines(image):
    brightness = max(0, min(20, len(image) - 10))
    lines = np.zeros(image.shape, dtype=int)
    lines[0, :] = brightness
    lines[:, -1] = brightness
    return np.minimum(image + lines, 255).astype(np.uint8)


def shown_agent(world, pos, viewer, config):
    """Who is drawn on a cell: the viewer itself, else who came first."""
    here = world.drawn_at(pos)
    if not here:
        return None
    agent = viewer if any(agent is viewer for agent in here) else here[0]
    return agent.direction, color_of(world, agent, config)


def view_image(world, i, config):
    """The view of agent i, uint8 [V * tile_size, V * tile_size, 3]."""
    t = config.tile_size
    viewer = world.agents[i]
    mask = view_mask(world, i, config)
    image = np.empty((config.view_size * t, config.view_size * t, 3), dtype=np.uint8)
    image[:] = SHADOW
    positions = view_positions(viewer, config)
    for row, col in np.argwhere(mask):
        pos = positions[row][col]
        tile = tile_or_outside(world, pos)
        if tile.hidden_as & config.hide[i]:
            tile = EMPTY
        agent = shown_agent(world, pos, viewer, config)
        picture = cell_image(tile, agent, t, turns=(viewer.direction + 1) % 4)  # it looks up
        image[row * t : (row + 1) * t, col * t : (col + 1) * t] = picture
    return image


def world_image(world, config, tile_size):
    """The whole grid, north up, nothing hidden."""
    t = tile_size
    image = np.empty((config.rows * t, config.cols * t, 3), dtype=np.uint8)
    for row, col in world.cells():
        agent = shown_agent(world, (row, col), None, config)
        picture = cell_image(world.tile((row, col)), agent, t)
        image[row * t : (row + 1) * t, col * t : (col + 1) * t] = picture
    return image
