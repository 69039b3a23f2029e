"""A run's directory: made for one run alone, locked while it is trained, read with suspicion.

Nothing here follows a symbolic link inside a run's directory, reads a file without having looked at
its size, or needs torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import socket
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from socialgrid.config.errors import UsageError, nearest, told

CONFIG, METRICS = "config.json", "metrics.jsonl"
FORMAT = 3
"""Number of the format of runs and their checkpoints, raised where older ones cannot be read."""
_LAST_READERS = {1: "9487337", 2: "3ad3489"}  # the last commit that reads runs of an older format
MAX_JSON = 16 << 20  # bytes; configurations and headers are far smaller
_INTEGRITY = "integrity"  # the table of config.json that is no option
_LOCK = ".lock"
_LOCKED_BYTE = 1 << 30  # Windows locks bytes, and nobody can read a locked one
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_BUSY = (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN, errno.EDEADLK)
# A file is taken for a trap where it claims so much and so little of it is on the disk.
_TRAP_BYTES, _TRAP_RATIO = 64 << 20, 32


def user_path(text: str) -> Path:
    """A path as somebody wrote it; a ``~`` in front that no shell has replaced is their home.

    Raises:
        UsageError: there is a NUL in it, which no path can hold, or what the locale's names of
            files cannot.
    """
    if "\0" in text:
        raise UsageError(f"{text}: a path has no NUL in it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        advice = "" if encoding == "utf-8" else "; PYTHONUTF8=1 makes them UTF-8"
        raise UsageError(f"{text}: names of files are {encoding} here{advice}") from None
    return Path(os.path.expanduser(text))


def file_meant(path: Path) -> str:
    """Which file of its folder may be meant by a path that names none, as a hint in brackets."""
    try:
        there = [] if path.exists() else [one.name for one in path.parent.iterdir()]
    except OSError:
        return ""
    return nearest(path.name, there)


def runs_in(path: Path) -> list[Path]:
    """A run directory, or those of a folder of runs, in the order of their names.

    Numbers in names count as numbers: seed10 comes after seed9.
    """
    if (path / CONFIG).exists() or not path.is_dir():
        return [path]
    found = [own for own in path.iterdir() if (own / CONFIG).is_file()]
    return sorted(found, key=_in_order) or [path]


def _in_order(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


# -- reading ----------------------------------------------------------------------------------


def open_regular(path: Path) -> int:
    """Open a regular file for reading; a link, a pipe or a device is refused, not waited for.

    Returns:
        the descriptor.

    Raises:
        UsageError: it is no regular file.
        OSError: the system refuses.
    """
    refuse_link(path)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path}: not a regular file")
    return descriptor


def read_bytes(path: Path, limit: int, *, exactly: bool = False) -> bytes:
    """Read a regular file of at most (``exactly``: of) ``limit`` bytes.

    Raises:
        UsageError: it is a link or no file, of another size, or next to nothing of it is there.
        OSError: the system refuses.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        status = os.fstat(file.fileno())
        size = status.st_size
        if size > limit or (exactly and size != limit):
            wanted = f"the manifest says {limit}" if exactly else f"at most {limit} are sensible"
            raise UsageError(f"{path}: {size} bytes, {wanted}")
        kept = getattr(status, "st_blocks", None)
        if kept is not None and size > _TRAP_BYTES and kept * 512 * _TRAP_RATIO < size:
            raise UsageError(f"{path}: {size} bytes, of which {kept * 512} are on the disk")
        return file.read(limit + 1)


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link.

    Raises:
        UsageError: it is one.
    """
    if path.is_symlink():
        raise UsageError(f"{path}: a symbolic link; nothing in a run is read or written through it")


# -- writing ----------------------------------------------------------------------------------


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable, where the platform can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it that are missing, durably.

    Returns:
        those made, the deepest one first.

    Raises:
        FileExistsError: the folder itself is there already.
    """
    missing: list[Path] = []
    above = folder.parent
    while not above.exists():
        missing.append(above)
        above = above.parent
    made: list[Path] = []
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was faster
            one.mkdir()
            made.append(one)
            sync_folder(one.parent)
    folder.mkdir()
    sync_folder(folder.parent)
    return [folder, *reversed(made)]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one piece: a crash leaves the old one or the new one, durably.

    A symbolic link of that name is replaced, not followed.

    Raises:
        OSError: the system refuses; it names the file.
    """
    draft = path.with_name(f".{path.name}"[:250])
    try:
        draft.unlink(missing_ok=True)
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


# -- config.json ------------------------------------------------------------------------------


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def identity_of(config: Mapping[str, Any]) -> str:
    """What checkpoints call the configuration they belong to; a run's goal is no part of it."""
    run = {k: v for k, v in config["run"].items() if k not in ("total_steps", "run_dir")}
    return _digest({**config, "run": run})


def write_config(run_dir: Path, config: Mapping[str, Any], identity: str) -> None:
    """Write ``config.json``, with a checksum of it and the run's identity.

    Args:
        run_dir: of the run.
        config: sections of options.
        identity: as ``identity_of`` named it when the run began.

    Raises:
        OSError: the system refuses; it names the file.
    """
    integrity: dict[str, Any] = {"format": FORMAT, "configuration": identity}
    integrity["sha256"] = _digest({**config, _INTEGRITY: integrity})
    text = json.dumps({**config, _INTEGRITY: integrity}, indent=1) + "\n"
    write_whole(run_dir / CONFIG, text.encode())


