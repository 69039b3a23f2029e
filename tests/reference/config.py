"""Options of the games: defaults, and one value per agent where a game wants that."""

from dataclasses import dataclass

import numpy as np

from tests.reference.tiles import AGENT_COLORS

COMMON = {
    "max_steps": 100,
    "num_agents": 1,
    "view_size": 7,
    "view_offset": 1,
    "tile_size": 3,
    "color": None,  # by index
    "hide": (),
    "see_through_walls": False,
    "spawn_delay": 0,
    "ghost_mode": True,
    "respawn": False,
    "reward_decay": True,
    "prestige_decay": 0.95,
    "prestige_scale": 2.0,
    "prestige_mapping": "tanh",
    "map": None,
    "solvable": False,
}
CLUTTER = {"num_clutter": None, "clutter_density": None}
GAMES = {
    "Empty-v0": {**COMMON, "grid_size": 9},
    "Cluttered-v0": {**COMMON, **CLUTTER, "grid_size": 11, "randomize_goal": False},
    "DoorKey-v0": {**COMMON, "grid_size": 8},
    "GoalCycle-v0": {
        **COMMON,
        **CLUTTER,
        "grid_size": 13,
        "max_steps": 250,
        "num_agents": 3,
        "color": "prestige",
        "reward_decay": False,
        "num_goals": 3,
        "reward": 1.0,
        "penalty": 1.5,
        "initial_reward": True,
        "reset_on_mistake": False,
    },
    "FourRooms-v0": {**COMMON, **CLUTTER, "grid_size": 17, "max_steps": 250, "respawn": True},
    "Maze-v0": {**COMMON, "grid_size": 19, "max_steps": 250, "respawn": True},
}
DEFAULT_CLUTTER_DENSITY = {"Cluttered-v0": 0.15, "GoalCycle-v0": 0.15, "FourRooms-v0": 0.05}


@dataclass(frozen=True)
class Config:
    """Every option, resolved. Tuples hold one entry per agent."""

    game: str
    rows: int
    cols: int
    max_steps: int
    num_agents: int
    view_size: int
    view_offset: int
    tile_size: int
    color: tuple
    hide: tuple
    see_through_walls: tuple
    spawn_delay: tuple
    ghost_mode: bool
    respawn: bool
    reward_decay: bool
    prestige_decay: float
    prestige_scale: float
    prestige_mapping: str
    map: tuple | None
    solvable: bool
    num_clutter: int = 0
    randomize_goal: bool = False
    cycle_length: int = 0
    reward: float = 1.0
    penalty: float = 1.5
    initial_reward: bool = True
    reset_on_mistake: bool = False

    obs_mode = "rgb"
    obs_dtype = np.uint8

    @property
    def action_counts(self):
        return (7,) * self.num_agents

    @property
    def event_names(self):
        return ()

    @property
    def obs_shape(self):
        return (self.view_size * self.tile_size, self.view_size * self.tile_size, 3)


def per_agent(value, num_agents):
    return tuple(value) if isinstance(value, list | tuple) else (value,) * num_agents


def resolve(game, given):
    """Turn the options a user wrote into a Config."""
    unknown = set(given) - set(GAMES[game])
    if unknown:
        raise ValueError(f"{game} has no option {sorted(unknown)}")
    options = {**GAMES[game], **given}
    num_agents = options["num_agents"]

    size = options.pop("grid_size")
    rows, cols = (size, size) if isinstance(size, int) else size
    text = options["map"]
    if text is not None:
        options["map"] = tuple(text)
        rows, cols = len(text), len(text[0])

    cycle_length = options.pop("num_goals", 0)
    if text is not None:
        cycle_length = len({char for line in text for char in line if char.isdigit()})

    if options["color"] is None:
        options["color"] = AGENT_COLORS[:num_agents]
    for key in ("color", "see_through_walls", "spawn_delay"):
        options[key] = per_agent(options[key], num_agents)
    hide = options["hide"]
    if not any(isinstance(kinds, list | tuple) for kinds in hide):
        hide = [hide] * num_agents
    options["hide"] = tuple(frozenset(kinds) for kinds in hide)

    if game in DEFAULT_CLUTTER_DENSITY:
        density = options.pop("clutter_density")
        if options["num_clutter"] is None:
            density = DEFAULT_CLUTTER_DENSITY[game] if density is None else density
            options["num_clutter"] = int(density * (cols - 2) * (rows - 2))

    return Config(game=game, rows=rows, cols=cols, cycle_length=cycle_length, **options)
