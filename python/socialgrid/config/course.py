"""Where a run is in its phases. Nothing here needs torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from socialgrid.config.phases import measured
from socialgrid.config.schema import TrainConfig


class Course:
    """Where a run is in its phases. A run without phases is one that lasts ``run.total_steps``.

    Attributes:
        index: number of the present phase.
        start: environment steps at which it began.
    """

    def __init__(self, config: TrainConfig) -> None:
        """At the beginning of the first phase."""
        self._whole = config
        self._plan = list(config.phases.items())
        self._configs = [config.in_phase(name) for name in config.phases]
        self.index = self.start = 0
        self._over = False
        self._recent: list[float] = []

    @property
    def config(self) -> TrainConfig:
        """The configuration with the numbers of the present phase."""
        return self._configs[self.index] if self._plan else self._whole

    @property
    def configs(self) -> list[TrainConfig]:
        """Those of all phases; without phases the run's own."""
        return self._configs or [self._whole]

    @property
    def name(self) -> str | None:
        """Name of the present phase; ``None`` where there are none."""
        return self._plan[self.index][0] if self._plan else None

    def go_to(self, index: int, start: int) -> None:
        """Be in a phase that began after so many environment steps, as somebody else decided."""
        self.index, self.start, self._recent = index, start, []

    def goal(self) -> int:
        """Environment steps at which the run is over at the latest."""
        total, at = self._whole.run.total_steps, self.start
        for _, phase in self._plan[self.index :]:
            at = at + phase.steps if phase.steps else total
        return min(at, total) if self._plan else total

    def over(self, env_steps: int) -> bool:
        """Whether the run has come to its end."""
        return self._over or env_steps >= self._whole.run.total_steps

    def follow(self, row: dict[str, Any]) -> bool:
        """Take a row of metrics in, and note in it which phase it belongs to.

        Where the phase ends with this row, the row says so under ``phase_ended``: its ``name``,
        the environment ``steps`` that it lasted, and, if it has a bound, that ``bound`` in words,
        the ``value`` (``None`` if never measured) and whether it was ``reached``.

        Returns:
            whether another phase begins.
        """
        if not self._plan:
            return False
        name, phase = self._plan[self.index]
        row["phase"] = name
        if self._over:
            return False  # workers finish what they have begun
        lasted = row["env_steps"] - self.start
        found: dict[str, Any] = {"name": name, "steps": lasted}
        reached = False
        if phase.metric:
            value = measured(row, phase.metric, phase.agent)
            if value is not None:
                self._recent = [*self._recent, value][-phase.window :]
            full = len(self._recent) == phase.window
            mean = sum(self._recent) / len(self._recent) if self._recent else None
            reached = full and lasted >= phase.least and phase.reached(mean)
            found |= {"bound": phase.bound, "value": mean, "reached": reached}
        if not reached and not (phase.steps and lasted >= phase.steps):
            return False
        row["phase_ended"] = found
        self._recent = []
        if self.index + 1 == len(self._plan):
            self._over = True
            return False
        self.index, self.start = self.index + 1, row["env_steps"]
        return True

    def get_state(self) -> dict[str, Any]:
        """JSON-able, for checkpoints."""
        return {
            "index": self.index,
            "start": self.start,
            "recent": list(self._recent),
            "over": self._over,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``get_state``; a run that was over goes on if its last phase is open now.

        Raises:
            ValueError: it is of another plan, or not a state at all.
        """
        index, start = int(state["index"]), int(state["start"])
        recent = [float(value) for value in state["recent"]]
        if not 0 <= index < len(self._plan) or start < 0 or not all(map(math.isfinite, recent)):
            raise ValueError(f"phases: {index} of {len(self._plan)}, from step {start}")
        self.index, self.start, self._recent = index, start, recent
        self._over = bool(state["over"]) and bool(self._plan[-1][1].steps)
