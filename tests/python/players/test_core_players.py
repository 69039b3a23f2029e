"""The core's players choose as their slow twins in numpy do, call by call and bit by bit.

If one of these fails, seeded runs beside scripted teachers are no longer what they were.
"""

import copy
import dataclasses
import pickle
import threading

import numpy as np
import pytest
from tests.reference.players import make_twin

import socialgrid
from socialgrid.players import Team, list_players, make_player

CORRIDOR = ["#########", "#0..2..1#", "#.#####.#", "#...3...#", "#########"]
REPEATED = ["#######", "#0.1.0#", "#.###.#", "#1...2#", "#######"]
GOALS = ["#########", "#G..#..G#", "#.#.L.#.#", "#...#..G#", "#########"]
DOORS = ["########", "#K.D..G#", "#..#.G.#", "########"]
RIVER = ["@@@@@@@@@@@@", "HHR  P  P  B", "RHH  P    BB", "HHR  @@@@ BB", "@@@@@@@@@@@@"]
STREETS = ["@@@@@@@@@@", "@P  A@  A@", "@AAA @ AA@", "@ AA  P  @", "@P AAAAAA@", "@@@@@@@@@@"]
OPEN_ENDED = ["PAAAPA", "A AA A", " AAAAA", "PA AAP"]
LONG = ["@" * 130, "@P" + "A" * 60 + " " * 60 + "AAAA PP@", *["@" + " A" * 64 + "@"] * 4, "@" * 130]
SWITCHES = ["@@D@@@@@@", "@P s  s @", "@ss   P @", "@P s ss @", "@@@@@@@@@"]
WIDE = ["#" * 80, "#G" + "." * 77 + "#", *["#" + "." * 78 + "#"] * 70, "#" * 80]
SEPARATE = {"ghost_mode": False}

# Game, options, names; None is an agent that does anything.
CASES = {
    "cycle": ("GoalCycle-v0", {}, ["expert", "trial-and-error", None]),
    "cycle in the open": ("GoalCycle-v0", {"num_clutter": 0}, ["expert", "trial-and-error"]),
    "cycle in clutter": ("GoalCycle-v0", {"num_clutter": 60}, ["expert", "trial-and-error"]),
    "imperfect": ("GoalCycle-v0", SEPARATE, ["imperfect", "imperfect", "random", None]),
    "many tiles": ("GoalCycle-v0", {"num_goals": 7}, ["trial-and-error", "expert"]),
    "mistakes reset": (
        "GoalCycle-v0",
        {"num_goals": 5, "reset_on_mistake": True, "num_clutter": 0},
        ["trial-and-error", "expert", None],
    ),
    "no first reward": ("GoalCycle-v0", {"initial_reward": False}, ["trial-and-error"]),
    "late and absent": (
        "GoalCycle-v0",
        {"spawn_delay": [0, 20, 999], **SEPARATE},
        ["expert", "trial-and-error", "trial-and-error"],
    ),
    "corridor": ("GoalCycle-v0", {"map": CORRIDOR, **SEPARATE}, ["expert", "trial-and-error"]),
    "tiles twice": ("GoalCycle-v0", {"map": REPEATED}, ["expert", "trial-and-error", None]),
    "empty": ("Empty-v0", {}, ["expert", "random"]),
    "cluttered": ("Cluttered-v0", {"num_clutter": 40, **SEPARATE}, ["expert", None, "expert"]),
    "four rooms": ("FourRooms-v0", {"respawn": False}, ["expert", "expert"]),
    "maze": ("Maze-v0", SEPARATE, ["expert", "expert", None]),
    "several goals": ("Maze-v0", {"map": GOALS, "respawn": False}, ["expert", "expert"]),
    "a wide hall": ("Empty-v0", {"map": WIDE, "view_size": 3, "tile_size": 1}, ["expert"]),
    "door": ("DoorKey-v0", {"grid_size": [6, 12]}, ["expert"]),
    "doors and others": ("DoorKey-v0", SEPARATE, ["expert", "expert", None]),
    "cleanup": ("Cleanup-v0", {}, ["cleaner", "cleaner", "harvester", None, None]),
    "a small river": (
        "Cleanup-v0",
        {"map": RIVER, "waste_spawn_probability": 0.2},
        ["cleaner", "cleaner", "harvester"],
    ),
    "harvest": (
        "Harvest-v0",
        {},
        ["greedy-harvester", "sustainable-harvester", "sustainable-harvester", None],
    ),
    "streets": (
        "Harvest-v0",
        {"map": STREETS, "neighbourhood": "paper"},
        ["sustainable-harvester", "greedy-harvester", "sustainable-harvester"],
    ),
    "no walls": ("Harvest-v0", {"map": OPEN_ENDED}, ["sustainable-harvester"] * 4),
    "long rows": ("Harvest-v0", {"map": LONG}, ["greedy-harvester", "sustainable-harvester"]),
    "switches": ("Switch-v0", {}, ["expert", "expert", None]),
    "crowded switches": ("Switch-v0", {"map": SWITCHES}, ["expert"] * 3),
    "trapped": ("BoxTrapped-v0", {}, ["expert", "expert"]),
    "trapped again": ("BoxTrapped-v1", {}, ["expert", "expert"]),
    "trapped for good": ("BoxTrapped-v1", {"held": False}, [None, "expert"]),
    "room": ("Room-v0", {}, ["expert"]),
    "a room that ends": ("Room-v0", {"length": 8, "terminate_on_goal": True}, ["expert"]),
    "adversary": ("Room-v0", {"length": 5}, ["adversary"]),
    "hallway": ("Hallway-v0", {}, ["expert"]),
    "doors and goals": ("DoorKey-v0", {"map": DOORS}, ["expert", None]),
}


