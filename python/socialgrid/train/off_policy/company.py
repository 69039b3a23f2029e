"""Networks of an off-policy run in seats of a world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from socialgrid.algos.off_policy.off_policy_learner import Actor, OffPolicyLearner
from socialgrid.models import ViewSpec
from socialgrid.models.task_spec import TaskSpec
from socialgrid.train.company import Engagement
from socialgrid.train.off_policy.learner import adopt_off_policy, lone_learner


class ValueBased:
    """Agents of one off-policy run; they always act without exploration."""

    def __init__(self, learners: Sequence[Any], seats: Sequence[int]) -> None:
        """Give networks seats.

        Args:
            learners: one ``OffPolicyLearner`` for each agent.
            seats: where they play.
        """
        self._learners, self.seats = list(learners), tuple(seats)

    def begin(self, num_envs: int, first_step: int = 0) -> None:
        """See ``Company``."""
        self._actors: list[Actor] = [learner.actor() for learner in self._learners]

    def act(self, obs: Tensor, reset: Tensor, last: Mapping[str, Tensor], greedy: bool) -> Tensor:
        """See ``Company``."""
        del last, greedy
        chosen = [
            actor(obs[None, :, seat], reset[None, :, seat])[0].cpu()
            for actor, seat in zip(self._actors, self.seats, strict=True)
        ]
        return torch.stack(chosen, -1)


def engage(them: Engagement) -> ValueBased:
    """Give a run's agents their seats.

    Raises:
        UsageError: an algorithm does not fit the world.
    """
    return ValueBased([_alone(them, slot) for slot in them.slots], them.places)


def _alone(them: Engagement, slot: int) -> OffPolicyLearner:
    """One agent of an off-policy run by itself."""
    home, agent = them.home, 0 if them.config.advised else slot
    if home.obs_mode == "vector":
        spec = TaskSpec(1, home.obs_shape, home.obs_dtype.name, home.action_counts[agent])
    else:
        spec = TaskSpec.of_view(ViewSpec.of(home, (agent,)), 1, home.obs_dtype.name)
    learner = lone_learner(them.config, slot, spec, them.device)
    if not them.born:
        adopt_off_policy(learner, 0, them.run, slot, them.weights)
    return learner
