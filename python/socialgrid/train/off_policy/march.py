"""Steps of deep Q-networks in games of their own, several in one compiled call.

What agents do, learn and choose hangs on nothing but networks and what they see: they act, games
go on, steps are remembered and counted, what came of advice is learnt, agents choose whom to follow
and update their networks, without a word of Python. Networks' values are those of the compiled
kernels whoever asks, and sums are added in the same order, so that no bit tells how steps were
taken. Where rounding might tell whom somebody follows, the march ends, and PyTorch decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.off_policy.dqn import DQN
from socialgrid.models import kernels
from socialgrid.models.walks import heard
from socialgrid.social.advice.adviser import Adviser
from socialgrid.social.advice.panel import Panel
from socialgrid.social.advice.peers import PeerAdviser
from socialgrid.social.advice.trust import Trust
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner
from socialgrid.train.off_policy.tasks import OwnGames, Tasks

# Of tasks, games, learners, memories, panels and advisers, what a march stands for.
_METHODS = frozenset(
    {
        *("step", "act", "store", "exploration", "propose", "values", "q_values"),
        *("_act", "_choose", "_chance", "_random", "_uniform", "_q_values", "check_step"),
        *("add", "places", "sample"),
        *("ask", "everybody", "some", "told", "_propose"),
        *("__call__", "observe", "probabilities", "_read", "_scaled"),
        *("_store", "_update", "_move"),
    }
)
_PARTS = ("act", "simulate", "remember", "advise", "update")


@dataclass(frozen=True)
class Marched:
    """What steps came to, but for what is written in place.

    Attributes:
        steps: how many were taken.
        undecided: whether it ended before a choice of whom to follow that has to be made elsewhere.
        finished: agents and returns of episodes that ended, one after the other.
        seconds: by what they were spent for.
        updates: how many.
        learnt: numbers by name of each, float32 ``[updates, A]``.
        error: what ended it; the steps before are whole.
    """

    steps: int
    undecided: bool
    finished: Sequence[tuple[int, float]]
    seconds: Mapping[str, float]
    updates: int
    learnt: Mapping[str, Tensor]
    error: BaseException | None


class March:
    """Takes steps of a run whose agents are able to."""

    def __init__(self, tasks: OwnGames, learner: DQN, panel: Panel, *, alone: bool) -> None:
        """See ``march_of``."""
        self._tasks, self._learner, self._panel, self._alone = tasks, learner, panel, alone

    def possible(self, adviser: Adviser | None) -> bool:
        """Whether kernels are there, and do what would be done step by step: nobody has got a
        method of its own, or listens to the network, and whoever decides whom to follow is of those
        that are known.
        """
        known: list[Any] = [self._tasks, self._tasks.env, self._learner, self._learner.replay]
        if adviser is not None:
            if not (type(adviser) is PeerAdviser and self._alone and type(adviser.trust) is Trust):
                return False
            known += [adviser, adviser.trust, self._panel]
        if any(_METHODS & vars(x).keys() for x in known):
            return False
        part = self._learner.trained["q"]
        there = kernels.usable(part.flat.block, self._learner.replay.kept["obs"])
        return there and not heard(part.network)

    def __call__(
        self,
        steps: int,
        obs: Tensor,
        returns: Tensor,
        played: Tensor,
        followed: Tensor,
        chosen: tuple[Tensor, Tensor] | None,
        adviser: PeerAdviser | None,
        stop: Callable[[], bool],
    ) -> Marched:
        """Take steps, and all updates that are due after them if the learner leaves them to
        kernels; otherwise none may be due before the last.

        Args:
            steps: how many; fewer where a choice of whom to follow is not clear, where it is to
                stop, or where something fails.
            obs: float32 ``[A, E, inputs]``, overwritten by what follows the last step.
            returns: float64 ``[A, E]`` of the episodes that go on; overwritten.
            played: bool ``[A, E]``, whether those have begun; overwritten.
            followed: int64 ``[A, P]``, steps in which each member was followed, counted on where
                there is an adviser.
            chosen: what the adviser said about the first step, if it was asked.
            adviser: whom agents follow, and what learns from it; without one they act alone, and
                explore.
            stop: asked now and then whether to end after the present step. Signals are answered
                before.

        Raises:
            ValueError: something does not fit; nothing has changed.
        """
        learner = self._learner
        part, config = learner.trained["q"], learner.config
        arrays: dict[str, Any] = {"obs": obs, "returns": returns, "played": played}
        arrays |= {f"memory/{name}": x for name, x in learner.replay.arrays.items()}
        arrays |= {"values": part.flat.block, "next": np.array(learner.replay.next_places)}
        numbers: dict[str, Any] = {"steps": steps, "num_actions": learner.task.num_actions}
        if adviser is None:
            more, words = learner.exploration()
        else:
            more, words = adviser.before_steps(obs)
            more["counts"] = followed
            if chosen is not None:
                more["first"] = chosen[0]
        updating = learner.updating()
        told: list[Any] = []
        error: BaseException | None = None
        assert kernels.KERNELS is not None
        try:
            kernels.KERNELS.march(
                self._tasks.env._core,
                {name: _array(x) for name, x in (arrays | more).items()},
                config.hidden,
                numbers | words,
                updating,
                kernels.threads(),
                stop,
                told.append,
            )
        except BaseException as problem:
            if not told:
                raise
            error = problem
        done, undecided, finished, seconds, buffer, refused, (sums, partly, waited) = told[0]
        learner.count_stored(done)
        learnt = {} if updating is None else learner.count_updates(sums, partly, waited)
        if adviser is not None:
            adviser.after_steps(done, more, buffer, asked=chosen is not None)
        if refused and error is None:
            reward, before, after = map(torch.tensor, refused)
            try:
                learner.check_step(reward.view_as(returns), before.view_as(obs), after.view_as(obs))
            except ValueError as problem:
                error = problem
        times = dict(zip(_PARTS, seconds, strict=True))
        return Marched(done, undecided, finished, times, len(sums), learnt, error)


def march_of(
    tasks: Tasks, learner: AnyOffPolicyLearner, panel: Panel, *, alone: bool
) -> March | None:
    """For deep Q-networks on vectors, each in games of its own, alone or with peers of whom all
    have networks and none explores on top of advice.

    Args:
        tasks: of all agents.
        learner: of all agents.
        panel: whom advisers would ask.
        alone: whether networks without noise are all that advisers look at.
    """
    own = type(tasks) is OwnGames and tasks.env.obs_mode == "vector"
    fits = type(learner) is DQN and learner.device.type == "cpu"
    if not (own and fits):
        return None
    assert isinstance(tasks, OwnGames)
    assert isinstance(learner, DQN)
    return March(tasks, learner, panel, alone=alone)


def _array(x: Tensor | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x if isinstance(x, np.ndarray) else x.detach().numpy()
