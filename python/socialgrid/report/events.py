"""TensorBoard events of a run."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from socialgrid.config import TrainConfig, run_files
from socialgrid.config.errors import plain_line, plain_utf8, told


class Events:
    """Writes a run's events; does nothing when switched off."""

    def __init__(self, folder: Path, config: TrainConfig, from_step: int) -> None:
        """Open an event file; events after ``from_step`` written earlier are void."""
        self._agents, self._members = roles(config)
        enabled = config.logging.tensorboard
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
        """Write all numbers of a row of metrics. Where the disk refuses, do so no more."""
        if self._writer is None:
            return
        try:
            for tag, value in self._scalars(row):
                if value is not None and math.isfinite(value):
                    self._writer.add_scalar(tag, value, row["env_steps"])
        except OSError as error:
            print(plain_line(f"no more TensorBoard events: {told(error)}"), file=sys.stderr)
            self._writer = None

    def _scalars(self, row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
        """Numbers by kind, name and whose they are."""
        for name, values in row.get("agents", {}).items():
            for who, value in zip(self._agents, values, strict=True):
                yield f"agents/{name}/{who}", value
        for name, value in row.get("groups", {}).items():
            yield f"groups/{name}", value
        for kind, others, on in (("pairs", self._agents, "on"), ("members", self._members, "of")):
            for name, table in row.get(kind, {}).items():
                for who, values in zip(self._agents, table, strict=True):
                    for other, value in zip(others, values, strict=True):
                        yield f"{kind}/{name}/{who} {on} {other}", value
        for world, found in row.get("evaluations", {}).items():
            for name, value in found.items():
                if isinstance(value, list):  # mean, low, high
                    yield f"evaluations/{world}/{name}", value[0]
        for name, value in row.items():
            if isinstance(value, int | float) and name != "env_steps":
                yield f"run/{name}", value

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()


def roles(config: TrainConfig) -> tuple[list[str], list[str]]:
    """What agents and members of groups are called wherever they play: what they are, and which.

    Without the place that they have among others, so that runs of one learner alone and beside
    experts have the same names.

    Returns:
        names of the agents that rows have numbers of, and of the members of a group.
    """
    roster, count = config.roster, dict[str, int]()
    members = []
    for player in roster.players:
        number = count[player.kind] = count.get(player.kind, -1) + 1
        members.append(plain_line(f"{player.kind} {number}").replace("/", "_"))
    several = roster.groups > 1
    agents = [
        (f"group{group} " if several else "") + members[place] for group, place in roster.agents
    ]
    return agents, members
