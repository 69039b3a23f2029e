"""Checkpoints: what is damaged is refused quickly, what came before is still there."""

import hashlib
import json
import os
import pickle
import struct
import time

import numpy as np
import pytest
import torch

from socialgrid.config import CheckpointError
from socialgrid.train import Checkpoint, checkpoint


def make(value=1.0):
    return Checkpoint(
        {"model/w": torch.full((3, 5), value), "model/b": torch.ones(2, dtype=torch.bfloat16),
         "generator": torch.arange(40, dtype=torch.uint8)},
        {"worlds/0/env": np.arange(1000, dtype=np.uint8), "reset": np.array([True, False]),
         "rng": np.array([2**64 - 1], np.uint64), "calls": np.array(3)},
        {"env_steps": 7, "nested": {"big": 2**80, "text": "é"}},
    )  # fmt: skip


def rewrite(path, name, data):
    """Replace a file and make the manifest agree, as an attacker would."""
    (path / name).write_bytes(data)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))


def safetensors_bytes(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_what_is_saved_comes_back(tmp_path):
    saved = make()
    path = checkpoint.save(tmp_path, 7, saved)
    loaded = checkpoint.load(path)
    assert loaded.state == saved.state
    assert set(loaded.weights) == set(saved.weights)
    for name, tensor in saved.weights.items():
        assert torch.equal(loaded.weights[name], tensor)
        assert loaded.weights[name].dtype == tensor.dtype
    for name, array in saved.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].dtype == array.dtype


def test_the_previous_one_stays_and_older_ones_go(tmp_path):
    for step in (10, 200, 3000):
        checkpoint.save(tmp_path, step, make(step))
    assert [path.name for path in checkpoint.found(tmp_path)] == [
        "step-000000003000", "step-000000000200",
    ]  # fmt: skip


def test_a_state_that_is_not_finite_is_never_written(tmp_path):
    checkpoint.save(tmp_path, 1, make())
    with pytest.raises(CheckpointError, match="model/w is not finite"):
        checkpoint.save(tmp_path, 2, make(float("nan")))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000001"]


def test_a_failed_write_leaves_the_old_one_and_no_draft(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, make())

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, 2, make())
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000001"]


def test_a_draft_of_a_killed_process_is_ignored_and_cleared(tmp_path):
    draft = tmp_path / ".writing-step-000000000005-123"
    draft.mkdir()
    (draft / "weights.safetensors").write_bytes(b"half")
    assert checkpoint.found(tmp_path) == []
    checkpoint.save(tmp_path, 6, make())
    assert not draft.exists()


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "arrays.safetensors", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["truncate", "flip", "grow", "empty", "remove", "link"])
def test_damage_falls_back_to_the_previous_one(tmp_path, name, damage):
    checkpoint.save(tmp_path, 1, make(1.0))
    path = checkpoint.save(tmp_path, 2, make(2.0))
    target = path / name
    data = target.read_bytes()
    match damage:
        case "truncate":
            target.write_bytes(data[: len(data) // 2])
        case "flip":
            # In the manifest any flip inside a digest does; elsewhere any flip at all.
            at = data.index(b'sha256": "') + 12 if name == "manifest.json" else len(data) - 3
            target.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        case "grow":
            target.write_bytes(data + b"\0")
        case "empty":
            target.write_bytes(b"")
        case "remove":
            target.unlink()
        case "link":
            other = tmp_path / "elsewhere"
            other.write_bytes(data)
            target.unlink()
            target.symlink_to(other)
    start = time.process_time()
    found, loaded, complaints = checkpoint.load_newest(tmp_path)
    assert time.process_time() - start < 1
    assert found.name == "step-000000000001"
    assert loaded.weights["model/w"][0, 0] == 1
    assert len(complaints) == 1
    assert "step-000000000002" in complaints[0]


class _Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


HOSTILE = {
    "pickle": pickle.dumps(_Bomb()),
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "header longer than the file": struct.pack("<Q", 10_000) + b"{}" * 8,
    "not JSON": safetensors_bytes(b"[[[["),
    "deep JSON": safetensors_bytes(b"[" * 100_000),
    "a list": safetensors_bytes(b"[]"),
    "huge shape": safetensors_bytes(
        {"w": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "overflowing shape": safetensors_bytes(
        {"w": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}
    ),
    "negative shape": safetensors_bytes(
        {"w": {"dtype": "U8", "shape": [-4, -1], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "offsets beyond the file": safetensors_bytes(
        {"w": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}}
    ),
    "overlap": safetensors_bytes(
        {
            "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
            "b": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
        },
        b"\0" * 4,
    ),
    "gap": safetensors_bytes(
        {"a": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, b"\0" * 4
    ),
    "trailing bytes": safetensors_bytes({}, b"payload"),
    "unknown type": safetensors_bytes(
        {"a": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8
    ),
    "entry is no table": safetensors_bytes({"a": 3}),
    "empty": b"",
}


@pytest.mark.parametrize("name", ["weights.safetensors", "arrays.safetensors"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_tensors_are_refused_even_with_a_matching_manifest(
    tmp_path, monkeypatch, name, kind
):
    monkeypatch.chdir(tmp_path)
    path = checkpoint.save(tmp_path / "run", 2, make())
    rewrite(path, name, HOSTILE[kind])
    start = time.process_time()
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(path)
    assert time.process_time() - start < 1
    assert name in str(error.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["files"].update({"../../secret": m["files"]["state.json"]}),
        lambda m: m["files"].update({"/etc/passwd": {"bytes": 1, "sha256": ""}}),
        lambda m: m["files"].pop("state.json"),
        lambda m: m["files"]["state.json"].update(bytes=2**80),
        lambda m: m["files"]["state.json"].update(bytes=-1),
        lambda m: m["files"]["state.json"].update(bytes=True),
        lambda m: m["files"]["state.json"].update(sha256=7),
        lambda m: m["files"].update({"state.json": [1]}),
        lambda m: m.update(files=[]),
        lambda m: m.update(format=99),
    ],
)
def test_hostile_manifests_are_refused(tmp_path, change):
    path = checkpoint.save(tmp_path, 2, make())
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        checkpoint.load(path)


@pytest.mark.parametrize("data", [b"[" * 200_000, b"[]", b"\xff", b" " * (17 << 20)])
def test_manifests_that_are_no_manifests_are_refused(tmp_path, data):
    path = checkpoint.save(tmp_path, 2, make())
    (path / "manifest.json").write_bytes(data)
    start = time.process_time()
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert time.process_time() - start < 1


def test_refused_ones_are_set_aside_but_kept(tmp_path):
    good = checkpoint.save(tmp_path, 1, make())
    checkpoint.save(tmp_path, 2, make())
    checkpoint.set_aside(tmp_path, good)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "refused-step-000000000002", "step-000000000001",
    ]  # fmt: skip
    checkpoint.save(tmp_path, 2, make())


def test_nothing_there_is_said_plainly(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        checkpoint.load_newest(tmp_path / "nowhere")
