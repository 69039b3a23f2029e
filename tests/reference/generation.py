"""How an episode begins: the layout of each game, then the agents.

Every random draw is listed in the order in which it is made; that order is part of the game.
"""

from dataclasses import replace

from tests.reference.tiles import EMPTY, GOAL, WALL, Tile, from_char
from tests.reference.world import DIRECTIONS, NOWHERE, Agent, World


def new_world(config, rng):
    """The state at the beginning of an episode."""
    while True:
        world = drawn_world(config, rng)
        if not config.solvable or is_solvable(world, config):
            return world


def drawn_world(config, rng):
    world = World(
        tiles=[[EMPTY] * config.cols for _ in range(config.rows)],
        rng=rng,
        agents=[Agent() for _ in range(config.num_agents)],
    )
    if config.map is not None:
        read_map(world, config)
    else:
        LAYOUTS[config.game](world, config)
    for agent, delay in zip(world.agents, config.spawn_delay, strict=True):
        if delay == 0:
            place_agent(world, agent, config, solvable=config.solvable and config.map is not None)
    return world


def is_solvable(world, config):
    """Whether all agents that are in play, and those to come, can do what they are there for."""
    everywhere = replace(config, ghost_mode=True)
    return all(can_solve(world, agent.pos) for agent in world.agents if agent.active) and any(
        can_solve(world, pos) for pos in spawn_candidates(world, everywhere)
    )


def can_solve(world, start):
    """Whether an agent can walk from a cell into a goal and over all cycle tiles there are.

    Things to carry can be put aside; locked doors need a key that can be fetched before, or that
    somebody has.
    """
    kinds = {pos: world.tile(pos).kind for pos in world.cells()}
    keys = {a.carrying for a in world.agents if a.active and a.carrying}
    colors = {key.color for key in keys if key.kind == "key"}
    while True:
        entered, seen, queue = set(), {start}, [start]
        for pos in queue:
            for d_row, d_col in DIRECTIONS:
                near = (pos[0] + d_row, pos[1] + d_col)
                if not world.contains(near) or kinds[near] in ("wall", "lava"):
                    continue
                tile = world.tile(near)
                if tile.state == "locked" and tile.color not in colors:
                    continue
                entered.add(near)
                if near not in seen and tile.kind != "goal":
                    seen.add(near)
                    queue.append(near)
        found = {world.tile(pos).color for pos in entered if kinds[pos] == "key"}
        if found <= colors:
            break
        colors |= found
    goals, cycle = ({p for p in kinds if kinds[p] == kind} for kind in ("goal", "cycle"))
    return cycle <= entered and (not goals or bool(goals & entered))


def place_agent(world, agent, config, solvable):
    """Bring an agent into play at a random place; where none is free it waits out of sight."""
    agent.status, agent.pos, agent.direction = "waiting", NOWHERE, 0
    cells = spawn_candidates(world, config)
    if solvable:
        everywhere = spawn_candidates(world, replace(config, ghost_mode=True))
        right = {pos for pos in everywhere if can_solve(world, pos)}
        cells = [pos for pos in cells if pos in right or not right]
    if cells:
        world.move_to(agent, cells[world.rng.uniform_int(len(cells))])
        agent.direction = world.rng.uniform_int(4)
        agent.status = "active"


def spawn_candidates(world, config):
    cells = [pos for pos in world.cells() if world.tile(pos).walkable]
    cells = [pos for pos in cells if world.tile(pos).kind != "lava"]
    if world.start_cells is not None:
        cells = [pos for pos in cells if pos in world.start_cells]
    if not config.ghost_mode:
        cells = [pos for pos in cells if not world.agents_at(pos)]
    return cells


def read_map(world, config):
    marked = set()
    for row, line in enumerate(config.map):
        for col, char in enumerate(line):
            if char == "P":
                marked.add((row, col))
            else:
                world.set_tile((row, col), from_char(char))
    world.start_cells = marked or None


def frame(world, config):
    for row, col in world.cells():
        if row in (0, config.rows - 1) or col in (0, config.cols - 1):
            world.set_tile((row, col), WALL)


