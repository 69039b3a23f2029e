"""TensorBoard events of a run."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from socialgrid.config import run_files
from socialgrid.config.errors import plain_line, plain_utf8, told
from socialgrid.report.console import followed_shares


class Events:
    """Writes a run's events; does nothing when switched off."""

    def __init__(self, folder: Path, names: Sequence[str], enabled: bool, from_step: int) -> None:
        """Open an event file; events after ``from_step`` written earlier are void."""
        self._names = [plain_line(name) for name in names]
        self._writer: Any = None
        if enabled and plain_utf8(str(folder)) != str(folder):
            print(plain_line(f"no TensorBoard events: {folder} is not UTF-8"), file=sys.stderr)
        elif enabled:
            from torch.utils.tensorboard import SummaryWriter

            run_files.refuse_link(folder)
            if from_step == 0:
                shutil.rmtree(folder, ignore_errors=True)
            self._writer = SummaryWriter(
                str(folder), purge_step=from_step + 1 if from_step else None
            )

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row of metrics: lists are per agent. Where the disk refuses, do so no more."""
        if self._writer is None:
            return
        try:
            self._write(row)
        except OSError as error:
            print(plain_line(f"no more TensorBoard events: {told(error)}"), file=sys.stderr)
            self._writer = None

    def _write(self, row: Mapping[str, Any]) -> None:
        step = row["env_steps"]
        groups = {"episode": {key: row[key] for key in ("return", "solo_return") if key in row}}
        groups["learner"] = row["learner"]
        if "evaluation" in row:
            groups["evaluation"] = {key: row["evaluation"][key] for key in ("return", "return_std")}
        for group, metrics in groups.items():
            for metric, values in metrics.items():
                for name, value in zip(self._names, values, strict=True):
                    if value is not None and math.isfinite(value):
                        self._writer.add_scalar(f"{group}/{metric}/{name}", value, step)
        for metric, value in (row.get("episode") or {}).items():
            if value is not None and math.isfinite(value):
                self._writer.add_scalar(f"episode/{metric}", value, step)
        for name, value in self._of_pairs(row):
            self._writer.add_scalar(f"pairs/{name}", value, step)
        for name, value in self._of_peers(row):
            if value is not None and math.isfinite(value):
                self._writer.add_scalar(f"peers/{name}", value, step)
        for key in ("agent_steps_per_second", "episodes"):
            self._writer.add_scalar(f"run/{key}", row[key], step)

    def _of_pairs(self, row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """What was measured of pairs of agents, by name."""
        for metric, table in (row.get("pairs") or {}).items():
            for name, values in zip(self._names, table, strict=True):
                for other, value in zip(self._names, values, strict=True):
                    if value is not None and math.isfinite(value):
                        yield f"{metric}/{name} on {other}", value

    def _of_peers(self, row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
        """What advice came to, by name: lists are per agent or per group, and then per member."""
        found = {**(row.get("peers") or {}), "followed": followed_shares(row)}
        for metric, values in found.items():
            if not isinstance(values, list):
                continue
            groups = [f"group{group}" for group in range(len(values))]
            owners = groups if metric == "agent_values" else self._names
            for owner, value in zip(owners, values, strict=True):
                if isinstance(value, list):
                    for place, one in enumerate(value):
                        yield f"{metric}/{owner}/member{place}", one
                else:
                    yield f"{metric}/{owner}", value

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
