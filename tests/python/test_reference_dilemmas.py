"""The core against the slow reference over random social dilemmas, options and play.

A failure means that core and reference disagree about a rule, a pixel or a random draw; the
scenario printed by hypothesis repeats it. The long run:
`python -m pytest tests/python/test_reference_dilemmas.py --reference-steps=100000`
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import strategies as st
from tests.python.scenarios import compare, of_the_batch, of_the_streams
from tests.reference.agreement import Pair
from tests.reference.dilemmas import GAMES
from tests.reference.dilemmas.config import BOXES
from tests.reference.dilemmas.games import SOLID

STEPS_PER_SCENARIO = 30  # summed over the environments of the batch
MAP_CHARS = {
    "Cleanup-v0": (" PBBHHRRS@", "      BBRRRRH", "@@PB HR"),
    "Harvest-v0": ("  PAA@", "     AAA", "AAAAAAAP "),
    "Switch-v0": ("     Ps@D", "     sDD", "  DDDDDD"),
    **dict.fromkeys(BOXES, ("   PA@", "    A##", "A  @")),
}
NEEDED = {"Switch-v0": "sD", **dict.fromkeys(BOXES, "PT#")}
# Pairs of things that take each other's place in the course of a game.
CHANGES = {
    "Cleanup-v0": {"B": " A", "H": "HR", "R": "HR"},
    "Harvest-v0": {"A": " A"},
    "Switch-v0": {"s": "sS"},
    "BoxTrapped-v0": {},
    "BoxTrapped-v1": {},
}


@dataclass
class Scenario:
    game: str
    options: dict
    num_envs: int
    num_threads: int
    obs_mode: str
    seeds: list  # for the reset after the first: an int, one per environment, or None
    play_seed: int  # of the actions, not of the environments
    eagerness: float  # the share of actions that are steps ahead, beams or what a game has instead
    layout_every: int  # so many steps a layout of our own is set in one environment


@st.composite
def scenarios(draw, game):
    num_agents = 2 if game in BOXES else draw(st.integers(1, 12))
    options = {
        "num_agents": num_agents,
        "max_steps": draw(st.sampled_from([12, 25, 5, 40, 2, 1, 1000])),
        "view_rotation": draw(st.sampled_from(["egocentric", "public"])),
        **draw(view_options(num_agents)),
        **draw(game_options(game)),
    }
    # Now and then leave options out, so that the defaults are compared too.
    optional = sorted(set(options) - {"num_agents", "depletion_threshold"})
    for key in draw(st.sets(st.sampled_from(optional), max_size=3)):
        del options[key]
    if draw(st.integers(0, 3)):
        options["map"] = draw(user_maps(game, num_agents))

    return Scenario(
        game=game,
        options={**options, **of_the_streams(draw)},
        obs_mode=draw(st.sampled_from(["rgb", "rgb", "tiles"])),
        eagerness=draw(st.sampled_from([0.0, 0.5, 0.8])),
        **of_the_batch(draw, 3),
    )


@st.composite
def view_options(draw, num_agents):
    view_size = draw(st.sampled_from([3, 5, 7, 15, 15] + [31] * (num_agents <= 2)))
    tile_sizes = [1, 1, 1, 2, 3, 8, 13, 33, 64]
    return {
        "view_size": view_size,
        "tile_size": draw(st.sampled_from([t for t in tile_sizes if t * view_size <= 96])),
    }


@st.composite
def game_options(draw, game):
    chances = st.sampled_from([0.0, 1.0, 0.5, 0.05, 0.005]) | st.floats(0, 1)
    beams = {
        "show_beams": draw(st.booleans()),
        "fire_cost": draw(st.sampled_from([1.0, 0.0, 0.25])),
        "hit_penalty": draw(st.sampled_from([50.0, 0.0, 2.5])),
    }
    if game == "Harvest-v0":
        return {
            **beams,
            "apple_spawn_probabilities": draw(st.lists(chances, min_size=4, max_size=4)),
            "neighbourhood": draw(st.sampled_from(["public", "paper"])),
        }
    if game == "BoxTrapped-v1":
        return {
            "opening": draw(st.sampled_from(["first", "last"])),
            "held": draw(st.booleans()),
            "push_cost": draw(st.sampled_from([0.1, 0.0, 2.5])),
        }
    if game == "Cleanup-v0":
        high = draw(st.sampled_from([0.4, 0.6, 0.9, 1.0, 0.05]))
        return {
            **beams,
            "apple_spawn_probability": draw(chances),
            "waste_spawn_probability": draw(chances),
            "depletion_threshold": high,
            "restoration_threshold": draw(st.sampled_from([0.0, 0.25, 0.75])) * high,
        }
    return {}


@st.composite
def user_maps(draw, game, num_agents):
    rows, cols = draw(st.integers(3, 9)), draw(st.integers(5, 9))
    chars = st.sampled_from(draw(st.sampled_from(MAP_CHARS[game])))
    inside = draw(st.lists(chars, min_size=rows * cols, max_size=rows * cols))
    # What the game needs and room for every agent go over the first cells, shuffled into the rest.
    points = draw(st.integers(0, num_agents))
    needed = NEEDED.get(game, "") + "P" * points + " " * (num_agents - points)
    inside[: len(needed)] = list(needed)
    inside = draw(st.permutations(inside))
    text = ["".join(inside[row * cols : (row + 1) * cols]) for row in range(rows)]
    if game == "BoxTrapped-v1":
        text = enclosed(text, draw)
    edge = "@" * (len(text[0]) + 2)
    framed = [edge, *(f"@{line}@" for line in text), edge]
    return framed if draw(st.booleans()) else text


def enclosed(text, draw):
    """The map with its trap walled in; a wall of the box is on one side at least."""
    lines = [["@", *line, "@"] for line in ["@" * len(text[0]), *text, "@" * len(text[0])]]
    ((row, col),) = ((row, line.index("T")) for row, line in enumerate(lines) if "T" in line)
    sides = [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
    walls = draw(st.permutations("#" + draw(st.sampled_from(["###", "##@", "#@@", "@@@"]))))
    for (r, c), wall in zip(sides, walls, strict=True):
        lines[r][c] = wall
    if not any("P" in line for line in lines):  # a wall has taken its place
        lines.append(["P"] * len(lines[0]))
    return ["".join(line) for line in lines]


def play(scenario):
    """Run one scenario through core and reference; return the environment steps compared."""
    pair = Pair(
        scenario.game,
        num_envs=scenario.num_envs,
        num_threads=scenario.num_threads,
        obs_mode=scenario.obs_mode,
        **scenario.options,
    )
    rng = np.random.default_rng(scenario.play_seed)
    steps = -(-STEPS_PER_SCENARIO // scenario.num_envs)
    pair.reset()
    pair.compare_layouts()
    for t in range(steps):
        if t == steps // 2:
            pair.reset(seed=scenario.seeds)
        if t % scenario.layout_every == scenario.layout_every - 1:
            e = int(rng.integers(scenario.num_envs))
            pair.set_layout(e, altered(pair.reference, e, rng))
        pair.step(choose_actions(pair.reference, scenario.eagerness, rng))
        pair.compare_layouts()
        if t % 10 == 0:
            pair.compare_renders(tile_size=int(rng.integers(1, 9)))
    pair.close()
    return steps * scenario.num_envs


def choose_actions(env, eagerness, rng):
    """int32 [E, A]: random, with a liking for steps ahead and for what the game adds to moving."""
    shape = (env.num_envs, env.num_agents)
    counts = np.array(env.action_counts)
    anything = rng.integers(counts, size=shape)
    special = rng.integers(np.minimum(7, counts - 1), counts, size=shape)
    eager = np.where(rng.random(shape) < 0.5, 2, special)
    return np.where(rng.random(shape) < eagerness, eager, anything).astype(np.int32)


def altered(env, e, rng):
    """A state that play might not have reached from here: places, headings and what grows."""
    layout = env.get_layout(e)
    base = env.worlds_[e].base
    changes = CHANGES[env.config.game]
    cells = [
        "".join(
            rng.choice(list(changes[char])) if char in changes and rng.random() < 0.3 else now
            for char, now in zip(*lines, strict=True)
        )
        for lines in zip(base, layout.cells, strict=True)
    ]
    if env.config.game == "Switch-v0":
        if rng.random() < 0.7:
            cells = [line.replace("s", "S") for line in cells]
        closed = "s" in "".join(cells)
        cells = [line.translate(str.maketrans("DO", "DD" if closed else "OO")) for line in cells]
    agent_pos = layout.agent_pos
    # A wall of the box may be missing only near an agent.
    pairs = zip("".join(base), "".join(cells), strict=True)
    walls = {now for char, now in pairs if char == "#"}
    if len(walls) < 2:
        agent_pos = scattered(layout, cells, SOLID[env.config.game] + "O", rng)
    return replace(
        layout,
        cells=cells,
        agent_pos=agent_pos,
        agent_dir=[int(rng.integers(4)) for _ in layout.agent_dir],
        step=int(rng.integers(layout.step + 1)),
    )


def scattered(layout, cells, forbidden, rng):
    """Positions with half of the agents in play moved to cells that nobody stands on."""
    free = [
        (row, col)
        for row, line in enumerate(cells)
        for col, char in enumerate(line)
        if char not in forbidden and (row, col) not in layout.agent_pos
    ]
    rng.shuffle(free)
    return [
        tuple(free.pop()) if active and free and rng.random() < 0.5 else pos
        for pos, active in zip(layout.agent_pos, layout.agent_active, strict=True)
    ]


@pytest.mark.parametrize("game", list(GAMES))
def test_core_agrees_with_reference(game, reference_steps):
    share = -(-reference_steps // len(GAMES))
    compare(scenarios(game), play, share, STEPS_PER_SCENARIO)
