"""metrics.jsonl: a row an update, written so that a run can go on where it was cut off."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from socialgrid.config import run_files
from socialgrid.config.errors import UsageError, told

_MAX_LINE = 16 << 20  # bytes of a row


class MetricsFile:
    """``metrics.jsonl``: one JSON object an update, each flushed as soon as it is written."""

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        """Open for appending.

        Args:
            path: the file; created when ``keep_bytes`` is 0.
            keep_bytes: size at the checkpoint resumed from; what was written later is cut off.

        Raises:
            UsageError: the file is shorter than at the checkpoint.
        """
        self.path = path
        run_files.refuse_link(path)
        known = path.exists()
        size = path.stat().st_size if known else 0
        if size < keep_bytes:
            raise UsageError(f"{path}: {size} bytes, the checkpoint was written at {keep_bytes}")
        self._file = path.open("ab")
        self._file.truncate(keep_bytes)
        self._file.seek(0, os.SEEK_END)
        if not known:
            run_files.sync_folder(path.parent)

    @property
    def num_bytes(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; numbers that are not finite become null."""
        with self._named():
            self._file.write(json.dumps(finite(row), allow_nan=False).encode() + b"\n")
            self._file.flush()

    def sync(self) -> None:
        """Make all rows durable: called before a checkpoint that counts on them.

        Raises:
            OSError: the disk refuses, or somebody removed the file or the run's directory.
        """
        with self._named():
            self._file.flush()
            os.fsync(self._file.fileno())
            try:
                same = os.path.samestat(os.fstat(self._file.fileno()), self.path.lstat())
            except FileNotFoundError:
                same = False
            if not same:
                raise FileNotFoundError(errno.ENOENT, "removed or replaced while the run went on")

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # what could not be written has been told before
            self._file.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let errors of the system name the file."""
        try:
            yield
        except OSError as error:
            raise type(error)(error.errno, error.strerror or str(error), str(self.path)) from None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All rows of a ``metrics.jsonl``; a last line cut short by a crash is left out.

    Raises:
        UsageError: no such file, or a line in the middle that is not JSON.
    """
    rows: list[dict[str, Any]] = []
    damaged = 0  # number of a line that is not JSON: only the last one may be
    try:
        with os.fdopen(run_files.open_regular(path), "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), b""), 1):
                if damaged or len(line) > _MAX_LINE:
                    raise UsageError(f"{path}: line {damaged or number} is not JSON")
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    damaged = number
                    continue
                if not isinstance(row, dict):
                    raise UsageError(f"{path}: line {number} is not a row of metrics")
                rows.append(row)
    except OSError as error:
        raise UsageError(told(error, path)) from None
    return rows


def finite(value: Any) -> Any:
    """The same nested value, numbers that are not finite replaced by None."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
