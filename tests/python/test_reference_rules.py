"""The rules one at a time, in rooms small enough to follow by eye.

The expectations are written by hand from the rules, so they check the reference as well as the
core: where both make the same mistake, these tests are what is left to find it.
"""

import numpy as np
import pytest
from tests.reference import Layout, ReferenceEnv

RIGHT, DOWN, LEFT, UP = range(4)
TURN_LEFT, TURN_RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)
SHADOW = (35, 25, 30)


@pytest.fixture(params=["reference", "core"])
def build(request):
    """build(cells, pos, directions, game=..., layout={...}, **options) -> environment."""

    def build(cells, pos, directions, game="Empty-v0", layout=None, **options):
        options = {"map": cells, "num_agents": len(pos), **options}
        if request.param == "reference":
            env, layout_type = ReferenceEnv(game, num_envs=1, **options), Layout
        else:
            import socialgrid

            env = socialgrid.make_vec(game, num_envs=1, num_threads=1, **options)
            layout_type = socialgrid.Layout
        env.reset(seed=0)
        plain = [line.replace("P", ".") for line in cells]
        arguments = {"cells": plain, "agent_pos": pos, "agent_dir": directions, **(layout or {})}
        env.set_layout(0, layout_type(**arguments))
        return env

    return build


def play(env, *actions):
    """Step a single environment; each action is one number for all agents or one for each."""
    for action in actions:
        result = env.step(np.broadcast_to(action, (1, env.num_agents)).astype(np.int32))
    return result


def position(env, agent=0):
    return tuple(env.worlds(["agent_pos"])["agent_pos"][0, agent].tolist())


def carried(env, agent=0):
    return env.get_layout(0).agent_carrying[agent]


CORRIDOR = ["#######", "#.KD..#", "#######"]


def test_key_unlocks_its_door_and_stays_in_hand(build):
    env = build(CORRIDOR, [(1, 1)], [RIGHT])
    play(env, PICK_UP)
    assert (carried(env), env.get_layout(0).cells[1]) == ("yellow key", "#..D..#")
    states = []
    for _ in range(4):
        play(env, FORWARD, TOGGLE)
        states.append(env.get_layout(0).details[1, 3])
    # The first toggle unlocks, the second opens; then the agent walks through.
    assert states == ["yellow closed door", *["yellow open door"] * 3]
    assert position(env) == (1, 4)
    assert carried(env) == "yellow key"


@pytest.mark.parametrize("carried_thing", ["red key", "yellow ball", None])
def test_only_a_key_of_its_color_unlocks_a_door(build, carried_thing):
    without_key = ["#######", "#..D..#", "#######"]
    layout = {"cells": without_key, "agent_carrying": [carried_thing]}
    env = build(CORRIDOR, [(1, 2)], [RIGHT], layout=layout)
    play(env, TOGGLE)
    assert env.get_layout(0).details[1, 3] == "yellow locked door"


def test_open_door_with_an_agent_in_it_stays_open(build):
    env = build(
        CORRIDOR,
        [(1, 2), (1, 3)],
        [RIGHT, RIGHT],
        layout={"cells": ["#######", "#..D..#", "#######"], "details": {(1, 3): "red open door"}},
    )
    play(env, [TOGGLE, DONE])
    assert env.get_layout(0).details[1, 3] == "red open door"
    play(env, [DONE, FORWARD], [TOGGLE, DONE])
    assert env.get_layout(0).details[1, 3] == "red closed door"


def test_hands_hold_one_thing_and_drop_it_on_empty_cells_only(build):
    env = build(["######", "#.KO.#", "#....#", "######"], [(1, 1), (2, 2)], [RIGHT, RIGHT])
    play(env, [PICK_UP, DONE], [FORWARD, DONE], [PICK_UP, DONE])
    assert env.get_layout(0).cells[1] == "#..O.#"  # the second thing stays
    play(env, [DROP, DONE])
    assert carried(env) == "yellow key"  # the ball is in the way
    play(env, [TURN_RIGHT, DONE], [DROP, DONE])
    assert carried(env) == "yellow key"  # the other agent is in the way
    play(env, [DONE, FORWARD], [DROP, DONE])
    assert carried(env) is None
    assert env.get_layout(0).cells[2] == "#.K..#"


