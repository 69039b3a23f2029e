"""What one agent saw, did and got, in a file: for learners that imitate it, and for other people's.

The file is an archive of plain arrays (``.npz``) and holds nothing that could be executed.
``numpy.load`` opens it, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from socialgrid.data.rollout import Rollout

FORMAT = 2
_DTYPES: dict[str, tuple[str, ...]] = {
    "obs": ("uint8", "uint16"),
    "action": ("int16",),
    "reward": ("float32",),
    "active": ("bool",),
    "reset": ("bool",),
    "done": ("bool",),
    "terminated": ("bool",),
    "truncated": ("bool",),
    "last_obs": ("uint8", "uint16"),
    "atlas": ("uint8",),
    "about": ("uint8",),
}
_ABOUT: dict[str, type] = {
    "format": int, "game": str, "options": dict, "hidden": list, "obs_mode": str,
    "actions": list, "player": str, "agent": int, "players": list, "seed": int,
    "world_seed": int,
}  # fmt: skip
_MOST_ABOUT = 1 << 20  # bytes


@dataclass(frozen=True)
class Play:
    """One agent in one episode, from the step in which it came into play to that in which it ended.

    Attributes:
        obs: uint8 or uint16 ``[L + 1, *obs_shape]``, seen before each of the ``L`` steps, and
            after the last one.
        action: int16 ``[L]``.
        reward: float32 ``[L]``.
        terminated: whether it ended by the rules of the game; otherwise the time limit cut it off.
        world: in which of the worlds that were played at once.
        step: how many steps that world had been played before; who was there meanwhile has the
            same numbers in a recording of its own.
    """

    obs: npt.NDArray[Any]
    action: npt.NDArray[np.int16]
    reward: npt.NDArray[np.float32]
    terminated: bool
    world: int
    step: int

    def __len__(self) -> int:
        """L."""
        return len(self.action)


@dataclass(frozen=True)
class Trajectories:
    """``T`` steps of one agent in each of ``E`` worlds, from the beginning of an episode on.

    Attributes:
        obs: uint8 or uint16 ``[T, E, *obs_shape]``, seen before the step.
        action: int16 ``[T, E]``, what the agent did.
        reward: float32 ``[T, E]``, what it got for that.
        active: bool ``[T, E]``, in play before the step.
        reset: bool ``[T, E]``, memory is zeroed before the step, as in ``Rollout``.
        done: bool ``[T, E]``, the episode ended in the step.
        terminated: bool ``[T, E]``, the agent's play ended in the step, by the rules of the game.
        truncated: bool ``[T, E]``, it was cut off there by the time limit.
        last_obs: like ``obs``, ``[F, *obs_shape]``: what the agent saw after each of these ``F``
            steps, in their order.
        atlas: uint8 ``[K, t, t, 3]``, the tiles whose numbers ``obs`` holds; none of pixels.
        about: where they come from: format, game, options (of the game), hidden (kinds of objects
            that the agent did not see), obs_mode, actions (their names), player, agent (its slot),
            players (everybody in the world), seed (of the recording) and world_seed (of the batch:
            with it, the options and everybody's actions, the simulator plays the same again).
        path, digest: of the file that they were read from, and its SHA-256; empty if of none.
    """

    obs: npt.NDArray[Any]
    action: npt.NDArray[np.int16]
    reward: npt.NDArray[np.float32]
    active: npt.NDArray[np.bool_]
    reset: npt.NDArray[np.bool_]
    done: npt.NDArray[np.bool_]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    last_obs: npt.NDArray[Any]
    atlas: npt.NDArray[np.uint8]
    about: Mapping[str, Any]
    path: str = ""
    digest: bytes = b""

    def __post_init__(self) -> None:
        for name, kind in _ABOUT.items():
            value = self.about.get(name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"about: {name} is {value!r}, no {kind.__name__}")
        if self.about["format"] != FORMAT:
            raise ValueError(f"format {self.about['format']}, can read {FORMAT}: record it anew")
        for name in ("hidden", "actions", "players"):
            if not all(isinstance(item, str) for item in self.about[name]):
                raise ValueError(f"about: {name} must hold names")
        for name, kinds in _DTYPES.items():
            if name != "about" and getattr(self, name).dtype.name not in kinds:
                dtype = getattr(self, name).dtype
                raise ValueError(f"{name} is of dtype {dtype}, must be {' or '.join(kinds)}")
        shape = self.action.shape
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f"action has shape {shape}, must be [steps, worlds]")
        for name in ("reward", "active", "reset", "done", "terminated", "truncated"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, action {shape}")
        if self.obs.shape[:2] != shape or not 4 <= self.obs.ndim <= 5 or 0 in self.obs.shape:
            raise ValueError(f"obs has shape {self.obs.shape}, action {shape}")
        views = int((self.terminated | self.truncated).sum()), *self.obs.shape[2:]
        if self.last_obs.shape != views or self.last_obs.dtype != self.obs.dtype:
            raise ValueError(
                f"last_obs is {self.last_obs.dtype} of shape {self.last_obs.shape}, must be "
                f"{self.obs.dtype} of {views}"
            )
        if self.action.min() < 0 or self.action.max() >= len(self.about["actions"]):
            raise ValueError(f"action must hold numbers of {len(self.about['actions'])} actions")
        if not self.reset[0].all():
            raise ValueError("reset must be true in the first step: an episode begins there")
        for views_of in (self.obs, self.last_obs):
            known = self.about["obs_mode"] != "tiles" or views_of.max(initial=0) < len(self.atlas)
            if not known:
                raise ValueError(f"obs must hold numbers of {len(self.atlas)} tiles")

    @property
    def num_steps(self) -> int:
        """T."""
        return int(self.action.shape[0])

    @property
    def num_worlds(self) -> int:
        """E."""
        return int(self.action.shape[1])

    def plays(self) -> Iterator[Play]:
        """The agent's episodes, in the order in which they ended; without those that had not."""
        begun = self.active.copy()
        begun[1:] &= ~self.active[:-1] | self.done[:-1] | self.terminated[:-1]
        ends = np.argwhere(self.terminated | self.truncated)
        first = np.where(begun, np.arange(self.num_steps)[:, None], -1)
        first = np.maximum.accumulate(first, 0)
        for view, (t, e) in zip(self.last_obs, ends, strict=True):
            rows = slice(int(first[t, e]), int(t) + 1)
            yield Play(
                np.concatenate([self.obs[rows, e], view[None]]), self.action[rows, e],
                self.reward[rows, e], bool(self.terminated[t, e]), int(e), rows.start,
            )  # fmt: skip

    def pixels(self, obs: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Views as pictures, uint8 ``[..., H, W, 3]``; they are already where tiles have no part.

        Args:
            obs: ``[..., *obs_shape]``, of these trajectories.
        """
        if self.about["obs_mode"] != "tiles":
            return obs
        *front, height, width = obs.shape
        tile = self.atlas.shape[1]
        drawn = np.moveaxis(self.atlas[obs], -3, -4)  # [..., V, t, V, t, 3]
        found: npt.NDArray[np.uint8] = drawn.reshape(*front, height * tile, width * tile, 3)
        return found

    def stretches(self, steps: int) -> int:
        """How many stretches of so many steps there are; the last one may be shorter."""
        return -(-self.num_steps // steps)

    def stretch(self, number: int, steps: int) -> Rollout:
        """One of the ``stretches``, as a rollout of ``E`` environments with this agent alone."""
        first = number * steps
        rows = slice(first, min(first + steps, self.num_steps))
        length = rows.stop - first
        rollout = Rollout(
            length,
            self.num_worlds,
            1,
            self.obs.shape[2:],
            state_size=0,
            obs_dtype=self.obs.dtype.name,
        )
        rollout.obs[:length, :, 0].copy_(torch.from_numpy(self.obs[rows]))
        rollout.taken[:, :, 0].copy_(torch.from_numpy(self.action[rows]))
        rollout.active[:length, :, 0].copy_(torch.from_numpy(self.active[rows]))
        rollout.reset[:length, :, 0].copy_(torch.from_numpy(self.reset[rows]))
        rollout.done.copy_(torch.from_numpy(self.done[rows]))
        return rollout

    def to_bytes(self) -> bytes:
        """The contents of a file."""
        arrays = {name: getattr(self, name) for name in _DTYPES if name != "about"}
        about = json.dumps(dict(self.about), allow_nan=False).encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, about=np.frombuffer(about, np.uint8), **arrays)
        return buffer.getvalue()


def read_trajectories(path: Path) -> Trajectories:
    """Read a file of trajectories after checking all of it.

    Raises:
        ValueError: it cannot be read, is damaged, or is something else; it names the file.
    """
    try:
        if not path.is_file():
            raise ValueError("no such file")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                arrays = {name: _array(archive, name, kinds) for name, kinds in _DTYPES.items()}
        about = arrays.pop("about")
        if about.size > _MOST_ABOUT:
            raise ValueError(f"about has {about.size} bytes, at most {_MOST_ABOUT} are sensible")
        table = json.loads(about.tobytes())
        if not isinstance(table, dict):
            raise ValueError("about is no table")
        return Trajectories(**arrays, about=table, path=str(path), digest=digest)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: not a whole file of trajectories: {error}") from None
    except MemoryError:
        raise ValueError(f"{path}: out of memory") from None
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: {str(error).partition(chr(10))[0]}") from None
    except Exception as error:  # whatever the libraries make of hostile bytes
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from None


def _array(archive: zipfile.ZipFile, name: str, kinds: tuple[str, ...]) -> npt.NDArray[Any]:
    """One array of the archive; nothing is allocated beyond what the archive says it holds."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"not a file of trajectories: it has no {name}") from None
    with archive.open(info) as member:
        shape, dtype = _header(member)
        if dtype.name not in kinds:
            raise ValueError(f"{name} is of dtype {dtype}, must be {' or '.join(kinds)}")
        size = math.prod(shape) * dtype.itemsize
        if size != info.file_size - member.tell():
            raise ValueError(f"{name} claims {size} bytes of {info.file_size - member.tell()}")
        data = bytearray(member.read())
    if len(data) != size:
        raise EOFError(f"{name} ends after {len(data)} of {size} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(member)
    else:
        raise ValueError(f"an array of format {version}")
    if fortran and len(shape) > 1:
        raise ValueError("an array in Fortran's order")
    if dtype.byteorder not in ("|", "=", "<" if np.little_endian else ">"):
        raise ValueError("an array of another byte order")
    return shape, dtype
