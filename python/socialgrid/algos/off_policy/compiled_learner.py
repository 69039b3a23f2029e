"""Learners whose gradient steps on vectors are all taken in one call of compiled kernels.

What they compute is what each learner's ``_learn`` does step by step; results differ by rounding.
Each agent does all it has to do for a step while its numbers are in the cache, and agents are
shared among threads.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.algos.off_policy.experience import UPDATE_NOISE
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.models import kernels
from socialgrid.models.finite import NonFiniteError


@dataclass(frozen=True)
class Steps:
    """What gradient steps came to.

    Attributes:
        done: how many everybody took.
        failed: what stopped being finite in the step after them, and of whom; None: nothing did.
        means: numbers by name, float32 ``[learners]`` each, means over the steps.
    """

    done: int
    failed: tuple[str, int] | None
    means: Mapping[str, Tensor]


class CompiledLearner(OffPolicyLearner):
    """Takes the steps of an update at once where kernels can, otherwise one by one."""

    @abstractmethod
    def _compiled_steps(
        self, drawn: Tensor, learners: Sequence[int], begun: Sequence[int]
    ) -> Steps:
        """Let some agents take gradient steps, up to the first in which somebody's is not finite.

        Args:
            drawn: int64 ``[A, steps, B]``, places in the memory.
            learners: who takes steps.
            begun: gradient steps of each of them before.
        """

    def _compiles(self) -> bool:
        """Whether kernels can work on these vectors and networks, and are wanted."""
        parts = self._trained.values()
        views = any("torso." in name for p in parts for name, _ in p.network.named_parameters())
        blocks = (part.flat.block for part in parts)
        uniform = not self.config.prioritised
        return uniform and not views and kernels.usable(self.replay.kept["obs"], *blocks)

    def _take_gradient_steps(self, steps: int) -> dict[str, Tensor]:
        if not steps or not self._compiles():
            return super()._take_gradient_steps(steps)
        drawn = [self.replay.places(self._batch_words(after)) for after in range(steps)]
        return self._learn_from(torch.stack(drawn, 1))

    def _learn_from(self, drawn: Tensor) -> dict[str, Tensor]:
        """Gradient steps on what lies at places ``drawn`` [A, steps, B] of the memory."""
        learners = self._learners
        found = self._compiled_steps(drawn, learners, [self.agent_updates[a] for a in learners])
        taken = drawn.shape[1] if found.failed is None else found.done + 1
        self.updates += taken
        for agent in self._now:
            self.agent_updates[agent] += taken
        if found.failed is not None:
            what, agent = found.failed
            batch = self.replay.at(drawn[:, found.done])
            raise NonFiniteError(what, self.updates, agent, self._dump(agent, batch.tensors()))
        return {name: self._of_learners(mean) for name, mean in found.means.items()}

    def _of_learners(self, numbers: Tensor) -> Tensor:
        """Their numbers among those of all agents, ``[A]``; NaN of others."""
        found = torch.full((self.num_agents,), torch.nan)
        found[self._learners] = numbers
        return found

    def _noise_of_steps(self, learners: Sequence[int], steps: int, places: int) -> Tensor:
        """What ``_update_noise`` draws in so many steps, ``[learners, steps, places]``."""
        agents = [agent for agent in learners for _ in range(steps)]
        moments = [self.agent_updates[agent] + 1 + k for agent in learners for k in range(steps)]
        once = range(1)
        drawn = self.draws.normal(moments, once, kind=UPDATE_NOISE, places=places, agents=agents)
        return drawn.view(len(learners), steps, places)
