"""Options of advice. No heavy imports: the command line reads these."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from socialgrid.measures.names import declare
from socialgrid.social.roles import ADVISER, MechanismOptions, register_mechanism

ADVICE = ("critic", "trust", "agent-values")
NORMALISATIONS = ("printed", "largest")
PROGRESS = ("veg", "tdg", "lg", "jvg")
_OF_CHOICE = {"epsilon": "greedy", "temperature": "boltzmann", "temperature_decay": "boltzmann"}
_OF_TRUST = ("advantage", "trust_rate", "initial_trust", "trust_buffer", "trust_samples")
_LARGEST = 3.4e38  # of 32-bit numbers


@dataclass(frozen=True)
class AdviserOptions(MechanismOptions):
    """What all ways of being advised have in common."""

    role: ClassVar[str] = ADVISER

    explore_when_advised: bool = False
    """Explore on top of advice as when alone. Without, as in the public code, advised agents act
    as their policies do: SAC still draws from its distribution, DQN and TD3 take their best
    action, so that only whom they follow is left to chance."""
    peers_explore: bool = True
    """Proposals of others include the exploration that they themselves would have."""
    epoch_steps: int = 10_000
    """Steps of each agent in an epoch."""

    def __post_init__(self) -> None:
        if self.epoch_steps < 1:
            raise ValueError(f"epoch_steps {self.epoch_steps}: must be at least 1")

    def of_run(self, total_steps: int) -> AdviserOptions:
        """The same for a run of so many steps of each agent."""
        return self

    def check_members(self, members: int, owners: int) -> None:
        """Whether so many members, so many of them with networks, can be advised so.

        Raises:
            ValueError: they cannot.
        """


@register_mechanism
@dataclass(frozen=True)
class PeersOptions(AdviserOptions):
    """How peers choose whose proposal to carry out (Derstroff et al. 2024).

    Defaults are the values of the paper's public code; the paper states a ``trust_rate`` of 0.99
    and random initial trust.
    """

    name: ClassVar[str] = "peers"
    made_by: ClassVar[str] = "socialgrid.social.advice.peers:PeerAdviser"
    telling: ClassVar[tuple[str, ...]] = ("advice", "normalise", "choice", "trust_rate")

    advice: tuple[str, ...] = ("critic", "trust", "agent-values")
    """What the value of following somebody is the sum of; empty: all are worth the same."""
    normalise: Literal["printed", "largest"] = "printed"
    """How terms of that sum are scaled. printed: as the paper has it, one term alone as it is
    (eqs. 2 and 3), several each brought to [-1, 1] by its range (footnote 4); largest: each
    divided by its largest absolute value, which leaves little of differences between values that
    are all far from 0."""
    advantage: bool = True
    """Trust and agent values are learnt from what following gained over one's own action (eq. 8),
    not from what came of it (eq. 5)."""
    choice: Literal["boltzmann", "greedy", "others"] = "boltzmann"
    """Whom to follow: drawn by softmax of the values; the most valued, with ``epsilon`` anybody;
    or one of the others, all as likely."""
    epsilon: float = 0.2
    """greedy: share of choices that are uniformly random."""
    temperature: float = 1.0
    """boltzmann: of the softmax."""
    temperature_decay: float = 0.0
    """boltzmann: the temperature falls by the factor exp(-decay) every epoch."""
    follow_steps: int = 10
    """Steps for which a choice holds."""
    trust_rate: float = 0.001
    """Step size of trust and agent values."""
    initial_trust: float | None = 200.0
    """Trust and agent values at the beginning; none: drawn from [0, 1)."""
    trust_buffer: int = 1000
    """Steps that trust and agent values are learnt from, the latest of each asker."""
    trust_samples: int = 10
    """Steps drawn from them after every step."""
    budget_epochs: int | None = None
    """Epochs with advice; after them all play alone. None: no end."""
    budget_share: float | None = None
    """The same as a share of the run's epochs; a run that is resumed for longer has more."""
    solo_ratio: float = 0.0
    """Epochs with advice for each without; below 1, one with advice for 1 / ratio without.
    0: always with advice."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.advice:
            if name not in ADVICE:
                raise ValueError(f"advice {name!r}: must be one of {', '.join(ADVICE)}")
        if len(set(self.advice)) != len(self.advice):
            raise ValueError(f"advice {', '.join(self.advice)}: each at most once")
        if self.normalise not in NORMALISATIONS:
            raise ValueError(
                f"normalise {self.normalise!r}: must be one of {', '.join(NORMALISATIONS)}"
            )
        if self.choice == "greedy" and not self.advice:
            raise ValueError("choice greedy: without advice nobody is worth more than another")
        for name in ("follow_steps", "trust_buffer", "trust_samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if not 0.0 <= self.epsilon <= 1.0:
            raise ValueError(f"epsilon {self.epsilon}: must be in [0, 1]")
        if not 0.0 < self.trust_rate <= 1.0:
            raise ValueError(f"trust_rate {self.trust_rate}: must be in (0, 1]")
        if not 0.0 < self.temperature < math.inf:
            raise ValueError(f"temperature {self.temperature}: must be positive")
        if not 0.0 <= self.temperature_decay < math.inf:
            raise ValueError(f"temperature_decay {self.temperature_decay}: must be 0 or more")
        if self.trust_samples >= self.trust_buffer:
            raise ValueError(
                f"trust_samples {self.trust_samples}: must be less than trust_buffer "
                f"{self.trust_buffer}"
            )
        if self.budget_epochs is not None and self.budget_epochs < 0:
            raise ValueError(f"budget_epochs {self.budget_epochs}: must be 0 or more, or none")
        if self.budget_share is not None:
            if not 0.0 <= self.budget_share <= 1.0:
                raise ValueError(f"budget_share {self.budget_share}: must be in [0, 1], or none")
            if self.budget_epochs is not None:
                raise ValueError("budget_epochs and budget_share: give one of them")
        if self.initial_trust is not None and not abs(self.initial_trust) <= _LARGEST:
            raise ValueError(f"initial_trust {self.initial_trust}: must be finite, or none")
        ratio = self.solo_ratio
        if not 0.0 <= ratio < float("inf"):
            raise ValueError(f"solo_ratio {ratio}: must be 0 or more")
        if ratio and abs(self._epochs_of_one_kind - max(ratio, 1.0 / ratio)) > 0.01:
            raise ValueError(f"solo_ratio {ratio}: it or 1 / it must be a whole number")

    @property
    def _epochs_of_one_kind(self) -> int:
        """How many epochs of one kind come with each of the other."""
        return round(max(self.solo_ratio, 1.0 / self.solo_ratio))

    def of_run(self, total_steps: int) -> PeersOptions:
        """The same with its budget in epochs, for a run of so many steps of each agent."""
        if self.budget_share is None:
            return self
        budget = round(self.budget_share * total_steps / self.epoch_steps)
        return dataclasses.replace(self, budget_epochs=budget, budget_share=None)

    def solo(self, epoch: int) -> bool:
        """Whether everybody plays alone in an epoch, counted from 0.

        Of each run of epochs, the second one is of the rarer kind, as the public code means it;
        there the first epoch without advice never ends.

        Raises:
            ValueError: the budget is a share of a run of unknown length (``of_run``).
        """
        if self.budget_share is not None:
            raise ValueError("budget_share: of which run? see of_run")
        if self.solo_ratio == 0.0:
            advised, alone = epoch, False
        else:
            period = 1 + self._epochs_of_one_kind
            rarer = (epoch + period - 2) // period  # epochs of the rarer kind before this one
            often_advised = self.solo_ratio >= 1.0
            advised = epoch - rarer if often_advised else rarer
            alone = (epoch % period == 1) == often_advised
        return alone or (self.budget_epochs is not None and advised >= self.budget_epochs)

    def check_members(self, members: int, owners: int) -> None:
        """See ``AdviserOptions``."""
        if self.choice == "others" and members < 2:
            raise ValueError("choice: others, but players.kinds names one member only")

    def unused(self) -> Mapping[str, str]:
        """See ``MechanismOptions``."""
        found = {
            name: f"it counts where peers.choice is {choice}; here it is {self.choice}"
            for name, choice in _OF_CHOICE.items()
            if self.choice != choice
        }
        if not {"trust", "agent-values"} & set(self.advice):
            named = ", ".join(self.advice) or "none of them"
            reason = f"it counts where peers.advice has trust or agent-values; here it has {named}"
            found |= dict.fromkeys(_OF_TRUST, reason)
        falling = self.choice == "boltzmann" and self.temperature_decay
        ending = self.budget_epochs is not None or self.budget_share is not None
        if not (falling or ending or self.solo_ratio):
            found["epoch_steps"] = (
                "all epochs are alike without peers.temperature_decay, solo_ratio or a budget"
            )
        if self.choice == "others" or not self.advice:
            reason = "it counts where peers.advice names terms; here nobody is weighed"
            found["normalise"] = reason
        return found


@register_mechanism
@dataclass(frozen=True)
class LeCTROptions(AdviserOptions):
    """How agents learn whom to ask and what to advise (Omidshafiei et al. 2019).

    The paper's numbers are for its own games; these are chosen for the tasks here.
    """

    name: ClassVar[str] = "lectr"
    made_by: ClassVar[str] = "socialgrid.social.advice.lectr:LeCTR"

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
        super().__post_init__()
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

    def check_members(self, members: int, owners: int) -> None:
        """See ``AdviserOptions``."""
        if owners < 2:
            raise ValueError(
                "lectr needs two or more members with networks, players.kinds names "
                f"{owners} (--peers 2)"
            )

    def unused(self) -> Mapping[str, str]:
        """See ``MechanismOptions``."""
        found = {
            "peers_explore": "teachers choose what they advise, whatever they would do",
            "epoch_steps": "advice is given in all epochs",
        }
        if self.progress != "veg":
            reason = f"it counts where lectr.progress is veg; here it is {self.progress}"
            found |= dict.fromkeys(("threshold", "threshold_rate"), reason)
        elif self.threshold is not None:
            found["threshold_rate"] = "lectr.threshold says what it is"
        return found


declare("agent_values", "agent values, of the whole group")
declare("asked", "steps in which advice was asked for", "share")
declare("advised", "steps in which advice was followed", "share")
declare("changed", "steps in which advice changed the action", "share")
declare("answered", "answered of the others' requests", "share")
