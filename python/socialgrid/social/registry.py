"""From the names in a configuration to mechanisms and losses."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from socialgrid.data.sequences import Minibatch
from socialgrid.lookup import find_code
from socialgrid.models.spec import ViewSpec
from socialgrid.social.mechanism import Mechanism, Outputs
from socialgrid.social.options import MECHANISMS, SocialConfig
from socialgrid.social.prediction import prediction_loss
from socialgrid.social.protocols import AuxLoss
from socialgrid.social.reconstruction import reconstruction_loss


def make_mechanisms(config: SocialConfig, spec: ViewSpec) -> list[Mechanism]:
    """The mechanisms in force for a recurrent learner.

    Raises:
        ValueError: these agents cannot have one of them.
    """
    made = []
    for name, (_, where) in MECHANISMS.items():
        if name in config.mechanisms:
            made.append(find_code(where)(name, config, spec))
    return made


def no_loss(outputs: Outputs, batch: Minibatch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """No auxiliary loss: the paper's "vanilla" arm."""
    return outputs.core.new_zeros(batch.weight.shape[0], dtype=batch.weight.dtype), {}


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