def test_toggled_box_is_gone(build):
    env = build(["#####", "#.B.#", "#####"], [(1, 1)], [RIGHT])
    play(env, FORWARD)
    assert position(env) == (1, 1)
    play(env, TOGGLE, FORWARD)
    assert (position(env), env.get_layout(0).cells[1]) == ((1, 2), "#...#")


def test_goal_pays_less_the_later_and_lava_nothing(build):
    env = build(["######", "#G..L#", "######"], [(1, 2), (1, 3)], [LEFT, RIGHT], max_steps=10)
    _, reward, terminated, truncated, info = play(env, DONE, [FORWARD, DONE])
    assert reward[0].tolist() == [np.float32(1 - 0.9 * 2 / 10), 0]
    assert terminated[0].tolist() == [True, False]
    assert info["active"][0].tolist() == [False, True]
    assert not truncated.any()
    assert not info["done"][0]
    _, reward, terminated, truncated, info = play(env, [DONE, FORWARD])
    assert reward[0].tolist() == [0, 0]
    assert terminated.all()
    assert not truncated.any()
    assert info["done"][0]


def test_time_limit_truncates_those_still_in_play(build):
    env = build(["#####", "#G..#", "#####"], [(1, 2), (1, 3)], [LEFT, LEFT], max_steps=2)
    play(env, [FORWARD, DONE])
    _, _, terminated, truncated, info = play(env, DONE)
    assert (terminated[0].tolist(), truncated[0].tolist()) == ([True, False], [False, True])
    assert info["done"][0]
    assert info["last_actions"].tolist() == [[-1, -1]]  # the next episode has begun


def test_agent_that_ended_stays_in_sight_but_sees_nothing(build):
    env = build(["#####", "#G..#", "#####"], [(1, 2), (1, 3)], [LEFT, LEFT], color="red")
    obs, *_, info = play(env, [FORWARD, DONE])
    assert (obs[0, 0] == SHADOW).all()
    # The other agent looks left at the goal two cells ahead: row 5 - 2 of its view, column 3.
    goal = obs[0, 1].reshape(7, 3, 7, 3, 3)[3, :, 3]
    assert (goal[..., 0] > 0).any()  # the red agent on the green goal
    assert (goal[..., 1] > 0).any()
    assert not info["visible"].any()


def test_respawned_agent_keeps_memory_and_prestige_but_not_what_it_carries(build):
    env = build(
        ["######", "#0G.K#", "######"],
        [(1, 3)],
        [LEFT],
        respawn=True,
        reward_decay=False,
        prestige_decay=0.5,
        layout={"agent_carrying": ["yellow key"], "agent_prestige": [3.0], "agent_last_tile": [0]},
    )
    _, reward, terminated, truncated, info = play(env, FORWARD)
    assert reward[0, 0] == 1
    assert info["active"].all()
    assert not (terminated | truncated).any()
    layout = env.get_layout(0)
    assert (layout.agent_carrying, layout.agent_last_tile) == ([None], [0])
    assert layout.agent_prestige == [(3.0 + 1.0) * 0.5]
    assert layout.cells[1] == "#0G.K#"  # the key it carried is gone


def test_delayed_agent_enters_when_the_step_counter_has_reached_its_delay(build):
    env = build(["#####", "#.P.#", "#####"], [(1, 1), (1, 2)], [RIGHT, RIGHT], spawn_delay=[0, 2])
    _, info = env.reset(seed=1)
    active = [info["active"][0].tolist()]
    for _ in range(4):
        *_, info = play(env, DONE)
        active.append(info["active"][0].tolist())
    assert active == [[True, False]] * 3 + [[True, True]] * 2
    assert position(env, 1) == (1, 2)


