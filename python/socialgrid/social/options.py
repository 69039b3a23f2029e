"""Configuration of the social mechanisms. No heavy imports: the command line reads these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from socialgrid.measures.names import Place, declare

MECHANISMS = {
    "visible-actions": ("hearing", "socialgrid.social.visible:VisibleActions"),
    "inequity": ("reward", "socialgrid.social.rewards:InequityAverseReward"),
    "prosocial": ("reward", "socialgrid.social.rewards:ProsocialReward"),
    "collective": ("reward", "socialgrid.social.rewards:CollectiveReward"),
    "influence": ("influence", "socialgrid.social.influence.leaders:BasicInfluence"),
    "comm": ("influence", "socialgrid.social.influence.communication:Communication"),
    "moa": ("influence", "socialgrid.social.influence.moa:ModelledInfluence"),
    "peers": ("adviser", ""),
    "lectr": ("adviser", ""),
}
"""Every mechanism's role and class, in the order in which they change rewards."""
EXCLUSIVE = ("reward", "influence", "adviser")
"""Roles that one mechanism at most can have."""
OFF_POLICY_MECHANISMS = tuple(name for name, (role, _) in MECHANISMS.items() if role == "adviser")
"""Those that need an off-policy algorithm; all others need an on-policy one."""


@dataclass(frozen=True)
class SocialConfig:
    """Which social mechanisms are in force, and their numbers (Jaques et al. 2019).

    The reward learnt from is ``environment_weight * e + beta * c``: ``e`` is the environment's
    reward after the reward terms, ``c`` the influence, and ``beta`` rises linearly from 0 to
    ``influence_weight`` over ``curriculum`` million environment steps.
    """

    mechanisms: tuple[str, ...] = ()
    """Any of visible-actions, influence, comm, moa, inequity, prosocial, collective; or, with an
    off-policy algorithm, peers or lectr."""
    environment_weight: float = 1.0
    """alpha: weight of the environment's reward (with comm: in the messages' reward only)."""
    influence_weight: float = 0.1
    """beta at the end of the curriculum; 0 makes the baseline of influence, comm and moa."""
    curriculum: float = 0.0
    """Million environment steps over which beta rises; 0: at once."""
    divergence: Literal["kl", "pmi", "jsd"] = "kl"
    """How far the conditional policy is from the marginal one."""
    influence_clip: float | None = None
    """Largest influence of a step; the public code used 10."""
    num_influencers: int = 1
    """influence: so many of the learner's agents, the first ones, act before the others."""
    influencee_weight: float = 0.0
    """influence: share of the influence reward that the influenced agent gets too."""
    vocabulary: int = 9
    """comm: number of symbols."""
    message_embedding: int = 32
    """comm: units between the memory and the message heads."""
    message_entropy_coef: float = 7.89e-4
    """comm: weight of the entropy of messages in the whole loss."""
    message_coef: float = 0.0758
    """comm: weight of the messages' loss, their policy's and their value's."""
    moa_coef: float = 1.312
    """moa: weight of the cross-entropy of the others' next actions."""
    moa_visible_only: bool = False
    """moa: learn from, and influence, visible agents only."""
    moa_memory: int = 128
    """moa: units of its LSTM."""
    inequity_alpha: float = 5.0
    """inequity: dislike of getting less than others."""
    inequity_beta: float = 0.05
    """inequity: dislike of getting more than others."""
    inequity_smoothing: float | None = 0.975
    """inequity: decay of the smoothed rewards (gamma lambda of Hughes et al. 2018); none: raw
    rewards."""
    prosocial_eta: float = 0.85
    """prosocial: weight of the others' rewards."""

    def __post_init__(self) -> None:
        for name in self.mechanisms:
            if name not in MECHANISMS:
                raise ValueError(f"mechanism {name!r}: must be one of {', '.join(MECHANISMS)}")
        if len(set(self.mechanisms)) != len(self.mechanisms):
            raise ValueError(f"mechanisms {self.mechanisms}: each at most once")
        for role in EXCLUSIVE:
            found = [name for name in self.mechanisms if MECHANISMS[name][0] == role]
            if len(found) > 1:
                raise ValueError(f"{' and '.join(found)}: one {role} mechanism at most")
        for name in ("num_influencers", "vocabulary", "message_embedding", "moa_memory"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("curriculum", "moa_coef", "message_coef", "message_entropy_coef"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}: must be 0 or more")
        if self.influence_clip is not None and self.influence_clip <= 0:
            raise ValueError(f"influence_clip {self.influence_clip}: must be positive, or none")
        smoothing = self.inequity_smoothing
        if smoothing is not None and not 0.0 <= smoothing < 1.0:
            raise ValueError(f"inequity_smoothing {smoothing}: must be in [0, 1), or none")

    def beta(self, env_steps: float) -> float:
        """Weight of the influence reward after so many environment steps."""
        if self.curriculum == 0:
            return self.influence_weight
        return self.influence_weight * min(1.0, env_steps / (self.curriculum * 1e6))


declare("influence", "influence on the others", "nats", Place.LINE, digits=3)
declare("value_of_listening", place=Place.LINE, digits=3)
declare("moa_loss", "loss of the model of others", "nats")
declare("moa_accuracy", "accuracy of the model of others")
