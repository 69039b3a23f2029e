"""Turns and simultaneous moves."""

from tests.reference.dilemmas.world import shifted

LEFT, RIGHT, UP, DOWN, STAY, TURN_CLOCKWISE, TURN_COUNTER_CLOCKWISE, FIRE, CLEAN = range(9)
# Where a move leads, as quarter turns clockwise from where the agent faces.
SIDES = {UP: 0, RIGHT: 1, DOWN: 2, LEFT: 3}
TURNS = {TURN_CLOCKWISE: 1, TURN_COUNTER_CLOCKWISE: -1}


def turn_and_move(world, actions, solid):
    """Turn and move all agents at once; return who went to another cell.

    solid: the characters of cells that nobody enters.
    """
    wishes = wanted_cells(world, actions, solid)
    draw_winners(world, wishes)
    stop_the_blocked(world, wishes)
    for agent, cell in wishes.items():
        agent.pos = cell
    for agent, action in zip(world.agents, actions, strict=True):
        if agent.active:
            agent.direction = (agent.direction + TURNS.get(action, 0)) % 4
    return set(wishes)


def wanted_cells(world, actions, solid):
    """{agent: the neighbouring cell it wants and could enter}, agents in index order."""
    wishes = {}
    for agent, action in zip(world.agents, actions, strict=True):
        if agent.active and action in SIDES:
            cell = shifted(agent.pos, agent.direction + SIDES[action])
            if world.contains(cell) and world.cell(cell) not in solid:
                wishes[agent] = cell
    return wishes


def draw_winners(world, wishes):
    """Of several who want a cell one may keep the wish; cells in the order of the first wisher."""
    for cell in list(dict.fromkeys(wishes.values())):
        contenders = [agent for agent, wanted in wishes.items() if wanted == cell]
        if len(contenders) > 1:
            winner = contenders[world.rng.uniform_int(len(contenders))]
            for agent in contenders:
                if agent is not winner:
                    del wishes[agent]


def stop_the_blocked(world, wishes):
    """Drop wishes for cells whose occupant stays or comes the other way, as long as there are."""

    def blocked(agent):
        occupant = world.agent_at(wishes[agent])
        if occupant is None:
            return False
        return occupant not in wishes or wishes[occupant] == agent.pos

    while stopped := [agent for agent in wishes if blocked(agent)]:
        for agent in stopped:
            del wishes[agent]
