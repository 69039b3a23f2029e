"""Checkpoints that survive a crash while they are written and refuse to be read when damaged.

A checkpoint is a folder::

    step-000000032000/
      weights.safetensors   the learners: parameters, optimisers, random numbers
      arrays.safetensors    everything else that is an array: simulator snapshots, views, memory
      state.json            counters
      manifest.json         size and SHA-256 of the three files above

It is written under another name, every file and the folder are flushed to the disk, and only then
does it get its name; older ones go after that. Nothing in it is ever executed: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor

from socialgrid.config import run_files
from socialgrid.config.errors import CheckpointError, UsageError, told
from socialgrid.config.run_files import MAX_JSON as _MAX_JSON
from socialgrid.config.run_files import sync_folder as _sync_folder

_WEIGHTS, _ARRAYS, _STATE = "weights.safetensors", "arrays.safetensors", "state.json"
_FILES = (_WEIGHTS, _ARRAYS, _STATE)
_MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d{12,})")
_COUNTERS = (
    "update", "env_steps", "agent_steps", "episodes", "builds", "metrics_bytes", "num_solo",
    "epoch", "evaluations",
)  # fmt: skip
_MAX_SIDES = 32  # of an array; numpy's limit is near
_ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64,
    "I64": 64, "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        weights: tensors of the learners, on the CPU.
        arrays: plain numpy arrays by name.
        state: JSON values.
    """

    weights: Mapping[str, Tensor]
    arrays: Mapping[str, npt.NDArray[Any]]
    state: Mapping[str, Any]


def save(folder: Path, step: int, checkpoint: Checkpoint, keep: int = 2, config: str = "") -> Path:
    """Write a checkpoint and remove older ones once it is safe.

    Args:
        folder: where the run's checkpoints live; created if needed.
        step: environment steps so far; names the checkpoint.
        checkpoint: what to keep.
        keep: how many of the newest stay, the new one included.
        config: identity of the configuration that it belongs to.

    Returns:
        The new checkpoint's folder.

    Raises:
        CheckpointError: a weight is not finite, or there is a checkpoint of this step already;
            nothing has been written.
        OSError: the disk refuses; it names the file, and the older checkpoints are untouched.
    """
    for name, tensor in checkpoint.weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name} is not finite: such a state is never saved")
    if not folder.is_dir():
        run_files.make_folders(folder)
    final = folder / f"step-{step:012d}"
    if final.exists():
        raise CheckpointError(f"{final}: exists already")
    draft = folder / f".writing-{final.name}-{os.getpid()}"
    _remove_drafts(folder)
    draft.mkdir()
    try:
        contents = {
            _WEIGHTS: safetensors.torch.save(
                {name: tensor.detach().cpu().contiguous().clone()
                 for name, tensor in checkpoint.weights.items()}
            ),
            _ARRAYS: safetensors.numpy.save(
                {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
            ),
            _STATE: json.dumps(checkpoint.state, allow_nan=False).encode(),
        }  # fmt: skip
        manifest = {
            "format": run_files.FORMAT,
            "step": step,
            "config": config,
            "files": {
                name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in contents.items()
            },
        }
        for name, data in contents.items():
            _write(draft / name, data)
        _write(draft / _MANIFEST, json.dumps(manifest, indent=1).encode())
        _sync_folder(draft)
        draft.rename(final)
        _sync_folder(folder)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), str(final)) from None
        raise
    for old in found(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def found(folder: Path) -> list[Path]:
    """Complete checkpoints of a run, newest first; their contents are not looked at."""
    if not folder.is_dir():
        return []
    run_files.refuse_link(folder)
    named = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(named, key=lambda item: -int(item[0].group(1)))]


