"""Wrong input is refused in words, changes nothing, and is looked for on every call."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

import socialgrid

E, A = 3, 2
MAP = ["#####", "#P.P#", "#0.1#", "#####"]


def make(**options):
    defaults = {"num_envs": E, "num_agents": A, "num_threads": 2, "seed": 1}
    return socialgrid.make_vec("GoalCycle-v0", **{**defaults, **options})


def actions(value=0, dtype=np.int32):
    return np.full((E, A), value, dtype=dtype)


def one_action(value, dtype=np.int64):
    given = actions(dtype=dtype)
    given[1, 1] = value
    return given


def unaligned_actions():
    raw = np.zeros(E * A * 4 + 1, dtype=np.uint8)
    return raw[1:].view(np.int32).reshape(E, A)


def layout_with(**changes):
    def change(env):
        env.set_layout(0, dataclasses.replace(env.get_layout(0), **changes))

    return change


def layout_cells(edit):
    def change(env):
        layout = env.get_layout(0)
        cells = edit([list(row) for row in layout.cells])
        env.set_layout(0, dataclasses.replace(layout, cells=cells))

    return change


def put(character, row=0, col=0):
    def edit(grid):
        grid[row][col] = character
        return ["".join(line) for line in grid]

    return layout_cells(edit)


def out(**arrays):
    return lambda env: env.step(actions(), out=arrays)


def obs_array(dtype=np.uint8, shape=(E, A, 21, 21, 3)):
    return np.zeros(shape, dtype=dtype)


def read_only_obs():
    array = obs_array()
    array.flags.writeable = False
    return array


def damaged(edit):
    def restore(env):
        env.set_state(bytes(edit(bytearray(env.get_state()))))

    return restore


def flipped(position):
    def edit(state):
        state[position % len(state)] ^= 0x40
        return state

    return damaged(edit)


def foreign_state(**options):
    def restore(env):
        other = make(**options)
        other.reset()
        env.set_state(other.get_state())

    return restore


def state_of_other_game(env):
    other = socialgrid.make_vec("Empty-v0", num_envs=E, num_agents=A)
    other.reset()
    env.set_state(other.get_state())


def send_twice(env):
    env.send(actions())
    try:
        env.send(actions())
    finally:
        env.recv()


def step_while_sent(env):
    env.send(actions())
    try:
        env.step(actions())
    finally:
        env.recv()


# What a call on a batch that is in use gets wrong: the call, the exception, words of its message.
CALLS = {
    # Actions: dtype
    "float actions": (lambda e: e.step(actions(dtype=np.float32)), TypeError, ["float32", "int"]),
    "double actions": (lambda e: e.step(actions(1.5, np.float64)), TypeError, ["float64"]),
    "NaN actions": (lambda e: e.step(actions(np.nan, np.float64)), TypeError, ["float64"]),
    "bool actions": (lambda e: e.step(actions(dtype=np.bool_)), TypeError, ["bool"]),
    "complex actions": (lambda e: e.step(actions(dtype=np.complex64)), TypeError, ["complex"]),
    "text actions": (lambda e: e.step([["left", "right"]] * E), TypeError, []),
    "object actions": (lambda e: e.step(actions(dtype=object)), TypeError, ["object"]),
    "None actions": (lambda e: e.step(None), TypeError, []),
    "ragged actions": (lambda e: e.step([[0, 1], [2], [3, 4]]), (TypeError, ValueError), []),
    "dates": (lambda e: e.step(actions(0, "datetime64[s]")), TypeError, ["datetime64"]),
    "float tensor": (lambda e: e.step(torch.zeros(E, A)), TypeError, ["float32"]),
    # Actions: shape
    "0-d actions": (lambda e: e.step(np.int32(0)), ValueError, ["shape", "3", "2"]),
    "1-d actions": (lambda e: e.step(np.zeros(E * A, np.int32)), ValueError, ["shape", "6"]),
    "3-d actions": (lambda e: e.step(np.zeros((E, A, 1), np.int32)), ValueError, ["shape"]),
    "too few rows": (lambda e: e.step(actions()[:2]), ValueError, ["shape", "3", "2"]),
    "too many rows": (lambda e: e.step(np.zeros((E + 1, A), np.int32)), ValueError, ["4"]),
    "transposed": (lambda e: e.step(np.zeros((A, E), np.int32)), ValueError, ["shape"]),
    "no rows": (lambda e: e.step(np.zeros((0, A), np.int32)), ValueError, ["shape", "0"]),
    "empty list": (lambda e: e.step([]), (TypeError, ValueError), []),
    "no agents": (lambda e: e.step(np.zeros((E, 0), np.int32)), ValueError, ["shape", "0"]),
    # Actions: range, naming environment, agent, value and what is allowed
    "action 7": (lambda e: e.step(one_action(7)), ValueError, ["1", "agent 1", "7", "0", "6"]),
    "action -1": (lambda e: e.step(one_action(-1)), ValueError, ["environment 1", "agent 1", "-1"]),
    "huge action": (lambda e: e.step(one_action(2**40)), ValueError, ["1099511627776"]),
    "int64 that wraps to 0": (lambda e: e.step(one_action(2**32)), ValueError, ["4294967296"]),
    "int64 minimum": (lambda e: e.step(one_action(-(2**63))), ValueError, ["-9223372036854775808"]),
    "uint64 maximum": (
        lambda e: e.step(one_action(2**64 - 1, np.uint64)),
        ValueError,
        ["18446744073709551615"],
    ),
    "int8 below": (lambda e: e.step(one_action(-128, np.int8)), ValueError, ["-128"]),
    "uint8 above": (lambda e: e.step(one_action(255, np.uint8)), ValueError, ["255"]),
    "sent action 7": (lambda e: e.send(one_action(7)), ValueError, ["environment 1", "7"]),
    "sent floats": (lambda e: e.send(actions(dtype=np.float32)), TypeError, ["float32"]),
    # Order of calls
    "recv without send": (lambda e: e.recv(), RuntimeError, ["send"]),
    # out=
    "out is no mapping": (lambda e: e.step(actions(), out=obs_array()), TypeError, ["out"]),
    "out with an unknown name": (out(observation=obs_array()), (KeyError, ValueError), ["obs"]),
    "out of another dtype": (out(obs=obs_array(np.int8)), (TypeError, ValueError), ["uint8"]),
    "out of another shape": (out(obs=obs_array(shape=(E, 21, 21, 3))), ValueError, ["21"]),
    "out with reward in doubles": (
        out(reward=np.zeros((E, A))),
        (TypeError, ValueError),
        ["float32"],
    ),
    "out not contiguous": (
        out(obs=obs_array(shape=(E, A, 21, 21, 6))[..., ::2]),
        ValueError,
        ["contiguous"],
    ),
    "out in Fortran order": (out(obs=np.asfortranarray(obs_array())), ValueError, ["contiguous"]),
    "out read-only": (out(obs=read_only_obs()), ValueError, ["writ"]),
    "out is a list": (out(reward=[[0.0] * A] * E), TypeError, ["reward"]),
    "out of torch in another dtype": (
        out(reward=torch.zeros(E, A, dtype=torch.float64)),
        (TypeError, ValueError),
        ["float32"],
    ),
    "out sliced in torch": (out(reward=torch.zeros(E, 2 * A)[:, ::2]), ValueError, ["contiguous"]),
    # Seeds
    "negative seed": (lambda e: e.reset(seed=-1), ValueError, ["seed", "-1"]),
    "seed of 2**64": (lambda e: e.reset(seed=2**64), ValueError, ["seed"]),
    "float seed": (lambda e: e.reset(seed=0.5), TypeError, ["seed"]),
    "text seed": (lambda e: e.reset(seed="1"), TypeError, ["seed"]),
    "bool seed": (lambda e: e.reset(seed=True), TypeError, ["seed"]),
    "too few seeds": (lambda e: e.reset(seed=[1, 2]), ValueError, ["seed", "2", "3"]),
    "no seeds": (lambda e: e.reset(seed=[]), ValueError, ["seed", "0", "3"]),
    "a bad seed among good ones": (lambda e: e.reset(seed=[1, -2, 3]), ValueError, ["-2"]),
    "a float among seeds": (lambda e: e.reset(seed=[1, 2.5, 3]), TypeError, ["seed"]),
    "None among seeds": (lambda e: e.reset(seed=[1, None, 3]), TypeError, ["seed"]),
    # Environments by index
    "layout of environment 3": (lambda e: e.get_layout(3), IndexError, ["3", "0", "2"]),
    "layout of environment -1": (lambda e: e.get_layout(-1), IndexError, ["-1"]),
    "picture of environment 3": (lambda e: e.render(3), IndexError, ["3"]),
    "picture of no pixels": (lambda e: e.render(0, 0), ValueError, ["tile_size", "0"]),
    "picture of too many pixels": (lambda e: e.render(0, 10**6), ValueError, ["tile_size"]),
    "unknown array": (
        lambda e: e.worlds(["agent_position"]),
        (KeyError, ValueError),
        ["agent_pos"],
    ),
    # Layouts
    "no layout": (lambda e: e.set_layout(0, None), TypeError, []),
    "layout without rows": (layout_with(cells=[]), ValueError, ["empty"]),
    "layout too small": (layout_with(cells=["###", "#.#", "###"]), ValueError, ["3", "13"]),
    "layout not rectangular": (
        layout_cells(lambda g: ["".join(r) for r in g[:-1]] + ["#"]),
        ValueError,
        ["1", "13"],
    ),
    "layout with an unknown character": (put("?", 4, 5), ValueError, ["?", "line 5", "column 6"]),
    "layout with a tile beyond the cycle": (put("9", 4, 5), ValueError, ["9"]),
    "layout with no such thing in the game": (put("K", 4, 5), ValueError, ["K"]),
    "too few agents": (layout_with(agent_pos=[(1, 1)]), ValueError, ["1", "2"]),
    "too many directions": (layout_with(agent_dir=[0, 1, 2]), ValueError, ["3", "2"]),
    "agent outside the map": (layout_with(agent_pos=[(1, 1), (13, 0)]), ValueError, ["13"]),
    "agent far outside the map": (
        layout_with(agent_pos=[(1, 1), (-(2**31), 0)]),
        ValueError,
        ["1"],
    ),
    "agent in a wall": (layout_with(agent_pos=[(0, 0), (1, 1)]), ValueError, ["0"]),
    "direction 4": (layout_with(agent_dir=[0, 4]), ValueError, ["4"]),
    "direction -1": (layout_with(agent_dir=[-1, 0]), ValueError, ["-1"]),
    "step below 0": (layout_with(step=-1), ValueError, ["-1"]),
    "step beyond the limit": (layout_with(step=10**6), ValueError, ["1000000"]),
    "last tile beyond the cycle": (layout_with(agent_last_tile=[7, None]), ValueError, ["7"]),
    "prestige is NaN": (layout_with(agent_prestige=[float("nan"), 0.0]), ValueError, ["nan"]),
    "carrying nonsense": (
        layout_with(agent_carrying=["grey elephant", None]),
        ValueError,
        ["elephant"],
    ),
    "a field of another game": (
        layout_with(agent_fields={"energy": [1, 1]}),
        ValueError,
        ["agent_energy", "GoalCycle-v0"],
    ),
    # Snapshots
    "snapshot is text": (lambda e: e.set_state("state"), TypeError, []),
    "empty snapshot": (lambda e: e.set_state(b""), ValueError, ["snapshot"]),
    "snapshot of other bytes": (lambda e: e.set_state(b"\x00" * 4096), ValueError, ["snapshot"]),
    "snapshot cut short": (damaged(lambda s: s[:-1]), ValueError, ["snapshot"]),
    "snapshot cut to its head": (damaged(lambda s: s[:16]), ValueError, ["snapshot"]),
    "snapshot with more behind": (damaged(lambda s: s + b"\x00"), ValueError, ["snapshot"]),
    "snapshot twice": (damaged(lambda s: s + s), ValueError, ["snapshot"]),
    "first bit flipped": (flipped(0), ValueError, ["snapshot"]),
    "middle bit flipped": (flipped(2**20 + 12345), ValueError, ["snapshot"]),
    "last bit flipped": (flipped(-1), ValueError, ["snapshot"]),
    "snapshot of more environments": (foreign_state(num_envs=E + 1), ValueError, ["4", "3"]),
    "snapshot of more agents": (foreign_state(num_agents=A + 1), ValueError, ["agents"]),
    "snapshot of another map": (foreign_state(grid_size=9), ValueError, ["grid_size"]),
    "snapshot of other rules": (foreign_state(penalty=0.5), ValueError, ["penalty"]),
    "snapshot of another game": (state_of_other_game, ValueError, ["Empty-v0", "GoalCycle-v0"]),
}


def check_words(error, words):
    for word in words:
        assert word in str(error.value), f"{word!r} is missing in: {error.value}"
    assert len(str(error.value)) > 10, "the message says too little"


@pytest.mark.parametrize(("call", "exception", "words"), CALLS.values(), ids=CALLS.keys())
def test_a_wrong_call_is_refused_and_changes_nothing(call, exception, words):
    env, twin = make(), make()
    env.reset()
    twin.reset()
    chosen = np.array([[2, 0], [1, 2], [2, 2]])
    # Right after the reset, on a later call, and twice in a row.
    for repeat in (1, 2):
        for _ in range(3):
            before = env.get_state()
            for _ in range(repeat):
                with pytest.raises(exception) as error:
                    call(env)
                check_words(error, words)
            assert env.get_state() == before
            results, expected = env.step(chosen), twin.step(chosen)
            for got, right in zip(results[:4], expected[:4], strict=True):
                np.testing.assert_array_equal(got, right)
        assert env.get_state() == twin.get_state()


# Calls in the wrong order leave a step half way, so they have a test of their own.
@pytest.mark.parametrize("call", [send_twice, step_while_sent])
def test_a_second_step_before_recv_is_refused(call):
    env, twin = make(), make()
    env.reset()
    twin.reset()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="recv"):
            call(env)
        twin.step(actions())
        assert env.get_state() == twin.get_state()


WHILE_SENT = {
    "reset": lambda e: e.reset(),
    "observe": lambda e: e.observe(),
    "get_state": lambda e: e.get_state(),
    "set_state": lambda e: e.set_state(b""),
    "worlds": lambda e: e.worlds(["step"]),
    "get_layout": lambda e: e.get_layout(0),
    "render": lambda e: e.render(0),
}


@pytest.mark.parametrize("name", WHILE_SENT)
def test_nothing_else_goes_between_send_and_recv(name):
    env, twin = make(), make()
    env.reset()
    twin.reset()
    env.send(actions())
    with pytest.raises(RuntimeError, match="recv"):
        WHILE_SENT[name](env)
    env.recv()
    twin.step(actions())
    assert env.get_state() == twin.get_state()


EARLY_OR_LATE = {
    "step": lambda e: e.step(actions()),
    "send": lambda e: e.send(actions()),
    "observe": lambda e: e.observe(),
    "get_layout": lambda e: e.get_layout(0),
    "worlds": lambda e: e.worlds(["agent_pos"]),
    "render": lambda e: e.render(0),
}


@pytest.mark.parametrize("name", EARLY_OR_LATE)
def test_calls_before_the_first_reset_are_refused(name):
    env = make()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="reset"):
            EARLY_OR_LATE[name](env)
    env.reset()
    EARLY_OR_LATE[name](env)


def test_a_snapshot_from_before_the_first_reset_still_needs_it():
    env, twin = make(), make()
    env.set_state(twin.get_state())
    with pytest.raises(RuntimeError, match="reset"):
        env.step(actions())
    np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])


@pytest.mark.parametrize("name", [*EARLY_OR_LATE, "recv", "reset", "get_state", "set_state"])
def test_calls_after_close_are_refused(name):
    env = make()
    env.reset()
    state = env.get_state()
    env.close()
    env.close()
    assert env.closed
    late = {
        **EARLY_OR_LATE,
        "recv": lambda e: e.recv(),
        "reset": lambda e: e.reset(),
        "get_state": lambda e: e.get_state(),
        "set_state": lambda e: e.set_state(state),
    }
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            late[name](env)


def test_snapshots_damaged_anywhere_are_refused():
    env = make()
    env.reset()
    state = env.get_state()
    for position in [*range(0, min(len(state), 256)), *range(256, len(state), 97)]:
        broken = bytearray(state)
        broken[position] ^= 1 << (position % 8)
        with pytest.raises(ValueError, match="snapshot"):
            env.set_state(bytes(broken))
    for length in {0, 1, 7, 8, 15, 16, 31, 32, len(state) // 2, len(state) - 8, len(state) - 1}:
        with pytest.raises(ValueError, match="snapshot"):
            env.set_state(state[:length])
    assert env.get_state() == state


# What make_vec refuses: the game, the options, words of the message.
CONFIGS = {
    "no environments": ("GoalCycle-v0", {"num_envs": 0}, ["num_envs", "0"]),
    "-1 environments": ("GoalCycle-v0", {"num_envs": -1}, ["num_envs", "-1"]),
    "2**31 environments": ("GoalCycle-v0", {"num_envs": 2**31}, ["num_envs", "2147483648"]),
    "2**70 environments": ("GoalCycle-v0", {"num_envs": 2**70}, ["num_envs"]),
    "2.5 environments": ("GoalCycle-v0", {"num_envs": 2.5}, ["num_envs"]),
    "text environments": ("GoalCycle-v0", {"num_envs": "3"}, ["num_envs"]),
    "-1 threads": ("GoalCycle-v0", {"num_threads": -1}, ["num_threads", "-1"]),
    "a million threads": ("GoalCycle-v0", {"num_threads": 10**6}, ["num_threads"]),
    "seed -1": ("GoalCycle-v0", {"seed": -1}, ["seed", "-1"]),
    "seed 2**64": ("GoalCycle-v0", {"seed": 2**64}, ["seed"]),
    "first_env_index -1": ("GoalCycle-v0", {"first_env_index": -1}, ["first_env_index", "-1"]),
    "obs_mode": ("GoalCycle-v0", {"obs_mode": "RGB"}, ["obs_mode", "RGB", "rgb", "tiles"]),
    "numbers of a grid": (
        "GoalCycle-v0",
        {"obs_mode": "vector"},
        ["GoalCycle-v0", "obs_mode", "'vector'", "'rgb', 'tiles'"],
    ),
    "numbers of a dilemma": ("Harvest-v0", {"obs_mode": "vector"}, ["'vector'", "'rgb', 'tiles'"]),
    "obs_mode of a room": ("Room-v0", {"obs_mode": "pixels"}, ["'pixels'", "'vector', 'rgb'"]),
    "obs_mode of no game": ("Hallway-v0", {"obs_mode": ""}, ["obs_mode", "'vector'"]),
    "obs_mode as a number": ("Room-v0", {"obs_mode": 1}, ["obs_mode"]),
    "game": ("GoalCycles-v0", {}, ["GoalCycles-v0", "GoalCycle-v0"]),
    "game without version": ("GoalCycle", {}, ["GoalCycle-v0"]),
    "no game": ("", {}, ["game"]),
    "unknown key": ("GoalCycle-v0", {"grid_sise": 9}, ["grid_sise", "grid_size"]),
    "unknown key of another game": ("Empty-v0", {"num_goals": 3}, ["num_goals"]),
    "key in capitals": ("GoalCycle-v0", {"Penalty": 1.0}, ["Penalty", "penalty"]),
    "grid too small": ("GoalCycle-v0", {"grid_size": 2}, ["grid_size", "2"]),
    "grid of -5": ("GoalCycle-v0", {"grid_size": -5}, ["grid_size", "-5"]),
    "huge grid": ("GoalCycle-v0", {"grid_size": 10**6}, ["grid_size"]),
    "grid of three numbers": ("GoalCycle-v0", {"grid_size": [9, 9, 9]}, ["grid_size"]),
    "even maze": ("Maze-v0", {"grid_size": 8}, ["grid_size", "odd"]),
    "no steps": ("GoalCycle-v0", {"max_steps": 0}, ["max_steps", "0"]),
    "float steps": ("GoalCycle-v0", {"max_steps": 1.5}, ["max_steps"]),
    "bool steps": ("GoalCycle-v0", {"max_steps": True}, ["max_steps"]),
    "no agents": ("GoalCycle-v0", {"num_agents": 0}, ["num_agents", "0"]),
    "too many agents": ("GoalCycle-v0", {"num_agents": 10**6}, ["num_agents"]),
    "even view": ("GoalCycle-v0", {"view_size": 6}, ["view_size", "odd"]),
    "small view": ("GoalCycle-v0", {"view_size": 1}, ["view_size", "1"]),
    "large view": ("GoalCycle-v0", {"view_size": 33}, ["view_size", "33", "31"]),
    "view offset beyond the view": ("GoalCycle-v0", {"view_offset": 7}, ["view_offset", "7"]),
    "view offset -1": ("GoalCycle-v0", {"view_offset": -1}, ["view_offset", "-1"]),
    "tile of 0 pixels": ("GoalCycle-v0", {"tile_size": 0}, ["tile_size", "0"]),
    "tile of 65 pixels": ("GoalCycle-v0", {"tile_size": 65}, ["tile_size", "65", "64"]),
    "unknown colour": ("GoalCycle-v0", {"color": "mauve"}, ["color", "mauve"]),
    "near colour": ("GoalCycle-v0", {"color": "purpel"}, ["purpel", "purple"]),
    "too few colours": ("GoalCycle-v0", {"color": ["red"]}, ["color", "1", "3"]),
    "hide nonsense": ("GoalCycle-v0", {"hide": ["walls"]}, ["hide", "walls", "wall"]),
    "hide for too few agents": ("GoalCycle-v0", {"hide": [["goal"]]}, ["hide", "1", "3"]),
    "spawn_delay -1": ("GoalCycle-v0", {"spawn_delay": -1}, ["spawn_delay", "-1"]),
    "too few spawn delays": ("GoalCycle-v0", {"spawn_delay": [0, 1]}, ["spawn_delay", "2", "3"]),
    "no goals": ("GoalCycle-v0", {"num_goals": 0}, ["num_goals", "0"]),
    "11 goals": ("GoalCycle-v0", {"num_goals": 11}, ["num_goals", "11", "10"]),
    "penalty NaN": ("GoalCycle-v0", {"penalty": float("nan")}, ["penalty", "nan"]),
    "penalty infinite": ("GoalCycle-v0", {"penalty": float("inf")}, ["penalty", "inf"]),
    "reward as text": ("GoalCycle-v0", {"reward": "one"}, ["reward"]),
    "ghost_mode as text": ("GoalCycle-v0", {"ghost_mode": "yes"}, ["ghost_mode"]),
    "prestige decay above 1": ("GoalCycle-v0", {"prestige_decay": 1.5}, ["prestige_decay", "1.5"]),
    "prestige scale 0": ("GoalCycle-v0", {"prestige_scale": 0.0}, ["prestige_scale", "0"]),
    "prestige mapping": (
        "GoalCycle-v0",
        {"prestige_mapping": "relu"},
        ["prestige_mapping", "tanh"],
    ),
    "density above 1": ("GoalCycle-v0", {"clutter_density": 1.5}, ["clutter_density", "1.5"]),
    "density NaN": ("GoalCycle-v0", {"clutter_density": float("nan")}, ["clutter_density"]),
    "clutter -1": ("GoalCycle-v0", {"num_clutter": -1}, ["num_clutter", "-1"]),
    "both clutters": (
        "Cluttered-v0",
        {"num_clutter": 3, "clutter_density": 0.1},
        ["num_clutter", "clutter_density"],
    ),
    # Impossible layouts
    "no room for clutter": ("Cluttered-v0", {"grid_size": 5, "num_clutter": 9}, ["too small", "5"]),
    "no room for goals": (
        "GoalCycle-v0",
        {"grid_size": 4, "num_goals": 5, "num_clutter": 0},
        ["too small", "4"],
    ),
    "no room for agents": (
        "Empty-v0",
        {"grid_size": 4, "num_agents": 9, "ghost_mode": False},
        ["agent"],
    ),
    # Maps
    "map without rows": ("GoalCycle-v0", {"map": []}, ["map"]),
    "map as one text": ("GoalCycle-v0", {"map": "###"}, ["map"]),
    "map not rectangular": ("GoalCycle-v0", {"map": ["####", "#.#", "####"]}, ["2", "3", "4"]),
    "map with an unknown character": (
        "GoalCycle-v0",
        {"map": ["####", "#?.#", "####"]},
        ["?", "line 2", "column 2"],
    ),
    "map with a gap in the cycle": ("GoalCycle-v0", {"map": ["#####", "#0.2#", "#####"]}, ["1"]),
    "map without room": (
        "GoalCycle-v0",
        {"map": ["###", "###", "###"], "num_agents": 1},
        ["agent"],
    ),
    "map and grid_size": ("GoalCycle-v0", {"map": MAP, "grid_size": 9}, ["map", "grid_size"]),
    # Social dilemmas: maps
    "Harvest map with waste": (
        "Harvest-v0",
        {"map": ["@@@@@", "@P AH", "@@@@@"]},
        ["'H'", "line 2", "column 5", "@ space P A"],
    ),
    "Cleanup map with an apple": (
        "Cleanup-v0",
        {"map": ["@@@@", "@PB@", "@RA@"]},
        ["'A'", "line 3", "column 3"],
    ),
    "Harvest map with an accent": ("Harvest-v0", {"map": ["@P@", "@é@"]}, ["line 2", "2", "'é'"]),
    "Empty map with an accent": ("Empty-v0", {"map": ["#P#", "#é#"]}, ["line 2", "2", "'é'"]),
    "Switch map with a tab": ("Switch-v0", {"map": ["@D@", "@\t@"]}, ["line 2", "column 2"]),
    "box map with an open door": ("BoxTrapped-v0", {"map": ["#T#PO"]}, ["line 1", "column 5"]),
    "Harvest map not rectangular": ("Harvest-v0", {"map": ["PA ", "PA"]}, ["line 2", "2", "3"]),
    "Harvest map without rows": ("Harvest-v0", {"map": []}, ["map", "empty"]),
    "Harvest map of empty rows": ("Harvest-v0", {"map": ["", ""]}, ["map", "empty"]),
    "Harvest map of 256 columns": ("Harvest-v0", {"map": ["P" * 256]}, ["256", "255"]),
    "Harvest map of numbers": ("Harvest-v0", {"map": [1, 2]}, ["map"]),
    "box map without a box": ("BoxTrapped-v0", {"map": ["PAT "]}, ["#"]),
    "box map without a trap": ("BoxTrapped-v0", {"map": ["P## "]}, ["'T'", "0"]),
    "box map with a gap": (
        "BoxTrapped-v1",
        {"map": ["@#@@", "#T P", "@#@@"]},
        ["line 2", "column 3", "'#'"],
    ),
    "box map with a trap in the open": (
        "BoxTrapped-v1",
        {"map": ["@@@", "TP#", "@@@"]},
        ["line 2", "column 2", "'P'"],
    ),
    "box map without a way out": ("BoxTrapped-v1", {"map": ["@@@#", "@T@P", "@@@@"]}, ["no way"]),
    "push that pays": ("BoxTrapped-v1", {"push_cost": -0.1}, ["push_cost", "-0.1"]),
    "box that opens sometime": (
        "BoxTrapped-v1",
        {"opening": "middle"},
        ["middle", "first", "last"],
    ),
    "held box of version 0": ("BoxTrapped-v0", {"held": True}, ["held"]),
    "box map with two traps": ("BoxTrapped-v0", {"map": ["PT#T"]}, ["'T'", "2"]),
    # Social dilemmas: agents
    "more agents than places": (
        "Harvest-v0",
        {"map": ["@@@@@", "@PAP@", "@ AA@", "@@@@@"], "num_agents": 4},
        ["num_agents", "4", "3"],
    ),
    "no place for agent 0": ("BoxTrapped-v0", {"map": ["A#T#"]}, ["num_agents", "0"]),
    "256 agents": ("Cleanup-v0", {"num_agents": 256}, ["num_agents", "256", "255"]),
    "no agents in Cleanup": ("Cleanup-v0", {"num_agents": 0}, ["num_agents", "0"]),
    "three agents and a box": ("BoxTrapped-v0", {"num_agents": 3}, ["num_agents", "3", "2"]),
    "one agent and a box": ("BoxTrapped-v0", {"num_agents": 1}, ["num_agents", "1", "2"]),
    # Social dilemmas: options
    "even square view": ("Harvest-v0", {"view_size": 14}, ["view_size", "odd"]),
    "unknown rotation": ("Harvest-v0", {"view_rotation": "north"}, ["north", "egocentric"]),
    "three apple probabilities": (
        "Harvest-v0",
        {"apple_spawn_probabilities": [0.1, 0.2, 0.3]},
        ["apple_spawn_probabilities", "3", "four"],
    ),
    "one apple probability": (
        "Harvest-v0",
        {"apple_spawn_probabilities": 0.1},
        ["apple_spawn_probabilities", "list of numbers"],
    ),
    "apple probability above 1": (
        "Harvest-v0",
        {"apple_spawn_probabilities": [0, 0, 0, 1.5]},
        ["apple_spawn_probabilities[3]", "1.5"],
    ),
    "unknown neighbourhood": ("Harvest-v0", {"neighbourhood": "papr"}, ["papr", "paper"]),
    "waste probability of -1": (
        "Cleanup-v0",
        {"waste_spawn_probability": -1},
        ["waste_spawn_probability", "-1"],
    ),
    "thresholds the wrong way round": (
        "Cleanup-v0",
        {"depletion_threshold": 0.2, "restoration_threshold": 0.25},
        ["restoration_threshold = 0.25", "depletion_threshold = 0.2"],
    ),
    "hit penalty NaN": ("Cleanup-v0", {"hit_penalty": float("nan")}, ["hit_penalty", "nan"]),
    "option of Harvest for Cleanup": (
        "Cleanup-v0",
        {"apple_spawn_probabilities": [0, 0, 0, 0]},
        ["apple_spawn_probabilities", "apple_spawn_probability"],
    ),
    "beams where there are none": ("Switch-v0", {"show_beams": False}, ["show_beams"]),
    # Rooms
    "room of 2 cells": ("Room-v0", {"length": 2}, ["length", "2", "3 to 255"]),
    "room of 256 cells": ("Room-v0", {"length": 256}, ["length", "256", "255"]),
    "room of half a cell": ("Room-v0", {"length": 20.5}, ["length", "integer"]),
    "room of two lengths": ("Room-v0", {"length": [5, 7]}, ["length", "integer"]),
    "hallway of 4 cells": ("Hallway-v0", {"length": 4}, ["length", "4", "5 to 255"]),
    "room without steps": ("Room-v0", {"max_steps": 0}, ["max_steps", "0"]),
    "room that ends perhaps": ("Room-v0", {"terminate_on_goal": 1}, ["terminate_on_goal", "True"]),
    "two agents in a room": ("Room-v0", {"num_agents": 2}, ["num_agents", "2", "1 to 1"]),
    "grid_size of a room": ("Room-v0", {"grid_size": 9}, ["grid_size", "Room-v0"]),
    "misspelt length": ("Hallway-v0", {"lenght": 9}, ["lenght", "length"]),
    "map of a room": ("Room-v0", {"map": ["G.."]}, ["map"]),
    "cells of 65 pixels": ("Room-v0", {"tile_size": 65}, ["tile_size", "65", "64"]),
}


@pytest.mark.parametrize(("game", "options", "words"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_wrong_configuration_is_refused(game, options, words):
    with pytest.raises((ValueError, TypeError)) as error:
        socialgrid.make_vec(game, **{"num_envs": 1, **options})
    check_words(error, words)


def test_config_errors_are_value_errors():
    assert issubclass(socialgrid.ConfigError, ValueError)


def test_options_may_be_numpy_arrays_and_scalars():
    env = socialgrid.make_vec(
        "Harvest-v0",
        apple_spawn_probabilities=np.array([0, 0.1, 0.2, 1]),
        num_agents=np.int64(3),
        hit_penalty=np.float32(2.5),
        show_beams=np.bool_(False),
        map=np.array(["@@@@", "@PPP"]),
    )
    assert env.config["apple_spawn_probabilities"] == [0.0, 0.1, 0.2, 1.0]
    assert (env.num_agents, env.config["hit_penalty"], env.config["show_beams"]) == (3, 2.5, False)
    assert env.grid_shape == (2, 4)
    with pytest.raises(socialgrid.ConfigError, match="show_beams must be True or False, not 1"):
        socialgrid.make_vec("Harvest-v0", show_beams=np.array(1))


def in_cells(row, col, character):
    """A change of a layout: another character in one cell."""

    def edit(layout):
        cells = [list(line) for line in layout.cells]
        cells[row][col] = character
        return {"cells": ["".join(line) for line in cells]}

    return edit


# What set_layout refuses in a social dilemma: the game, a change of its layout after the first
# reset, words of the message.
DILEMMA_LAYOUTS = {
    "unknown character": ("Harvest-v0", in_cells(1, 1, "?"), ["'?'", "line 2", "column 2"]),
    "accent": ("Harvest-v0", in_cells(1, 36, "é"), ["'é'", "line 2", "column 37"]),
    "apple on bare ground": ("Harvest-v0", in_cells(1, 1, "A"), ["'A'", "line 2", "' '"]),
    "no wall": ("Cleanup-v0", in_cells(0, 3, " "), ["line 1", "column 4", "'@'"]),
    "apple in the river": ("Cleanup-v0", in_cells(1, 1, "A"), ["'A'", "'H'", "'R'"]),
    "open door, switches off": ("Switch-v0", in_cells(0, 4, "O"), ["door", "switches"]),
    "half a box": ("BoxTrapped-v0", in_cells(3, 3, " "), ["box"]),
    "half a held box": ("BoxTrapped-v1", in_cells(3, 3, " "), ["box", "has just stood"]),
    "too few rows": ("Harvest-v0", lambda now: {"cells": now.cells[:-1]}, ["15", "16"]),
    "short row": (
        "Harvest-v0",
        lambda now: {"cells": [*now.cells[:-1], "@"]},
        ["line 16", "1", "38"],
    ),
    "agent in a wall": (
        "Harvest-v0",
        lambda now: {"agent_pos": [(0, 0), *now.agent_pos[1:]]},
        ["agent 0", "(0, 0)", "'@'"],
    ),
    "agent in the box's wall": (
        "BoxTrapped-v0",
        lambda now: {"agent_pos": [(3, 3), now.agent_pos[1]]},
        ["agent 0", "(3, 3)", "'#'"],
    ),
    "agent outside": (
        "Cleanup-v0",
        lambda now: {"agent_pos": [*now.agent_pos[:-1], (25, 3)]},
        ["agent 4", "25", "18"],
    ),
    "two on one cell": (
        "Cleanup-v0",
        lambda now: {"agent_pos": [now.agent_pos[1], *now.agent_pos[1:]]},
        ["agent 1", "another agent"],
    ),
    "too few agents": ("Harvest-v0", lambda now: {"agent_pos": now.agent_pos[1:]}, ["4", "5"]),
    "direction 4": ("Harvest-v0", lambda now: {"agent_dir": [0, 1, 2, 3, 4]}, ["agent 4", "4"]),
    "agent out of play": (
        "Harvest-v0",
        lambda now: {"agent_active": [True, False, True, True, True]},
        ["agent 1", "out of play"],
    ),
    "nobody in play": ("Switch-v0", lambda now: {"agent_active": [False] * 5}, ["no agent"]),
    "agent in an open door": (
        "Switch-v0",
        lambda now: {
            "cells": [row.replace("D", "O").replace("s", "S") for row in now.cells],
            "agent_pos": [(0, 4), *now.agent_pos[1:]],
        },
        ["door"],
    ),
    "something carried": (
        "Harvest-v0",
        lambda now: {"agent_carrying": ["yellow key", None, None, None, None]},
        ["agent_carrying", "Harvest-v0"],
    ),
    "prestige": ("Harvest-v0", lambda now: {"agent_prestige": [0, 0, 1, 0, 0]}, ["agent_prestige"]),
    "details": ("Harvest-v0", lambda now: {"details": {(1, 1): "blue key"}}, ["details"]),
    "step beyond the limit": ("BoxTrapped-v0", lambda now: {"step": 50}, ["50", "49"]),
}


@pytest.mark.parametrize(
    ("game", "change", "words"), DILEMMA_LAYOUTS.values(), ids=DILEMMA_LAYOUTS.keys()
)
def test_a_wrong_layout_of_a_dilemma_is_refused_and_changes_nothing(game, change, words):
    env = socialgrid.make_vec(game, num_envs=2, seed=1)
    env.reset()
    before = env.get_state()
    layout = env.get_layout(1)
    env.set_layout(1, layout)  # unchanged it is right
    with pytest.raises(socialgrid.LayoutError) as error:
        env.set_layout(1, dataclasses.replace(layout, **change(layout)))
    check_words(error, words)
    assert env.get_state() == before


# What set_layout refuses in a room of 5 cells: the game, what its layout is told, words of the
# message. The goal of either is at the right end, the agent on its left.
ROOM = [".....", ".....", "....G", ".....", "....."]
ROOM_LAYOUTS = {
    "no goal": ("Room-v0", {"cells": ["....."] * 5}, ["0 goals", "exactly one"]),
    "two goals": ("Room-v0", {"cells": ["G...G", *["....."] * 4]}, ["2 goals", "exactly one"]),
    "goal in the middle": (
        "Room-v0",
        {"cells": [".....", "...G.", *["....."] * 3]},
        ["(1, 3)", "wall", "5 x 5"],
    ),
    "goal in a hallway's middle": ("Hallway-v0", {"cells": [".G..."]}, ["(0, 1)", "wall"]),
    "no goal in a hallway": ("Hallway-v0", {"cells": ["....."]}, ["0 goals"]),
    "wall": ("Room-v0", {"cells": ["#...G", *["....."] * 4]}, ["'#'", "line 1", "column 1", ". G"]),
    "accent": ("Room-v0", {"cells": ["..é.G", *["....."] * 4]}, ["line 1"]),
    "no rows": ("Room-v0", {"cells": []}, ["empty"]),
    "too few rows": ("Room-v0", {"cells": ROOM[1:]}, ["4 x 5", "5 x 5"]),
    "short rows": ("Room-v0", {"cells": [row[1:] for row in ROOM]}, ["5 x 4", "5 x 5"]),
    "uneven rows": ("Room-v0", {"cells": [*ROOM[:-1], "."]}, ["line 5", "1", "5"]),
    "room in a hallway": ("Hallway-v0", {"cells": ROOM}, ["5 x 5", "1 x 5"]),
    "agent outside": ("Room-v0", {"agent_pos": [(5, 0)]}, ["agent 0", "(5, 0)", "5 x 5"]),
    "agent beside the hallway": ("Hallway-v0", {"agent_pos": [(1, 2)]}, ["agent 0", "(1, 2)"]),
    "agent far outside": ("Room-v0", {"agent_pos": [(0, 2**16)]}, ["agent 0", "65536"]),
    "agent that waits": ("Room-v0", {"agent_pos": [(-1, -1)]}, ["agent 0", "(-1, -1)"]),
    "two agents": ("Room-v0", {"agent_pos": [(1, 1), (2, 2)]}, ["agent_pos", "2", "1"]),
    "turned agent": ("Room-v0", {"agent_dir": [3]}, ["agent 0", "3", "turn", "0"]),
    "agent out of play": ("Room-v0", {"agent_active": [False]}, ["agent 0", "out of play"]),
    "something carried": ("Room-v0", {"agent_carrying": ["yellow key"]}, ["agent_carrying"]),
    "prestige": ("Hallway-v0", {"agent_prestige": [1.0]}, ["agent_prestige", "Hallway-v0"]),
    "last tile": ("Room-v0", {"agent_last_tile": [0]}, ["agent_last_tile", "Room-v0"]),
    "details": ("Room-v0", {"details": {(1, 1): "blue key"}}, ["details", "Room-v0"]),
    "step -1": ("Room-v0", {"step": -1}, ["step = -1", "0 to 99"]),
    "step beyond the limit": ("Room-v0", {"step": 100}, ["step = 100", "0 to 99"]),
}


@pytest.mark.parametrize(
    ("game", "changes", "words"), ROOM_LAYOUTS.values(), ids=ROOM_LAYOUTS.keys()
)
def test_a_wrong_layout_of_a_room_is_refused_and_changes_nothing(game, changes, words):
    env = socialgrid.make_vec(game, num_envs=2, seed=1, length=5)
    env.reset()
    row = 2 if game == "Room-v0" else 0
    right = socialgrid.Layout(ROOM[2 - row : 3 + row], [(row, 3)], [0])
    env.set_layout(1, right)
    before, views = env.get_state(), env.observe()
    with pytest.raises(socialgrid.LayoutError) as error:
        env.set_layout(1, dataclasses.replace(right, **changes))
    check_words(error, words)
    assert env.get_state() == before
    np.testing.assert_array_equal(env.observe(), views)


def test_a_room_refuses_other_arrays_and_snapshots():
    env = socialgrid.make_vec("Room-v0", num_envs=2, seed=1)
    env.reset()
    before = env.get_state()
    wrong = {
        "doubles": (np.zeros((2, 1, 4)), TypeError, ["obs", "float32", "float64"]),
        "double tensor": (torch.zeros(2, 1, 4).double(), TypeError, ["obs", "float32"]),
        "pixels": (np.zeros((2, 1, 168, 168, 3), np.uint8), TypeError, ["obs", "float32"]),
        "two numbers": (np.zeros((2, 1, 2), np.float32), ValueError, ["obs", "(2, 1, 4)"]),
        "every other number": (np.zeros((2, 1, 8), np.float32)[..., ::2], ValueError, ["obs"]),
    }
    for array, exception, words in wrong.values():
        with pytest.raises(exception) as error:
            env.step([[0], [3]], out={"obs": array})
        check_words(error, words)
    with pytest.raises(socialgrid.ActionError) as error:
        env.step([[0], [4]])
    check_words(error, ["environment 1", "agent 0", "4", "Room-v0 allows 0 to 3"])
    for options in ({"length": 9}, {"terminate_on_goal": True}):
        other = socialgrid.make_vec("Room-v0", num_envs=2, **options)
        other.reset()
        with pytest.raises(socialgrid.SnapshotError) as error:
            env.set_state(other.get_state())
        check_words(error, list(options))
    assert env.get_state() == before


def test_an_action_of_one_agent_is_not_every_agents():
    env = socialgrid.make_vec("BoxTrapped-v0", num_envs=2, seed=1)
    env.reset()
    env.step([[7, 6], [0, 0]])
    before = env.get_state()
    with pytest.raises(socialgrid.ActionError) as error:
        env.step([[0, 0], [7, 7]])
    check_words(error, ["environment 1", "agent 1", "7", "0 to 6"])
    assert env.get_state() == before


# Unusual, but right: converted, never misread.
UNUSUAL = {
    "list": lambda a: a.tolist(),
    "Fortran order": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 3, axis=1)[:, ::3],
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda a: a.astype(">i4"),
    "read-only": lambda a: np.frombuffer(a.astype(np.int32).tobytes(), np.int32).reshape(a.shape),
    "int8": lambda a: a.astype(np.int8),
    "int16": lambda a: a.astype(np.int16),
    "int64": lambda a: a.astype(np.int64),
    "uint8": lambda a: a.astype(np.uint8),
    "uint16": lambda a: a.astype(np.uint16),
    "uint32": lambda a: a.astype(np.uint32),
    "uint64": lambda a: a.astype(np.uint64),
    "torch": torch.from_numpy,
    "torch transposed": lambda a: torch.from_numpy(a.T.copy()).T,
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_actions_are_read_rightly(name):
    env, twin = make(max_steps=20), make(max_steps=20)
    env.reset()
    twin.reset()
    rng = np.random.default_rng(3)
    for _ in range(30):
        chosen = rng.integers(0, 7, (E, A), dtype=np.int32)
        twin.step(chosen)
        env.step(UNUSUAL[name](chosen))
        assert env.get_state() == twin.get_state()


def test_unaligned_actions_are_read_rightly():
    env, twin = make(), make()
    env.reset()
    twin.reset()
    given = unaligned_actions()
    given[:] = [[2, 1], [0, 2], [2, 2]]
    assert not given.flags.aligned
    env.step(given)
    twin.step(given.copy())
    assert env.get_state() == twin.get_state()


def test_actions_may_change_after_send():
    env, twin = make(), make()
    env.reset()
    twin.reset()
    for value in itertools.islice(itertools.cycle(range(7)), 20):
        chosen = actions(value)
        env.send(chosen)
        chosen[:] = 99
        env.recv()
        twin.step(actions(value))
    assert env.get_state() == twin.get_state()
