"""The readable state of one environment, in and out."""

from tests.reference.dilemmas.games import no_events
from tests.reference.dilemmas.world import Agent
from tests.reference.layout import Layout


def read_layout(world):
    """World -> Layout. Nobody carries, remembers or prides itself on anything here."""
    count = len(world.agents)
    return Layout(
        cells=["".join(line) for line in world.cells],
        agent_pos=[agent.pos for agent in world.agents],
        agent_dir=[agent.direction for agent in world.agents],
        agent_active=[agent.active for agent in world.agents],
        agent_carrying=[None] * count,
        agent_prestige=[0.0] * count,
        agent_last_tile=[None] * count,
        step=world.step,
        details={},
    )


def write_layout(world, layout, config):
    """Layout -> World. The random stream goes on where it was."""
    world.cells = [list(line) for line in layout.cells]
    world.step = layout.step
    world.beams = {}
    world.events = no_events(config)
    active = layout.agent_active or [True] * len(layout.agent_pos)
    world.agents = [
        Agent(pos=(int(pos[0]), int(pos[1])), direction=int(direction), active=bool(playing))
        for pos, direction, playing in zip(layout.agent_pos, layout.agent_dir, active, strict=True)
    ]
