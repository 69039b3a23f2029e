"""Auxiliary losses: views predicted from memory and action (Ndousse et al. 2021, figure 1)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from socialgrid.data.sequences import Minibatch
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.decoder import Decoder
from socialgrid.social.mechanism import Mechanism, Outputs


class ViewLoss(Mechanism):
    """A branch that predicts views, and its error."""

    def branch(self, generators: Sequence[torch.Generator], network: ActorCritic) -> Decoder:
        """See ``Mechanism``."""
        linear = self.options.decoder_output == "linear"
        return Decoder(generators, self.spec, network.config, linear=linear)

    def predict(self, network: ActorCritic, core: Tensor, action: Tensor) -> Tensor:
        """Pixels ``[A, N, cells, t * t * 3]``, 1 being white, of what follows an action.

        Args:
            network: with this branch.
            core: ``[A, N, memory]``, its memory's output.
            action: int64 ``[A, N]``.
        """
        return self.decoder(network).predict(core, action)

    @abstractmethod
    def compared(self, part: Minibatch) -> tuple[Tensor, Tensor]:
        """Prepared views ``[A, L, S, ...]`` that are predicted, and weights ``[A, L, S]``."""

    def loss(self, outputs: Outputs, part: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``Mechanism``: the weighted mean absolute error."""
        network, (views, weight) = outputs.network, self.compared(part)
        rows = part.action.flatten(1), views.flatten(1, 2), weight.flatten(1)
        error = self.decoder(network).error(outputs.core, *rows, network.encoder)
        return self.options.coef * error, {f"{self.name}_error": error}

    def decoder(self, network: ActorCritic) -> Decoder:
        """Its branch of a network."""
        decoder = network.branches[self.name]
        assert isinstance(decoder, Decoder), "see branch()"
        return decoder


class Prediction(ViewLoss):
    """The mechanism ``prediction``: the next view (eq. 3)."""

    def compared(self, part: Minibatch) -> tuple[Tensor, Tensor]:
        """See ``ViewLoss``. Steps whose next view is of another episode have no weight."""
        return part.views[:, 1:], part.next_weight


class Reconstruction(ViewLoss):
    """The mechanism ``reconstruction``: the present view, by the same branch."""

    def compared(self, part: Minibatch) -> tuple[Tensor, Tensor]:
        """See ``ViewLoss``."""
        return part.views[:, :-1], part.weight
