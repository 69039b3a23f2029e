"""The social dilemmas' rules, played by hand: what each situation must lead to."""

import dataclasses

import numpy as np
import pytest

import socialgrid

LEFT, RIGHT, UP, DOWN, STAY, CLOCKWISE, COUNTERCLOCKWISE, SPECIAL = range(8)
CLEAN = 8
FACING = {"right": 0, "down": 1, "left": 2, "up": 3}


class Table:
    """One environment of a small map with agents put where a test wants them."""

    def __init__(self, game, rows, agents, **config):
        self.env = socialgrid.make_vec(
            game, num_envs=1, num_threads=1, num_agents=len(agents), map=rows, **config
        )
        self.env.reset()
        self.layout(
            agent_pos=[(row, col) for row, col, _ in agents],
            agent_dir=[FACING[facing] for _, _, facing in agents],
        )

    def layout(self, **changes):
        self.env.set_layout(0, dataclasses.replace(self.env.get_layout(0), **changes))

    def step(self, *actions):
        """Rewards, endings and, by name, events of every agent."""
        _, reward, terminated, _, info = self.env.step([actions])
        self.visible = info["visible"][0]
        self.events = dict(zip(self.env.event_names, info["events"][0].T.tolist(), strict=True))
        return reward[0].tolist(), terminated[0].tolist()

    @property
    def cells(self):
        return list(self.env.get_layout(0).cells)

    @property
    def places(self):
        return list(self.env.get_layout(0).agent_pos)


def switch_table(**config):
    rows = ["@@D@@", "s   S", "@ PP@", "@@@@@"]
    return Table("Switch-v0", rows, [(1, 1, "left"), (1, 3, "up")], **config)


def test_the_door_opens_while_all_switches_are_on_and_lets_agents_out():
    table = switch_table()
    assert table.cells[0] == "@@D@@"
    assert table.step(STAY, LEFT) == ([0, 0], [False, False])
    assert table.step(STAY, UP) == ([0, 0], [False, False])
    assert table.places[1] == (1, 2), "a closed door is solid"
    table.step(SPECIAL, STAY)
    assert table.events == {"toggles": [1, 0], "exits": [0, 0]}
    assert table.cells[:2] == ["@@O@@", "S   S"]
    assert table.step(STAY, UP) == ([0, 1], [False, True])
    assert table.events == {"toggles": [0, 0], "exits": [0, 1]}
    # The one that left earns nothing more, is nowhere, sees nothing and blocks nobody.
    assert table.step(DOWN, UP) == ([0, 0], [False, True])  # the first goes right, facing left
    assert table.places[0] == (1, 2)
    assert not table.visible.any()
    assert not table.env.observe()[0, 1].any()
    _, reward, terminated, _, info = table.env.step([[RIGHT, STAY]])
    np.testing.assert_array_equal(reward, [[1, 0]])
    assert terminated.all()
    assert info["done"].all()


def test_the_episode_ends_when_all_have_left():
    table = Table("Switch-v0", ["@D@", "@P@", "@P@", "@@@"], [(1, 1, "up"), (2, 1, "up")])
    assert table.cells[0] == "@O@", "without switches the door is open"
    assert table.step(UP, UP) == ([1, 0], [True, False])
    _, reward, terminated, truncated, info = table.env.step([[STAY, UP]])
    np.testing.assert_array_equal(reward, [[0, 1]])
    assert terminated.all()
    assert not truncated.any()
    assert info["done"].all()


def test_switches_go_off_again_and_are_reached_ahead_only():
    table = switch_table()
    table.step(SPECIAL, SPECIAL)  # the second looks at a wall
    assert table.cells[:2] == ["@@O@@", "S   S"]
    table.step(SPECIAL, CLOCKWISE)
    assert table.cells[:2] == ["@@D@@", "s   S"]
    table.step(SPECIAL, SPECIAL)  # both, each its own
    assert table.events["toggles"] == [1, 1]
    assert table.cells[:2] == ["@@D@@", "S   s"]


BOX = ["@@@@@@@", "@PA ###", "@   #T#", "@   ###", "@@@@@@@"]


