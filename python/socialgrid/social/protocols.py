"""The places where a social mechanism meets a learner: the reward and the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch
from socialgrid.models.actor_critic import ActorCritic


@dataclass
class Outputs:
    """What the network made of a minibatch, with gradients.

    Attributes:
        model: the network itself, for further branches.
        core: ``[A, L * S, memory]``, the LSTM's output, steps before sequences.
        logits: float32 ``[A, L * S, n]``.
        value: float32 ``[A, L * S]``.
        convolved: ``[A, L * S, ...]``, the convolutions' output, where a model of other agents
            reads it.
        message: logits float32 ``[A, L * S, V]`` and value ``[A, L * S]`` of messages, where
            agents talk.
    """

    model: ActorCritic
    core: Tensor
    logits: Tensor
    value: Tensor
    convolved: Tensor | None = None
    message: tuple[Tensor, Tensor] | None = None


class AuxLoss(Protocol):
    """Something else to learn from the same batch.

    Returns the loss of each agent, float32 ``[A]``, as sum(weight * error) with the minibatch's
    weights, and metrics ``[A]`` by name. A minibatch may come in pieces; losses and metrics of
    the pieces add up.
    """

    def __call__(self, outputs: Outputs, batch: Minibatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Compute the loss."""
        ...


class RewardTerm(Protocol):
    """Something added to the environment's reward before learning."""

    def __call__(self, rollout: Rollout) -> Tensor:
        """Return float32 ``[T, E, A]``, for the agents that the learner owns."""
        ...
