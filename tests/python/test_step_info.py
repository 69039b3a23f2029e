"""A step's info writes the zeros of ``final_obs`` when it is asked for them."""

import copy
import pickle
import threading

import numpy as np
import pytest

import socialgrid

E, A = 6, 2
ACTIONS = np.zeros((E, A), np.int32)


def make(**options):
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=E, num_agents=A, seed=3, **options)
    env.reset()
    return env


def spoiled(**options):
    """An environment whose next final_obs lies where somebody has written."""
    env = make(**options)
    env.step(ACTIONS)[4]["final_obs"][...] = 7
    return env


def matched(info):
    match info:
        case {"final_obs": found}:
            return found


def named(**entries):
    return entries


def updated(info):
    found = {}
    found.update(info)
    return found


def asked(info):
    assert "final_obs" in info
    return info["final_obs"]


READERS = {
    "by its name": lambda info: info["final_obs"],
    "get": lambda info: info.get("final_obs"),
    "get else": lambda info: info.get("final_obs", None),
    "pop": lambda info: info.pop("final_obs"),
    "setdefault": lambda info: info.setdefault("final_obs", None),
    "items": lambda info: dict(info.items())["final_obs"],
    "values": lambda info: list(info.values())[list(info.keys()).index("final_obs")],
    "keys": lambda info: {name: info[name] for name in info}["final_obs"],
    "reversed": lambda info: info[next(name for name in reversed(info) if "final" in name)],
    "dict": lambda info: dict(info)["final_obs"],
    "stars": lambda info: {**info}["final_obs"],
    "keywords": lambda info: named(**info)["final_obs"],
    "update": lambda info: updated(info)["final_obs"],
    "or": lambda info: (info | {})["final_obs"],
    "ror": lambda info: ({} | info)["final_obs"],
    "copy": lambda info: info.copy()["final_obs"],
    "copy.copy": lambda info: copy.copy(info)["final_obs"],
    "deepcopy": lambda info: copy.deepcopy(info)["final_obs"],
    "pickle": lambda info: pickle.loads(pickle.dumps(info))["final_obs"],
    "match": matched,
    "popitem": lambda info: dict([info.popitem() for _ in range(len(info))])["final_obs"],
    "in": asked,
}


@pytest.mark.parametrize("reader", READERS)
def test_every_way_to_read_it_shows_zeros_and_last_views(reader):
    env, twin = spoiled(max_steps=4), make(max_steps=4)
    twin.step(ACTIONS)
    for step in range(2, 9):
        info, expected = env.step(ACTIONS)[4], twin.step(ACTIONS)[4]
        found = READERS[reader](info)
        assert type(found) is np.ndarray
        assert found.any() == (step % 4 == 0)
        np.testing.assert_array_equal(found, expected["final_obs"], f"step {step}")
        found[...] = 7
        del info, found


def test_it_is_a_dict_with_that_entry():
    env = spoiled()
    names = ["done", "active", "visible", "last_actions", "final_obs"]
    assert len(env.step(ACTIONS)[4]) == 5
    assert list(env.step(ACTIONS)[4]) == names
    assert "final_obs" in env.step(ACTIONS)[4]
    assert "final_obs" in repr(env.step(ACTIONS)[4])
    assert isinstance(env.step(ACTIONS)[4], dict)
    for copied in (copy.copy, copy.deepcopy, dict, lambda info: pickle.loads(pickle.dumps(info))):
        assert type(copied(env.step(ACTIONS)[4])) is dict
    info = env.step(ACTIONS)[4]
    whole = dict(info)
    assert all(whole[name] is info[name] for name in names)
    with pytest.raises(KeyError, match="final_views"):
        info["final_views"]
    info["final_obs"] = whole["done"]  # one's own entry stays
    assert info["final_obs"] is whole["done"]
    del info["final_obs"]
    assert "final_obs" not in info
    with pytest.raises(KeyError, match="final_obs"):
        info["final_obs"]
    info = env.step(ACTIONS)[4]
    info["final_obs"] = whole["done"]
    assert dict(info)["final_obs"] is whole["done"]
    info = env.step(ACTIONS)[4]
    del info["final_obs"]
    assert list(info) == names[:-1]
    info.clear()
    assert not info
    assert info == {}


