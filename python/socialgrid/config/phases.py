"""Phases of a run: stretches of training with numbers of their own, each with an end of its own.

Nothing here needs torch. A phase ends after some steps, or when something that the rows of metrics
hold has passed a bound; a time limit then says when to go on all the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from socialgrid.config.errors import UsageError


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
    agent: int | Literal["any"] = 0
    """Whose number it is: a slot, of which -1 is the last one, and so on; any: of whichever agent
    that learns is the first to pass the bound. Numbers of the group are nobody's."""
    above: float | None = None
    """The phase ends when the metric is above this."""
    below: float | None = None
    """The phase ends when the metric is below this."""
    window: int = 20
    """Updates over whose mean the metric is taken."""
    algorithm: Mapping[str, Any] = field(default_factory=dict)
    """Options of the algorithm in this phase: learning_rate, entropy_coef, gamma, ..."""
    social: Mapping[str, Any] = field(default_factory=dict)
    """Options of social mechanisms in this phase, by mechanism: influence_weight, ..."""
    aux: Mapping[str, Any] = field(default_factory=dict)
    """Options of auxiliary losses in this phase, by loss: coef."""
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
        whose = "any agent's " if self.agent == "any" else ""
        return f"{whose}{self.metric.replace('_', ' ')} {where}"

    def furthest(self, values: Mapping[int, float]) -> int:
        """Whose of some values, at least one, is furthest on the way to the bound."""
        return (min if self.above is None else max)(values, key=lambda place: values[place])


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
    values = (row.get("agents") or {}).get(metric)
    if isinstance(values, list) and -len(values) <= agent < len(values):
        return _known(values[agent])
    return _known((row.get("groups") or {}).get(metric))


def _known(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def told_of_phase(ended: Mapping[str, Any]) -> str:
    """What there is to say of a phase that has ended: ``phase_ended`` of a row."""
    text = f"phase {ended['name']}: {ended['steps']:,} steps"
    if "bound" not in ended:
        return text
    value = "never measured" if ended["value"] is None else f"{ended['value']:.3g}"
    value += f" of agent {ended['agent']}" if "agent" in ended else ""
    if ended["reached"]:
        return f"{text}, reached its bound ({ended['bound']}): {value}"
    return f"{text}, did NOT reach its bound ({ended['bound']}): {value}; its time was over"