def bottom_right(config):
    return (config.rows - 2, config.cols - 2)


def scatter_clutter(world, pool, config):
    for _ in range(config.num_clutter):
        world.set_tile(world.rng.take(pool), WALL)


def empty(world, config):
    frame(world, config)
    world.set_tile(bottom_right(config), GOAL)


def cluttered(world, config):
    frame(world, config)
    if config.randomize_goal:
        pool = world.empty_cells()
        world.set_tile(world.rng.take(pool), GOAL)
    else:
        world.set_tile(bottom_right(config), GOAL)
        pool = world.empty_cells()
    scatter_clutter(world, pool, config)


def door_key(world, config):
    frame(world, config)
    world.set_tile(bottom_right(config), GOAL)
    split = 2 + world.rng.uniform_int(config.cols - 4)
    for row in range(config.rows):
        world.set_tile((row, split), WALL)
    door_row = 1 + world.rng.uniform_int(config.rows - 2)
    world.set_tile((door_row, split), Tile("door", color="yellow", state="locked"))
    pool = [pos for pos in world.empty_cells() if pos[1] < split]
    world.set_tile(world.rng.take(pool), Tile("key", color="yellow"))
    world.start_cells = {pos for pos in world.cells() if pos[1] < split}


def goal_cycle(world, config):
    frame(world, config)
    pool = world.empty_cells()
    for index in range(config.cycle_length):
        world.set_tile(world.rng.take(pool), Tile("cycle", index=index))
    scatter_clutter(world, pool, config)


def four_rooms(world, config):
    frame(world, config)
    rows, cols, rng = config.rows, config.cols, world.rng
    mid_row, mid_col = rows // 2, cols // 2
    for row, col in world.cells():
        if row == mid_row or col == mid_col:
            world.set_tile((row, col), WALL)
    gaps = [
        (1 + rng.uniform_int(mid_row - 1), mid_col),  # upper arm
        (mid_row + 1 + rng.uniform_int(rows - 2 - mid_row), mid_col),  # lower arm
        (mid_row, 1 + rng.uniform_int(mid_col - 1)),  # left arm
        (mid_row, mid_col + 1 + rng.uniform_int(cols - 2 - mid_col)),  # right arm
    ]
    for gap in gaps:
        world.set_tile(gap, EMPTY)
    pool = [pos for pos in world.empty_cells() if pos not in gaps]
    world.set_tile(rng.take(pool), GOAL)
    scatter_clutter(world, pool, config)


def maze(world, config):
    """A depth-first perfect maze: rooms on the odd cells, passages between them."""
    for pos in world.cells():
        world.set_tile(pos, WALL)
    room_rows, room_cols = (config.rows - 1) // 2, (config.cols - 1) // 2
    start = divmod(world.rng.uniform_int(room_rows * room_cols), room_cols)
    world.set_tile(cell_of_room(start), EMPTY)
    visited = {start}
    stack = [start]
    while stack:
        row, col = stack[-1]
        neighbours = [(row, col + 1), (row + 1, col), (row, col - 1), (row - 1, col)]
        unvisited = [
            room
            for room in neighbours
            if 0 <= room[0] < room_rows and 0 <= room[1] < room_cols and room not in visited
        ]
        if not unvisited:
            stack.pop()
            continue
        room = unvisited[world.rng.uniform_int(len(unvisited))]
        passage = (row + room[0] + 1, col + room[1] + 1)  # half-way between the two rooms' cells
        world.set_tile(passage, EMPTY)
        world.set_tile(cell_of_room(room), EMPTY)
        visited.add(room)
        stack.append(room)
    world.set_tile(world.rng.take(world.empty_cells()), GOAL)


def cell_of_room(room):
    return (2 * room[0] + 1, 2 * room[1] + 1)


LAYOUTS = {
    "Empty-v0": empty,
    "Cluttered-v0": cluttered,
    "DoorKey-v0": door_key,
    "GoalCycle-v0": goal_cycle,
    "FourRooms-v0": four_rooms,
    "Maze-v0": maze,
}
