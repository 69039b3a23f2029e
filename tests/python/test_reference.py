"""The core against the slow reference over random games, options and play.

A failure means that core and reference disagree about a rule, a pixel or a random draw; the
scenario printed by hypothesis repeats it. The long run:
`python -m pytest tests/python/test_reference.py --reference-steps=100000`
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import strategies as st
from tests.python.scenarios import compare, of_the_batch, of_the_streams
from tests.reference.agreement import Pair
from tests.reference.grids import GAMES
from tests.reference.step import DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE
from tests.reference.tiles import COLORS, WALL

STEPS_PER_SCENARIO = 30  # summed over the environments of the batch
KINDS = ("wall", "goal", "cycle", "lava", "door", "key", "ball", "box")
COLOR_NAMES = (*COLORS, "prestige")
MAP_CHARS = (
    "." * 12 + "####" + "GL",
    "." * 8 + "##" + "GDDKKOB",
    "." * 8 + "#" + "LDKKOOBB",
)


@dataclass
class Scenario:
    game: str
    options: dict
    num_envs: int
    num_threads: int
    obs_mode: str
    seeds: list  # for the reset after the first: an int, one per environment, or None
    play_seed: int  # of the actions, not of the environments
    curiosity: float  # the share of actions that do something with what lies ahead
    layout_every: int  # so many steps a layout of our own is set in one environment


def one_or_each(draw, values, num_agents):
    """One value for all agents or a list with one for each."""
    if draw(st.booleans()):
        return draw(values)
    return [draw(values) for _ in range(num_agents)]


@st.composite
def scenarios(draw, game):
    num_agents = draw(st.integers(1, 8))
    options = {
        "num_agents": num_agents,
        "max_steps": draw(st.sampled_from([12, 25, 5, 40, 2, 1, 100])),
        "ghost_mode": draw(st.booleans()),
        "respawn": draw(st.sampled_from([True, False])),
        "reward_decay": draw(st.booleans()),
        "color": one_or_each(draw, st.sampled_from(COLOR_NAMES), num_agents),
        "see_through_walls": one_or_each(draw, st.booleans(), num_agents),
        "spawn_delay": one_or_each(draw, st.sampled_from([0, 0, 0, 1, 2, 5]), num_agents),
        "hide": draw(hide_lists(num_agents)),
        "solvable": draw(st.sampled_from([False, False, True])),
        "prestige_decay": draw(st.sampled_from([0.95, 0.99, 1.0, 0.5, 0.0])),
        "prestige_scale": draw(st.sampled_from([2.0, 1.0, 0.25, 7.5])),
        "prestige_mapping": draw(st.sampled_from(["tanh", "sigmoid"])),
        **draw(view_options(num_agents)),
        **draw(game_options(game, num_agents)),
    }
    # Hundreds of prestige colours in large pictures are slow to draw, and refused with doors.
    has_doors = game == "DoorKey-v0" or any(
        set("DKOB") & set(line) for line in options.get("map", ())
    )
    too_many = options["tile_size"] > (4 if has_doors else 10)
    if too_many:
        options["color"] = plain(options["color"])
    # Now and then leave options out, so that the defaults are compared too.
    optional = ["reward_decay", "hide", "respawn"] + ["color"] * (not too_many)
    for key in draw(st.sets(st.sampled_from(optional))):
        del options[key]

    return Scenario(
        game=game,
        options={**options, **of_the_streams(draw)},
        obs_mode=draw(st.sampled_from(["rgb", "rgb", "tiles"])),
        curiosity=draw(st.sampled_from([0.0, 0.6, 0.9])),
        **of_the_batch(draw, 3),
    )


def plain(color):
    """The same choice of colours with white for prestige."""
    if isinstance(color, list):
        return [plain(each) for each in color]
    return "white" if color == "prestige" else color


@st.composite
def hide_lists(draw, num_agents):
    kinds = st.lists(st.sampled_from(KINDS), unique=True, max_size=3)
    return one_or_each(draw, kinds, num_agents)


@st.composite
def view_options(draw, num_agents):
    sizes = [3, 5, 7, 7, 7, 9, 11, 31] if num_agents <= 2 else [3, 5, 7, 7, 9]
    view_size = draw(st.sampled_from(sizes))
    tile_sizes = [1, 2, 3, 3, 3, 4, 8, 11, 13, 33, 64]
    return {
        "view_size": view_size,
        "view_offset": draw(st.integers(0, view_size - 1)),
        "tile_size": draw(st.sampled_from([t for t in tile_sizes if t * view_size <= 192])),
    }


@st.composite
def game_options(draw, game, num_agents):
    """Sizes and the game's own options, such that everything asked for fits."""
    if draw(st.integers(0, 3)) == 0 or (game == "Empty-v0" and draw(st.booleans())):
        return draw(user_maps(game, num_agents))
    if game == "Maze-v0":
        rows, cols = draw(st.sampled_from([5, 7, 9, 11])), draw(st.sampled_from([7, 9, 13]))
    elif game == "DoorKey-v0":
        rows, cols = draw(st.integers(max(5, num_agents + 3), 11)), draw(st.integers(5, 8))
    else:
        rows, cols = draw(st.integers(7, 10)), draw(st.integers(7, 10))
    options = {"grid_size": [rows, cols]}
    if draw(st.integers(0, 3)) == 0 and game != "DoorKey-v0":
        options["grid_size"] = cols = rows = 9
    if game == "GoalCycle-v0":
        options |= draw(goal_cycle_options())
    if game == "Cluttered-v0":
        options["randomize_goal"] = draw(st.booleans())
    if "num_clutter" in GAMES[game]:
        # Seven walls leave room for a goal and eight agents even in the smallest four rooms.
        how = draw(st.sampled_from(["default", "number", "density"]))
        if how == "number":
            options["num_clutter"] = draw(st.integers(0, 7))
        elif how == "density":
            options["clutter_density"] = draw(st.floats(0, 0.3 if game != "FourRooms-v0" else 0.2))
    return options


