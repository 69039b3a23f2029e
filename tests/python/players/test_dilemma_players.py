"""The players of the social dilemmas do what their names say."""

import time
from dataclasses import replace

import numpy as np
import pytest
from tests.python.players.test_players import play

import socialgrid
from socialgrid.players import make_player, make_team

STAY, TURN_CLOCKWISE, TURN_COUNTER, USE, CLEAN = 4, 5, 6, 7, 8


def place(env, cells=None, pos=None, heading=0):
    """Put agent 0 of environment 0 somewhere, and things around it."""
    layout = env.get_layout(0)
    cells = list(layout.cells) if cells is None else cells
    agent_pos, agent_dir = list(layout.agent_pos), list(layout.agent_dir)
    agent_pos[0], agent_dir[0] = pos or agent_pos[0], heading
    env.set_layout(0, replace(layout, cells=cells, agent_pos=agent_pos, agent_dir=agent_dir))


def room(game, rows, **config):
    """One environment with one agent and no growth, its map framed by wall."""
    width = len(rows[0])
    lines = ["@" * (width + 2), *(f"@{row}@" for row in rows), "@" * (width + 2)]
    still = {
        "Harvest-v0": {"apple_spawn_probabilities": [0.0] * 4},
        "Cleanup-v0": {"apple_spawn_probability": 0.0, "waste_spawn_probability": 0.0},
    }
    env = socialgrid.make_vec(game, num_agents=1, map=lines, **still.get(game, {}), **config)
    env.reset()
    return env


@pytest.mark.parametrize("heading", range(4))
def test_whatever_way_it_faces_it_takes_the_shortest_way_round_walls(heading):
    env = room("Harvest-v0", ["P   @  A", "@@@ @ @@", "        "])
    place(env, heading=heading)
    player = make_player("greedy-harvester", env)
    rewards = []
    for _ in range(13):
        rewards.append(env.step(player.act(env, None, {})[:, None])[1][0, 0])
    # Three to the gap, two down, two along, two up, two more: eleven moves and no turn.
    assert rewards == [0.0] * 10 + [1.0, 0.0, 0.0]


def test_the_nearest_apple_is_eaten_first_and_then_it_stays():
    env = room("Harvest-v0", ["A    PA", "      A"])
    player = make_player("greedy-harvester", env)
    cells = []
    for _ in range(9):
        env.step(player.act(env, None, {})[:, None])
        cells.append(sum(line.count("A") for line in env.get_layout(0).cells))
    assert cells == [2, 1, 1, 1, 1, 1, 1, 1, 0]
    assert player.act(env, None, {}).tolist() == [STAY]


@pytest.mark.parametrize("neighbours", [0, 1, 2, 3, 4])
def test_the_sustainable_one_leaves_apples_with_too_few_neighbours(neighbours):
    env = room("Harvest-v0", ["P  A   ", "  AAA  ", "   A   ", "       "])
    player = make_player("sustainable-harvester", env, neighbours=neighbours)
    for _ in range(40):
        before = np.array([list(line) for line in env.get_layout(0).cells]) == "A"
        env.step(player.act(env, None, {})[:, None])
        after = np.array([list(line) for line in env.get_layout(0).cells]) == "A"
        for row, col in np.argwhere(before & ~after):
            assert before[row - 1 : row + 2, col - 1 : col + 2].sum() - 1 >= neighbours
    # The middle of the plus, which has four, cannot be reached but over those that have three.
    assert after.sum() in {0: [0], 1: [1, 2], 2: [2, 3], 3: [3], 4: [5]}[neighbours]


def test_neighbours_are_counted_as_the_game_counts_them():
    rows = ["P     ", "  A A ", "      "]
    for neighbourhood, left in [("public", 2), ("paper", 1)]:
        env = room("Harvest-v0", rows, neighbourhood=neighbourhood)
        player = make_player("sustainable-harvester", env, neighbours=1)
        for _ in range(20):
            env.step(player.act(env, None, {})[:, None])
        assert sum(line.count("A") for line in env.get_layout(0).cells) == left


