"""The rules: how an episode of each game begins and what one step does.

Every random draw is listed in the order in which it is made; that order is part of the game.
"""

import numpy as np

from tests.reference.dilemmas.config import BOXES
from tests.reference.dilemmas.moves import FIRE, SIDES, turn_and_move
from tests.reference.dilemmas.world import Agent, World, shifted

BEAM_LENGTH = 5
SPECIAL = 7  # the action that Harvest and Cleanup call fire, Switch toggle, Box Trapped open box
# How far apart (squared) two cells may be to be neighbours.
NEIGHBOURHOODS = {"public": 2, "paper": 4}


def new_world(config, rng):
    """The state at the beginning of an episode."""
    world = World(
        cells=[[GROUND.get(config.game, {}).get(c, c) for c in line] for line in config.map],
        base=config.map,
        rng=rng,
        agents=[],
        events=no_events(config),
    )
    place_agents(world, config)
    grow(world, config)
    return world


# What stands at the start where the map has these characters.
GROUND = {
    "Cleanup-v0": {"P": " ", "B": " "},
    "Harvest-v0": {"P": " "},
    "Switch-v0": {"P": " "},
    **{box: {"P": " ", "T": " "} for box in BOXES},
}


def no_events(config):
    return np.zeros((config.num_agents, len(config.event_names)), dtype=np.uint8)


def place_agents(world, config):
    """Everybody on a spawn point of its own or, when these are used up, on bare ground."""
    pool = world.places("P")
    fallen_back = False
    for i in range(config.num_agents):
        if config.game in BOXES and i == 1:
            (pos,) = world.places("T")
        else:
            if not pool and not fallen_back:
                pool = world.places(" ")
                fallen_back = True
            pos = world.rng.take(pool)
        world.agents.append(Agent(pos=pos, direction=world.rng.uniform_int(4)))


def step(world, actions, config):
    """Advance the world; return the agents' rewards."""
    actions = [int(action) for action in actions]
    world.step += 1
    world.beams = {}
    world.events = no_events(config)
    rewards = np.zeros(config.num_agents)

    if config.opening == "first":
        work_box(world, actions, config)
    push(world, actions, rewards, config)
    moved = turn_and_move(world, actions, SOLID[config.game])
    enter_cells(world, moved, rewards, config)
    special_actions(world, actions, rewards, config)
    grow(world, config)

    for agent, action in zip(world.agents, actions, strict=True):
        agent.last_action = action
    return rewards


SOLID = {"Cleanup-v0": "@", "Harvest-v0": "@", "Switch-v0": "@DsS"}
SOLID |= dict.fromkeys(BOXES, "@#")


def note(world, config, i, event):
    world.events[i, config.event_names.index(event)] += 1


def enter_cells(world, moved, rewards, config):
    """What agents get for the cells on which they stand now."""
    for i, agent in enumerate(world.agents):
        here = world.cell(agent.pos)
        if not agent.active:
            continue
        if here == "A" and config.game not in BOXES:
            world.set_cell(agent.pos, " ")
            rewards[i] += 1
            note(world, config, i, "apples")
        elif here == "A" and agent in moved:  # these apples stay
            rewards[i] += 1
            note(world, config, i, "apples")
        elif here == "O":
            agent.active = False
            rewards[i] += 1
            note(world, config, i, "exits")


def special_actions(world, actions, rewards, config):
    """What there is beside moving. Where beams can cross, agents come in random order."""
    order = [i for i, agent in enumerate(world.agents) if agent.active and actions[i] >= SPECIAL]
    if config.game == "Switch-v0":
        for i in order:
            toggle(world, i, config)
    elif config.game in BOXES:
        if config.opening == "last":
            work_box(world, actions, config)
    else:
        if len(order) > 1:
            world.rng.shuffle(order)
        for i in order:
            if actions[i] == FIRE:
                fire(world, i, rewards, config)
            else:
                clean(world, i, config)


def rays(world, agent):
    """The cells of three rays, in front and on both sides, each up to a wall."""
    starts = [
        shifted(agent.pos, agent.direction),
        shifted(agent.pos, agent.direction + 1),
        shifted(agent.pos, agent.direction - 1),
    ]
    for start in starts:
        ray = []
        for distance in range(BEAM_LENGTH):
            pos = shifted(start, agent.direction, distance)
            if not world.contains(pos) or world.cell(pos) == "@":
                break
            ray.append(pos)
        yield ray


