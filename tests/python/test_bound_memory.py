"""Memory for results that is checked once, and where the memory that is handed out begins."""

import gc

import numpy as np
import pytest
import torch
from tests.python.random_play import flat

import socialgrid

E, A = 5, 3


def make(**options):
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=E, seed=1, max_steps=6, **options)
    env.reset()
    return env


def places(env, kind):
    """New memory for every result, full of what no step writes."""
    results = flat(env.step(np.zeros((E, A), int)))
    arrays = {name: np.full_like(array, 77) for name, array in results.items()}
    if kind == "torch":
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return arrays


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("autoreset", ["same_step", "next_step"])
@pytest.mark.parametrize("call", ["step", "send"])
def test_bound_memory_receives_what_steps_return(kind, autoreset, call):
    env, plain = (make(autoreset=autoreset) for _ in range(2))
    out = places(env, kind)
    plain.step(np.zeros((E, A), int))
    bound = env.bind(out)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(7, size=(E, A))
        expected = flat(plain.step(actions))
        if call == "send":
            env.send(actions, out=bound)
            results = flat(env.recv())
        else:
            results = flat(env.step(actions, out=bound))
        for name, array in expected.items():
            assert results[name] is out[name]
            rows = expected["done"] if name == "final_obs" else slice(None)
            np.testing.assert_array_equal(np.asarray(out[name])[rows], array[rows], err_msg=name)


def test_what_is_not_bound_is_fresh():
    env = make()
    bound = env.bind({"reward": np.zeros((E, A), np.float32)})
    first = env.step(np.zeros((E, A), int), out=bound)
    kept = first[0].copy()
    second = env.step(np.full((E, A), 2), out=bound)
    assert second[0] is not first[0]
    np.testing.assert_array_equal(first[0], kept)


def test_bound_memory_stays_though_its_owner_goes():
    env = make()
    tensor = torch.zeros((E, A), dtype=torch.float32)
    array = np.zeros((E, A, *env.obs_shape), np.uint8)
    bound = env.bind({"reward": tensor, "obs": array})
    tensor.set_(torch.zeros(1))
    with pytest.raises(ValueError, match="resize"):
        array.resize((1,), refcheck=False)
    del tensor, array
    gc.collect()
    fresh = [np.full((E, A, *env.obs_shape), 77, np.uint8) for _ in range(8)]
    env.step(np.full((E, A), 2), out=bound)
    assert all((each == 77).all() for each in fresh)


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ({"obs": np.zeros(3, np.uint8)}, ValueError),
        ({"reward": np.zeros((E, A))}, TypeError),
        ({"rewards": np.zeros((E, A), np.float32)}, KeyError),
        ({"reward": [[0.0] * A] * E}, TypeError),
        (None, TypeError),
        ([], TypeError),
    ],
)
def test_wrong_memory_is_refused_when_it_is_bound(out, error):
    with pytest.raises(error):
        make().bind(out)


def test_memory_bound_to_another_environment_is_refused():
    env, other = make(), make()
    bound = other.bind({"reward": np.zeros((E, A), np.float32)})
    before = env.get_state()
    with pytest.raises(ValueError, match="another environment"):
        env.step(np.zeros((E, A), int), out=bound)
    assert env.get_state() == before
    other.close()
    with pytest.raises(RuntimeError, match="closed"):
        other.step(np.zeros((E, A), int), out=bound)


def every_array(env):
    for _ in range(2):
        yield from flat(env.reset()).items()
        yield from flat(env.step(np.zeros((env.num_envs, env.num_agents), int))).items()
    yield "observe", env.observe()
    yield "render", env.render(0, 3)
    yield "tile_atlas", env.tile_atlas
    fields = ["agent_pos", "agent_active", "step", "cells", "episode", "content", "restart"]
    yield from env.worlds(fields).items()


@pytest.mark.parametrize("num_envs", [1, 3, 64])
@pytest.mark.parametrize("game", ["GoalCycle-v0", "Cleanup-v0"])
def test_memory_that_is_handed_out_begins_at_64_bytes(game, num_envs):
    env = socialgrid.make_vec(game, num_envs=num_envs)
    for name, array in every_array(env):
        assert array.ctypes.data % 64 == 0, name
        assert array.flags.c_contiguous, name
    passable = np.ones((3, 4, 5), bool)
    assert socialgrid.action_distances(passable, np.zeros((3, 2), np.int32)).ctypes.data % 64 == 0
    assert socialgrid.occlusion(np.zeros((3, 5, 5), bool), 1).ctypes.data % 64 == 0


def test_an_unknown_option_is_both_errors():
    with pytest.raises(socialgrid.UnknownOptionError) as error:
        socialgrid.make_vec("Maze-v0", frameskip=4)
    assert isinstance(error.value, socialgrid.ConfigError)
    assert isinstance(error.value, TypeError)
    # The words that TorchRL looks for before it tries again without the option.
    assert "unexpected keyword argument 'frameskip'" in str(error.value)
    with pytest.raises(socialgrid.ConfigError) as error:
        socialgrid.make_vec("Maze-v0", max_steps=0)
    assert not isinstance(error.value, TypeError)
