"""Chance in the social dilemmas: growth, contended cells, the order of beams, and spawning.

Everything is seeded, so a failure repeats: some frequency lies outside its 99.9% bounds.
"""

import math
from collections import Counter
from dataclasses import replace
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from tests.python.test_golden import needs_golden, read_golden
from tests.reference.dilemmas.config import CLEANUP_MAP, HARVEST_MAP

import socialgrid

BOUND = NormalDist().inv_cdf(1 - 0.001 / 2)  # standard deviations that hold 99.9%
UPPER_BOUND = NormalDist().inv_cdf(1 - 0.001)
AHEAD, STAY, TURN_CLOCKWISE, FIRE, CLEAN = 2, 4, 5, 7, 8
STEPS_OF_DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
NOTHING_GROWS = {
    "Harvest-v0": {"apple_spawn_probabilities": [0.0] * 4},
    "Cleanup-v0": {"apple_spawn_probability": 0.0, "waste_spawn_probability": 0.0},
}
HARVEST_PROBABILITIES = (0.0, 0.005, 0.02, 0.05)
# Recorded of the public Cleanup: so many steps for each row, each with so many empty apple cells.
RECORDED_STEPS, RECORDED_PLACES = 400, 103


def make(game, num_envs, seed, **options):
    return socialgrid.make_vec(
        game, num_envs=num_envs, num_threads=1, seed=seed, view_size=3, **options
    )


def assert_frequency(count, tried, probability, what):
    """`count` of `tried` lies within the 99.9% bounds of `probability`."""
    spread = math.sqrt(tried * probability * (1 - probability))
    assert abs(count - tried * probability) <= BOUND * spread + 0.5, (
        f"{what}: {count} of {tried}, expected {tried * probability:.1f} "
        f"within {BOUND * spread:.1f}"
    )


def assert_uniform(counts, what):
    """Pearson's chi-squared test at 99.9%, with Wilson and Hilferty's bound (1931)."""
    counts = np.asarray(counts)
    assert counts.mean() >= 10, f"{what}: too few for the test"
    statistic = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    freedom = len(counts) - 1
    shrink = 2 / (9 * freedom)
    bound = freedom * (1 - shrink + UPPER_BOUND * math.sqrt(shrink)) ** 3
    assert statistic <= bound, f"{what}: {counts.tolist()}, chi-squared {statistic:.1f}"


def grid(lines):
    """[rows, cols] of characters."""
    return np.array([list(line) for line in lines])


def characters(env):
    """[E, rows, cols] of layout characters."""
    return env.worlds(["cells"])["cells"].view("S1")


def occupied(env):
    """bool [E, rows, cols]: where agents stand."""
    pos = env.worlds(["agent_pos"])["agent_pos"]
    taken = np.zeros(characters(env).shape, dtype=bool)
    taken[np.arange(env.num_envs)[:, None], pos[..., 0], pos[..., 1]] = True
    return taken


def stay(env):
    env.step(np.full((env.num_envs, env.num_agents), STAY, dtype=np.int32))


# --- growth --------------------------------------------------------------------------------------


def apples_near(apples, reach):
    """int [E, rows, cols]: apples at most sqrt(reach) away, the cell itself left out."""
    padded = np.pad(apples, ((0, 0), (2, 2), (2, 2))).astype(int)
    rows, cols = apples.shape[1:]
    offsets = [(r, c) for r in range(-2, 3) for c in range(-2, 3) if 0 < r * r + c * c <= reach]
    return sum(padded[:, 2 + r : 2 + r + rows, 2 + c : 2 + c + cols] for r, c in offsets)


@cache
def harvest_growth(neighbourhood):
    """Empty apple places by the number of apples near them, and how many of them grew."""
    reach = {"public": 2, "paper": 4}[neighbourhood]
    env = make("Harvest-v0", num_envs=64, seed=31, num_agents=1, neighbourhood=neighbourhood)
    env.reset()
    rng = np.random.default_rng(31)
    places = grid(HARVEST_MAP) == "A"
    for e in range(env.num_envs):  # from nearly full to nearly bare
        layout = env.get_layout(e)
        eaten = places & (rng.random(places.shape) < (e + 1) / (env.num_envs + 1))
        cells = np.where(eaten, " ", grid(layout.cells))
        env.set_layout(e, replace(layout, cells=["".join(line) for line in cells]))
    tried, grew = np.zeros(13, dtype=int), np.zeros(13, dtype=int)
    for _ in range(60):
        before = characters(env) == b"A"
        candidates = places & ~before & ~occupied(env)
        stay(env)
        near = apples_near(before, reach)
        new = (characters(env) == b"A") & ~before
        assert not (new & ~candidates).any()
        tried += np.bincount(near[candidates], minlength=13)
        grew += np.bincount(near[new], minlength=13)
    return tried, grew


