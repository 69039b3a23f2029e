"""Steps of deep Q-networks in games of their own, several in one compiled call.

Between two updates and two choices of whom to follow, what agents do hangs on nothing but networks
and what they see: they choose, the games go on, steps are remembered and counted, and what came of
advice is learnt, without a word of Python. Networks' values are those of the compiled kernels
whoever asks, and sums are added in the same order, so that no bit tells how steps were taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.off_policy.dqn import DQN
from socialgrid.models import kernels
from socialgrid.social.advice.adviser import Adviser, Members
from socialgrid.social.advice.peers import PeerAdviser
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner
from socialgrid.train.off_policy.tasks import OwnGames, Tasks

# Of tasks, games, learners and advisers, what a march stands for.
_METHODS = frozenset({"step", "act", "store", "exploration", "__call__", "observe"})
_PARTS = ("act", "simulate", "remember", "advise")


@dataclass(frozen=True)
class Marched:
    """What steps came to, but for what is written in place.

    Attributes:
        finished: agents and returns of episodes that ended, one after the other.
        seconds: by what they were spent for.
    """

    finished: list[tuple[int, float]]
    seconds: Mapping[str, float]


class March:
    """Takes steps of a run whose agents are able to."""

    def __init__(self, tasks: OwnGames, learner: DQN, members: Members, *, alone: bool) -> None:
        """See ``march_of``."""
        self._tasks, self._learner, self._alone = tasks, learner, alone
        self._places = torch.tensor(members.owners)
        # Numbers of agents by group and place.
        self._agents = torch.zeros(members.groups, members.size, dtype=torch.int64)
        self._agents[:, self._places] = members.split(torch.arange(members.num_agents))
        self._group = torch.arange(members.num_agents)[:, None] // len(members.owners)

    def possible(self, adviser: Adviser | None) -> bool:
        """Whether kernels are there, and do what would be done step by step: nobody has got a
        method of its own, and whoever decides whom to follow is of those that are known.
        """
        if adviser is not None and not (type(adviser) is PeerAdviser and self._alone):
            return False
        known = self._tasks, self._tasks.env, self._learner, adviser
        if any(x is not None and _METHODS & vars(x).keys() for x in known):
            return False
        block = self._learner.trained["q"].flat.block
        return kernels.usable(block, self._learner.replay.kept["obs"])

    def __call__(
        self,
        steps: int,
        obs: Tensor,
        returns: Tensor,
        played: Tensor,
        chosen: tuple[Tensor, Tensor] | None,
        adviser: PeerAdviser | None,
    ) -> Marched:
        """Take steps, none of which needs an update or a choice of whom to follow before it, but
        for the first, where that has been made.

        Args:
            steps: how many.
            obs: float32 ``[A, E, inputs]``, overwritten by what follows the last step.
            returns: float64 ``[A, E]`` of the episodes that go on; overwritten.
            played: bool ``[A, E]``, whether those have begun; overwritten.
            chosen: what the adviser said about the first step, if it was asked.
            adviser: whom agents follow, and what learns from it; without one they act alone, and
                explore.

        Raises:
            NonFiniteError: a reward or an observation is not finite.

        Steps are not taken back: after an exception the run has to end, or to go on from a
        checkpoint.
        """
        learner = self._learner
        part, config = learner.trained["q"], learner.config
        arrays: dict[str, Any] = {"obs": obs, "returns": returns, "played": played}
        arrays |= {f"memory/{name}": x for name, x in learner.replay.arrays.items()}
        arrays |= {"values": part.flat.block, "next": np.array(learner.replay.next_places)}
        numbers: dict[str, float] = {"steps": steps, "num_actions": learner.task.num_actions}
        if adviser is None:
            more, words = learner.exploration()
        else:
            more, words = adviser.before_steps(obs)
            followed = adviser.followed
            more["advisers"] = self._agents[self._group, followed]
            more["followed"] = followed
            if chosen is not None:
                more["first"] = chosen[0]
        assert kernels.KERNELS is not None
        finished, seconds, stored, following, refused = kernels.KERNELS.march(
            self._tasks.env._core,
            {name: _array(x) for name, x in (arrays | more).items()},
            config.hidden,
            numbers | words,
            kernels.threads(),
        )
        if refused:
            reward, before, after = map(torch.tensor, refused)
            learner.check_step(reward.view_as(returns), before.view_as(obs), after.view_as(obs))
        learner.count_stored(steps)
        if adviser is not None:
            adviser.after_steps(steps, more, stored, following, asked=chosen is not None)
        return Marched(finished, dict(zip(_PARTS, seconds, strict=True)))


def march_of(
    tasks: Tasks, learner: AnyOffPolicyLearner, members: Members, *, alone: bool
) -> March | None:
    """For deep Q-networks on vectors, each in games of its own, alone or with peers of whom all
    have networks and none explores on top of advice.

    Args:
        tasks: of all agents.
        learner: of all agents.
        members: who is who in their groups.
        alone: whether networks without noise are all that advisers look at.
    """
    own = type(tasks) is OwnGames and tasks.env.obs_mode == "vector"
    fits = type(learner) is DQN and learner.device.type == "cpu"
    if not (own and fits):
        return None
    assert isinstance(tasks, OwnGames)
    assert isinstance(learner, DQN)
    return March(tasks, learner, members, alone=alone)


def _array(x: Tensor | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x if isinstance(x, np.ndarray) else x.detach().numpy()