def load(path: Path, config: str | None = None) -> Checkpoint:
    """Read one checkpoint after checking all of it.

    Args:
        path: its folder.
        config: identity of the configuration that it must belong to; ``None``: any.

    Raises:
        CheckpointError: a file is missing, longer, shorter or different from what the manifest
            says, is not what it should be, or belongs to another configuration. Nothing of it has
            been used.
    """
    try:
        run_files.refuse_link(path)
        manifest = _json_object(_read(path / _MANIFEST, _MAX_JSON), path / _MANIFEST)
        sizes = _check_manifest(manifest, path)
        if config is not None and manifest.get("config", "") != config:
            raise CheckpointError(f"{path}: belongs to another configuration than config.json's")
        data = {}
        for name, (size, digest) in sizes.items():
            data[name] = _read(path / name, size, exactly=True)
            if hashlib.sha256(data[name]).hexdigest() != digest:
                raise CheckpointError(f"{path / name}: its SHA-256 differs from the manifest's")
        state = _json_object(data[_STATE], path / _STATE)
        for name in (_WEIGHTS, _ARRAYS):
            _check_header(data[name], path / name)
        weights = safetensors.torch.load(data[_WEIGHTS])
        for name, tensor in weights.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise CheckpointError(f"{path / _WEIGHTS}: {name} is not finite")
        return Checkpoint(weights, safetensors.numpy.load(data[_ARRAYS]), state)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(told(error, path)) from None
    except UsageError as error:
        raise CheckpointError(str(error)) from None
    except Exception as error:  # whatever the libraries make of hostile bytes
        raise CheckpointError(f"{path}: {type(error).__name__}: {error}") from None


def load_newest(folder: Path, config: str | None = None) -> tuple[Path, Checkpoint, list[str]]:
    """Read the newest checkpoint that is whole.

    Args:
        folder: where the run's checkpoints live.
        config: identity of the configuration that it must belong to; ``None``: any.

    Returns:
        its folder, its contents, and a complaint for each newer one that was refused.

    Raises:
        CheckpointError: there is none, or none is whole.
    """
    complaints: list[str] = []
    for path in found(folder):
        try:
            return path, load(path, config), complaints
        except CheckpointError as error:
            complaints.append(str(error))
    if complaints:
        raise CheckpointError("no checkpoint is whole: " + "; ".join(complaints))
    raise CheckpointError(f"{folder}: no checkpoint there")


def steps_of(run: Path) -> list[int]:
    """Environment steps at which the checkpoints of a run were written, the oldest first."""
    names = [path.name for path in found(run / "checkpoints")]
    return sorted(int(name.removeprefix("step-")) for name in names)


def load_weights(run: Path, step: int | None = None) -> tuple[Checkpoint, list[str]]:
    """The newest whole checkpoint of a run, or the one of a step.

    Returns:
        it, and a complaint for each newer one that was refused.

    Raises:
        UsageError: there is none, or none is whole and of the run's configuration.
    """
    _, identity = run_files.read_config(run)
    if step is not None:
        path = run / "checkpoints" / f"step-{step:012d}"
        if step not in (there := steps_of(run)):
            raise UsageError(
                f"{run}: no checkpoint of step {step:,}; there are those of "
                + (", ".join(f"{one:,}" for one in there) or "none")
            )
        return load(path, identity), []
    _, stored, complaints = load_newest(run / "checkpoints", identity)
    return stored, complaints


def adopted(
    own: dict[str, Tensor],
    position: int,
    other: Mapping[str, Tensor],
    index: int,
    run: Path,
    newborn: tuple[str, ...] = (),
) -> dict[str, Tensor]:
    """Replace the networks of agent ``position`` by those of agent ``index`` of ``other``.

    Args:
        own: tensors of a learner.
        position: whose networks to replace.
        other: tensors of another run's learner.
        index: whose to take.
        run: the other run, for messages.
        newborn: what the names of tensors begin with that stay as they were born.

    Raises:
        UsageError: the networks differ.
    """
    for name, tensor in own.items():
        if name.startswith("model/") and not name.startswith(newborn):
            there = other.get(name)
            if (
                there is None
                or there.shape[1:] != tensor.shape[1:]
                or there.dtype != tensor.dtype
                or len(there) <= index
            ):
                raise UsageError(
                    f"{run}: its network differs from this run's in {name.removeprefix('model/')}; "
                    "sizes, view and actions must agree"
                )
            tensor[position] = there[index]
    return own