@pytest.mark.parametrize("neighbourhood", ["public", "paper"])
def test_harvest_apples_grow_as_often_as_their_neighbours_say(neighbourhood):
    tried, grew = harvest_growth(neighbourhood)
    assert (tried[:6] > 1000).all()
    for near, probability in enumerate([*HARVEST_PROBABILITIES, *[HARVEST_PROBABILITIES[3]] * 9]):
        what = f"{near} apples near, {neighbourhood}"
        assert_frequency(grew[near], tried[near], probability, what)


@needs_golden
def test_harvest_apples_grow_as_often_as_in_the_public_game():
    tried, grew = harvest_growth("public")
    recorded, _ = read_golden("growth_statistics")
    for near, (their_tries, theirs) in enumerate(
        zip(recorded["harvest_tried"], recorded["harvest_grew"], strict=True)
    ):
        if their_tries == 0:
            continue
        common = (grew[near] + theirs) / (tried[near] + their_tries)
        spread = math.sqrt(common * (1 - common) * (1 / tried[near] + 1 / their_tries))
        difference = grew[near] / tried[near] - theirs / their_tries
        assert abs(difference) <= BOUND * spread, f"{near} apples near"


@cache
def cleanup_growth():
    """By the number of waste cells: empty apple places, how many grew, steps, new waste cells."""
    clean = [line.replace("H", "R") for line in CLEANUP_MAP]
    env = make("Cleanup-v0", num_envs=256, seed=7, num_agents=1, map=clean)
    places = grid(CLEANUP_MAP) == "B"
    table = np.zeros((120, 4), dtype=int)

    def count(before, after, here):
        waste = (before == b"H").sum(axis=(1, 2))
        candidates = (places & (before != b"A") & ~here).sum(axis=(1, 2))
        apples = ((after == b"A") & (before != b"A")).sum(axis=(1, 2))
        new_waste = ((after == b"H") & (before != b"H")).sum(axis=(1, 2))
        assert new_waste.max() <= 1
        steps = np.ones(env.num_envs, dtype=int)
        np.add.at(table, waste, np.stack([candidates, apples, steps, new_waste], axis=1))

    env.reset()  # growth runs once
    bare = np.broadcast_to(grid(clean).astype("S1"), characters(env).shape)
    count(bare, characters(env), occupied(env))
    for _ in range(60):
        before, here = characters(env), occupied(env)
        stay(env)
        count(before, characters(env), here)
    return table


def cleanup_apple_probability(waste):
    return 0.05 * max(0.0, 1 - waste / 119 / 0.4)


def test_cleanup_apples_grow_as_often_as_the_waste_lets_them():
    for waste in range(49):
        tried, grew, *_ = cleanup_growth()[waste]
        assert tried > 5_000
        assert_frequency(grew, tried, cleanup_apple_probability(waste), f"{waste} waste cells")


def test_waste_grows_nearly_every_step_below_the_threshold_and_never_above():
    _, _, steps, new = cleanup_growth().T
    assert (new[:48] == steps[:48]).all()  # 1 - 0.5 ** 71 at least
    assert steps[48] > 0
    assert new[48] == 0
    assert (steps[49:] == 0).all()


@pytest.mark.parametrize(
    ("waste", "share"), [(0, 1.0), (2, 1.0), (3, 1.0), (4, 0.75), (6, 0.25), (7, 0.0), (9, 0.0)]
)
def test_apples_slow_down_from_the_restoration_to_the_depletion_threshold(waste, share):
    env = make(
        "Cleanup-v0",
        num_envs=2048,
        seed=waste,
        num_agents=1,
        map=["H" * waste + "R" * (10 - waste), "PBBBBBBBBB"],
        apple_spawn_probability=0.2,
        waste_spawn_probability=0.0,
        restoration_threshold=0.3,
        depletion_threshold=0.7,
    )
    env.reset()  # growth runs once
    apples = (characters(env) == b"A").sum()
    assert_frequency(apples, 9 * env.num_envs, 0.2 * share, f"{waste} of 10 cells are waste")


