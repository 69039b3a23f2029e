"""Options of the social mechanisms; the classes here are the list of what there is.

No heavy imports: the command line reads these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import socialgrid.social.advice.options  # noqa: F401 (advisers are on the list, too)
from socialgrid.measures.names import Place, declare
from socialgrid.social.roles import (
    AUXILIARY,
    HEARING,
    INFLUENCE,
    MECHANISMS,
    REWARD,
    MechanismOptions,
    register_mechanism,
)

__all__ = ["MECHANISMS", "register_mechanism"]
_INFLUENCE = "socialgrid.social.influence."


@register_mechanism
@dataclass(frozen=True)
class PredictionOptions(MechanismOptions):
    """The next view is predicted from memory and action (Ndousse et al. 2021, eq. 3)."""

    name: ClassVar[str] = "prediction"
    made_by: ClassVar[str] = "socialgrid.social.auxiliary:Prediction"
    role: ClassVar[str] = AUXILIARY
    fixed: ClassVar[tuple[str, ...]] = ("decoder_output",)

    coef: float = 3.0
    """Weight of the mean absolute error, pixels counting 0 to 1."""
    decoder_output: Literal["leaky_relu", "linear"] = "leaky_relu"
    """Nonlinearity of the predicted pixels; the paper names leaky ReLU for every convolution."""

    def __post_init__(self) -> None:
        if not self.coef >= 0:
            raise ValueError(f"coef {self.coef}: must be 0 or more")


@register_mechanism
@dataclass(frozen=True)
class ReconstructionOptions(PredictionOptions):
    """The present view is predicted from memory and action (Ndousse et al. 2021, appendix)."""

    name: ClassVar[str] = "reconstruction"
    made_by: ClassVar[str] = "socialgrid.social.auxiliary:Reconstruction"


@register_mechanism
@dataclass(frozen=True)
class VisibleActionsOptions(MechanismOptions):
    """Everybody's last action is heard (Jaques et al. 2019, section 10.3)."""

    name: ClassVar[str] = "visible-actions"
    made_by: ClassVar[str] = "socialgrid.social.visible:VisibleActions"
    role: ClassVar[str] = HEARING


@register_mechanism
@dataclass(frozen=True)
class InequityOptions(MechanismOptions):
    """Aversion to having less and to having more than others (Hughes et al. 2018)."""

    name: ClassVar[str] = "inequity"
    made_by: ClassVar[str] = "socialgrid.social.rewards:InequityAverseReward"
    role: ClassVar[str] = REWARD
    fixed: ClassVar[tuple[str, ...]] = ("alpha", "beta", "smoothing")

    alpha: float = 5.0
    """Dislike of getting less than others."""
    beta: float = 0.05
    """Dislike of getting more than others."""
    smoothing: float | None = 0.975
    """Decay of the smoothed rewards (gamma lambda of Hughes et al. 2018); none: raw rewards."""

    def __post_init__(self) -> None:
        if self.smoothing is not None and not 0.0 <= self.smoothing < 1.0:
            raise ValueError(f"smoothing {self.smoothing}: must be in [0, 1), or none")


@register_mechanism
@dataclass(frozen=True)
class ProsocialOptions(MechanismOptions):
    """The others' rewards count, too (Jaques et al. 2019, section 10.5.2)."""

    name: ClassVar[str] = "prosocial"
    made_by: ClassVar[str] = "socialgrid.social.rewards:ProsocialReward"
    role: ClassVar[str] = REWARD
    fixed: ClassVar[tuple[str, ...]] = ("eta",)

    eta: float = 0.85
    """Weight of the others' rewards."""


@register_mechanism
@dataclass(frozen=True)
class CollectiveOptions(MechanismOptions):
    """Everybody gets the sum of all rewards."""

    name: ClassVar[str] = "collective"
    made_by: ClassVar[str] = "socialgrid.social.rewards:CollectiveReward"
    role: ClassVar[str] = REWARD


