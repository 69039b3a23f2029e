"""The readable state of one environment, in and out."""

from dataclasses import dataclass, field

from tests.reference.tiles import from_char, from_detail
from tests.reference.world import Agent


@dataclass
class Layout:
    """The same fields as `socialgrid.Layout`."""

    cells: list
    agent_pos: list
    agent_dir: list
    agent_active: list | None = None
    agent_carrying: list | None = None
    agent_prestige: list | None = None
    agent_last_tile: list | None = None
    step: int = 0
    details: dict | None = field(default=None)


def read(world):
    """World -> Layout."""
    agents = world.agents
    return Layout(
        cells=["".join(tile.char for tile in line) for line in world.tiles],
        agent_pos=[agent.pos for agent in agents],
        agent_dir=[agent.direction for agent in agents],
        agent_active=[agent.active for agent in agents],
        agent_carrying=[agent.carrying.detail if agent.carrying else None for agent in agents],
        agent_prestige=[agent.prestige for agent in agents],
        agent_last_tile=[agent.last_tile for agent in agents],
        step=world.step,
        details={pos: world.tile(pos).detail for pos in world.cells() if world.tile(pos).detail},
    )


def write(world, layout, config):
    """Layout -> World. The random stream goes on where it was."""
    world.tiles = [[from_char(char) for char in line] for line in layout.cells]
    for pos, words in (layout.details or {}).items():
        world.set_tile(pos, from_detail(words))
    world.step = layout.step
    world.agents = [Agent() for _ in layout.agent_pos]
    for i, agent in enumerate(world.agents):
        world.move_to(agent, tuple(int(x) for x in layout.agent_pos[i]))
        agent.direction = int(layout.agent_dir[i])
        agent.status = "active"
        if layout.agent_active is not None and not layout.agent_active[i]:
            delay = config.spawn_delay[i]
            agent.status = "waiting" if delay > 0 and delay >= layout.step else "ended"
        if layout.agent_carrying is not None and layout.agent_carrying[i]:
            agent.carrying = from_detail(layout.agent_carrying[i])
        if layout.agent_prestige is not None:
            agent.prestige = float(layout.agent_prestige[i])
        if layout.agent_last_tile is not None:
            agent.last_tile = layout.agent_last_tile[i]
    if config.game == "DoorKey-v0" and config.map is None:
        world.start_cells = left_of_first_door(world)


def left_of_first_door(world):
    """DoorKey's starting side of a hand-made room; None, anywhere, where there is no door."""
    doors = [pos for pos in world.cells() if world.tile(pos).kind == "door"]
    return {pos for pos in world.cells() if pos[1] < doors[0][1]} if doors else None
