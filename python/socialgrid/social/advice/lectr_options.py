"""Configuration of LeCTR. No heavy imports: the command line reads these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from socialgrid.measures.names import declare

PROGRESS = ("veg", "tdg", "lg", "jvg")


@dataclass(frozen=True)
class LeCTRConfig:
    """How agents learn whom to ask and what to advise (Omidshafiei et al. 2019).

    The paper's numbers are for its own games; these are chosen for the tasks here.
    """

    progress: Literal["veg", "tdg", "lg", "jvg"] = "veg"
    """What measures the asker's learning progress: whether its value estimate is above a threshold
    (value estimation gain), how far its temporal difference shrank, how far its squared temporal
    difference shrank (loss gain), or how far its value estimate rose (value gain)."""
    threshold: float | None = None
    """veg: what the value estimate should be above; none: the running mean of the asker's
    estimates, so that no scale of returns has to be known."""
    threshold_rate: float = 0.3
    """veg: step size of that mean, for each ``interval``."""
    cost: float = 0.0
    """Taken off the advising reward of a step in which advice was followed."""
    gamma: float = 0.95
    """Discount of advising rewards."""
    learning_rate: float = 1e-3
    """Adam's step size, of advising policies and their critics."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the hidden layers of every advising network."""
    buffer_size: int = 50_000
    """Steps that each agent's advising replay memory holds."""
    batch_size: int = 64
    """Steps in a gradient step, for each agent."""
    learning_starts: int = 200
    """Steps of each agent in the memory before the first gradient step."""
    interval: int = 8
    """Steps of the agents' tasks after which progress is measured and advising learnt from. The
    learner should learn once in that many steps of one copy: its own interval, or a multiple."""
    gradient_steps: int = 2
    """Gradient steps every ``interval``."""
    tau: float = 0.02
    """How far targets move towards the networks after a gradient step."""
    epsilon: float = 0.05
    """Share of random choices of every advising policy."""
    entropy_coef: float = 0.05
    """Weight of the entropy of the advising policies."""
    max_grad_norm: float = 10.0
    """Clip the gradient of each agent's advising networks to this norm."""

    def __post_init__(self) -> None:
        if self.progress not in PROGRESS:
            raise ValueError(f"progress {self.progress!r}: must be one of {', '.join(PROGRESS)}")
        for name in ("gamma", "epsilon"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in [0, 1]")
        for name in ("tau", "threshold_rate"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in (0, 1]")
        for name in ("buffer_size", "batch_size", "interval", "gradient_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("cost", "learning_rate", "learning_starts", "entropy_coef"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} {getattr(self, name)}: must be 0 or more")
        if not self.max_grad_norm > 0:
            raise ValueError(f"max_grad_norm {self.max_grad_norm}: must be positive")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden {self.hidden}: at least one layer of at least 1 unit")


declare("asked", "steps in which advice was asked for", "share")
declare("advised", "steps in which advice was followed", "share")
declare("changed", "steps in which advice changed the action", "share")
declare("answered", "answered of the others' requests", "share")
