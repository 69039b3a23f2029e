"""Advisers know the way by what they see alone, and repeat themselves exactly."""

import numpy as np
import pytest
from tests.reference.players.room import walk_towards

from socialgrid.models import TaskSpec
from socialgrid.players import list_advisers, make_adviser
from socialgrid.players.streams import random_words

LENGTH = 9
ROOM = TaskSpec(1, (4,), num_actions=4)
HALLWAY = TaskSpec(1, (2,), num_actions=2)
# What each action does to (row, col).
MOVES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


def border_cells():
    """Every cell at the wall, int [B, 2]."""
    cells = np.stack(np.indices((LENGTH, LENGTH)), axis=-1).reshape(-1, 2)
    return cells[((cells == 0) | (cells == LENGTH - 1)).any(axis=1)]


def seen(position, goal):
    """Observations float32 [M, 2 D] of whole positions and goals [M, D]."""
    return np.concatenate([position, goal], axis=1).astype(np.float32) / np.float32(LENGTH - 1)


def walk(adviser, goals, steps):
    """Positions [steps + 1, M, 2] of walks from the middle that follow the advice."""
    path = [np.full_like(goals, LENGTH // 2)]
    for _ in range(steps):
        moved = path[-1] + MOVES[adviser(seen(path[-1], goals))]
        path.append(np.clip(moved, 0, LENGTH - 1))
    return np.array(path)


def test_kinds_are_listed_by_game():
    assert list_advisers("Room-v0") == ["expert", "adversary", "random"]
    assert list_advisers("Hallway-v0") == ["expert", "random"]
    assert list_advisers("gymnasium:Walker2d-v5") == ["random"]


def test_the_expert_takes_the_shortest_way_and_stays():
    goals = border_cells()
    distance = np.abs(goals - LENGTH // 2).sum(axis=1)
    path = walk(make_adviser("Room-v0", "expert", 3, ROOM), goals, 2 * LENGTH)
    there = (path == goals).all(axis=2)
    steps = np.arange(len(path))[:, None]
    np.testing.assert_array_equal(there, steps >= distance)


def test_the_adversary_goes_to_the_opposite_corner_and_never_meets_the_goal():
    goals = border_cells()
    path = walk(make_adviser("Room-v0", "adversary", 3, ROOM), goals, 2 * LENGTH)
    assert not (path == goals).all(axis=2).any()
    corner = np.where(goals > (LENGTH - 1) / 2, 0, LENGTH - 1)
    distance = np.abs(corner - LENGTH // 2).sum(axis=1)
    steps = np.arange(len(path))[:, None]
    np.testing.assert_array_equal((path == corner).all(axis=2), steps >= distance)


def test_of_two_good_ways_both_are_taken_equally_often():
    adviser = make_adviser("Room-v0", "expert", 0, ROOM)
    position, goal = np.array([[4, 4]]), np.array([[0, 6]])
    actions = adviser(np.repeat(seen(position, goal), 4000, axis=0))
    counts = np.bincount(actions, minlength=4)
    assert counts[[0, 3]].sum() == 0
    # Four standard deviations of 4000 fair coins.
    assert abs(counts[1] - 2000) < 4 * np.sqrt(1000)
    # And from call to call, not only from row to row.
    calls = [int(adviser(seen(position, goal))[0]) for _ in range(200)]
    assert 60 < calls.count(1) < 140
    assert set(calls) == {1, 2}


def test_on_the_goal_the_expert_presses_against_the_wall():
    goals = border_cells()
    actions = make_adviser("Room-v0", "expert", 0, ROOM)(seen(goals, goals))
    pressed = goals + MOVES[actions]
    assert ((pressed < 0) | (pressed >= LENGTH)).any(axis=1).all()


def test_the_hallway_expert_walks_to_its_end():
    adviser = make_adviser("Hallway-v0", "expert", 0, HALLWAY)
    position = np.arange(LENGTH)[:, None]
    right, left = np.full_like(position, LENGTH - 1), np.zeros_like(position)
    np.testing.assert_array_equal(adviser(seen(position, right)), 0)
    np.testing.assert_array_equal(adviser(seen(position, left)), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("kind", ["expert", "adversary"])
def test_advice_is_that_of_its_slow_twin(kind, dtype):
    rng = np.random.default_rng(4)
    for task, game in ((ROOM, "Room-v0"), (HALLWAY, "Hallway-v0")):
        if kind not in list_advisers(game):
            continue
        axes = task.obs_shape[0] // 2
        for call in range(20):
            if call == 0:
                adviser = make_adviser(game, kind, 2**64 - 3, task)
            obs = (rng.integers(0, 21, (300, 2 * axes)) / 20).astype(dtype)
            goal = np.round(obs[:, axes:])
            words = random_words(2**64 - 3, 0x41445649, np.arange(300, dtype=np.uint64), call, 0)
            target = 1 - goal if kind == "adversary" else goal
            obs[:, axes:] = goal
            np.testing.assert_array_equal(
                adviser(obs), walk_towards(obs[:, :axes], target, words), strict=False
            )


def test_random_discrete_advice_is_uniform_whatever_is_seen():
    pixels = TaskSpec(1, (8, 8, 3), "uint8", num_actions=7)
    actions = make_adviser("Maze-v0", "random", 5, pixels)(np.zeros((7000, 8, 8, 3), np.uint8))
    assert actions.dtype == np.int64
    counts = np.bincount(actions, minlength=7)
    assert len(counts) == 7
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000)


def test_random_continuous_advice_fills_the_bounds():
    task = TaskSpec(1, (3,), action_low=(-1.0, 0.0), action_high=(1.0, 10.0))
    actions = make_adviser("gymnasium:Any-v0", "random", 5, task)(np.zeros((5000, 3), np.float32))
    assert actions.shape == (5000, 2)
    assert actions.dtype == np.float32
    assert (actions >= [-1, 0]).all()
    assert (actions <= [1, 10]).all()
    # Mean and spread of the uniform distribution, within four standard errors.
    np.testing.assert_allclose(actions.mean(axis=0), [0, 5], atol=4 * 10 / np.sqrt(12 * 5000))
    np.testing.assert_allclose(actions.std(axis=0) * np.sqrt(12), [2, 10], rtol=0.05)
    assert abs(np.corrcoef(actions.T)[0, 1]) < 4 / np.sqrt(5000)


CASES = [
    ("Room-v0", "expert", ROOM),
    ("Room-v0", "adversary", ROOM),
    ("Room-v0", "random", ROOM),
    ("gymnasium:Any-v0", "random", TaskSpec(1, (4,), action_low=(-1.0,), action_high=(1.0,))),
]


@pytest.mark.parametrize(("game", "kind", "task"), CASES)
def test_a_state_continues_exactly(game, kind, task):
    position = np.full((64, 2), LENGTH // 2)
    obs = seen(position, np.tile([0, 2], (64, 1)))
    adviser = make_adviser(game, kind, 11, task)
    first = [adviser(obs) for _ in range(3)]
    state = adviser.state()
    later = [adviser(obs) for _ in range(3)]
    again = make_adviser(game, kind, 11, task)
    again.set_state(state)
    np.testing.assert_array_equal([again(obs) for _ in range(3)], later)
    assert not np.array_equal(first, later)
    np.testing.assert_array_equal(make_adviser(game, kind, 11, task)(obs), first[0])
    assert not np.array_equal(make_adviser(game, kind, 12, task)(obs), first[0])
    # Rows do not depend on how many there are.
    np.testing.assert_array_equal(make_adviser(game, kind, 11, task)(obs[:5]), first[0][:5])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_adviser("Room-v0", "exprt", 0, ROOM), ["exprt", "expert", "adversary"]),
        (lambda: make_adviser("Hallway-v0", "adversary", 0, HALLWAY), ["adversary", "expert"]),
        (lambda: make_adviser("Maze-v0", "expert", 0, ROOM), ["expert", "Maze-v0", "random"]),
        (lambda: make_adviser("Room-v0", "expert", 0, HALLWAY), ["[4]", "[2]", "vector"]),
        (lambda: make_adviser("Room-v0", "expert", 0, ROOM)(np.zeros(4)), ["M, 4", "[4]"]),
        (lambda: make_adviser("Room-v0", "random", 0, ROOM)(np.zeros((3, 2))), ["M, 4", "[3, 2]"]),
        (
            lambda: make_adviser("Room-v0", "random", 0, ROOM).set_state([1.5]),
            ["float64", "int64 [1]"],
        ),
        (lambda: make_adviser("Room-v0", "random", 0, ROOM).set_state([1, 2]), ["[2]"]),
        (lambda: make_adviser("Room-v0", "random", 0, ROOM).set_state([-1]), ["int64 [1]"]),
    ],
)
def test_wrong_requests_are_refused(make, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the words are checked below)
        make()
    for word in words:
        assert word in str(error.value)
