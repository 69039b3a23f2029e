"""The core against the slow reference in Peer Learning's rooms, and both against the law of goals.

A failure means that core and reference disagree about a rule, a number or a random draw; the
scenario printed by hypothesis repeats it. The long run:
`python -m pytest tests/python/test_reference_rooms.py --reference-steps=100000`
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import strategies as st
from tests.python.scenarios import compare, of_the_batch, of_the_streams
from tests.reference.agreement import Pair
from tests.reference.env import ReferenceEnv
from tests.reference.rooms import GAMES

import socialgrid

STEPS_PER_SCENARIO = 60  # summed over the environments of the batch
LENGTHS = {"Room-v0": [3, 4, 5, 8, 21], "Hallway-v0": [5, 6, 7, 8, 21, 255]}


@dataclass
class Scenario:
    game: str
    options: dict
    num_envs: int
    num_threads: int
    seeds: list  # for the reset after the first: an int, one per environment, or None
    play_seed: int  # of the actions, not of the environments
    eagerness: float  # the share of actions that go towards the goal
    layout_every: int  # so many steps a layout of our own is set in one environment


@st.composite
def scenarios(draw, game):
    options = {
        "length": draw(st.sampled_from(LENGTHS[game])),
        "max_steps": draw(st.sampled_from([12, 25, 5, 40, 2, 1, 1000])),
        "terminate_on_goal": draw(st.booleans()),
    }
    # Now and then leave options out, so that the defaults are compared too.
    for key in draw(st.sets(st.sampled_from(sorted(options)), max_size=2)):
        del options[key]
    return Scenario(
        game=game,
        options={**options, **of_the_streams(draw)},
        eagerness=draw(st.sampled_from([0.0, 0.5, 0.9])),
        **of_the_batch(draw, 5),
    )


def play(scenario):
    """Run one scenario through core and reference; return the environment steps compared."""
    pair = Pair(
        scenario.game,
        num_envs=scenario.num_envs,
        num_threads=scenario.num_threads,
        obs_mode="vector",
        **scenario.options,
    )
    rng = np.random.default_rng(scenario.play_seed)
    steps = -(-STEPS_PER_SCENARIO // scenario.num_envs)
    pair.reset()
    for t in range(steps):
        if t == steps // 2:
            pair.reset(seed=scenario.seeds)
        if t % scenario.layout_every == scenario.layout_every - 1:
            e = int(rng.integers(scenario.num_envs))
            pair.set_layout(e, altered(pair.reference.get_layout(e), rng))
        pair.step(choose_actions(pair.reference, scenario.eagerness, rng))
        pair.compare_layouts()
    pair.close()
    return steps * scenario.num_envs


def choose_actions(env, eagerness, rng):
    """int32 [E, 1]: random, with a liking for the way to the goal and for staying there."""
    actions = rng.integers(env.num_actions, size=(env.num_envs, 1), dtype=np.int32)
    for e, world in enumerate(env.worlds_):
        if rng.random() < eagerness:
            (agent,) = world.agents
            distances = [
                abs(agent.pos[0] + row - world.goal[0]) + abs(agent.pos[1] + col - world.goal[1])
                for row, col in env.config.moves
            ]
            actions[e] = np.argmin(distances)
    return actions


def altered(layout, rng):
    """A state that play might not have reached from here: anywhere, with a goal at any wall."""
    rows, cols = len(layout.cells), len(layout.cells[0])
    row, col = int(rng.integers(rows)), int(rng.integers(cols))
    row, col = [(row, 0), (row, cols - 1), (0, col), (rows - 1, col)][
        rng.integers(4 if rows > 1 else 2)
    ]
    cells = ["." * cols] * rows
    cells[row] = "." * col + "G" + "." * (cols - 1 - col)
    near_goal = rng.random() < 0.3
    pos = (row, col) if near_goal else (int(rng.integers(rows)), int(rng.integers(cols)))
    return replace(layout, cells=cells, agent_pos=[pos], step=int(rng.integers(layout.step + 1)))


@pytest.mark.parametrize("game", list(GAMES))
def test_core_agrees_with_reference(game, reference_steps):
    share = -(-reference_steps // len(GAMES))
    compare(scenarios(game), play, share, STEPS_PER_SCENARIO)


def test_core_agrees_with_reference_in_the_largest_room():
    scenario = Scenario(
        game="Room-v0",
        options={"length": 255, "seed": 1, "max_steps": 20},
        num_envs=3,
        num_threads=2,
        seeds=[5, 6, 7],
        play_seed=2,
        eagerness=0.5,
        layout_every=5,
    )
    assert play(scenario) == STEPS_PER_SCENARIO


def make_core(game, **options):
    return socialgrid.make_vec(game, num_threads=2, **options)


DOWN, UP, RIGHT, LEFT = range(4)


@pytest.mark.parametrize("make", [ReferenceEnv, make_core])
def test_a_walk_through_a_room_by_hand(make):
    env = make("Room-v0", length=5, max_steps=8)
    obs, _ = env.reset()
    np.testing.assert_array_equal(obs[0, 0, :2], 0.5)
    layout = env.get_layout(0)
    env.set_layout(0, replace(layout, cells=[".....", "....G", ".....", ".....", "....."]))
    walk = [
        (UP, (1, 2), False),
        (RIGHT, (1, 3), False),
        (RIGHT, (1, 4), True),
        (RIGHT, (1, 4), True),  # pressing against the wall
        (DOWN, (2, 4), False),
        (UP, (1, 4), True),
        (LEFT, (1, 3), False),
    ]
    for action, pos, paid in walk:
        obs, reward, terminated, truncated, _ = env.step(np.array([[action]]))
        np.testing.assert_array_equal(obs[0, 0], [pos[0] / 4, pos[1] / 4, 0.25, 1])
        assert reward == (1 if paid else np.float32(-0.001))
        assert not terminated
        assert not truncated
    _, reward, terminated, truncated, info = env.step(np.array([[RIGHT]]))
    assert truncated
    assert not terminated
    assert reward == 1
    np.testing.assert_array_equal(info["final_obs"][0, 0], [0.25, 1, 0.25, 1])


@pytest.mark.parametrize("make", [ReferenceEnv, make_core])
def test_a_walk_through_a_hallway_by_hand(make):
    env = make("Hallway-v0", length=9, terminate_on_goal=True)
    obs, _ = env.reset()
    assert obs[0, 0, 0] == 0.25  # two cells before the middle
    env.set_layout(0, replace(env.get_layout(0), cells=["G........"]))
    for action, col in [(0, 3), (1, 2), (1, 1)]:
        obs, reward, terminated, _, _ = env.step(np.array([[action]]))
        np.testing.assert_array_equal(obs[0, 0], [col / 8, 0])
        assert reward == np.float32(-0.001)
        assert not terminated
    _, reward, terminated, truncated, info = env.step(np.array([[1]]))
    np.testing.assert_array_equal(info["final_obs"][0, 0], [0, 0])
    assert reward == 1
    assert terminated
    assert not truncated


def goals(make, game, length, count):
    """Goals int [count, D] of first episodes."""
    obs, _ = make(game, num_envs=count, seed=7, length=length).reset()
    return np.rint(obs[:, 0, obs.shape[2] // 2 :] * (length - 1)).astype(int)


def room_law(length):
    """Probability [L, L] of each goal: two coordinates in [0, L-2], then one put to a wall."""
    law = np.zeros((length, length))
    for other in range(length - 1):
        for wall in (0, length - 1):
            law[wall, other] += 1 / (4 * (length - 1))
            law[other, wall] += 1 / (4 * (length - 1))
    return law


# 99.99 % points of chi-squared distributions, by degrees of freedom.
CHI_SQUARED = {1: 15.14, 14: 42.58, 78: 133.2}


@pytest.mark.parametrize(("make", "count"), [(ReferenceEnv, 3000), (make_core, 100_000)])
@pytest.mark.parametrize("length", [5, 21])
def test_room_goals_follow_their_law(make, count, length):
    law = room_law(length)
    assert law.sum() == pytest.approx(1)
    # The far corner is out of reach, its opposite twice as likely as any other cell at the walls.
    assert law[-1, -1] == 0
    assert law[0, 0] == law[1, 0] + law[0, 1] == 1 / (2 * (length - 1))
    seen = np.zeros_like(law)
    np.add.at(seen, tuple(goals(make, "Room-v0", length, count).T), 1)
    possible = law > 0
    assert not seen[~possible].any()
    expected = count * law[possible]
    statistic = ((seen[possible] - expected) ** 2 / expected).sum()
    assert statistic < CHI_SQUARED[possible.sum() - 1]


@pytest.mark.parametrize(("make", "count"), [(ReferenceEnv, 3000), (make_core, 100_000)])
def test_hallway_goals_are_at_both_ends_equally_often(make, count):
    (ends, seen) = np.unique(goals(make, "Hallway-v0", 9, count), return_counts=True)
    assert ends.tolist() == [0, 8]
    assert ((seen - count / 2) ** 2 / (count / 2)).sum() < CHI_SQUARED[1]


@pytest.mark.parametrize("game", list(GAMES))
def test_all_kinds_of_view_show_the_same_state(game):
    """Pictures are the atlas's, and the tile of a cell is decided by what lies there."""
    batch = {"num_envs": 20, "seed": 3, "length": 7, "max_steps": 30, "tile_size": 5}
    envs = {
        mode: socialgrid.make_vec(game, obs_mode=mode, **batch)
        for mode in ("vector", "rgb", "tiles")
    }
    rows, cols = envs["rgb"].grid_shape
    assert envs["rgb"].obs_shape == (rows * 5, cols * 5, 3)
    assert envs["tiles"].obs_shape == (rows, cols)
    atlas = envs["tiles"].tile_atlas
    assert atlas.shape[1:] == (5, 5, 3)
    views = {mode: env.reset()[0] for mode, env in envs.items()}
    rng = np.random.default_rng(0)
    tile_of = {}
    for _ in range(60):
        tiles = views["tiles"][:, 0]
        pictures = np.moveaxis(atlas[tiles], 2, 3).reshape(20, rows * 5, cols * 5, 3)
        np.testing.assert_array_equal(pictures, views["rgb"][:, 0])
        np.testing.assert_array_equal(envs["vector"].render(0, tile_size=5), pictures[0])
        content = np.zeros_like(tiles)
        whole = np.rint(views["vector"][:, 0] * 6).astype(int)
        for e, numbers in enumerate(whole):
            agent, goal = np.split(numbers, 2)
            content[(e, *agent[-2:]) if rows > 1 else (e, 0, *agent)] += 1
            content[(e, *goal[-2:]) if rows > 1 else (e, 0, *goal)] += 2
        for kind in np.unique(content):
            (tile,) = np.unique(tiles[content == kind])
            assert tile_of.setdefault(int(kind), int(tile)) == tile
        actions = rng.integers(envs["rgb"].num_actions, size=(20, 1), dtype=np.int32)
        views = {mode: env.step(actions)[0] for mode, env in envs.items()}
    # Nothing, the agent, the goal, and both: told apart by number and by picture.
    assert sorted(tile_of) == [0, 1, 2, 3]
    assert len({atlas[tile].tobytes() for tile in tile_of.values()}) == 4