def test_apples_pay_by_entering_and_stay():
    table = Table("BoxTrapped-v0", BOX, [(1, 1, "up"), (2, 5, "up")])
    assert table.step(RIGHT, UP)[0] == [1, 0]
    assert table.events == {"apples": [1, 0], "opened": [0, 0]}
    assert table.step(STAY, STAY)[0] == [0, 0]
    assert table.step(UP, STAY)[0] == [0, 0], "bumping into a wall enters nothing"
    assert table.step(RIGHT, STAY)[0] == [0, 0]
    assert table.step(LEFT, STAY)[0] == [1, 0]
    assert table.cells[1] == "@ A ###"


def test_the_box_opens_once_from_anywhere_and_lets_agent_1_eat():
    table = Table("BoxTrapped-v0", BOX, [(3, 1, "up"), (2, 5, "up")])
    for way in (LEFT, RIGHT, UP, DOWN):
        table.step(STAY, way)
        assert table.places[1] == (2, 5)
    assert table.step(SPECIAL, LEFT)[0] == [0, 0]
    assert table.events["opened"] == [1, 0]
    assert table.places[1] == (2, 5), "it opens after the moves"
    assert table.cells == ["@@@@@@@", "@ A    ", "@      ", "@      ", "@@@@@@@"]
    table.step(SPECIAL, LEFT)
    assert table.events["opened"] == [0, 0]
    assert table.places[1] == (2, 4)
    assert [table.step(STAY, way)[0][1] for way in (UP, LEFT, LEFT)] == [0, 0, 1]
    table.env.reset()
    assert table.cells[2] == "@   # #", "the next episode begins with the box closed"
    assert table.places[1] == (2, 5)


# Shut, and as it is while agent 0 holds it open.
SHUT, OPEN = ["###", "# #", "###"], ["   ", "   ", "   "]


def box_table(outside=(3, 1), **config):
    return Table("BoxTrapped-v1", BOX, [(*outside, "up"), (2, 5, "up")], **config)


def box_of(table):
    return [line[4:] for line in table.cells[1:4]]


def test_agent_1_gets_out_by_a_move_in_a_step_in_which_agent_0_holds_the_box_open():
    table = box_table()
    assert table.step(SPECIAL, LEFT)[0] == [0, 0], "the box is open: the move costs nothing"
    assert table.events["opened"] == [1, 0]
    assert table.places[1] == (2, 4)
    assert box_of(table) == OPEN
    assert table.step(STAY, STAY)[0] == [0, 0]
    assert box_of(table) == ["###", "  #", "###"], "where agent 1 stands there is no wall yet"
    assert table.step(STAY, LEFT)[0] == [0, 0]
    assert table.places[1] == (2, 3)
    assert box_of(table) == ["###", "  #", "###"], "it has just gone"
    table.step(STAY, STAY)
    assert box_of(table) == SHUT
    assert [table.step(STAY, way)[0][1] for way in (UP, LEFT, STAY)] == [0, 1, 0]


def test_an_opening_that_agent_1_does_not_use_is_over_with_the_step():
    table = box_table()
    for opened in (1, 0):
        table.step(SPECIAL, STAY)
        assert table.events["opened"] == [opened, 0], "what is open does not open"
        assert box_of(table) == OPEN
    assert table.step(STAY, LEFT)[0] == pytest.approx([0, -0.1])
    assert table.places[1] == (2, 5)
    assert box_of(table) == SHUT
    table.step(SPECIAL, STAY)
    assert table.events["opened"] == [1, 0], "each opening counts"


def test_moves_in_the_shut_box_cost_and_nothing_else_does():
    table = box_table(push_cost=0.25)
    for way in (LEFT, RIGHT, UP, DOWN):
        assert table.step(STAY, way)[0] == [0, -0.25]
    for action in (STAY, CLOCKWISE, COUNTERCLOCKWISE):
        assert table.step(LEFT, action)[0] == [0, 0]
    assert table.step(SPECIAL, STAY)[0] == [0, 0]
    table.step(SPECIAL, LEFT)
    table.step(STAY, RIGHT)  # back on its start cell; the box has shut behind it but for one cell
    assert table.places[1] == (2, 5)
    assert box_of(table) == ["###", "  #", "###"]
    assert table.step(STAY, LEFT)[0] == [0, -0.25]
    assert table.places[1] == (2, 5)


def test_agent_0_in_the_way_of_the_wall_is_not_walled_in():
    table = box_table(outside=(2, 3))
    table.step(SPECIAL, STAY)
    table.step(SPECIAL, STAY)
    table.layout(agent_pos=[(2, 4), (2, 5)])
    table.step(STAY, STAY)
    assert box_of(table) == ["###", "  #", "###"]
    # Both move at once: agent 1 follows agent 0 out, which costs it a push.
    assert table.step(LEFT, LEFT)[0] == pytest.approx([0, -0.1])
    assert table.places == [(2, 3), (2, 4)]


