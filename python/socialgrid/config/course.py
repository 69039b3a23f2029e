"""Where a run is in its phases. Nothing here needs torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from socialgrid.config.errors import nearest
from socialgrid.config.phases import PhaseConfig, measured
from socialgrid.config.schema import TrainConfig

_ONE = -1  # whose number it is where it is a single one: of a named agent, or of all together


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
        self._doubted: set[str] = set()
        self._recent: dict[int, list[float]] = {}  # as ``_numbers`` names them

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
        self.index, self.start, self._recent = index, start, {}

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
        the ``value`` (``None`` if never measured), whether it was ``reached`` and, where any agent
        may pass it, the ``agent`` whose value it is.

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
            means, full = self._means(row, phase)
            among = full or means
            furthest = phase.furthest(among) if among else None
            value = None if furthest is None else among[furthest]
            reached = bool(full) and lasted >= phase.least and phase.reached(value)
            found |= {"bound": phase.bound, "value": value, "reached": reached}
            if phase.agent == "any" and furthest not in (None, _ONE):
                found["agent"] = furthest
        if not reached and not (phase.steps and lasted >= phase.steps):
            return False
        row["phase_ended"] = found
        self._recent = {}
        if self.index + 1 == len(self._plan):
            self._over = True
            return False
        self.index, self.start = self.index + 1, row["env_steps"]
        return True

    def doubt(self, row: Mapping[str, Any]) -> str:
        """What to say, once a phase, of a bound on what its rows do not have; empty if nothing.

        Args:
            row: that has been followed.
        """
        name = str(row.get("phase"))
        phase: PhaseConfig | None = self._whole.phases.get(name)
        known = [*(row.get("agents") or {}), *(row.get("groups") or {})]
        if phase is None or not phase.metric or phase.metric in known:
            return ""
        if name in self._doubted or not row.get("episodes_finished"):
            return ""
        if phase.metric == "solo_return" and any(self._whole.schedule.solo().values):
            return ""  # solo play may begin later
        self._doubted.add(name)
        hint = nearest(phase.metric, known)
        return f"phase {name}: no {phase.metric} is measured{hint}; its bound cannot be reached"

    def _means(
        self, row: Mapping[str, Any], phase: PhaseConfig
    ) -> tuple[dict[int, float], dict[int, float]]:
        """Take the numbers of a row in that a bound is on; means over the latest, and those of
        whole windows alone, as ``_numbers`` names them.
        """
        for place, value in self._numbers(row, phase).items():
            if value is not None:
                self._recent[place] = [*self._recent.get(place, []), value][-phase.window :]
        means = {place: sum(own) / len(own) for place, own in self._recent.items()}
        whole = {place for place, own in self._recent.items() if len(own) == phase.window}
        return means, {place: mean for place, mean in means.items() if place in whole}

    def _numbers(self, row: Mapping[str, Any], phase: PhaseConfig) -> dict[int, float | None]:
        """The numbers of a row that a bound is on: by agent, where any counts."""
        if phase.agent != "any":
            return {_ONE: measured(row, phase.metric, phase.agent)}
        if phase.metric not in (row.get("agents") or {}):
            return {_ONE: measured(row, phase.metric, 0)}
        learners = self._whole.roster.learning_slots
        return {slot: measured(row, phase.metric, slot) for slot in learners}

    def get_state(self) -> dict[str, Any]:
        """JSON-able, for checkpoints."""
        return {
            "index": self.index,
            "start": self.start,
            # A window; where any agent counts, windows by agent.
            "recent": list(self._recent.get(_ONE, ()))
            if set(self._recent) <= {_ONE}
            else {str(slot): list(own) for slot, own in self._recent.items()},
            "over": self._over,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``get_state``; a run that was over goes on if its last phase is open now.

        Raises:
            ValueError: it is of another plan, or not a state at all.
        """
        index, start = int(state["index"]), int(state["start"])
        kept = state["recent"]
        windows = kept.items() if isinstance(kept, Mapping) else [(_ONE, kept)]
        recent = {int(place): [float(value) for value in own] for place, own in windows if own}
        finite = all(math.isfinite(value) for own in recent.values() for value in own)
        if not 0 <= index < len(self._plan) or start < 0 or not finite:
            raise ValueError(f"phases: {index} of {len(self._plan)}, from step {start}")
        self.index, self.start, self._recent = index, start, recent
        self._over = bool(state["over"]) and bool(self._plan[-1][1].steps)