@st.composite
def goal_cycle_options(draw):
    return {
        "num_goals": draw(st.integers(1, 10)),
        "reward": draw(st.sampled_from([1.0, 0.5, 3.0])),
        "penalty": draw(st.sampled_from([0.0, 0.1, 1.5])),
        "initial_reward": draw(st.booleans()),
        "reset_on_mistake": draw(st.booleans()),
    }


@st.composite
def user_maps(draw, game, num_agents):
    rows, cols = draw(st.integers(4, 9)), draw(st.integers(4, 9))
    chars = st.sampled_from(draw(st.sampled_from(MAP_CHARS)))
    inside = draw(st.lists(chars, min_size=rows * cols, max_size=rows * cols))
    digits = "".join(str(index) for index in range(draw(st.integers(0, 3))))
    # Digits, and room for every agent, go over the first cells, shuffled into the rest.
    room = draw(st.sampled_from(".P")) * num_agents
    needed = list(digits + room)
    inside[: len(needed)] = needed
    inside = draw(st.permutations(inside))
    text = ["".join(inside[row * cols : (row + 1) * cols]) for row in range(rows)]
    framed = ["#" * (cols + 2), *(f"#{line}#" for line in text), "#" * (cols + 2)]
    options = {"map": framed if draw(st.booleans()) else text}
    if game == "GoalCycle-v0":
        options |= {k: v for k, v in draw(goal_cycle_options()).items() if k != "num_goals"}
    return options


def pair_for(scenario):
    def made(**options):
        return Pair(
            scenario.game,
            num_envs=scenario.num_envs,
            num_threads=scenario.num_threads,
            obs_mode=scenario.obs_mode,
            **options,
        )

    try:
        return made(**scenario.options)
    except ValueError as error:
        if "solvable" not in str(error):
            raise
        return made(**{**scenario.options, "solvable": False})


