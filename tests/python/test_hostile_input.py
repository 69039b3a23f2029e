"""Input made to break things: endless nesting and counts, half characters, memory that ends."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import socialgrid
from socialgrid import ConfigError, LayoutError, SnapshotError


def nested(depth):
    value = "#"
    for _ in range(depth):
        value = [value]
    return value


def holding_itself():
    value = []
    value.append(value)
    return value


def array_holding_itself():
    value = np.empty(1, object)
    value[0] = value
    return value


class ListsItself:
    def tolist(self):
        return self


class Grows(list):
    """Adds an item whenever one is read."""

    def __getitem__(self, i):
        self.append(1)
        return super().__getitem__(i)


CONFIGS = {
    "a list in itself": ({"map": holding_itself()}, "nested"),
    "a deep list": ({"map": nested(200_000)}, "nested"),
    "a deep list among others": ({"hide": [["wall"], nested(50)]}, "nested"),
    "tolist of itself": ({"num_agents": ListsItself()}, "nested"),
    "an array in itself": ({"map": array_holding_itself()}, "nested"),
    "one list many times": (
        {"map": [[[[["#"] * 99] * 99] * 99] * 99] * 99},
        "values",
    ),
    "a long list": ({"map": ["#"] * 2_000_000}, "values"),
    "a large array": ({"map": np.broadcast_to(np.uint8(0), (2**20, 2**20))}, "values"),
    "a long text": ({"map": ["#" * 3_000_000]}, "characters"),
    "a list that grows": ({"map": Grows(["#"])}, "values|map"),
    "a huge integer": ({"num_agents": 10**5000}, "num_agents"),
    "half a character": ({"map": ["\ud800.."]}, r"half a character.*\\ud800"),
    "half a character in a name": ({"map\udcff": 1}, r"map\\udcff"),
    "a zero in a map": ({"map": ["...", ".\0.", "..."]}, r"line 2, column 2.*\\x00"),
    "control characters in a map": ({"map": ["...", ".\x1b[", "..."]}, r"'\\x1b'"),
    "a line break in a map": ({"map": ["...\n"]}, r"'\\n'"),
    "a zero in a name": ({"num_\0agents": 1}, r"num_\\x00agents.*num_agents"),
    "a zero in a text": ({"color": "re\0d"}, r"re\\x00d"),
    "a long name": ({"x" * 1_000_000: 1}, r"x\.\.\.'"),
    "bytes": ({"map": [b"..."]}, "bytes"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_made_to_break_things_is_refused_in_one_line(name):
    config, words = CONFIGS[name]
    with pytest.raises(ConfigError, match=words) as error:
        socialgrid.make_vec("GoalCycle-v0", **config)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 3000
    str(error.value).encode("ascii")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"num_threads": 1_000_000}, ValueError, "num_threads = 1000000 is out of range"),
        ({"num_threads": 2**70}, ValueError, "num_threads"),
        ({"num_threads": True}, TypeError, "num_threads must be an integer"),
        ({"num_envs": 2.0}, TypeError, "num_envs must be an integer, not float"),
        ({"num_envs": 10**5000}, ValueError, "num_envs = a number of thousands of digits"),
        ({"num_envs": 2**24 + 1}, ValueError, "num_envs"),
        ({"seed": 10**5000}, ValueError, "seed"),
        ({"game": b"Empty\xff"}, TypeError, "game must be a text"),
        ({"game": "Empty-v0\udcff"}, ConfigError, "Empty-v0"),
        ({"obs_mode": "\0"}, ConfigError, r"\\x00"),
        ({"obs_mode": 5}, TypeError, "obs_mode"),
    ],
)
def test_counts_and_names_are_bounded(arguments, error, words):
    with pytest.raises(error, match=words):
        socialgrid.make_vec(**{"game": "Empty-v0", **arguments})


def test_a_games_options_are_asked_for_by_its_name():
    for name, error in ((b"Empty-v0", TypeError), (5, TypeError), ("Empty-v0\udcff", ConfigError)):
        with pytest.raises(error):
            socialgrid.game_options(name)


def ready(game="GoalCycle-v0", **options):
    env = socialgrid.make_vec(game, **{"num_agents": 2, "grid_size": 6, **options})
    env.reset()
    return env


LAYOUTS = {
    "agent_pos": [
        [(1.9, 1.9)] * 2,
        [(1, 1)],
        [(1, 1, 1)] * 2,
        [("1", "1")] * 2,
        [(2**40, 1)] * 2,
        [(True, 1)] * 2,
        [{0: 1, 1: 1}] * 2,
        np.array([[1.0, 1.0], [1.0, 2.0]]),
        range(10**10),
        "11",
        5,
        None,
    ],
    "agent_dir": [["x", 0], [0.5, 0], [None, 0], [True, 0], [10**5000, 0], "00", {0: 0, 1: 0}],
    "agent_active": [[1, 0], ["yes", "no"], [None, True], [0.5, 1.0], np.ones((2, 2), bool)],
    "agent_carrying": [[1, None], [b"key", None], ["\ud800", None], ["yellow\0key" * 99, None]],
    "agent_prestige": [["1", 0], [1j, 0], [10**400, 0], [True, 0]],
    "agent_last_tile": [[0.5, None], ["0", None], [2**40, None], [True, None]],
    "step": [1.5, "1", None, 2**40, True, np.float32(1), [1]],
    "cells": [
        "######",
        5,
        None,
        ["######"] * 10**6,
        ["#" * 10**6],
        [1] * 6,
        [b"######"] * 6,
        ["\ud800#####"] * 6,
        ["\x00#####"] * 6,
        range(10**10),
        {"######": 1},
    ],
    "agent_fields": [
        5,
        "x",
        [("energy", [1, 1])],
        {"energy": 5},
        {"energy": [1]},
        {"energy": [True, 1]},
        {"energy": [b"1", 1]},
        {"energy": [2**40, 1]},
        {"energy": ["\ud800", 1]},
        {1: [1, 1]},
        {"\ud800": [1, 1]},
        {"prestige": [0.0, 0.0]},
    ],
    "details": [[((1, 1), "blue key")], {(1.5, 1): "blue key"}, {1: "x"}, {(1, 1): 5}, "x"],
}


@pytest.mark.parametrize("field", LAYOUTS)
def test_a_layout_of_other_types_is_a_layout_error_and_changes_nothing(field):
    env = ready()
    layout, before = env.get_layout(0), env.get_state()
    for value in LAYOUTS[field]:
        with pytest.raises(LayoutError, match=field) as error:
            env.set_layout(0, dataclasses.replace(layout, **{field: value}))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600
    assert env.get_state() == before


def test_texts_of_things_are_shown_whole():
    env = ready("DoorKey-v0")
    layout = env.get_layout(0)
    for changes in (
        {"agent_carrying": ["yellow\0key", None]},
        {"details": {(1, 1): "yellow\0key"}},
        {"details": {(99, 1): "yellow\0key"}},
    ):
        with pytest.raises(LayoutError, match=r"yellow\\x00key'"):
            env.set_layout(0, dataclasses.replace(layout, **changes))


def test_a_layout_may_hold_arrays_and_numpys_scalars():
    env = ready()
    layout, before = env.get_layout(0), env.get_state()
    env.set_layout(
        0,
        dataclasses.replace(
            layout,
            cells=tuple(np.array(layout.cells)),
            agent_pos=np.array(layout.agent_pos, np.uint8),
            agent_dir=np.array(layout.agent_dir, np.int64),
            agent_active=np.array(layout.agent_active),
            agent_prestige=np.array(layout.agent_prestige, np.float32),
            step=np.int16(layout.step),
        ),
    )
    assert env.get_layout(0) == layout
    # The order in which agents came to their cells is the one thing a layout does not say.
    env.set_state(before)
    assert env.get_layout(0) == layout


@pytest.mark.parametrize("env", [0.5, "0", None, 2**70, -1, 1, True])
def test_an_environment_is_named_by_its_index(env):
    batch = ready()
    layout = batch.get_layout(0)
    for call in (batch.get_layout, batch.render, lambda i: batch.set_layout(i, layout)):
        with pytest.raises((IndexError, TypeError), match="environment"):
            call(env)


def test_names_of_results_and_fields_may_be_anything_but_right():
    env = ready()
    actions = np.zeros((1, 2), int)
    for name in ("obs\0", "obs\udc00", "\n", "o" * 10**6, "done "):
        with pytest.raises(KeyError):
            env.step(actions, out={name: np.zeros(1)})
        with pytest.raises(KeyError):
            env.worlds([name])
    for name in (1, None, b"obs", ("obs",)):
        with pytest.raises(TypeError, match="text"):
            env.step(actions, out={name: np.zeros(1)})
        with pytest.raises(TypeError, match="text"):
            env.worlds([name])


def with_checksum(state):
    """A snapshot's checksum, made anew: of eight bytes at a time, then of each that is left."""
    value, mask = 14695981039346656037, 2**64 - 1
    whole = len(state) // 8 * 8
    for word in np.frombuffer(state, "<u8", whole // 8).tolist():
        value = ((value ^ word) * 1099511628211) & mask
        value ^= value >> 32
    for byte in state[whole:]:
        value = ((value ^ byte) * 1099511628211) & mask
    return bytes(state) + value.to_bytes(8, "little")


@pytest.mark.parametrize("byte", [0x80, 0xFF, 0x00, 0x0A, 0xED])
def test_a_snapshot_with_bytes_that_are_no_text_is_a_snapshot_error(byte):
    env = ready()
    before = env.get_state()
    assert with_checksum(before[:-8]) == before
    for place in (56, 60, 90):
        state = bytearray(before[:-8])
        state[place] = byte
        with pytest.raises(SnapshotError, match=f"{byte:02x}" if byte != 0x0A else r"\\n") as error:
            env.set_state(with_checksum(state))
        assert str(error.value).isascii()
        assert "\n" not in str(error.value)
    assert env.get_state() == before


def test_distances_take_integers_and_booleans_only():
    passable = np.ones((1, 4, 4), bool)
    for targets in ([[2**32 + 1, 1]], [[2**63, 1]], [[-(2**63), 1]], [[4, 0]]):
        with pytest.raises(ValueError, match="outside"):
            socialgrid.action_distances(
                passable, np.array(targets, object).astype("u8" if targets[0][0] > 0 else "i8")
            )
    for wrong in ([[1.9, 2.9]], [["1", "2"]], [[1j, 1]], [[True, False]], [[None, 1]]):
        with pytest.raises(TypeError, match="targets must be integers"):
            socialgrid.action_distances(passable, wrong)
    for cells in (passable * 0.5, passable.astype(int), passable.astype(str)):
        with pytest.raises(TypeError, match="must be booleans"):
            socialgrid.action_distances(cells, [[1, 1]])
        with pytest.raises(TypeError, match="must be booleans"):
            socialgrid.occlusion(cells, 0)
    for offset, error in (
        (0.5, TypeError),
        ("1", TypeError),
        (2**62, ValueError),
        (-1, ValueError),
    ):
        with pytest.raises(error, match="view_offset"):
            socialgrid.occlusion(np.zeros((1, 5, 5), bool), offset)
    right = socialgrid.action_distances(passable, [[1, 2]])
    for dtype in ("i1", "u8", ">i4"):
        given = np.array([[1, 2]], dtype)
        np.testing.assert_array_equal(socialgrid.action_distances(passable, given), right)


def run(program, *arguments):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


LIMITED = """
import resource, sys
import numpy as np, socialgrid
def limit(mib):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (mib << 20),) * 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("mib", [5, 20, 60])
def test_memory_that_ends_is_an_error_that_names_the_size(mib):
    done = run(
        LIMITED
        + """
limit(int(sys.argv[1]))
env = socialgrid.make_vec("Harvest-v0", num_envs=4000, num_threads=1)
env.reset()
held = [env.step(np.zeros((4000, 5), int)) for _ in range(40)]
""",
        mib,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("MemoryError: there is not enough memory: ")
    assert "MiB) for " in last


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_threads_that_cannot_be_had_are_an_error():
    for mib in (1, 20, 60):
        done = run(LIMITED + f"limit({mib})\nsocialgrid.make_vec('Empty-v0', num_threads=1000)")
        assert done.returncode == 1
        assert "of 1000 threads could be started" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("call", ["env.step(a, out)", "env.send(a, out); env.recv()"])
def test_an_exception_in_a_thread_needs_no_memory_that_has_ended(call):
    done = run(
        LIMITED
        + f"""
import ctypes, os
libc = ctypes.CDLL(None)
malloc, free = libc.malloc, libc.free
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
free.argtypes = [ctypes.c_void_p]
env = socialgrid.make_vec("Harvest-v0", num_envs=4000, num_threads=8)
env.reset(); a = np.zeros((4000, 5), np.int32)
env.send(a); r = env.recv()
out = dict(zip(["obs", "reward", "terminated", "truncated"], r[:4])) | r[4]
kept, wrong = malloc(20000), [None] * 100
limit(0)
for size in (1 << 20, 1 << 16, 1 << 12, 1 << 10, 256, 64, 24):
    try:
        while malloc(size): pass
    except MemoryError: pass
free(kept)
for i in range(100):
    try:
        env.inject_failure(i * 37)
        {call}
    except (socialgrid.EnvStepError, MemoryError) as error: wrong[i] = type(error)
os._exit(0 if all(wrong) else 1)
"""
    )
    # Python itself may find no memory any more (1); the process must not be aborted.
    assert done.returncode in (0, 1), done.stderr
    assert "ABORT" not in done.stderr


def test_too_large_a_batch_names_the_memory_it_would_take():
    # 16 million grids of 200 x 200 are more than a terabyte.
    with pytest.raises(MemoryError, match=r"MiB\) for the worlds of 16777216 environments"):
        socialgrid.make_vec("Empty-v0", num_envs=2**24, grid_size=200)
