"""Phases of a run: stretches of training with numbers of their own, each with an end of its own.

Nothing here needs torch. A phase ends after some steps, or when something that the rows of metrics
hold has passed a bound; a time limit then says when to go on all the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from socialgrid.config.errors import UsageError

if TYPE_CHECKING:
    from socialgrid.config.schema import TrainConfig


@dataclass(frozen=True)
class PhaseConfig:
    """A stretch of training; ``phases`` of a run are these by name, in order.

    Annealing and the curriculum of influence count steps from the beginning of the phase.
    """

    steps: int = 0
    """Environment steps; with a bound, those after which the run goes on without having reached
    it. 0: to the end of the run, in the last phase only."""
    least: int = 0
    """Environment steps before which a bound does not count."""
    metric: str = ""
    """What a bound is on: a number of an agent (value_of_listening, influence, return, entropy,
    ...) or of the group (box_opened, collective_return, ...)."""
    agent: int = 0
    """Whose number it is: a slot; -1 is the last one, and so on."""
    above: float | None = None
    """The phase ends when the metric is above this."""
    below: float | None = None
    """The phase ends when the metric is below this."""
    window: int = 20
    """Updates over whose mean the metric is taken."""
    algorithm: Mapping[str, Any] = field(default_factory=dict)
    """Options of the algorithm in this phase: learning_rate, entropy_coef, gamma, ..."""
    social: Mapping[str, Any] = field(default_factory=dict)
    """Options of the social mechanisms in this phase: influence_weight, curriculum, ..."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the game in this phase."""

    def __post_init__(self) -> None:
        for name, low in (("steps", 0), ("least", 0), ("window", 1)):
            if getattr(self, name) < low:
                raise UsageError(f"{name}: {getattr(self, name)} is out of range, at least {low}")
        bounds = sum(bound is not None for bound in (self.above, self.below))
        if bounds != bool(self.metric):
            raise UsageError(
                "a bound is a metric and one of above and below; here are "
                f"metric {self.metric or 'none'}, above {self.above}, below {self.below}"
            )
        for name in ("above", "below"):
            bound = getattr(self, name)
            if bound is not None and not math.isfinite(bound):
                raise UsageError(f"{name}: {bound} is not a finite number")
        if self.least and not self.metric:
            raise UsageError(f"least: {self.least}, but there is no bound; steps says how long")
        if self.steps and self.least > self.steps:
            raise UsageError(f"least: {self.least} is more than steps {self.steps}")

    def reached(self, value: float | None) -> bool:
        """Whether a value is beyond the bound."""
        if value is None:
            return False
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below

    @property
    def bound(self) -> str:
        """The bound in words."""
        where = f"above {self.above:g}" if self.above is not None else f"below {self.below or 0:g}"
        return f"{self.metric.replace('_', ' ')} {where}"


def described(phase: PhaseConfig) -> str:
    """What a phase says that others do not, as options: ``steps=400000 metric=...``."""
    words = []
    for option in dataclasses.fields(phase):
        value = getattr(phase, option.name)
        if isinstance(value, Mapping):
            words += [f"{option.name}.{name}={_plain(item)}" for name, item in value.items()]
        elif value != option.default:
            words.append(f"{option.name}={_plain(value)}")
    return " ".join(words)


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def measured(row: Mapping[str, Any], metric: str, agent: int) -> float | None:
    """A number of a row of metrics by its name; ``None`` where it has none.

    Args:
        row: of ``metrics.jsonl``.
        metric: of an agent, or of the group.
        agent: slot of the agent; negative: from the end.
    """
    for table in (row.get("learner") or {}, row):
        values = table.get(metric)
        if isinstance(values, list) and -len(values) <= agent < len(values):
            return _known(values[agent])
    return _known((row.get("episode") or {}).get(metric))


def _known(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


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


def told(ended: Mapping[str, Any]) -> str:
    """What there is to say of a phase that has ended: ``phase_ended`` of a row."""
    text = f"phase {ended['name']}: {ended['steps']:,} steps"
    if "bound" not in ended:
        return text
    value = "never measured" if ended["value"] is None else f"{ended['value']:.3g}"
    if ended["reached"]:
        return f"{text}, reached its bound ({ended['bound']}): {value}"
    return f"{text}, did NOT reach its bound ({ended['bound']}): {value}; its time was over"
