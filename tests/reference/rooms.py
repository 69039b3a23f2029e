"""Peer Learning's Room and Hallway: one agent, one goal at the wall, no obstacles.

This module gives the environment what it needs of this family, under the names that `grids` uses.
Observations are vectors; pictures are not modelled.
"""

from dataclasses import dataclass

import numpy as np

from tests.reference.layout import Layout
from tests.reference.rng import Stream

COMMON = {"length": 21, "max_steps": 100, "terminate_on_goal": False, "tile_size": 8}
GAMES = {"Room-v0": COMMON, "Hallway-v0": COMMON}
# (row, col) that each action adds, in a room; a hallway has its last two.
MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))
ON_GOAL, ELSEWHERE = 1.0, -0.001


@dataclass(frozen=True)
class Config:
    """Every option, resolved."""

    game: str
    length: int
    max_steps: int
    terminate_on_goal: bool
    tile_size: int

    num_agents = 1
    event_names = ()
    obs_mode = "vector"
    obs_dtype = np.float32

    @property
    def is_room(self):
        return self.game == "Room-v0"

    @property
    def shape(self):
        """(rows, columns)."""
        return (self.length if self.is_room else 1, self.length)

    @property
    def moves(self):
        return MOVES if self.is_room else MOVES[2:]

    @property
    def action_counts(self):
        return (len(self.moves),)

    @property
    def obs_shape(self):
        return (4,) if self.is_room else (2,)


@dataclass
class Agent:
    pos: tuple
    direction = 0
    active: bool = True
    last_action: int = -1


@dataclass
class World:
    agents: list
    goal: tuple
    shape: tuple
    rng: Stream
    step: int = 0


def resolve(game, given):
    """Turn the options a user wrote into a Config."""
    unknown = set(given) - set(GAMES[game])
    if unknown:
        raise ValueError(f"{game} has no option {sorted(unknown)}")
    return Config(game=game, **{**GAMES[game], **given})


def new_world(config, rng):
    """The state at the beginning of an episode."""
    last, middle = config.length - 1, config.length // 2
    if config.is_room:
        start = (middle, middle)
        goal = [rng.uniform_int(last), rng.uniform_int(last)]
        axis = rng.uniform_int(2)
        goal[axis] = (0, last)[rng.uniform_int(2)]
    else:
        start = (0, middle - 2)
        goal = [0, (0, last)[rng.uniform_int(2)]]
    return World(agents=[Agent(pos=start)], goal=tuple(goal), shape=config.shape, rng=rng)


def step(world, actions, config):
    """Advance the world; return the agent's reward."""
    (agent,) = world.agents
    agent.last_action = int(actions[0])
    world.step += 1
    move = config.moves[agent.last_action]
    # Against a wall it stays.
    agent.pos = tuple(
        min(max(here + by, 0), size - 1)
        for here, by, size in zip(agent.pos, move, world.shape, strict=True)
    )
    agent.active = not (config.terminate_on_goal and agent.pos == world.goal)
    return [ON_GOAL if agent.pos == world.goal else ELSEWHERE]


def ended(world):
    """Whose play is over."""
    return np.array([not agent.active for agent in world.agents])


def observation(world, i, config):
    """Where the agent is and where the goal is, each in [0, 1]: float32 [4] or [2]."""
    whole = [*world.agents[i].pos, *world.goal]
    if not config.is_room:
        whole = whole[1::2]
    return np.array(whole, dtype=np.float32) / np.float32(config.length - 1)


def visible_agents(world, i, config):
    """uint8 [A]: there is nobody else to be seen."""
    return np.zeros(1, dtype=np.uint8)


# What `worlds` tells of the agent: dtype and how to read it. Nothing is carried or prided on here.
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
    return [[ord(char) for char in line] for line in lines(world)]


def lines(world):
    """The layout's rows: dots, and the goal."""
    rows, cols = world.shape
    return [
        "".join("G" if (row, col) == world.goal else "." for col in range(cols))
        for row in range(rows)
    ]


def default_detail(char):
    """The characters of these games tell everything."""
    return ""


def read_layout(world):
    """World -> Layout."""
    (agent,) = world.agents
    return Layout(
        cells=lines(world),
        agent_pos=[agent.pos],
        agent_dir=[agent.direction],
        agent_active=[agent.active],
        agent_carrying=[None],
        agent_prestige=[0.0],
        agent_last_tile=[None],
        step=world.step,
        details={},
    )


def write_layout(world, layout, config):
    """Layout -> World. The random stream goes on where it was."""
    ((row, col),) = layout.agent_pos
    world.agents = [Agent(pos=(int(row), int(col)))]
    (world.goal,) = [(row, line.index("G")) for row, line in enumerate(layout.cells) if "G" in line]
    world.step = layout.step