@needs_golden
def test_cleanup_grows_as_often_as_in_the_public_game():
    recorded, _ = read_golden("growth_statistics")
    for waste, possible, share, new_waste in recorded["cleanup"]:
        assert possible == 119
        their_tries = RECORDED_STEPS * RECORDED_PLACES
        theirs = share * their_tries
        assert abs(theirs - round(theirs)) < 1e-6  # so many places and steps they were
        tried, grew, steps, new = cleanup_growth()[int(waste)]
        assert new_waste == (waste < 48)
        if waste <= 48:
            common = (grew + theirs) / (tried + their_tries)
            spread = math.sqrt(common * (1 - common) * (1 / tried + 1 / their_tries))
            assert abs(grew / tried - share) <= BOUND * spread, f"{waste} waste cells"
            assert (new == steps) == (waste < 48)
        else:
            assert share == 0


@pytest.mark.parametrize("probability", [0.005, 0.05, 0.5])
def test_new_waste_is_as_likely_as_one_success_among_all_and_anywhere(probability):
    places = 12
    env = make(
        "Cleanup-v0",
        num_envs=4096,
        seed=3,
        num_agents=1,
        map=["P" + "R" * places],
        waste_spawn_probability=probability,
    )
    env.reset()  # growth runs once
    waste = characters(env)[:, 0] == b"H"
    assert (waste.sum(axis=1) <= 1).all()
    expected = 1 - (1 - probability) ** places
    assert_frequency(waste.sum(), env.num_envs, expected, "new waste")
    assert_uniform(waste.sum(axis=0)[1:], "place of the new waste")


# --- contended cells -----------------------------------------------------------------------------


def towards(env, goals):
    """int32 [E, A]: the move that leads each agent to the neighbouring cell `goals` [A or 1, 2]."""
    state = env.worlds(["agent_pos", "agent_dir"])
    way = np.asarray(goals) - state["agent_pos"]
    heading = (way[..., None, :] == STEPS_OF_DIRECTIONS).all(-1).argmax(-1)
    side = (heading - state["agent_dir"]) % 4
    return np.array([2, 1, 3, 0], dtype=np.int32)[side]  # ahead, right, back, left


@pytest.mark.parametrize("contenders", [2, 3, 4])
def test_a_contended_cell_goes_to_each_equally_often(contenders):
    env = make(
        "Harvest-v0",
        num_envs=4096,
        seed=contenders,
        num_agents=contenders,
        map=["@@P@@", "@P P@", "@@P@@"],
        **NOTHING_GROWS["Harvest-v0"],
    )
    env.reset()
    env.step(towards(env, (1, 2)))
    pos = env.worlds(["agent_pos"])["agent_pos"]
    won = (pos == (1, 2)).all(-1)
    assert (won.sum(axis=1) == 1).all()
    assert_uniform(won.sum(axis=0), f"winner of {contenders}")


def test_cells_are_contended_for_independently():
    """Two pairs, each with a cell of its own."""
    env = make(
        "Harvest-v0",
        num_envs=4096,
        seed=8,
        num_agents=4,
        map=["P P@P P"],
        **NOTHING_GROWS["Harvest-v0"],
    )
    env.reset()
    state = env.worlds(["agent_pos"])["agent_pos"]
    goals = np.where(state[..., 1:] < 3, (0, 1), (0, 5))
    env.step(towards(env, goals))
    pos = env.worlds(["agent_pos"])["agent_pos"][..., 1]
    assert (((pos == 1).sum(axis=1) == 1) & ((pos == 5).sum(axis=1) == 1)).all()
    from_left = np.stack(
        [((state[..., 1] == start) & (pos == goal)).any(axis=1) for start, goal in ((0, 1), (4, 5))]
    )
    assert_uniform(np.bincount(from_left[0] * 2 + from_left[1], minlength=4), "both winners")


# --- beams ---------------------------------------------------------------------------------------


def face(env, goals):
    """Turn everybody towards its neighbouring cell `goals`."""
    for _ in range(3):
        ahead = towards(env, goals) == AHEAD
        env.step(np.where(ahead, STAY, TURN_CLOCKWISE).astype(np.int32))