def make(game, options, agents, threads=1, envs=6, **more):
    return socialgrid.make_vec(
        game, num_envs=envs, num_threads=threads, num_agents=agents, **{**options, **more}
    )


def team(maker, names, env, error_rate, seed=3):
    """A team of ``make_player`` or ``make_twin``; those that err by themselves do as they do."""
    return Team(
        [
            maker(name, env, agent, seed, **({"error_rate": error_rate} if error_rate else {}))
            for agent, name in enumerate(names)
            if name is not None
        ]
    )


def assert_alike(found, expected):
    state, wanted = found.get_state(), expected.get_state()
    assert state.keys() == wanted.keys()
    for key, value in wanted.items():
        assert state[key].dtype == value.dtype, key
        np.testing.assert_array_equal(state[key], value, err_msg=key)


def disturb(env, rng):
    """What may come between two steps, now and then."""
    what = rng.integers(40)
    if what == 0:
        mask = rng.random(env.num_envs) < 0.5
        env.reset(seed=[int(seed) for seed in rng.integers(100, size=env.num_envs)], mask=mask)
    elif what == 1:
        env.set_state(env.get_state())
    elif what == 2:
        source, target = rng.integers(env.num_envs, size=2)
        env.set_layout(target, dataclasses.replace(env.get_layout(source), step=0))


def watch(env, found, expected, steps, rng):
    for step in range(steps):
        disturb(env, rng)
        chosen = found.act(env, None, {})
        np.testing.assert_array_equal(chosen, expected.act(env, None, {}), err_msg=f"step {step}")
        assert chosen.dtype == np.int32
        actions = rng.integers(0, env.action_counts, (env.num_envs, env.num_agents))
        actions[:, found.agents] = chosen
        _, reward, _, _, info = env.step(actions)
        for players in (found, expected):
            players.observe(env, reward, info)


@pytest.mark.parametrize("error_rate", [0.0, 0.15])
@pytest.mark.parametrize("case", CASES)
def test_as_their_twins_in_long_play(case, error_rate):
    game, options, names = CASES[case]
    rng = np.random.default_rng(len(case))
    wide = case == "a wide hall"
    for autoreset in ["same_step", "next_step"][: 1 if wide else 2]:
        env = make(
            game, options, len(names), seed=5, max_steps=90, autoreset=autoreset, first_env_index=7
        )
        env.reset()
        found, expected = (
            team(maker, names, env, error_rate) for maker in (make_player, make_twin)
        )
        watch(env, found, expected, 60 if wide else 250, rng)
        assert_alike(found, expected)