def read_config(run_dir: Path) -> tuple[dict[str, Any], str]:
    """Read ``config.json``.

    Returns:
        its sections, and the run's identity.

    Raises:
        UsageError: it is no run directory, of an older format, or the file is damaged.
    """
    path = run_dir / CONFIG
    try:
        refuse_link(path)
        if not path.is_file():
            raise UsageError(f"{run_dir}: not a run directory (no {CONFIG})")
        data = json.loads(read_bytes(path, MAX_JSON), parse_constant=_no_number)
    except OSError as error:
        raise UsageError(told(error, path)) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a table of options")
    integrity = data.pop(_INTEGRITY, {})
    if not isinstance(integrity, dict):
        raise UsageError(f"{path}: {_INTEGRITY} is not a table")
    refuse_format(path, integrity.get("format", 1))
    identity = integrity.get("configuration")
    known = {"format": FORMAT, "configuration": identity}
    if not isinstance(identity, str) or integrity.get("sha256") != _digest(
        {**data, _INTEGRITY: known}
    ):
        raise UsageError(
            f"{path}: damaged or edited: its checksum is another one; a copy of it, as in "
            "socialgrid-train COPY.json, may be edited and begins a new run"
        )
    return data, identity


def refuse_format(path: Path, number: object) -> None:
    """Refuse a run or a checkpoint of another format than this version's.

    Raises:
        UsageError: it is one; of an older one, it names the last commit that reads it.
    """
    if number == FORMAT:
        return
    reader = _LAST_READERS.get(number) if isinstance(number, int) else None
    hint = f"; the last commit that reads it is {reader}" if reader else ""
    raise UsageError(f"{path}: of format {number!r}, this version reads {FORMAT}{hint}")


def read_preset(path: Path) -> str:
    """Text of a preset's file, of a size that makes sense.

    Raises:
        UsageError: it is too large.
        OSError: the system refuses.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise UsageError(f"{path}: more than {MAX_JSON} bytes")
    return data.decode()


def without_integrity(data: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a ``config.json`` that is used as a preset."""
    return {name: table for name, table in data.items() if name != _INTEGRITY}


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


# -- the lock ---------------------------------------------------------------------------------


class RunLock:
    """The right to write into a run's directory, which the kernel takes back when a process ends.

    On file systems without locks (some network ones) nothing is locked. NFS passes locks on to
    its server, so that other machines respect them, from version 4 or with lockd.

    Attributes:
        run_dir: the directory.
    """

    def __init__(self, run_dir: Path, made: list[Path] | None = None) -> None:
        """Lock a directory.

        Args:
            run_dir: the run.
            made: folders made for it, the deepest one first, which ``undo`` removes.

        Raises:
            UsageError: another process has it, or the directory cannot be written.
        """
        self.run_dir, self._made = run_dir, made or []
        self._descriptor: int | None = None
        path = run_dir / _LOCK
        try:
            while self._descriptor is None:
                refuse_link(path)
                descriptor = os.open(
                    path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644
                )
                try:
                    self._take(descriptor)
                    # Whoever held the lock before may have removed the file meanwhile.
                    same = os.path.samestat(os.fstat(descriptor), path.stat())
                except BaseException as error:
                    os.close(descriptor)
                    if isinstance(error, FileNotFoundError):
                        continue
                    raise
                if same:
                    self._descriptor = descriptor
                else:
                    os.close(descriptor)
            me = f"process {os.getpid()} on {socket.gethostname()}".encode(errors="replace")
            os.truncate(path, 0)
            os.write(self._descriptor, me)
        except OSError as error:
            raise UsageError(told(error, path)) from None

    def _take(self, descriptor: int) -> None:
        try:
            if sys.platform == "win32":
                import msvcrt  # noqa: PLC0415 (exists on Windows only)

                os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                os.lseek(descriptor, 0, os.SEEK_SET)
            else:
                import fcntl  # noqa: PLC0415 (exists elsewhere only)

                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                os.lseek(descriptor, 0, os.SEEK_SET)
                who = os.read(descriptor, 200).decode(errors="replace") or "another process"
                raise UsageError(f"{self.run_dir}: being trained already, by {who}") from None
            if error.errno not in _NO_LOCKS:
                raise

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            (self.run_dir / _LOCK).unlink()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = None

    def undo(self) -> None:
        """Release, and remove the directories that were made and are still empty."""
        self.release()
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def __del__(self) -> None:
        self.release()


def claim(run_dir: Path, *, fresh: bool = False) -> RunLock:
    """Make a directory for a new run, and lock it.

    Args:
        run_dir: where; a directory that is there already must hold no run.
        fresh: it must be new: where there is one of that name, a number is added to the name.

    Raises:
        UsageError: it holds a run, another process has it, or it cannot be made.
    """
    path, number, made = run_dir, 1, list[Path]()
    try:
        while True:
            try:
                made = make_folders(path)
                break
            except FileExistsError:
                if not fresh:
                    break
                number += 1
                path = run_dir.with_name(f"{run_dir.name}-{number}")
        if not path.is_dir():
            raise UsageError(f"{path}: exists and is not a directory")
        lock = RunLock(path, made)
        if (path / CONFIG).exists() or (path / CONFIG).is_symlink():
            lock.release()
            raise UsageError(
                f"{path}: holds a run already; socialgrid-train --resume {path} goes on with it"
            )
        return lock
    except OSError as error:
        reason = told(error, path)
        raise UsageError(
            reason if reason.startswith(f"{path}: ") else f"{path}: cannot be made: {reason}"
        ) from None