@pytest.mark.parametrize("cleaners", [2, 3, 4])
def test_each_cleaner_is_first_at_the_waste_equally_often(cleaners):
    env = make(
        "Cleanup-v0",
        num_envs=4096,
        seed=20 + cleaners,
        num_agents=cleaners,
        map=["@@P@@", "@PHP@", "@@P@@"],
        **NOTHING_GROWS["Cleanup-v0"],
    )
    env.reset()
    face(env, (1, 2))
    shape = (env.num_envs, cleaners)
    *_, info = env.step(np.full(shape, CLEAN, dtype=np.int32))
    cleaned = info["events"][:, :, env.event_names.index("cleaned")]
    assert (cleaned.sum(axis=1) == 1).all()
    assert_uniform(cleaned.sum(axis=0, dtype=int), f"first of {cleaners}")


def test_the_later_of_two_beams_is_drawn_over_the_other_equally_often():
    env = make(
        "Cleanup-v0",
        num_envs=4096,
        seed=5,
        num_agents=2,
        map=["@@P@@", "@P @@", "@@@@@"],
        **NOTHING_GROWS["Cleanup-v0"],
    )
    env.reset()
    face(env, (1, 2))
    actions = np.broadcast_to(np.array([FIRE, CLEAN], dtype=np.int32), (env.num_envs, 2))
    obs, *_ = env.step(actions)
    ahead = obs[:, 0, 0, 1]  # the cell before the shooter
    fire_above = (ahead == (255, 255, 0)).all(-1)
    assert (fire_above | (ahead == (100, 255, 255)).all(-1)).all()
    assert_uniform([fire_above.sum(), (~fire_above).sum()], "which beam lies above")


# --- spawning ------------------------------------------------------------------------------------


def test_agents_start_on_distinct_spawn_points_each_as_likely_as_any_other():
    env = make("Harvest-v0", num_envs=4096, seed=17, num_agents=5)
    env.reset()
    points = set(map(tuple, np.argwhere(grid(HARVEST_MAP) == "P").tolist()))
    pos = env.worlds(["agent_pos"])["agent_pos"]
    for places in pos[:200].tolist():
        assert len({tuple(place) for place in places}) == 5
    for agent in range(5):
        starts = Counter(map(tuple, pos[:, agent].tolist()))
        assert set(starts) == points
        assert_uniform(list(starts.values()), f"start of agent {agent}")


def test_start_of_one_agent_says_nothing_of_the_order_of_the_next():
    env = make(
        "Harvest-v0",
        num_envs=4096,
        seed=18,
        num_agents=2,
        map=["PPPP"],
        **NOTHING_GROWS["Harvest-v0"],
    )
    env.reset()
    pos = env.worlds(["agent_pos"])["agent_pos"][..., 1]
    pairs = Counter(map(tuple, pos.tolist()))
    assert len(pairs) == 12  # ordered pairs of different points
    assert_uniform(list(pairs.values()), "pairs of starts")


def test_agents_without_a_spawn_point_left_start_on_bare_ground():
    env = make(
        "Harvest-v0",
        num_envs=4096,
        seed=19,
        num_agents=4,
        map=["PP@  A ", "@@@@@@@"],
        **NOTHING_GROWS["Harvest-v0"],
    )
    env.reset()
    cols = env.worlds(["agent_pos"])["agent_pos"][..., 1]
    assert (np.sort(cols[:, :2], axis=1) == [0, 1]).all()
    pairs = Counter(map(tuple, cols[:, 2:].tolist()))
    assert set(pairs) == {(a, b) for a in (3, 4, 6) for b in (3, 4, 6) if a != b}
    assert_uniform(list(pairs.values()), "pairs of fallen-back starts")


@pytest.mark.parametrize("game", ["Cleanup-v0", "Harvest-v0", "Switch-v0", "BoxTrapped-v1"])
def test_agents_face_every_direction_equally_often(game):
    agents = {"BoxTrapped-v1": {}, "Switch-v0": {"num_agents": 2}}.get(game, {"num_agents": 5})
    env = make(game, num_envs=4096, seed=23, **agents)
    env.reset()
    directions = env.worlds(["agent_dir"])["agent_dir"]
    for agent in range(env.num_agents):
        counts = np.bincount(directions[:, agent], minlength=4)
        assert_uniform(counts, f"direction of agent {agent}")