@pytest.mark.parametrize("case", CASES)
def test_the_same_for_any_number_of_threads(case):
    game, options, names = CASES[case]
    envs = 8 if case == "a wide hall" else 700  # 320 are worth waking a thread for
    batches = [make(game, options, len(names), threads, envs) for threads in (1, 2, 5)]
    teams = [team(make_player, names, env, 0.1) for env in batches]
    for env in batches:
        env.reset(seed=4)
    rng = np.random.default_rng(1)
    for _ in range(12):
        actions = rng.integers(0, batches[0].action_counts, (envs, len(names)))
        for env, players in zip(batches, teams, strict=True):
            mine = actions.copy()
            mine[:, players.agents] = players.act(env, None, {})
            _, reward, _, _, info = env.step(mine)
            players.observe(env, reward, info)
    for players in teams[1:]:
        assert_alike(players, teams[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("case", CASES)
def test_copies_go_on_by_themselves(case, copied):
    game, options, names = CASES[case]
    env = make(game, options, len(names), envs=2)
    env.reset()
    players = team(make_player, names, env, 0.1)
    rng = np.random.default_rng(2)
    for _ in range(5):
        actions = rng.integers(0, env.action_counts, (2, len(names)))
        actions[:, players.agents] = players.act(env, None, {})
        _, reward, _, _, info = env.step(actions)
        players.observe(env, reward, info)
    other, others = copied((env, players))
    assert_alike(others, players)
    np.testing.assert_array_equal(others.act(other, None, {}), players.act(env, None, {}))
    assert_alike(others, players)
    again = copy.copy(players.players[0])
    again.act(env, None, {})
    assert_alike(others, players)


def test_layouts_with_more_tiles_than_the_game_has():
    env = make("GoalCycle-v0", {"num_clutter": 0}, 2, envs=3)
    env.reset()
    found, expected = (
        team(maker, ["trial-and-error", "expert"], env, 0.0) for maker in (make_player, make_twin)
    )
    rng = np.random.default_rng(0)
    watch(env, found, expected, 20, rng)
    layout = env.get_layout(1)
    cells = [list(line) for line in layout.cells]
    for row in (3, 5, 7):
        for col in (2, 6):
            cells[row][col] = "1"
    more = dataclasses.replace(layout, cells=["".join(line) for line in cells], step=0)
    env.set_layout(1, more)
    watch(env, found, expected, 120, rng)
    assert_alike(found, expected)


def test_a_foreign_batch_is_refused():
    env = make("GoalCycle-v0", {}, 2, envs=3)
    player = make_player("trial-and-error", env)
    for other, words in [
        (make("Maze-v0", {}, 2, envs=3), "this player was made for GoalCycle-v0, not Maze-v0"),
        (make("GoalCycle-v0", {}, 3, envs=3), "this player was made for 2 agents, not 3"),
        (make("GoalCycle-v0", {}, 2, envs=4), "this player was made for 3 environments, not 4"),
    ]:
        other.reset()
        with pytest.raises(ValueError) as error:  # noqa: PT011  (the words are compared)
            player.act(other, None, {})
        assert str(error.value) == words
    with pytest.raises(RuntimeError, match=r"call reset\(\) before"):
        player.act(env, None, {})
    env.reset()
    state = player.get_state()
    for reward in (np.zeros((3, 3)), np.zeros(3), np.zeros((2, 2))):
        with pytest.raises(ValueError, match=r"reward must be .* float32 \[3, 2\], got"):
            player.observe(env, reward, {"done": np.zeros(3, bool)})
    for done in (np.zeros(2, bool), np.zeros((3, 1), bool)):
        with pytest.raises(ValueError, match="done must be a C-contiguous array bool"):
            player.observe(env, np.zeros((3, 2)), {"done": done})
    env.send(np.zeros((3, 2), np.int32))
    with pytest.raises(RuntimeError, match=r"a step is under way; call recv\(\) first"):
        player.act(env, None, {})
    env.recv()
    for key, value in player.get_state().items():
        np.testing.assert_array_equal(value, state[key])
    env.close()
    with pytest.raises(RuntimeError, match="closed"):
        player.act(env, None, {})


def test_a_state_of_wild_numbers_does_no_harm():
    rng = np.random.default_rng(6)
    for game, name in [("GoalCycle-v0", "trial-and-error"), ("DoorKey-v0", "expert")]:
        env = make(game, {}, 1, envs=50)
        env.reset()
        player = make_player(name, env)
        state = player.get_state()
        for _ in range(30):
            wild = {
                key: rng.integers(-(2**31), 2**31, value.shape).astype(value.dtype)
                for key, value in state.items()
                if key not in ("seed", "calls")
            }
            player.set_state({**state, **wild})
            action = player.act(env, None, {})
            assert ((action >= 0) & (action < 7)).all()
            _, reward, _, _, info = env.step(action[:, None])
            player.observe(env, reward, info)


@pytest.mark.parametrize("neighbours", [0, 1, 2, 3, 5, 8, 11, 12])
def test_any_number_of_neighbours(neighbours):
    for kind, most in (("public", 8), ("paper", 12)):
        if neighbours > most:
            continue
        env = make("Harvest-v0", {"neighbourhood": kind}, 2, envs=12)
        env.reset()
        found, expected = (
            Team(
                [
                    maker("sustainable-harvester", env, agent, 1, neighbours=neighbours)
                    for agent in (0, 1)
                ]
            )
            for maker in (make_player, make_twin)
        )
        watch(env, found, expected, 60, np.random.default_rng(neighbours))


@pytest.mark.parametrize(("begin", "until"), [(0.0, 0.0), (0.6, 0.3), (1.0, 0.0)])
def test_any_sense_of_duty(begin, until):
    env = make("Cleanup-v0", {}, 2, envs=8)
    env.reset()
    found, expected = (
        Team([maker("cleaner", env, agent, 1, begin=begin, until=until) for agent in (0, 1)])
        for maker in (make_player, make_twin)
    )
    watch(env, found, expected, 150, np.random.default_rng(1))
    assert_alike(found, expected)


@pytest.mark.parametrize("walls", ["much", "none"])
@pytest.mark.parametrize("shape", [(3, 200), (12, 64), (9, 65), (60, 5), (1, 30), (40, 1)])
def test_cleaners_on_boards_of_any_shape(shape, walls):
    rng = np.random.default_rng(shape)
    weights = [0.3, 0.2, 0.2, 0.05, 0.1, 0.15] if walls == "much" else [0.4, 0.3, 0.2, 0, 0.1, 0]
    cells = rng.choice(list("HR BP@"), size=shape, p=weights)
    cells.flat[:4] = list("PPPH")
    game_map = ["".join(row) for row in cells]
    env = make("Cleanup-v0", {"map": game_map, "waste_spawn_probability": 0.3}, 3)
    env.reset()
    found, expected = (
        Team([maker("cleaner", env, agent, 1, begin=0.1, until=0.02) for agent in (0, 2)])
        for maker in (make_player, make_twin)
    )
    watch(env, found, expected, 80, rng)
    assert_alike(found, expected)


def test_options_that_a_player_does_not_have_are_refused():
    for game in socialgrid.list_games():
        env = socialgrid.make_vec(game)
        for name in list_players(game):
            if getattr(make_player(name, env), "kind", None) is not None:  # one of the core's
                with pytest.raises(TypeError, match="targets"):
                    make_player(name, env, targets=3)


def test_the_interpreter_goes_on_while_players_choose():
    env = make("Maze-v0", {"grid_size": 41}, 1, envs=2000)
    player = make_player("expert", env)
    env.reset()
    went_on, choosing = [], threading.Event()

    def count():
        choosing.wait()
        while choosing.is_set():
            went_on.append(1)

    other = threading.Thread(target=count)
    other.start()
    choosing.set()
    player.act(env, None, {})  # measures all mazes: some tenths of a second
    choosing.clear()
    other.join()
    assert len(went_on) > 1000
