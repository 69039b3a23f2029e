"""Whatever is asked of a batch: what is refused changes nothing, what is not is repeatable.

Random games, options and calls, right and wrong. A second batch with another number of threads is
given each snapshot before the call and must come to the same results and the same state. How many
sessions are played is said by --property-examples.
"""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import socialgrid

# Of what takes long: these bound one session's time, not what is right.
MOST = {"tile_size": 6, "grid_size": 12, "view_size": 9, "num_agents": 5, "num_clutter": 30}
CALLS = ["step", "step", "send", "reset", "set_layout", "set_state", "render", "observe", "worlds"]
REFUSALS = (TypeError, ValueError, KeyError, IndexError)

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(-2, 300), max_size=3),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 2**64, 1e300, "\ud800", "\0"]),
)


def fitting(option):
    """Values of an option that are in its range, one or a list, cut to what is quick."""
    high = min(MOST.get(option.name, math.inf), math.inf if option.high is None else option.high)
    if option.type == "bool":
        one = st.booleans()
    elif option.type == "int":
        one = st.integers(int(option.low), int(min(high, option.low + 60)))
    elif option.type == "float":
        one = st.floats(option.low, min(high, 1e6))
    else:
        one = st.sampled_from(option.choices) if option.choices else st.text("#.P0", max_size=4)
    several = st.lists(one, max_size=4)
    return {"single": one, "per_agent": one | several, "size": one | several}.get(
        option.shape, several | st.lists(several, max_size=3)
    )


@st.composite
def arguments(draw):
    game = draw(st.sampled_from(socialgrid.list_games()))
    options = {"num_envs": draw(st.integers(1, 3)), "seed": draw(st.integers(0, 9))}
    config = {"max_steps": draw(st.integers(1, 30))}
    known = socialgrid.game_options(game)
    for option in draw(st.lists(st.sampled_from(known), max_size=3, unique_by=lambda o: o.name)):
        wrong = draw(st.integers(0, 9)) == 0
        config[option.name] = draw(odd if wrong else fitting(option))
    if draw(st.integers(0, 19)) == 0:
        config[draw(st.text(max_size=8))] = draw(odd)
    if draw(st.booleans()):
        options["obs_mode"] = draw(st.sampled_from(["rgb", "tiles", "vector"]))
    # Drawn names may be those of other arguments.
    return {**config, "game": game, **options}


def make(given_arguments, num_threads):
    """A batch that is reset, or None where the arguments are refused."""
    try:
        env = socialgrid.make_vec(**{**given_arguments, "num_threads": num_threads})
    except (TypeError, ValueError):
        return None
    except MemoryError:
        return None  # an odd number of environments
    if env.state_bytes_per_env * env.num_envs > 2**20:
        return None
    try:
        env.reset()
    except socialgrid.EnvStepError:
        return None  # no room for everything
    return env


def draw_actions(draw, env):
    if draw(st.integers(0, 9)) == 0:
        return draw(odd)
    low = -1 if draw(st.integers(0, 9)) == 0 else 0
    counts = env.action_counts
    rows = [[draw(st.integers(low, n - 1)) for n in counts] for _ in range(env.num_envs)]
    return np.array(rows, draw(st.sampled_from(["i1", "i4", "i8", "u2"])).replace("u2", "i2"))


def draw_out(draw, env):
    """Memory for some results, right or wrong in shape and kind."""
    shape = (env.num_envs, env.num_agents)
    right = {
        "obs": (shape + env.obs_shape, env.obs_dtype),
        "reward": (shape, np.float32),
        "terminated": (shape, np.bool_),
        "last_actions": (shape, np.int32),
    }
    out = {}
    for name in draw(st.lists(st.sampled_from([*right, "odd"]), max_size=2, unique=True)):
        size, dtype = right.get(name, (shape, "u1"))
        wrong = draw(st.integers(0, 5)) == 0
        out[name] = np.zeros(size[::-1] if wrong else size, dtype)
    return out or None


