"""Learners whose gradient steps are taken by compiled kernels: on vectors all in one call, on views
and by priority one in each.

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
from socialgrid.algos.untouched import untouched
from socialgrid.data.replay import Replay
from socialgrid.data.sequence_replay import SequenceReplay
from socialgrid.models import kernels
from socialgrid.models.adam import StackedAdam
from socialgrid.models.finite import NonFiniteError
from socialgrid.models.trained import Trained
from socialgrid.models.walks import heard, named_parameters

# What ``_compiled_steps`` does in the place of: of learners, memories, networks and optimisers.
_COMPILED = (
    *("_learn", "loss", "critic_loss", "actor_loss", "_errors", "_one_more"),
    *("_descend", "_stepping", "_movers", "_move_targets"),
    *("_batch", "_batch_words", "_drawn_noise", "_update_noise"),
)
_OF_MEMORIES = ("sample", "at")
_OF_TRAINED = ("differentiate", "step", "follow")
_OF_OPTIMISERS = ("step", "step_block")


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
    def _compiled_steps(self, batches: Batches) -> Steps | None:
        """Let learners take gradient steps, up to the first in which somebody's is not finite; None
        where kernels know no way, and nothing has changed.
        """

    def _compiles(self) -> bool:
        """Whether kernels can work on these observations and networks, and are wanted."""
        # Priorities of agents who do not learn are those of networks that no kernel looks at.
        known = not self.config.prioritised or self._learners == self._now
        blocks = (part.flat.block for part in self._trained.values())
        alike = self._learns_as_compiled() and self._trains_as_compiled()
        return known and alike and kernels.usable(*blocks) and self._readable()

    def _readable(self) -> bool:
        """Whether kernels can read what is stored, and the networks."""
        if self._sees is None:
            parts = self._trained.values()
            named = (name for p in parts for name, _ in p.network.named_parameters())
            self._sees = any("torso." in name for name in named)
        return not self._sees and kernels.usable(self.replay.kept["obs"])

    def _learns_as_compiled(self) -> bool:
        kind = type(self)
        owner = next(one for one in kind.__mro__ if "known_to_kernels" in vars(one))
        return not any(
            x in vars(self) or getattr(kind, x, None) is not getattr(owner, x, None)
            for x in _COMPILED
        )

    def _trains_as_compiled(self) -> bool:
        """Whether memories, networks and optimisers do nothing but what kernels do: nobody listens
        to modules or keeps parameters from learning, and all optimisers have the same numbers.
        """
        parts = [*self._trained.values()]
        memory = self.replay
        kind = SequenceReplay if isinstance(memory, SequenceReplay) else Replay
        return (
            untouched(memory, kind, *_OF_MEMORIES)
            and len({(*part.optimiser.betas, part.optimiser.eps) for part in parts}) == 1
            and all(
                untouched(part, Trained, *_OF_TRAINED)
                and untouched(part.optimiser, StackedAdam, *_OF_OPTIMISERS)
                and all(p.requires_grad for _, p in named_parameters(part.network))
                and not any(map(heard, (part.network, part.target)))
                for part in parts
            )
        )

    @property
    def _steps_at_once(self) -> bool:
        """Whether a call may take several steps that change no draws: who interrupts is answered
        after a call.
        """
        return self.task.view is None

    def _take_gradient_steps(self, steps: int) -> dict[str, Tensor]:
        if not steps or not self._compiles():
            return super()._take_gradient_steps(steps)
        places = None if self.config.prioritised else self._places_of_steps(steps)
        if places is not None and self._steps_at_once:
            learnt = self._learn_from(places)
            return super()._take_gradient_steps(steps) if learnt is None else learnt[0]
        each = [self._learn_once(None if places is None else places[:, k]) for k in range(steps)]
        names = dict.fromkeys(name for numbers in each for name in numbers)
        return {n: _mean([numbers[n] for numbers in each if n in numbers]) for n in names}

    def _places_of_steps(self, steps: int) -> Tensor:
        """Where the transitions lie that so many steps draw, int64 ``[A, steps, B]``."""
        agents = [agent for agent in range(self.num_agents) for _ in range(steps)]
        moments = [before + after for before in self.agent_updates for after in range(steps)]
        count, once = self.config.batch_size, range(1)
        words = self.draws.words(moments, once, kind=BATCH, places=count, agents=agents)
        found: Tensor = self.replay.places(words.view(self.num_agents, steps * count))
        return found.view(self.num_agents, steps, count)

    def _learn_once(self, places: Tensor | None) -> dict[str, Tensor]:
        """One gradient step, on what lies at ``places`` [A, B], or drawn by priority: then what it
        comes to changes the draws of the next.
        """
        index, weight = places, None
        if index is None:
            words, beta = self._batch_words(), self._priority_beta()
            index, weight = self.replay.places_by_priority(words, beta)
        learnt = self._learn_from(index[:, None], None if weight is None else weight[:, None])
        if learnt is None:
            return super()._take_gradient_steps(1)
        numbers, found = learnt
        if weight is not None:
            errors = torch.zeros_like(weight)
            errors[self._learners] = found[:, 0]
            agents = None if all(self._updating) else self._updating
            self.replay.set_priorities(index, errors, agents)
        return numbers

    def _learn_from(
        self, places: Tensor, weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor] | None:
        """Gradient steps on what lies at some places of the memory.

        Args:
            places: int64 ``[A, steps, B]``.
            weight: importance, float32 ``[A, steps, B]``; all 1 by default.

        Returns:
            means over the steps, ``[A]``; temporal differences ``[learners, steps, B]``. None
            where kernels know no way.
        """
        learners, steps = self._learners, places.shape[1]
        begun = [self.agent_updates[agent] for agent in learners]
        own = None if weight is None else weight[learners]
        found = self._compiled_steps(Batches(learners, begun, places[learners], own))
        if found is None:
            return None
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