def test_two_that_have_not_been_asked_are_compared_whole():
    one, other = (spoiled().step(ACTIONS)[4] for _ in range(2))
    entries = dict(other)
    one.clear()
    one.update(entries)
    other = type(other)({name: entries[name] for name in entries if name != "final_obs"})
    other.unread = entries["final_obs"]
    assert one == other
    other.unread = entries["final_obs"]
    del other["final_obs"]
    assert one != other


def test_zeros_are_written_only_for_who_asks():
    info = spoiled().step(ACTIONS)[4]
    assert not info["done"].any()
    assert info.get("active") is not None
    assert "events" not in info
    assert info.get("events") is None
    info["mine"] = info["done"]
    del info["mine"]
    assert info.unread is not None
    assert info["final_obs"].sum() == 0
    assert info.unread is None


def test_what_its_holder_writes_stays():
    info = spoiled().step(ACTIONS)[4]
    held = info["final_obs"]
    held[...] = 9
    assert info["final_obs"] is held
    assert (dict(info)["final_obs"] == 9).all()


@pytest.mark.parametrize("autoreset", ["same_step", "next_step"])
@pytest.mark.parametrize("threads", [1, 3])
def test_old_results_read_late_are_right(autoreset, threads):
    options = {"max_steps": 3, "autoreset": autoreset, "num_threads": threads}
    env, twin = spoiled(**options), make(**options)
    twin.step(ACTIONS)
    rng = np.random.default_rng(0)
    late, expected = [], []
    for step in range(20):
        mask = rng.random(E) < 0.3  # so that episodes end at different times
        mask[0] = True
        env.reset(mask=mask)
        twin.reset(mask=mask)
        if step % 2:
            env.send(ACTIONS)
            info = env.recv()[4]
        else:
            info = env.step(ACTIONS)[4]
        info["done"][...] = step % 3 == 0  # what a holder writes there changes no views
        late.append(info)
        expected.append(twin.step(ACTIONS)[4]["final_obs"].copy())
    assert any(0 < views.reshape(E, -1).any(1).sum() < E for views in expected)
    env.close()
    for info, views in reversed(list(zip(late, expected, strict=True))):
        np.testing.assert_array_equal(info["final_obs"], views)


def test_threads_may_ask_together():
    env = spoiled()
    for _ in range(50):
        info = env.step(ACTIONS)[4]
        found, barrier = [], threading.Barrier(4)

        def ask(info=info, found=found, barrier=barrier):
            barrier.wait()
            found.append(info["final_obs"])

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert all(one is found[0] for one in found)
        assert not found[0].any()
        found[0][...] = 7


def test_memory_of_ones_own_is_written_only_where_episodes_end():
    env = spoiled(max_steps=3)
    final = np.full((E, A, *env.obs_shape), 5, env.obs_dtype)
    info = env.step(ACTIONS, out={"final_obs": final})[4]
    assert info["final_obs"] is final
    assert (final == 5).all()
    info = env.step(ACTIONS, out={"final_obs": final})[4]
    assert list(info)[-1] == "final_obs"
    assert not (info["final_obs"] == 5).all()


def test_only_a_steps_own_array_can_be_cleared():
    kind = type(make().step(ACTIONS)[4])
    for array in (np.ones(3), np.ones((E, 3))[1:]):
        info = kind()
        info.unread = array
        with pytest.raises(TypeError, match="handed out"):
            info["final_obs"]
        assert array.all()
    info = kind(done=ACTIONS)
    assert dict(info) == {"done": ACTIONS}
    obs = spoiled().observe()
    before = obs.copy()
    info.unread = obs  # all of whose rows are written
    np.testing.assert_array_equal(info["final_obs"], before)