def check_counters(state: Mapping[str, Any]) -> None:
    """Check that the counters among a checkpoint's values are whole numbers from 0 on.

    Raises:
        CheckpointError: one is not.
    """
    for name in _COUNTERS:
        if name in state and not _is_count(state[name]):
            raise CheckpointError(f"{name} is {state[name]!r}, no count")


def check_alike(stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint's tensors are those that a learner has: names, shapes and types.

    Raises:
        CheckpointError: they are not.
    """
    for name in own.keys() ^ stored.keys():
        raise CheckpointError(f"{name} is {'missing' if name in own else 'no part of this run'}")
    for name, tensor in own.items():
        other = stored[name]
        if other.shape != tensor.shape or other.dtype != tensor.dtype:
            raise CheckpointError(
                f"{name} is {other.dtype} {tuple(other.shape)} where {tensor.dtype} "
                f"{tuple(tensor.shape)} belongs"
            )


def set_aside(folder: Path, newer_than: Path) -> None:
    """Rename checkpoints that were refused, so that the run can write its own in their place."""
    for path in found(folder):
        if path == newer_than:
            return
        refused = folder / f"refused-{path.name}"
        shutil.rmtree(refused, ignore_errors=True)
        path.rename(refused)


def _check_manifest(manifest: dict[str, Any], path: Path) -> dict[str, tuple[int, str]]:
    where = path / _MANIFEST
    run_files.refuse_format(where, manifest.get("format"))
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(_FILES):
        raise CheckpointError(f"{where}: must list exactly {', '.join(_FILES)}")
    sizes = {}
    for name in _FILES:
        entry = files[name]
        size = entry.get("bytes") if isinstance(entry, dict) else None
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(size, int) or not _is_count(size) or not isinstance(digest, str):
            raise CheckpointError(f"{where}: {name} needs bytes and sha256")
        sizes[name] = (size, digest)
    return sizes


def _check_header(data: bytes, path: Path) -> None:
    """Check that a safetensors header describes exactly the bytes behind it.

    The library checks as much; a second look costs microseconds and keeps the promise that a
    hostile header can make nobody allocate more than the file itself.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, _MAX_JSON):
        raise CheckpointError(f"{path}: its header claims {length} bytes of {len(data)}")
    header = _json_object(data[8 : 8 + length], path)
    end = 0
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(entry, dict):
            raise CheckpointError(f"{path}: {name!r} is not described by a table")
        bits, shape = _ITEM_BITS.get(str(entry.get("dtype"))), entry.get("shape")
        offsets = entry.get("data_offsets")
        if (
            bits is None
            or (path.name == _ARRAYS and entry.get("dtype") == "BF16")  # numpy has none
            or not isinstance(shape, list)
            or len(shape) > _MAX_SIDES
            or not all(_is_count(side) for side in shape)
            or not isinstance(offsets, list)
            or len(offsets) != 2
            or not all(_is_count(offset) for offset in offsets)
            or math.prod(shape) * bits // 8 != offsets[1] - offsets[0]
        ):
            raise CheckpointError(f"{path}: {name!r} has an impossible description")
        spans.append((offsets[0], offsets[1]))
    for first, last in sorted(spans):
        if first != end:
            raise CheckpointError(f"{path}: tensors overlap or leave gaps at byte {first}")
        end = last
    if end != len(data) - 8 - length:
        raise CheckpointError(f"{path}: tensors end at {end}, data at {len(data) - 8 - length}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _json_object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: not JSON") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return value


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refused(text)


_read = run_files.read_bytes


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove_drafts(folder: Path) -> None:
    """Clear away what a killed process left unfinished."""
    for path in folder.iterdir():
        if path.name.startswith(".writing-"):
            shutil.rmtree(path, ignore_errors=True)
