"""A learning algorithm of one's own: advantage-weighted regression (Peng et al. 2019).

cd examples
socialgrid-train cleanup-mini --import my_algorithm --algorithm awr --algorithm.sharpness 2
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from socialgrid.algos import A3C, A3CConfig, register_algorithm
from socialgrid.data import Judged


@register_algorithm
@dataclass(frozen=True)
class AWRConfig(A3CConfig):
    """Options of A3C, whose batches and steps are used, and one more."""

    learner: ClassVar[str] = "my_algorithm:AWR"

    name: str = "awr"
    sharpness: float = 1.0
    """How much more an action counts that turned out better: exp(sharpness * advantage)."""


class AWR(A3C):
    """Imitates its own actions, those that were better than expected the most."""

    algorithm = "awr"
    default_config = AWRConfig
    config: AWRConfig

    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        log_prob = log_probs.gather(-1, made.choice.flatten(1).unsqueeze(-1)).squeeze(-1)
        liked = (self.config.sharpness * made.advantage.flatten(1)).exp().clamp(max=20.0)
        return -(log_prob * liked * weight).sum(1), {}
