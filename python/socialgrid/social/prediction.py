"""Auxiliary loss: predict the next view from memory and action."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from socialgrid.data.sequences import Minibatch
from socialgrid.social.mechanism import Outputs


def prediction_loss(outputs: Outputs, batch: Minibatch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Mean absolute error of the predicted next view (Ndousse et al. 2021, eq. 3).

    Pixels count 0 to 1. Steps whose next view belongs to another episode have no weight.
    """
    following = batch.views[:, 1:].flatten(1, 2)
    error = outputs.network.view_error(outputs.core, batch.action.flatten(1), following)
    loss = (error * batch.next_weight.flatten(1)).sum(1)
    return loss, {"prediction_error": loss.detach()}