def draw_layout(draw, env):
    layout = env.get_layout(0)
    if draw(st.booleans()):
        name = draw(st.sampled_from([field.name for field in dataclasses.fields(layout)]))
        layout = dataclasses.replace(layout, **{name: draw(odd)})
    if draw(st.booleans()):
        places = st.integers(-1, max(env.grid_shape))
        where = st.tuples(places, places)
        positions = [draw(where) for _ in range(env.num_agents)]
        layout = dataclasses.replace(layout, agent_pos=positions)
    if draw(st.booleans()):
        rows = [list(row) for row in layout.cells] if isinstance(layout.cells, list) else [["."]]
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(".#0GLDKOBPA@HRS s\0é"))
        layout = dataclasses.replace(layout, cells=["".join(row) for row in rows])
    return layout


def draw_state(draw, env):
    state = bytearray(env.get_state())
    place = draw(st.integers(0, len(state) - 1))
    how = draw(st.integers(0, 3))
    if how == 0:
        return bytes(state[:place])
    if how == 1:
        state[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(state)


def draw_call(draw, env):
    """One call, to be made on two batches: its name and what makes it."""
    name = draw(
        st.sampled_from(
            [
                "step",
                "step",
                "send",
                "reset",
                "set_layout",
                "set_state",
                "render",
                "observe",
                "worlds",
            ]
        )
    )
    if name in ("step", "send"):
        actions, out = draw_actions(draw, env), draw_out(draw, env)

        def step(batch):
            # Each batch gets memory of its own.
            own = None if out is None else {key: value.copy() for key, value in out.items()}
            if name == "step":
                return batch.step(actions, out=own)
            batch.send(actions, out=own)
            return batch.recv()

        return name, step
    if name == "reset":
        seed = draw(
            st.none()
            | st.integers(0, 9)
            | st.lists(st.integers(0, 2**64), min_size=env.num_envs, max_size=env.num_envs)
            | odd
        )
        return name, lambda batch: batch.reset(seed=seed)
    if name == "set_layout":
        layout = draw_layout(draw, env)
        return name, lambda batch: batch.set_layout(0, layout)
    if name == "set_state":
        state = draw_state(draw, env)
        return name, lambda batch: batch.set_state(state)
    if name == "render":
        index, size = draw(st.integers(0, 3) | odd), draw(st.integers(0, 5) | odd.filter(small))
        return name, lambda batch: batch.render(index, size)
    if name == "worlds":
        field = draw(st.sampled_from(["agent_pos", "agent_dir", "step", "cells", "episode"]) | odd)
        return name, lambda batch: batch.worlds([field])
    return name, lambda batch: batch.observe()


def small(value):
    """Not a number that makes a large picture."""
    return not isinstance(value, int) or value < 9


def arrays_of(result):
    """All arrays in a result, by where they are."""
    if isinstance(result, np.ndarray):
        return {"": result}
    if isinstance(result, dict):
        return dict(result)
    if isinstance(result, tuple):
        named = {str(index): part for index, part in enumerate(result[:-1])}
        return named | dict(result[-1])
    return {}


def play(data):
    given_arguments = data.draw(arguments())
    env = make(given_arguments, 2)
    if env is None:
        return
    twin = make(given_arguments, 1)
    for _ in range(data.draw(st.integers(1, 10))):
        before = env.get_state()
        twin.set_state(before)
        assert twin.get_state() == before, "a snapshot came back otherwise"
        name, call = draw_call(data.draw, env)
        try:
            result = call(env)
        except REFUSALS as error:
            assert env.get_state() == before, f"{name} was refused and changed the state"
            with pytest.raises(type(error)):
                call(twin)
            continue
        expected = call(twin)
        assert env.get_state() == twin.get_state(), f"{name} led two batches to two states"
        right = arrays_of(expected)
        for part, array in arrays_of(result).items():
            np.testing.assert_array_equal(array, right[part], err_msg=f"{name}: {part}")
    env.close()
    twin.close()


def test_what_is_refused_changes_nothing_and_what_is_not_is_repeatable(request):
    sessions = settings(
        max_examples=request.config.getoption("--property-examples"),
        suppress_health_check=list(HealthCheck),
    )
    sessions(given(st.data())(play))()