def test_what_it_will_not_eat_it_walks_round():
    # A fence of single apples with a gap, and behind it a block worth eating.
    env = room("Harvest-v0", ["P A  AAA", "    AAAA", "  A  AAA", "        ", "  A     "])
    player = make_player("sustainable-harvester", env, neighbours=3)
    total = 0.0
    for _ in range(30):
        total += env.step(player.act(env, None, {})[:, None])[1][0, 0]
    cells = env.get_layout(0).cells
    assert [cells[row][3] for row in (1, 3, 5)] == ["A", "A", "A"]
    assert total >= 4


def test_wrong_options_are_refused():
    env = socialgrid.make_vec("Harvest-v0")
    for wrong in (-1, 9):
        with pytest.raises(ValueError, match=rf"neighbours .*\[0, 8\].* {wrong}"):
            make_player("sustainable-harvester", env, neighbours=wrong)
    env = socialgrid.make_vec("Cleanup-v0")
    for begin, until in [(0.1, 0.2), (1.1, 0.0), (0.5, -0.1), (float("nan"), 0.1)]:
        with pytest.raises(ValueError, match="until"):
            make_player("cleaner", env, begin=begin, until=until)


@pytest.mark.parametrize(
    ("heading", "action"), [(1, TURN_CLOCKWISE), (2, CLEAN), (3, TURN_COUNTER)]
)
def test_the_cleaner_shoots_where_three_rays_meet_waste(heading, action):
    env = room("Cleanup-v0", ["HHHR    ", "HHHR  P ", "HHHR    "])
    place(env, pos=(2, 4), heading=heading)
    player = make_player("cleaner", env)
    assert player.act(env, None, {}).tolist() == [action]


def test_the_cleaner_stops_at_little_waste_and_begins_again_at_much():
    env = room("Cleanup-v0", ["HHHHHHHHHH   P B", "RRRRRRRRRR      "])
    player = make_player("cleaner", env, begin=0.3, until=0.1)
    shares = []
    for _ in range(60):
        action = player.act(env, None, {})
        env.step(action[:, None])
        shares.append(sum(line.count("H") for line in env.get_layout(0).cells) / 20)
    assert shares[-1] == 0.1
    assert action.tolist() == [STAY]
    cells = list(env.get_layout(0).cells)
    place(env, [cells[0], "@HHHH" + cells[1][5:], *cells[2:]])
    assert player.act(env, None, {}).tolist() == [STAY]
    place(env, [cells[0], "@HHHHHHHH" + cells[1][9:], *cells[2:]])
    assert player.act(env, None, {}).tolist() != [STAY]


def test_a_cleaner_shoots_past_whoever_stands_in_the_way():
    # The harvester stays beside the cleaner, where the ray of its row would begin.
    env = socialgrid.make_vec(
        "Cleanup-v0",
        num_agents=2,
        map=["@@@@@@@@@@", "@HHRR P B@", "@HHRR P B@", "@@@@@@@@@@"],
        waste_spawn_probability=0.0,
    )
    env.reset()
    team = make_team(["cleaner", "harvester"], env)
    for _ in range(12):
        env.step(team.act(env, None, {}))
    assert not any("H" in line for line in env.get_layout(0).cells)


def test_a_cleaner_remembers_that_it_is_on_duty():
    env = room("Cleanup-v0", ["HHHHHHHHHH   P B", "RRRRRRRRRR      "])
    player = make_player("cleaner", env, begin=0.3, until=0.1)
    while sum(line.count("H") for line in env.get_layout(0).cells) > 5:
        env.step(player.act(env, None, {})[:, None])
    state = player.get_state()
    fresh, restored = (make_player("cleaner", env, begin=0.3, until=0.1) for _ in range(2))
    restored.set_state(state)
    assert fresh.act(env, None, {}).tolist() == [STAY]
    assert restored.act(env, None, {}).tolist() != [STAY]
    restored.reset(env)
    assert restored.act(env, None, {}).tolist() == [STAY]