def play(scenario):
    """Run one scenario through core and reference; return the environment steps compared."""
    pair = pair_for(scenario)
    rng = np.random.default_rng(scenario.play_seed)
    steps = -(-STEPS_PER_SCENARIO // scenario.num_envs)
    pair.reset()
    pair.compare_layouts()
    for t in range(steps):
        if t == steps // 2:
            pair.reset(seed=scenario.seeds)
        if t % scenario.layout_every == scenario.layout_every - 1:
            e = int(rng.integers(scenario.num_envs))
            pair.set_layout(e, altered(pair.reference.get_layout(e), rng))
        pair.step(choose_actions(pair.reference, scenario.curiosity, rng))
        pair.compare_layouts()
    pair.compare_renders(tile_size=int(rng.integers(1, 33)))
    pair.close()
    return steps * scenario.num_envs


def choose_actions(env, curiosity, rng):
    """int32 [E, A]: random, with a liking for whatever can be done with the cell ahead."""
    actions = rng.integers(7, size=(env.num_envs, env.num_agents), dtype=np.int32)
    for e, world in enumerate(env.worlds_):
        for i, agent in enumerate(world.agents):
            if agent.active and rng.random() < curiosity:
                actions[e, i] = rng.choice(promising_actions(world, agent))
    return actions


def promising_actions(world, agent):
    ahead = world.ahead(agent)
    tile = world.tile(ahead) if world.contains(ahead) else WALL
    if tile.kind == "door":
        return [TOGGLE, TOGGLE, FORWARD]
    if tile.portable:
        return [PICK_UP, PICK_UP, TOGGLE, LEFT]
    if tile.kind == "empty" and agent.carrying:
        return [FORWARD] * 7 + [DROP]
    return [FORWARD] if tile.walkable else [LEFT, RIGHT]


def altered(layout, rng):
    """A state that play might not have reached from here: places, headings, memory and hands."""
    count = len(layout.agent_pos)
    shown = {char for line in layout.cells for char in line}
    cycle = sum(char.isdigit() for char in shown)
    positions, directions, carrying = scattered(layout, rng), [], []
    for active, direction, carried in zip(
        layout.agent_active, layout.agent_dir, layout.agent_carrying, strict=True
    ):
        directions.append(int(rng.integers(4)) if active else direction)
        takes = active and shown & set("DKOB") and rng.random() < 0.5
        thing = rng.choice(["key", "key", "ball", "box"])
        carrying.append(f"{any_color(rng)} {thing}" if takes else carried)
    return replace(
        layout,
        agent_pos=positions,
        agent_dir=directions,
        agent_carrying=carrying,
        agent_prestige=rng.exponential(2.0, size=count).tolist(),
        agent_last_tile=[int(rng.integers(cycle)) if cycle else None for _ in range(count)],
        step=int(rng.integers(layout.step + 1)) if all(layout.agent_active) else layout.step,
        details=repainted(layout.details, positions, rng),
    )


def any_color(rng):
    """Yellow half of the time, so that some keys fit some doors."""
    return "yellow" if rng.random() < 0.5 else str(rng.choice(list(COLORS)))


def scattered(layout, rng):
    """Positions with half of the agents in play moved to cells that nobody stands on."""
    free = [
        (row, col)
        for row, line in enumerate(layout.cells)
        for col, char in enumerate(line)
        if (char in ".GL" or char.isdigit() or "open door" in layout.details.get((row, col), ""))
        and (row, col) not in layout.agent_pos
    ]
    rng.shuffle(free)
    return [
        tuple(free.pop()) if active and free and rng.random() < 0.5 else pos
        for pos, active in zip(layout.agent_pos, layout.agent_active, strict=True)
    ]


def repainted(details, positions, rng):
    """Things in every colour and doors in every state, but open where an agent stands."""
    new = {}
    for pos, words in details.items():
        *_, state, kind = words.split()
        if kind == "door":
            state = "open" if pos in positions else rng.choice(["open", "closed", "locked"])
            new[pos] = f"{any_color(rng)} {state} door"
        else:
            new[pos] = f"{any_color(rng)} {kind}"
    return new


@pytest.mark.parametrize("game", list(GAMES))
def test_core_agrees_with_reference(game, reference_steps):
    share = -(-reference_steps // len(GAMES))
    compare(scenarios(game), play, share, STEPS_PER_SCENARIO)


@pytest.mark.parametrize("ghosts", [False, True])
@pytest.mark.parametrize(("num_agents", "view_size"), [(13, 7), (40, 9), (25, 5)])
def test_crowds_agree_with_reference(num_agents, view_size, ghosts):
    """More agents than are looked for in pairs, some of them upon each other."""
    options = {
        **{"num_agents": num_agents, "view_size": view_size, "ghost_mode": ghosts},
        **{"grid_size": 11, "num_clutter": 4, "num_goals": 3, "color": "prestige"},
        **{"spawn_delay": [i % 3 for i in range(num_agents)], "max_steps": 40},
    }
    for obs_mode in ("rgb", "tiles") if view_size == 7 else ("rgb",):
        play(Scenario("GoalCycle-v0", options, 1, 1, obs_mode, 3, num_agents, 0.3, 7))
