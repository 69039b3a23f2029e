"""The contract of a social mechanism: every place where it can meet a recurrent learner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch
from socialgrid.lookup import find_code, warn_of_misspelt
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.hearing import Channel
from socialgrid.models.reading import exact
from socialgrid.models.recall import Recall
from socialgrid.models.spec import ViewSpec
from socialgrid.social.roles import ADVISER, MechanismOptions

T = TypeVar("T")


@dataclass
class Totals:
    """What adds up over the environments of a batch, tensors of the learner's device by name.

    Attributes:
        numbers: sums and counts ``[2, A]``: their ratios are logged.
        pairs: likewise ``[2, A, N]``, of agent ``a`` of the learner for agent ``n`` of the world.
        sums: whatever else mechanisms need for what they ``report``.
    """

    numbers: dict[str, Tensor] = field(default_factory=dict)
    pairs: dict[str, Tensor] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)

    def plus(self, other: Totals) -> Totals:
        """Those of both."""
        return Totals(
            {name: x + other.numbers[name] for name, x in self.numbers.items()},
            {name: x + other.pairs[name] for name, x in self.pairs.items()},
            {name: x + other.sums[name] for name, x in self.sums.items()},
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, see ``of``."""
        return {
            f"{kind.name}/{name}": x
            for kind in fields(self)
            for name, x in getattr(self, kind.name).items()
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Totals:
        """Inverse of ``tensors``; other names are left out."""
        return cls(
            *(
                {
                    name.partition("/")[2]: x
                    for name, x in tensors.items()
                    if name.partition("/")[0] == kind.name
                }
                for kind in fields(cls)
            )
        )

    def means(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Means float32 ``[A]``, 0 of nothing, and of pairs ``[A, N]``, NaN of nothing; of totals
        on the CPU.
        """
        sums, tables = (
            {name: x.double() for name, x in found.items()} for found in (self.numbers, self.pairs)
        )
        numbers = {name: total / n.clamp(min=1) for name, (total, n) in sums.items()}
        pairs = {name: total / n for name, (total, n) in tables.items()}
        return tuple({k: x.float() for k, x in found.items()} for found in (numbers, pairs))  # type: ignore[return-value]


class PhaseOf(Protocol):
    """See ``Rewards.phase``."""

    def __call__(self, name: str, work: Callable[[], T], /) -> T:
        """Results of the work."""
        ...


def _at_once(name: str, work: Callable[[], T], /) -> T:
    return work()


@dataclass
class Rewards:
    """What decisions of some environments are rewarded with in one batch; mechanisms change it one
    after the other.

    Several threads compute different environments at once: whatever a mechanism finds or remembers
    is kept here, not in the mechanism.

    Attributes:
        rollout, batch: what was done in these environments.
        network: of all agents, as it acted.
        progress: environment steps done before the batch.
        of: float32 ``[T, E, A]`` by the name of a decision; at first the environment's, for
            ``action``.
        memory: what the mechanism at hand remembers of these environments, as its ``memory`` gave
            it or as it was left the last time; a mechanism puts new tensors in their place.
        totals: what is to be logged.
        phase: does a part of the work under a name; where an accelerator repeats it by itself, it
            may read what lies in the batch's ``standing`` alone, and its results are to be copied.
    """

    rollout: Rollout
    batch: Recall
    network: ActorCritic
    progress: float
    of: dict[str, Tensor]
    memory: dict[str, Tensor] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    phase: PhaseOf = _at_once

    def log(self, name: str, x: Tensor) -> None:
        """Log the mean of ``x`` ``[T, E, A]`` over the steps in play.

        Raises:
            ValueError: ``x`` has another shape.
        """
        mask = self.batch.mask
        if x.shape != mask.shape:
            raise ValueError(
                f"{name}: what is logged must have shape {tuple(mask.shape)}, steps by "
                f"environments by agents, not {tuple(x.shape)}"
            )
        self.totals.numbers[name] = _totals(x * mask, mask)

    def log_pairs(self, name: str, x: Tensor, counts: Tensor | None = None) -> None:
        """Log means of ``x`` ``[T, E, A, N]``, of agent ``a`` of the learner for agent ``n`` of
        the world, over the steps that ``counts`` (bool, likewise), by default those in play.
        """
        counted = self.batch.mask[..., None] if counts is None else counts
        self.totals.pairs[name] = _totals(x * counted, counted.expand_as(x))

    def add(self, name: str, x: Tensor) -> None:
        """Add up ``x`` over the environments, for ``Mechanism.report``."""
        self.totals.sums[name] = x


def _totals(*found: Tensor) -> Tensor:
    """Sums over steps and environments, side by side, as exact as the device can."""
    return torch.stack([x.sum((0, 1), dtype=exact(x.device)) for x in found])


@dataclass
class Outputs:
    """What the network made of a minibatch, with gradients.

    Attributes:
        network: itself, for its further branches.
        views: prepared, ``[A, L * S, ...]``.
        core: ``[A, L * S, memory]``, the LSTM's output, steps before sequences.
    """

    network: ActorCritic
    views: Tensor
    core: Tensor

    @cached_property
    def decisions(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Logits float32 ``[A, L * S, n]`` and value ``[A, L * S]`` by name, computed for whoever
        asks.
        """
        every, core = self.network.heads.items(), self.core
        return {name: (heads.logits(core), heads.value(core)) for name, heads in every}

    def convolved(self) -> Tensor:
        """The convolutions' output ``[A, L * S, ...]``, computed for whoever asks."""
        return self.network.encoder.convolved(self.views, self.network.dtype)


class Mechanism:
    """A social mechanism in force. By default it does nothing, in all places.

    ``reward`` and ``loss`` are called for some environments at a time, by several threads at once.
    What they return of a loss or a number, or log, adds up over them.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        warn_of_misspelt(cls, Mechanism)

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

    def memory(self, num_envs: int) -> dict[str, Tensor]:
        """What it remembers from one batch to the next, as it is at the beginning, CPU tensors
        ``[E, ...]``; nothing by default. Later ones may lie on the learner's device.
        """
        return {}

    def reward(self, rewards: Rewards) -> None:
        """Change what agents are rewarded with."""

    def report(
        self, sums: Mapping[str, Tensor], numbers: dict[str, Tensor], pairs: dict[str, Tensor]
    ) -> None:
        """Turn what was added up over the batch into numbers ``[A]`` and ``[A, N]`` to be logged,
        beside means, in place.
        """

    def loss(self, outputs: Outputs, part: Minibatch) -> tuple[Tensor | float, dict[str, Tensor]]:
        """What it learns itself: weighted loss ``[A]`` and numbers ``[A]``."""
        return 0.0, {}

    def finish(self, numbers: dict[str, Tensor]) -> None:
        """Turn numbers that added up into what is logged, in place."""


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
