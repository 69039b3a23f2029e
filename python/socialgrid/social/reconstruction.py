"""Auxiliary loss: reconstruct the present view from memory (the paper's ablation)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from socialgrid.data.sequences import Minibatch
from socialgrid.social.mechanism import Outputs


def reconstruction_loss(outputs: Outputs, batch: Minibatch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Mean absolute error of the reconstructed present view.

    The same branch as for prediction, action included; pixels count 0 to 1.
    """
    present = batch.views[:, :-1].flatten(1, 2)
    error = outputs.network.view_error(outputs.core, batch.action.flatten(1), present)
    loss = (error * batch.weight.flatten(1)).sum(1)
    return loss, {"reconstruction_error": loss.detach()}