@pytest.mark.parametrize(
    ("config", "moved", "boxes"),
    [
        ({"opening": "last"}, [False, True, False], [OPEN, SHUT, SHUT]),
        ({"held": False}, [True, True, True], [OPEN, OPEN, OPEN]),
        ({"opening": "last", "held": False}, [False, True, True], [OPEN, OPEN, OPEN]),
    ],
)
def test_order_and_holding_are_options(config, moved, boxes):
    for step in range(3):
        table = box_table(**config)
        for i in range(step + 1):
            table.step(SPECIAL if i == 0 else STAY, LEFT if i == step else STAY)
        assert (table.places[1] != (2, 5)) == moved[step]
        if not moved[step]:
            assert box_of(table) == boxes[step]


def test_version_1_with_every_option_taken_back_is_version_0():
    v0 = socialgrid.make_vec("BoxTrapped-v0", num_envs=16, seed=5)
    v1 = socialgrid.make_vec(
        "BoxTrapped-v1", num_envs=16, seed=5, opening="last", held=False, push_cost=0
    )
    np.testing.assert_array_equal(v0.reset()[0], v1.reset()[0])
    rng = np.random.default_rng(0)
    for _ in range(120):
        actions = np.stack([rng.integers(0, n, 16) for n in v0.action_counts], axis=1)
        left, right = v0.step(actions), v1.step(actions)
        for a, b in zip(left[:4], right[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(left[4]["events"], right[4]["events"])


@pytest.mark.parametrize(
    "config", [{}, {"opening": "last"}, {"held": False}, {"map": ["   ", "P#T", "   "]}]
)
def test_every_state_of_the_box_can_be_set_and_restored(config):
    if "map" in config:
        config = {"map": ["@@@@@", "@ P@@", "@ #T@", "@ A@@", "@@@@@"]}
    env = socialgrid.make_vec("BoxTrapped-v1", num_envs=8, seed=2, max_steps=1000, **config)
    twin = socialgrid.make_vec("BoxTrapped-v1", num_envs=8, seed=2, max_steps=1000, **config)
    env.reset()
    twin.reset()
    rng = np.random.default_rng(1)
    found = set()
    for _ in range(400):
        actions = np.stack([rng.integers(0, n, 8) for n in env.action_counts], axis=1)
        actions[rng.random(8) < 0.3, 0] = SPECIAL
        env.step(actions)
        for e in range(8):
            twin.set_layout(e, env.get_layout(e))
            found.add(tuple(env.get_layout(e).cells))
        np.testing.assert_array_equal(twin.observe(), env.observe())
        twin.set_state(env.get_state())
    # Open, shut, and for a box of several walls that is held, with a cell missing.
    assert len(found) == 2 if "map" in config or config.get("held") is False else len(found) > 2


HARVEST = ["     ", "PAAAP", "     "]
STILL = {"apple_spawn_probabilities": [0.0, 0.0, 0.0, 0.0]}


def test_fines_are_counted_and_paid():
    agents = [(1, 0, "right"), (1, 4, "left"), (0, 0, "down")]
    table = Table("Harvest-v0", HARVEST, agents, **STILL)
    assert table.step(SPECIAL, SPECIAL, STAY)[0] == [-51, -51, -100]
    assert table.events == {"apples": [0, 0, 0], "shots": [1, 1, 0], "hits": [1, 1, 2]}
    assert table.step(STAY, STAY, SPECIAL)[0] == [-50, 0, -1]
    table = Table("Harvest-v0", HARVEST, agents, fire_cost=0.25, hit_penalty=2.0, **STILL)
    assert table.step(SPECIAL, SPECIAL, STAY)[0] == [-2.25, -2.25, -4]


def test_an_apple_is_eaten_before_beams_and_counts_for_one():
    table = Table("Harvest-v0", HARVEST, [(1, 0, "right"), (2, 2, "up")], **STILL)
    assert table.step(SPECIAL, UP)[0] == [-1, -49]
    assert table.cells[1] == " A A "
    assert table.step(STAY, STAY)[0] == [0, 0]


def test_beams_cover_agents_where_they_are_shown():
    def view(**config):
        agents = [(1, 0, "right"), (1, 2, "up")]
        table = Table("Harvest-v0", HARVEST, agents, view_size=5, **STILL, **config)
        before = table.env.observe()[0, 1].copy()
        table.step(SPECIAL, STAY)
        after, picture = table.env.observe()[0, 1], table.env.render(0, 1)
        table.step(STAY, STAY)
        np.testing.assert_array_equal(table.env.observe()[0, 1], before)
        return before, after, picture

    before, after, picture = view()
    yellow = (after == [255, 255, 0]).all(axis=2)
    # The ray ahead reaches the agent itself; one beside it starts in row 2, that in row 0.
    assert yellow.tolist() == [
        [False] * 5,
        [True] * 5,
        [False, True, True, False, False],
        [True] * 5,
        [False] * 5,
    ]
    np.testing.assert_array_equal(after[~yellow], before[~yellow])
    hidden, same, drawn = view(show_beams=False)
    np.testing.assert_array_equal(hidden, same)
    np.testing.assert_array_equal(drawn, picture)
    assert (picture[1, 1] == [255, 255, 0]).all()


@pytest.mark.parametrize("facing", FACING)
def test_pictures_show_where_an_agent_faces(facing):
    table = Table("Harvest-v0", ["   ", " P ", "   "], [(1, 1, facing)], **STILL)
    cell = table.env.render(0, 8)[8:16, 8:16].any(axis=2)
    up = np.rot90(cell, {"up": 0, "right": 1, "down": 2, "left": 3}[facing])
    np.testing.assert_array_equal(up[:2, 2:6], False)
    assert up.sum() == 64 - 8
    assert table.env.render(0, 3)[3:6, 3:6].any(axis=2).all(), "too small for a notch"


def test_cleaning_pays_nothing_and_is_counted():
    table = Table(
        "Cleanup-v0",
        ["HHRP", "HHHP", "HRHP"],
        [(1, 3, "left"), (0, 3, "left")],
        apple_spawn_probability=0.0,
        waste_spawn_probability=0.0,
    )
    assert table.step(CLEAN, STAY)[0] == [0, 0]
    # Its rays: row 1, and the rows beside it; that on row 0 ends at the other agent.
    assert table.events["cleaned"] == [2, 0]
    assert table.cells == ["HHR ", "HHR ", "HRR "]
    table.step(STAY, CLEAN)
    assert table.events["cleaned"] == [0, 1]
    assert table.cells == ["HRR ", "HHR ", "HRR "]


@pytest.mark.parametrize(
    ("game", "num_agents"),
    [("Cleanup-v0", 1), ("Cleanup-v0", 32), ("Harvest-v0", 32), ("Harvest-v0", 255)],
)
def test_any_number_of_agents_can_be_told_apart(game, num_agents):
    env = socialgrid.make_vec(game, num_envs=1, num_agents=num_agents, view_size=31)
    obs, info = env.reset(seed=num_agents)
    rows, cols = np.transpose(env.get_layout(0).agent_pos)
    assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == num_agents
    colors = env.render(0, 1)[rows, cols]
    assert len(np.unique(colors, axis=0)) == num_agents
    np.testing.assert_array_equal(obs[0, :, 15, 15], colors)
    near = (abs(rows[:, None] - rows) <= 15) & (abs(cols[:, None] - cols) <= 15)
    np.testing.assert_array_equal(info["visible"][0], near & ~np.eye(num_agents, dtype=bool))


@pytest.mark.parametrize("game", ["Cleanup-v0", "Harvest-v0", "Switch-v0", "BoxTrapped-v0"])
def test_rewards_follow_from_events(game):
    env = socialgrid.make_vec(game, num_envs=64, seed=3, max_steps=60)
    pay = {"apples": 1, "shots": -1, "hits": -50, "exits": 1, "cleaned": 0, "toggles": 0}
    worth = np.array([pay.get(name, 0) for name in env.event_names])
    env.reset()
    rng = np.random.default_rng(1)
    happened = np.zeros(len(worth), dtype=np.int64)
    for _ in range(150):
        actions = np.stack([rng.integers(0, n, 64) for n in env.action_counts], axis=1)
        _, reward, _, _, info = env.step(actions)
        np.testing.assert_array_equal(reward, info["events"] @ worth)
        happened += info["events"].sum(axis=(0, 1), dtype=np.int64)
    counted = dict(zip(env.event_names, happened.tolist(), strict=True))
    assert all(count > 0 for name, count in counted.items() if name != "exits"), counted
