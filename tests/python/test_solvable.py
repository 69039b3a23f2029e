"""With `solvable`, every agent can reach what it is there for, and nothing else is different."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import socialgrid

TARGETS = b"G0123456789"
WORLDS = 2000


def around(cells):
    """bool [N, H, W]: cells beside those that are marked."""
    framed = np.pad(cells, ((0, 0), (1, 1), (1, 1)))
    return framed[:, 2:, 1:-1] | framed[:, :-2, 1:-1] | framed[:, 1:-1, 2:] | framed[:, 1:-1, :-2]


def lost(cells, pos):
    """bool [N]: something to be entered cannot be, from pos [N, 2], over whatever is no wall."""
    free = cells != ord("#")
    start = np.zeros_like(free)
    start[np.arange(len(cells)), pos[:, 0], pos[:, 1]] = True
    entered = around(start) & free
    while (grown := entered | (around(entered) & free)).sum() > entered.sum():
        entered = grown
    return (np.isin(cells, list(TARGETS)) & ~entered).any(axis=(1, 2))


def lost_worlds(env):
    """bool [E]: some agent in play has something out of reach."""
    world = env.worlds(["cells", "agent_pos", "agent_active"])
    found = np.zeros(env.num_envs, bool)
    for agent in range(env.num_agents):
        rows = np.flatnonzero(world["agent_active"][:, agent])
        found[rows] |= lost(world["cells"][rows], world["agent_pos"][rows, agent])
    return found


# Options with which worlds often are not solvable.
HARD = {
    "Cluttered-v0": {"clutter_density": 0.3, "randomize_goal": True, "grid_size": 9},
    "GoalCycle-v0": {"clutter_density": 0.25, "num_goals": 4, "grid_size": 9},
    "FourRooms-v0": {"clutter_density": 0.2, "grid_size": [9, 13]},
}


@pytest.mark.parametrize("agents", [{"num_agents": 1}, {"num_agents": 3, "ghost_mode": False}])
@pytest.mark.parametrize("game", [*HARD, "Empty-v0", "Maze-v0"])
@pytest.mark.parametrize("hard", [False, True])
def test_every_agent_can_reach_all_it_has_to(game, agents, hard):
    options = {**agents, **(HARD.get(game, {}) if hard else {})}
    env = socialgrid.make_vec(game, num_envs=WORLDS, solvable=True, **options)
    plain = socialgrid.make_vec(game, num_envs=WORLDS, **options)
    env.reset(seed=7)
    plain.reset(seed=7)
    assert not lost_worlds(env).any()
    bad = lost_worlds(plain)
    assert not hard or game not in HARD or bad.mean() > 0.05
    # A world that was solvable is the same.
    other = plain.worlds(["cells", "agent_pos", "agent_dir"])
    for name, array in env.worlds(list(other)).items():
        np.testing.assert_array_equal(array[~bad], other[name][~bad])


@pytest.mark.parametrize("game", HARD)
def test_late_and_returning_agents_enter_where_they_can_reach_it(game):
    options = {"num_agents": 3, "spawn_delay": [0, 3, 9], "respawn": True, "max_steps": 40}
    env = socialgrid.make_vec(game, num_envs=200, solvable=True, **options, **HARD[game])
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    for step in range(60):
        forward = rng.random((200, 3)) < 0.6
        env.step(np.where(forward, 2, rng.integers(0, 7, (200, 3))))
        if step % 4 == 3:
            assert not lost_worlds(env).any()


def test_worlds_are_those_of_the_game_given_that_they_are_solvable():
    # Few enough to count: 2 x 3 cells inside, the goal in a corner, two walls, one agent.
    options = {"grid_size": [4, 5], "num_clutter": 2}
    worlds = []
    for solvable in (False, True):
        env = socialgrid.make_vec("Cluttered-v0", num_envs=20_000, solvable=solvable, **options)
        env.reset(seed=int(solvable))
        world = env.worlds(["cells", "agent_pos", "agent_dir"])
        told = np.concatenate([array.reshape(20_000, -1) for array in world.values()], axis=1)
        worlds.append(Counter(row.tobytes() for row in told[~lost_worlds(env)]))
    plain, solvable = worlds
    assert set(plain) == set(solvable)
    # The game draws walls and then a start, so all of its worlds are equally probable.
    counts = np.array(list(solvable.values()))
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    freedom = len(counts) - 1
    assert freedom > 50
    assert abs(chi2 - freedom) < 4 * np.sqrt(2 * freedom)


def test_doors_open_to_who_can_fetch_their_key():
    env = socialgrid.make_vec("DoorKey-v0", num_envs=300, num_agents=2, solvable=True)
    plain = socialgrid.make_vec("DoorKey-v0", num_envs=300, num_agents=2)
    np.testing.assert_array_equal(env.reset(seed=3)[0], plain.reset(seed=3)[0])


def starts_on(rows, game="Empty-v0", num_envs=200, **options):
    """Where agents start on a map of one's own."""
    env = socialgrid.make_vec(game, num_envs=num_envs, map=rows, solvable=True, **options)
    env.reset(seed=0)
    return {tuple(pos) for pos in env.worlds(["agent_pos"])["agent_pos"].reshape(-1, 2).tolist()}


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        (["#####", "#.#.#", "#.#G#", "#####"], {(1, 3), (2, 3)}),
        (["#######", "#.L.LG#", "#######"], None),  # nobody walks over lava
        (["#######", "#.KD.G#", "#######"], {(1, 1), (1, 4), (1, 5)}),
        (["########", "#.D.K.G#", "########"], {(1, 3), (1, 5), (1, 6)}),
        (["#######", "#.B.OG#", "#######"], {(1, 1), (1, 3), (1, 5)}),
        (["#######", "#G#.#P#", "#######"], None),
        (["######", "#G#PG#", "#P##.#", "######"], {(1, 3), (2, 1)}),
        (["####", "#P.#", "#..#", "####"], {(1, 1)}),  # nothing to reach
    ],
)
def test_on_an_own_map_agents_start_where_all_can_be_reached(rows, right):
    if right is None:
        with pytest.raises(socialgrid.ConfigError, match="solvable"):
            starts_on(rows)
    else:
        assert starts_on(rows, num_agents=3) == right


