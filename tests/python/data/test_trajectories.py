"""Files of trajectories: what is written is read, and nothing that is not whole and plain."""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest
import torch

from socialgrid.data import Trajectories, read_trajectories

T, E = 5, 3


def some(**changes):
    rng = np.random.default_rng(0)
    reset = np.zeros((T, E), bool)
    reset[0] = True
    done = rng.random((T, E)) < 0.2
    terminated = rng.random((T, E)) < 0.2
    truncated = done & ~terminated
    arrays = {
        "obs": rng.integers(0, 255, (T, E, 6, 6, 3), np.uint8),
        "action": rng.integers(0, 3, (T, E)).astype(np.int16),
        "active": rng.random((T, E)) < 0.8,
        "reward": rng.random((T, E), np.float32),
        "reset": reset,
        "done": done,
        "terminated": terminated,
        "truncated": truncated,
        "last_obs": rng.integers(
            0, 255, (int((terminated | truncated).sum()), 6, 6, 3), np.uint8
        ),
        "atlas": np.zeros((0, 1, 1, 3), np.uint8),
        "about": {
            "format": 2, "game": "GoalCycle-v0", "options": {"view_size": 7}, "hidden": [],
            "obs_mode": "rgb", "actions": ["left", "right", "on"], "player": "expert", "agent": 0,
            "players": ["expert"], "seed": 3, "world_seed": 5,
        },
    }  # fmt: skip
    return {**arrays, **changes}


def written(path, **changes):
    path.write_bytes(Trajectories(**some(**changes)).to_bytes())
    return path


def raw(path, **changes):
    """A file of whatever arrays are given, without the checks of the class."""
    arrays = some(**changes)
    about = arrays.pop("about")
    if isinstance(about, dict):
        about = np.frombuffer(json.dumps(about).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=about, **{k: x for k, x in arrays.items() if x is not None})
    path.write_bytes(buffer.getvalue())
    return path


def test_what_is_written_is_read(tmp_path):
    path = written(tmp_path / "x.npz")
    found = read_trajectories(path)
    for name, x in some().items():
        if name == "about":
            assert found.about == x
        else:
            np.testing.assert_array_equal(getattr(found, name), x)
            assert getattr(found, name).dtype == x.dtype
    assert found.path == str(path)
    assert len(found.digest) == 32


def test_plays_are_whole_episodes_of_the_agent():
    """Three worlds: it ends early, is cut off, enters late and goes on."""
    flags = {name: np.zeros((T, E), bool) for name in ("active", "done", "terminated", "truncated")}
    flags["active"][:2, 0] = flags["terminated"][1, 0] = flags["done"][3, 0] = True
    flags["active"][4, 0] = True  # of an episode that the recording does not see the end of
    flags["active"][:, 1] = flags["truncated"][2, 1] = flags["done"][2, 1] = True
    flags["terminated"][4, 1] = flags["done"][4, 1] = True
    flags["active"][2:, 2] = True
    obs = np.arange(T * E, dtype=np.uint8).reshape(T, E, 1, 1, 1)
    last = np.array([101, 102, 103], np.uint8).reshape(3, 1, 1, 1)
    found = [*Trajectories(**some(obs=obs, last_obs=last, **flags)).plays()]
    assert [(one.world, one.step, len(one)) for one in found] == [(0, 0, 2), (1, 0, 3), (1, 3, 2)]
    assert [one.terminated for one in found] == [True, False, True]
    assert [one.obs.flatten().tolist() for one in found] == [
        [0, 3, 101], [1, 4, 7, 102], [10, 13, 103]
    ]  # fmt: skip
    np.testing.assert_array_equal(found[2].reward, some()["reward"][3:, 1])
    np.testing.assert_array_equal(found[2].action, some()["action"][3:, 1])


def test_stretches_are_the_steps_one_after_another(tmp_path):
    found = Trajectories(**some())
    assert found.stretches(2) == 3
    seen, done = [], []
    for number in range(3):
        rollout = found.stretch(number, 2)
        seen.append(rollout.obs[:-1, :, 0])
        done.append(rollout.taken[..., 0])
        rows = slice(2 * number, 2 * number + rollout.num_steps)
        np.testing.assert_array_equal(rollout.active[:-1, :, 0], found.active[rows])
        np.testing.assert_array_equal(rollout.reset[:-1, :, 0], found.reset[rows])
        np.testing.assert_array_equal(rollout.done, found.done[rows])
    np.testing.assert_array_equal(torch.cat(seen), found.obs)
    np.testing.assert_array_equal(torch.cat(done), found.action)


ABOUT = some()["about"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"done": None}, "it has no done"),
        ({"action": some()["action"].astype(np.int64)}, "action is of dtype int64, must be int16"),
        ({"obs": some()["obs"].astype(np.float32)}, "obs is of dtype float32"),
        ({"active": np.ones((T, E + 1), bool)}, r"active has shape \(5, 4\), action \(5, 3\)"),
        ({"obs": some()["obs"][:-1]}, "obs has shape"),
        ({"obs": np.zeros((T, E), np.uint8)}, "obs has shape"),
        ({"action": np.full((T, E), 3, np.int16)}, "numbers of 3 actions"),
        ({"action": np.full((T, E), -1, np.int16)}, "numbers of 3 actions"),
        ({"action": np.zeros((0, E), np.int16)}, r"must be \[steps, worlds\]"),
        ({"reset": np.zeros((T, E), bool)}, "reset must be true in the first step"),
        ({"about": {**ABOUT, "format": 1}}, "format 1, can read 2: record it anew"),
        ({"last_obs": some()["last_obs"][1:]}, "last_obs is uint8 of shape .*must be uint8 of"),
        ({"reward": some()["reward"].astype(float)}, "reward is of dtype float64"),
        ({"about": {**ABOUT, "game": 7}}, "game is 7, no str"),
        ({"about": {**ABOUT, "actions": [1]}}, "actions must hold names"),
        ({"about": {**ABOUT, "obs_mode": "tiles"}}, "numbers of 0 tiles"),
        ({"about": np.frombuffer(b"[]", np.uint8)}, "about is no table"),
        ({"about": np.frombuffer(b"{", np.uint8)}, "Expecting"),
        ({"about": np.frombuffer(b"[" * 100_000, np.uint8)}, "RecursionError"),
        ({"about": np.array([{"a": 1}], object)}, "dtype object"),
        ({"obs": np.asfortranarray(some()["obs"])}, "Fortran"),
        ({"action": some()["action"].astype(">i2")}, "byte order"),
    ],
)
def test_files_of_something_else_are_refused_in_a_line(tmp_path, changes, said):
    path = raw(tmp_path / "x.npz", **changes)
    with pytest.raises(ValueError, match=said) as caught:
        read_trajectories(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_every_cut_and_every_flipped_byte_is_a_line_or_the_same(tmp_path):
    path = written(tmp_path / "x.npz")
    data = path.read_bytes()
    whole = read_trajectories(path)
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="npz"):
            read_trajectories(path)
    for place in range(0, len(data), 41):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with contextlib.suppress(ValueError):
            found = read_trajectories(path)  # a time or a comment of the archive differs
            np.testing.assert_array_equal(found.obs, whole.obs)
            np.testing.assert_array_equal(found.action, whole.action)


def test_a_header_that_claims_more_than_there_is_allocates_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50, 1, 6, 6, 3)}
    )
    path = written(tmp_path / "x.npz")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["obs.npy"] = header.getvalue() + bytes(100)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match=r"obs claims \d+ bytes of 100"):
        read_trajectories(path)


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="no such file"):
            read_trajectories(path)
