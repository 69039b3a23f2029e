"""Names of the social mechanisms, for configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch
from socialgrid.social.prediction import prediction_loss
from socialgrid.social.protocols import AuxLoss, Outputs, RewardTerm
from socialgrid.social.reconstruction import reconstruction_loss


def no_loss(outputs: Outputs, batch: Minibatch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """No auxiliary loss: the paper's "vanilla" arm."""
    return outputs.value.new_zeros(batch.weight.shape[0]), {}


AUX_LOSSES: dict[str, AuxLoss] = {
    "none": no_loss,
    "prediction": prediction_loss,
    "reconstruction": reconstruction_loss,
}


def find_aux_loss(name: str) -> AuxLoss:
    """Look an auxiliary loss up.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in AUX_LOSSES:
        raise ValueError(f"auxiliary loss {name!r}: must be one of {sorted(AUX_LOSSES)}")
    return AUX_LOSSES[name]


def learning_reward(rollout: Rollout, terms: Sequence[RewardTerm] = ()) -> Tensor:
    """Reward to learn from: the environment's plus all terms.

    Returns:
        float32 ``[T, E, A]``, a new tensor.

    Raises:
        ValueError: a term has another shape.
    """
    reward = rollout.own(rollout.reward).clone()
    for term in terms:
        extra = term(rollout)
        if extra.shape != reward.shape:
            raise ValueError(
                f"reward term {getattr(term, '__name__', type(term).__name__)} returned shape "
                f"{tuple(extra.shape)}, expected {tuple(reward.shape)} (steps, envs, agents)"
            )
        reward += extra
    return reward
