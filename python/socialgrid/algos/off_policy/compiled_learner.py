"""Learners whose gradient steps on vectors are all taken in one call of compiled kernels.

What they compute is what each learner's ``_learn`` does step by step; results differ by rounding.
Each agent does all it has to do for a step while its numbers are in the cache, and agents are
shared among threads.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from socialgrid.algos.off_policy.experience import BATCH, UPDATE_NOISE
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.models import kernels
from socialgrid.models.finite import NonFiniteError

# What ``_compiled_steps`` does in the place of.
_COMPILED = (
    *("_learn", "loss", "critic_loss", "actor_loss", "_errors"),
    *("_descend", "_stepping", "_movers", "_move_targets"),
)


class CompiledLearner(OffPolicyLearner):
    """Takes the steps of an update at once where kernels can, otherwise one by one.

    Attributes:
        known_to_kernels: stands in the class whose methods they do the work of. Its subclasses that
            learn otherwise take steps one by one.
    """

    known_to_kernels: ClassVar[bool]
    _sees: bool | None = None
    """Whether networks look at views; None: not asked yet."""

    @abstractmethod
    def _compiled_steps(self, batches: Batches) -> Steps:
        """Let learners take gradient steps, up to the first in which somebody's is not finite."""

    def _compiles(self) -> bool:
        """Whether kernels can work on these vectors and networks, and are wanted."""
        parts = self._trained.values()
        if self._sees is None:
            named = (name for p in parts for name, _ in p.network.named_parameters())
            self._sees = any("torso." in name for name in named)
        blocks = (part.flat.block for part in parts)
        # Priorities of agents who do not learn are those of networks that no kernel looks at.
        known = not self.config.prioritised or self._learners == self._now
        own = known and self._learns_as_compiled()
        return own and not self._sees and kernels.usable(self.replay.kept["obs"], *blocks)

    def _learns_as_compiled(self) -> bool:
        kind = type(self)
        owner = next(one for one in kind.__mro__ if "known_to_kernels" in vars(one))
        return all(getattr(kind, x, None) is getattr(owner, x, None) for x in _COMPILED)

    def _take_gradient_steps(self, steps: int) -> dict[str, Tensor]:
        if not steps or not self._compiles():
            return super()._take_gradient_steps(steps)
        if self.config.prioritised:
            each = [self._learn_by_priority() for _ in range(steps)]
            names = dict.fromkeys(name for numbers in each for name in numbers)
            return {n: _mean([numbers[n] for numbers in each if n in numbers]) for n in names}
        return self._learn_from(self._places_of_steps(steps))[0]

    def _places_of_steps(self, steps: int) -> Tensor:
        """Where the transitions lie that so many steps draw, int64 ``[A, steps, B]``."""
        agents = [agent for agent in range(self.num_agents) for _ in range(steps)]
        moments = [before + after for before in self.agent_updates for after in range(steps)]
        count, once = self.config.batch_size, range(1)
        words = self.draws.words(moments, once, kind=BATCH, places=count, agents=agents)
        found: Tensor = self.replay.places(words.view(self.num_agents, steps, count))
        return found

    def _learn_by_priority(self) -> dict[str, Tensor]:
        """One gradient step; what it comes to changes the draws of the next."""
        index, weight = self.replay.places_by_priority(self._batch_words(), self._priority_beta())
        numbers, found = self._learn_from(index[:, None], weight[:, None])
        errors = torch.zeros_like(weight)
        errors[self._learners] = found[:, 0]
        agents = None if all(self._updating) else self._updating
        self.replay.set_priorities(index, errors, agents)
        return numbers

    def _learn_from(
        self, places: Tensor, weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Gradient steps on what lies at some places of the memory.

        Args:
            places: int64 ``[A, steps, B]``.
            weight: importance, float32 ``[A, steps, B]``; all 1 by default.

        Returns:
            means over the steps, ``[A]``; temporal differences ``[learners, steps, B]``.
        """
        learners, steps = self._learners, places.shape[1]
        begun = [self.agent_updates[agent] for agent in learners]
        own = None if weight is None else weight[learners]
        found = self._compiled_steps(Batches(learners, begun, places[learners], own))
        taken = steps if found.failed is None else found.done + 1
        self.updates += taken
        for agent in self._now:
            self.agent_updates[agent] += taken
        if found.failed is not None:
            what, agent = found.failed
            given = None if weight is None else weight[:, found.done]
            batch = self.replay.at(places[:, found.done], given)
            raise NonFiniteError(what, self.updates, agent, self._dump(agent, batch.tensors()))
        means = {name: self._of_learners(mean) for name, mean in found.means.items()}
        return means, found.errors

    def _of_learners(self, numbers: Tensor) -> Tensor:
        """Their numbers among those of all agents, ``[A]``; NaN of others."""
        if len(self._learners) == self.num_agents:
            return numbers
        found = torch.full((self.num_agents,), torch.nan)
        found[self._learners] = numbers
        return found

    def _noise_of_steps(self, batches: Batches) -> Tensor | None:
        """What ``_drawn_noise`` draws in these steps, ``[learners, steps, numbers of a step]``;
        None where nothing is drawn.
        """
        places = math.prod(self._noise_shape(self.config.batch_size))
        if not places:
            return None
        steps = batches.places.shape[1]
        agents = [agent for agent in batches.learners for _ in range(steps)]
        moments = [before + 1 + k for before in batches.begun for k in range(steps)]
        once = range(1)
        drawn = self.draws.normal(moments, once, kind=UPDATE_NOISE, places=places, agents=agents)
        return drawn.view(len(batches.learners), steps, places)


def _mean(numbers: Sequence[Tensor]) -> Tensor:
    """Of what is finite, ``[A]``; NaN of nothing."""
    mean: Tensor = torch.stack(list(numbers)).nanmean(0)
    return mean