def test_all_tiles_of_a_cycle_have_to_be_reached():
    rows = ["#######", "#0.1.2#", "#.....#", "#######", "#..#..#", "#######"]
    assert {row for row, _ in starts_on(rows, "GoalCycle-v0")} == {1, 2}
    with pytest.raises(socialgrid.ConfigError, match="solvable"):
        starts_on(["#######", "#0..#1#", "#######"], "GoalCycle-v0")
    with pytest.raises(socialgrid.ConfigError, match="solvable"):
        starts_on(["###", "#0#", "###"], "GoalCycle-v0")


@pytest.mark.parametrize(
    "options",
    [
        {"grid_size": 13, "clutter_density": 0.75},
        {"grid_size": 9, "num_clutter": 44, "num_agents": 4},
    ],
)
def test_what_is_hardly_ever_solvable_is_refused_at_once(options):
    socialgrid.make_vec("GoalCycle-v0", **options)
    with pytest.raises(socialgrid.ConfigError, match=r"solvable.* of 256 worlds"):
        socialgrid.make_vec("GoalCycle-v0", solvable=True, **options)


def test_a_layout_is_anybodys():
    env = socialgrid.make_vec("Empty-v0", num_envs=1, grid_size=5, solvable=True)
    env.reset()
    cells = ["#####", "#.#.#", "#.#.#", "#.#G#", "#####"]
    env.set_layout(0, replace(env.get_layout(0), cells=cells, agent_pos=[(1, 1)]))
    assert lost_worlds(env).all()