@dataclass(frozen=True)
class InfluenceOptions(MechanismOptions):
    """What all kinds of influence have in common (Jaques et al. 2019).

    The reward learnt from is ``environment_weight * e + beta * c``: ``e`` is the environment's
    reward after what other mechanisms made of it, ``c`` the influence, and ``beta`` rises linearly
    from 0 to ``influence_weight`` over ``curriculum`` million environment steps.
    """

    role: ClassVar[str] = INFLUENCE
    telling: ClassVar[tuple[str, ...]] = ("influence_weight",)

    environment_weight: float = 1.0
    """alpha: weight of the environment's reward (with comm: in the messages' reward only)."""
    influence_weight: float = 0.1
    """beta at the end of the curriculum; 0 makes the baseline."""
    curriculum: float = 0.0
    """Million environment steps over which beta rises; 0: at once. No matter at a weight of 0."""
    divergence: Literal["kl", "pmi", "jsd"] = "kl"
    """How far the conditional policy is from the marginal one."""
    influence_clip: float | None = None
    """Largest influence of a step; the public code used 10."""

    def __post_init__(self) -> None:
        if self.curriculum < 0:
            raise ValueError(f"curriculum {self.curriculum}: must be 0 or more")
        if self.influence_clip is not None and self.influence_clip <= 0:
            raise ValueError(f"influence_clip {self.influence_clip}: must be positive, or none")

    def unbounded(self) -> tuple[str, ...]:
        """See ``MechanismOptions``: pointwise mutual information has either sign."""
        return ("influence", "influence_reward") if self.divergence == "pmi" else ()

    def beta(self, env_steps: float) -> float:
        """Weight of the influence reward after so many environment steps."""
        if self.curriculum == 0:
            return self.influence_weight
        return self.influence_weight * min(1.0, env_steps / (self.curriculum * 1e6))


@register_mechanism
@dataclass(frozen=True)
class BasicInfluenceOptions(InfluenceOptions):
    """Influence of actions on those who see them in the same step (Jaques et al. 2019, 3)."""

    name: ClassVar[str] = "influence"
    made_by: ClassVar[str] = f"{_INFLUENCE}leaders:BasicInfluence"
    of_team: ClassVar[str] = "lead each other"
    fixed: ClassVar[tuple[str, ...]] = ("num_influencers",)

    num_influencers: int = 1
    """So many of the learner's agents, the first ones, act before the others."""
    influencee_weight: float = 0.0
    """Share of the influence reward that the influenced agent gets too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_influencers < 1:
            raise ValueError(f"num_influencers {self.num_influencers}: must be at least 1")


@register_mechanism
@dataclass(frozen=True)
class CommOptions(InfluenceOptions):
    """Influence of messages on what listeners do next (Jaques et al. 2019, section 4)."""

    name: ClassVar[str] = "comm"
    made_by: ClassVar[str] = f"{_INFLUENCE}communication:Communication"
    of_team: ClassVar[str] = "talk to each other"
    fixed: ClassVar[tuple[str, ...]] = ("vocabulary", "embedding")

    vocabulary: int = 9
    """Number of symbols."""
    embedding: int = 32
    """Units between the memory and the message heads."""
    entropy_coef: float = 7.89e-4
    """Weight of the entropy of messages in the whole loss."""
    coef: float = 0.0758
    """Weight of the messages' loss, their policy's and their value's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("vocabulary", "embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("coef", "entropy_coef"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} {getattr(self, name)}: must be 0 or more")


@register_mechanism
@dataclass(frozen=True)
class MoaOptions(InfluenceOptions):
    """Influence by a model of the other agents (Jaques et al. 2019, section 5)."""

    name: ClassVar[str] = "moa"
    made_by: ClassVar[str] = f"{_INFLUENCE}moa:ModelledInfluence"
    fixed: ClassVar[tuple[str, ...]] = ("memory",)

    coef: float = 1.312
    """Weight of the cross-entropy of the others' next actions."""
    visible_only: bool = False
    """Learn from visible agents only; influence is of visible ones whatever this is."""
    memory: int = 128
    """Units of the model's LSTM."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1:
            raise ValueError(f"memory {self.memory}: must be at least 1")
        if not self.coef >= 0:
            raise ValueError(f"coef {self.coef}: must be 0 or more")


declare("influence", "influence on the others", "nats", Place.LINE, digits=3)
declare("influence_reward", "influence rewarded, shares and bounds included", "nats", Place.FILE)
declare("value_of_listening", place=Place.LINE, digits=3)
declare("moa_loss", "loss of the model of others", "nats")
declare("moa_accuracy", "accuracy of the model of others")