@pytest.mark.parametrize("cleaners", [2, 4])
def test_cleaners_keep_the_river_clean_and_harvesters_never_clean(cleaners):
    env = socialgrid.make_vec("Cleanup-v0", num_envs=8, num_agents=5)
    team = make_team(["cleaner"] * cleaners + ["harvester"] * (5 - cleaners), env)
    obs, info = env.reset()
    cleaned = np.zeros((8, 5))
    shares = []
    for _ in range(500):
        obs, reward, _, _, info = env.step(team.act(env, obs, info))
        team.observe(env, reward, info)
        cleaned += info["events"][..., env.event_names.index("cleaned")]
        cells = env.worlds(["cells"])["cells"]
        shares.append((cells == ord("H")).sum(axis=(1, 2)) / 119)
    assert np.array(shares[200:]).max() < 0.35
    assert (cleaned[:, :cleaners] > 20).all()
    assert (cleaned[:, cleaners:] == 0).all()


def test_greed_ruins_a_field_that_lasts_otherwise():
    env = socialgrid.make_vec("Harvest-v0", num_envs=8, num_agents=5)
    left = {}
    for name in ("sustainable-harvester", "greedy-harvester"):
        rewards = play(env, make_team([name] * 5, env), 999)
        left[name] = (env.worlds(["cells"])["cells"] == ord("A")).sum(axis=(1, 2))
        assert (rewards[:50].sum(axis=0) > 0).any()
    assert (left["greedy-harvester"] < 5).all()
    assert (left["sustainable-harvester"] > 60).all()


@pytest.mark.parametrize("num_agents", [1, 3, 5])
def test_switches_are_turned_on_and_everyone_leaves(num_agents):
    env = socialgrid.make_vec("Switch-v0", num_envs=16, num_agents=num_agents)
    team = make_team(["expert"] * num_agents, env, seed=1)
    team.reset(env)
    env.reset()
    exits = np.zeros((16, num_agents))
    over = np.zeros(16, bool)
    toggles = 0
    for _ in range(80):
        _, reward, _, _, info = env.step(team.act(env, None, {}))
        team.observe(env, reward, info)
        exits += reward * ~over[:, None]
        toggles += (info["events"][..., 0] * ~over[:, None]).sum()
        over |= info["done"]
    assert over.all()
    assert (exits == 1).all()
    assert toggles == 16 * 6


def test_two_at_one_switch_do_not_turn_it_off_again_for_ever():
    env = socialgrid.make_vec(
        "Switch-v0",
        num_envs=16,
        num_agents=2,
        map=["@D@@@@@", "@P s P@", "@     @", "@@@@@@@"],
    )
    env.reset()
    for e in range(16):
        layout = replace(env.get_layout(e), agent_pos=[(1, 2), (1, 4)], agent_dir=[0, 2])
        env.set_layout(e, layout)
    team = make_team(["expert", "expert"], env, seed=1)
    over = np.zeros(16, bool)
    for _ in range(40):
        _, reward, _, _, info = env.step(team.act(env, None, {}))
        team.observe(env, reward, info)
        over |= info["done"]
    assert over.all()


@pytest.mark.parametrize(
    ("game", "config"),
    [
        ("BoxTrapped-v0", {}),
        ("BoxTrapped-v1", {}),
        ("BoxTrapped-v1", {"opening": "last"}),
        ("BoxTrapped-v1", {"held": False}),
    ],
)
def test_the_box_is_opened_first_and_both_eat(game, config):
    env = socialgrid.make_vec(game, num_envs=16, **config)
    team = make_team(["expert", "expert"], env)
    env.reset()
    team.reset(env)
    actions = team.act(env, None, {})
    assert (actions[:, 0] == USE).all()
    assert (actions[:, 1] == STAY).all()
    rewards = play(env, team, 50)
    assert (rewards.sum(axis=0) > 10).all()


def test_five_players_in_256_environments_keep_up_with_a_learner():
    for game, kinds in [
        ("Cleanup-v0", ["cleaner", "cleaner", "harvester", "harvester", "harvester"]),
        ("Harvest-v0", ["sustainable-harvester"] * 2 + ["greedy-harvester"] * 3),
    ]:
        env = socialgrid.make_vec(game, num_envs=256, num_agents=5, num_threads=1)
        team = make_team(kinds, env)
        obs, info = env.reset()
        spent = []
        for _ in range(40):
            begin = time.thread_time()
            actions = team.act(env, obs, info)
            spent.append(time.thread_time() - begin)
            obs, reward, _, _, info = env.step(actions)
            team.observe(env, reward, info)
        # The better steps, as other programs share the processor's caches.
        assert np.quantile(spent, 0.25) < 0.05, game