def fire(world, i, rewards, config):
    rewards[i] -= config.fire_cost
    note(world, config, i, "shots")
    for ray in rays(world, world.agents[i]):
        for pos in ray:
            world.beams[pos] = "fire"
            victim = world.agent_at(pos)
            if victim is not None:
                rewards[world.agents.index(victim)] -= config.hit_penalty
                note(world, config, world.agents.index(victim), "hits")
                break


def clean(world, i, config):
    for ray in rays(world, world.agents[i]):
        for pos in ray:
            world.beams[pos] = "clean"
            if world.cell(pos) == "H":
                world.set_cell(pos, "R")
                note(world, config, i, "cleaned")
                break
            if world.agent_at(pos) is not None:
                break


def toggle(world, i, config):
    ahead = shifted(world.agents[i].pos, world.agents[i].direction)
    if world.contains(ahead) and world.cell(ahead) in "sS":
        world.set_cell(ahead, {"s": "S", "S": "s"}[world.cell(ahead)])
        note(world, config, i, "toggles")


def work_box(world, actions, config):
    """Agent 0 opens the box; one that must be held shuts in every step in which it does not."""
    if config.game not in BOXES:
        return
    if actions[0] == SPECIAL:
        if world.count("#"):
            world.cells = [[" " if char == "#" else char for char in line] for line in world.cells]
            note(world, config, 0, "opened")
    elif config.held:
        for pos in world.places("#"):
            if world.agent_at(pos) is None:
                world.set_cell(pos, "#")


def push(world, actions, rewards, config):
    """A move by agent 1 on its start cell while the box is shut costs something."""
    if config.game in BOXES and world.count("#") and actions[1] in SIDES:
        at_start = world.agents[1].pos in world.places("T")
        rewards[1] -= config.push_cost * at_start


def grow(world, config):
    """What happens by itself at the end of a step, and before the first one."""
    if config.game == "Harvest-v0":
        grow_harvest_apples(world, config)
    elif config.game == "Cleanup-v0":
        polluted = waste_share(world)
        grow_cleanup_apples(world, apple_probability(polluted, config))
        if polluted < config.depletion_threshold:
            grow_waste(world, config.waste_spawn_probability)
    elif config.game == "Switch-v0":
        is_open = world.count("s") == 0
        for pos in world.places("D"):
            world.set_cell(pos, "O" if is_open else "D")


def happens(world, probability):
    """One draw, by a single random word; nothing is drawn for what is impossible."""
    return probability > 0 and world.rng.next_word() < int(probability * 2**32)


def free(world, pos, grown):
    """Nothing of the kind has grown there, and nobody stands there."""
    return world.cell(pos) != grown and world.agent_at(pos) is None


def grow_harvest_apples(world, config):
    reach = NEIGHBOURHOODS[config.neighbourhood]
    apples = [
        (row, col)
        for row, line in enumerate(world.cells)
        for col, char in enumerate(line)
        if char == "A"
    ]
    for row, col in world.places("A"):
        if free(world, (row, col), "A"):
            near = sum((row - r) ** 2 + (col - c) ** 2 <= reach for r, c in apples)
            if happens(world, config.apple_spawn_probabilities[min(near, 3)]):
                world.set_cell((row, col), "A")


def waste_share(world):
    """Waste cells per cell that can hold waste."""
    possible = len(world.places("HR"))
    return world.count("H") / possible if possible else 0.0


def apple_probability(polluted, config):
    highest = config.apple_spawn_probability
    low, high = config.restoration_threshold, config.depletion_threshold
    if polluted >= high:
        return 0.0
    if polluted <= low:
        return highest
    return highest * (1 - (polluted - low) / (high - low))


def grow_cleanup_apples(world, probability):
    for pos in world.places("B"):
        if free(world, pos, "A") and happens(world, probability):
            world.set_cell(pos, "A")


def grow_waste(world, probability):
    """At most one new cell of waste.

    That the possible cells are tried one after another in random order, each with `probability`,
    until one succeeds, is the same as this: some cell succeeds unless all fail, and each is as
    likely as any other.
    """
    possible = [pos for pos in world.places("HR") if free(world, pos, "H")]
    if possible and probability > 0:
        all_fail = 1.0
        for _ in possible:
            all_fail *= 1 - probability
        if world.rng.uniform() >= all_fail:
            world.set_cell(possible[world.rng.uniform_int(len(possible))], "H")
