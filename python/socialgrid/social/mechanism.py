"""The contract of a social mechanism: every place where it can meet a recurrent learner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch
from socialgrid.lookup import find_code
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.hearing import Channel
from socialgrid.models.recall import Recall
from socialgrid.models.spec import ViewSpec
from socialgrid.social.roles import ADVISER, MechanismOptions


@dataclass
class Rewards:
    """What decisions of one batch are rewarded with; mechanisms change it one after the other.

    Attributes:
        rollout, batch: what was done.
        network: of all agents, as it acted.
        progress: environment steps done before the batch.
        of: float32 ``[T, E, A]`` by the name of a decision; at first the environment's, for
            ``action``.
        numbers: float32 ``[A]``, to be logged.
        pairs: float32 ``[A, N]``, to be logged: of agent ``a`` of the learner for agent ``n`` of
            the world, NaN where there is nothing.
    """

    rollout: Rollout
    batch: Recall
    network: ActorCritic
    progress: float
    of: dict[str, Tensor]
    numbers: dict[str, Tensor] = field(default_factory=dict)
    pairs: dict[str, Tensor] = field(default_factory=dict)

    def log(self, name: str, x: Tensor) -> None:
        """Log the mean of ``x`` ``[T, E, A]`` over the steps in play."""
        mask = self.batch.mask
        self.numbers[name] = ((x * mask).sum((0, 1)) / mask.sum((0, 1)).clamp(min=1)).cpu()

    def log_pairs(self, name: str, x: Tensor) -> None:
        """Log numbers ``[A, N]`` of agent ``a`` of the learner for agent ``n`` of the world; NaN
        where there is none.
        """
        self.pairs[name] = x.cpu()


@dataclass
class Outputs:
    """What the network made of a minibatch, with gradients.

    Attributes:
        network: itself, for its further branches.
        core: ``[A, L * S, memory]``, the LSTM's output, steps before sequences.
        convolved: ``[A, L * S, ...]``, the convolutions' output.
        decisions: logits float32 ``[A, L * S, n]`` and value ``[A, L * S]`` by name.
    """

    network: ActorCritic
    core: Tensor
    convolved: Tensor
    decisions: dict[str, tuple[Tensor, Tensor]]


class Mechanism:
    """A social mechanism in force. By default it does nothing, in all places.

    What it returns of a loss or a number adds up over the pieces of a minibatch.
    """

    def __init__(self, options: Any, spec: ViewSpec) -> None:
        """Remember the options and whom they are about.

        Raises:
            ValueError: these agents cannot have it.
        """
        self.name, self.options, self.spec = str(options.name), options, spec

    def set_options(self, options: Any, network: ActorCritic) -> None:
        """Go on with other numbers, weights and bounds; what shapes the network is the same."""
        self.options = options

    def channels(self) -> Sequence[Channel]:
        """What agents hear for it."""
        return ()

    def branch(
        self, generators: Sequence[torch.Generator], network: ActorCritic
    ) -> nn.Module | None:
        """A further part of the network; it decides something if it is ``DecisionHeads``."""
        return None

    def reward(self, rewards: Rewards) -> None:
        """Change what agents are rewarded with."""

    def loss(self, outputs: Outputs, part: Minibatch) -> tuple[Tensor | float, dict[str, Tensor]]:
        """What it learns itself: weighted loss ``[A]`` and numbers ``[A]``."""
        return 0.0, {}

    def finish(self, numbers: dict[str, Tensor]) -> None:
        """Turn numbers that added up into what is logged, in place."""

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers from one batch to the next, CPU tensors ``[E, ...]``."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``; an empty mapping forgets everything.

        Raises:
            ValueError: a name or a shape does not fit.
        """
        if tensors:
            raise ValueError(f"{self.name} remembers nothing, but was given {sorted(tensors)}")


def make_mechanisms(options: Iterable[MechanismOptions], spec: ViewSpec) -> list[Mechanism]:
    """The mechanisms in force for a recurrent learner, in the order of their options.

    Raises:
        ValueError: these agents cannot have one of them.
    """
    made = []
    for one in options:
        if one.role == ADVISER:
            raise ValueError(f"{one.name}: advice is for off-policy learners")
        made.append(find_code(one.made_by)(one, spec))
    return made
