"""One step of one environment: spawn, act one after another, settle those whose play ended."""

from dataclasses import replace

from tests.reference.generation import place_agent
from tests.reference.tiles import EMPTY

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)
GOAL_REWARD = 1.0


def step(world, actions, config):
    """Advance the world; return the agents' rewards."""
    for agent, delay in zip(world.agents, config.spawn_delay, strict=True):
        if agent.status == "waiting" and delay <= world.step:
            place_agent(world, agent, config, config.solvable)

    world.step += 1
    order = list(range(config.num_agents))
    if not config.ghost_mode:
        world.rng.shuffle(order)

    rewards = [0.0] * config.num_agents
    finished = [False] * config.num_agents
    for i in order:
        agent = world.agents[i]
        agent.last_action = int(actions[i])
        if agent.active:
            entered = act(world, agent, agent.last_action, config)
            event = reward_event(world, agent, entered, config)
            if event is not None:
                rewards[i] = event
                agent.prestige = agent.prestige + event if event >= 0 else 0.0
            agent.prestige *= config.prestige_decay
            finished[i] = entered is not None and entered.ends_play

    for agent, has_finished in zip(world.agents, finished, strict=True):
        if has_finished and config.respawn:
            agent.carrying = None
            place_agent(world, agent, config, config.solvable)
        elif has_finished:
            agent.status = "ended"
    return rewards


def act(world, agent, action, config):
    """Carry out one action; return the tile that was entered, if any."""
    ahead = world.ahead(agent)
    if action == LEFT:
        agent.direction = (agent.direction - 1) % 4
    elif action == RIGHT:
        agent.direction = (agent.direction + 1) % 4
    elif world.contains(ahead):
        if action == FORWARD:
            blocked = not config.ghost_mode and world.agents_at(ahead)
            if world.tile(ahead).walkable and not blocked:
                world.move_to(agent, ahead)
                return world.tile(ahead)
        elif action == PICK_UP:
            pick_up(world, agent, ahead)
        elif action == DROP:
            drop(world, agent, ahead)
        elif action == TOGGLE:
            toggle(world, agent, ahead)
    return None


def pick_up(world, agent, ahead):
    if world.tile(ahead).portable and agent.carrying is None:
        agent.carrying = world.tile(ahead)
        world.set_tile(ahead, EMPTY)


def drop(world, agent, ahead):
    free = world.tile(ahead).kind == "empty" and not world.agents_at(ahead)
    if free and agent.carrying is not None:
        world.set_tile(ahead, agent.carrying)
        agent.carrying = None


def toggle(world, agent, ahead):
    tile = world.tile(ahead)
    if tile.kind == "box":
        world.set_tile(ahead, EMPTY)
    elif tile.kind == "door":
        state = tile.state
        if state == "locked":
            key = agent.carrying
            if key is not None and key.kind == "key" and key.color == tile.color:
                state = "closed"
        elif state == "closed":
            state = "open"
        elif not world.agents_at(ahead):
            state = "closed"
        world.set_tile(ahead, replace(tile, state=state))


def reward_event(world, agent, entered, config):
    """The reward for entering a tile; None where the tile never pays."""
    if entered is None or entered.kind not in ("goal", "cycle"):
        return None
    reward = GOAL_REWARD
    if entered.kind == "cycle":
        reward = cycle_reward(agent, entered.index, config)
    if config.reward_decay:
        reward *= 1.0 - 0.9 * (world.step / config.max_steps)
    return reward


def cycle_reward(agent, tile, config):
    if agent.last_tile is None:
        agent.last_tile = tile
        return config.reward if config.initial_reward else 0.0
    if tile == (agent.last_tile + 1) % config.cycle_length:
        agent.last_tile = tile
        return config.reward
    if config.reset_on_mistake:
        agent.last_tile = tile
    return -abs(config.penalty)