def test_door_key_agents_enter_left_of_the_door(build):
    cells = ["#######", "#K#...#", "#.D...#", "#.#..G#", "#######"]
    late = 7
    env = build(
        cells,
        [(2, 1), *[(-1, -1)] * late],
        [UP] * (1 + late),
        "DoorKey-v0",
        layout={"agent_active": [True] + [False] * late, "step": 1},
        map=None,
        grid_size=[5, 7],
        spawn_delay=[0] + [1] * late,
    )
    *_, info = play(env, DONE)
    assert info["active"].all()
    assert {position(env, agent) for agent in range(1 + late)} == {(2, 1), (3, 1)}


@pytest.mark.parametrize(("ghost_mode", "expected"), [(True, (1, 2)), (False, (1, 1))])
def test_agents_block_each_other_only_without_ghost_mode(build, ghost_mode, expected):
    env = build(["####", "#..#", "####"], [(1, 1), (1, 2)], [RIGHT, RIGHT], ghost_mode=ghost_mode)
    *_, info = play(env, FORWARD)
    assert position(env) == expected
    assert info["visible"][0, 0].tolist() == [0, 1]


CYCLE_VISITS = [
    # options, visits in order, rewards
    ({}, "0120", [1, 1, 1, 1]),
    ({}, "2012", [1, 1, 1, 1]),
    ({}, "021", [1, -1.5, 1]),
    ({}, "00", [1, -1.5]),
    ({"initial_reward": False}, "012", [0, 1, 1]),
    ({"reset_on_mistake": True}, "0210", [1, -1.5, -1.5, -1.5]),
    ({"reset_on_mistake": True}, "020", [1, -1.5, 1]),
    ({"reward": 2.0, "penalty": 0.5}, "011", [2, 2, -0.5]),
]


@pytest.mark.parametrize(("options", "visits", "rewards"), CYCLE_VISITS)
def test_goal_cycle_pays_for_the_order_of_visits(build, options, visits, rewards):
    room = ["###", "#.#", "#0#", "#1#", "#2#", "###"]
    env = build(room, [(1, 1)], [DOWN], "GoalCycle-v0", **options)
    got = []
    for tile in visits:
        row = 2 + int(tile)
        layout = env.get_layout(0)
        layout.agent_pos, layout.agent_dir = [(row - 1, 1)], [DOWN]
        env.set_layout(0, layout)
        got.append(float(play(env, FORWARD)[1][0, 0]))
    assert got == rewards


@pytest.mark.parametrize(
    ("mapping", "beginning"), [("tanh", [254, 0, 0]), ("sigmoid", [126, 0, 126])]
)
def test_prestige_turns_agents_blue(build, mapping, beginning):
    room = ["#####", "#...#", "#...#", "#...#", "#####"]
    env = build(room, [(2, 2)], [UP], "GoalCycle-v0", prestige_mapping=mapping, tile_size=9)

    def middle_of_agent():
        return env.observe()[0, 0].reshape(7, 9, 7, 9, 3)[5, 4, 3, 4].tolist()

    assert middle_of_agent() == beginning
    layout = env.get_layout(0)
    layout.agent_prestige = [100.0]
    env.set_layout(0, layout)
    assert middle_of_agent() == [0, 0, 254]


def test_hidden_walls_still_hide_what_is_behind(build):
    room = ["#####", "#G..#", "#####", "#...#", "#####"]
    shown = build(room, [(3, 2)], [UP])
    hidden = build(room, [(3, 2)], [UP], hide=["wall"])
    shadow = [(env.observe()[0, 0] == SHADOW).all(axis=-1) for env in (shown, hidden)]
    np.testing.assert_array_equal(*shadow)
    assert shadow[0].any()
    assert not (hidden.observe()[0, 0] == (74, 65, 42)).all(axis=-1).any()
