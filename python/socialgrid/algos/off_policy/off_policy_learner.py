"""What all off-policy learners have in common: acting on what they see, and updating."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from socialgrid.algos.off_policy.experience import NOISE, RANDOM
from socialgrid.algos.off_policy.gradient_steps import GradientSteps
from socialgrid.data.exchange import sent

Actor = Callable[[Tensor, Tensor], Tensor]
"""Observations ``[A, N, *obs_shape]`` and where episodes begin with them, bool ``[A, N]``, to
actions as of ``OffPolicyLearner.propose``."""


class OffPolicyLearner(GradientSteps):
    """``A`` independent learners, each with its own networks, memory and copies of the task.

    The agent axis comes first everywhere: observations are ``[A, E, *obs_shape]`` for E copies of
    the task, or ``[A, M, *obs_shape]`` for any other M observations. Agents share nothing: what
    agent ``a`` does depends on (seed, its id) and on what it was shown alone. A step is::

        action = learner.propose(obs)
        ...                                  # the task's step; advisers may replace actions
        learner.store(obs, action, reward, next_obs, terminated, truncated, in_play)
        if learner.due:
            metrics = learner.update()

    What happens while an agent is out of play is nobody's experience: it is not stored and does not
    count. So agents of a stack may have stored different numbers of steps, and each begins to
    learn, explores and updates by its own.
    """

    samples = False
    """Whether the policy itself is a distribution; otherwise all chance is exploration."""

    @torch.no_grad()
    def propose(
        self, obs: Tensor, *, explore: bool | None = True, rows: Tensor | None = None
    ) -> Tensor:
        """What every agent would do, in the task's units.

        What chance adds is a function of the agent, its moment and the number of a row: asked
        twice before something is stored, agents answer the same.

        Args:
            obs: ``[A, M, *obs_shape]``; row ``a`` is shown to agent ``a``. With noise that is a
                function of the state, M must be a multiple of E, and the copies of the task must
                come last: ``[A, askers * E]``.
            explore: with the agent's exploration; uniformly random before its own
                ``learning_starts``. Agents that do not learn have nothing to explore and act as
                with ``None``. ``None``: as the policy itself acts, drawing from it where it is a
                distribution (``samples``), without anything added.
            rows: int64 ``[A, M]``, the numbers of these observations among all that might be
                asked about: chance is what it would be if all were. In their order by default.

        Returns:
            int64 ``[A, M]`` or float32 ``[A, M, D]``.
        """
        obs = self._as_kept(obs)
        begun = [n >= self.config.learning_starts for n in self.agent_steps]
        if explore and not any(begun):
            actions = self._sent(self._random(obs.shape[1], rows))
        else:
            actions = self._act(obs, self.samples if explore is None else explore, rows)
            if explore and not all(begun):
                actions = _of(begun, actions, self._random(obs.shape[1], rows))
        still = [
            bool(explore) and not learns and not (self.samples and b)
            for learns, b in zip(self._learning.tolist(), begun, strict=True)
        ]
        return _of(still, self._act(obs, self.samples, rows), actions) if any(still) else actions

    def act(self, obs: Tensor, *, explore: bool | None = True) -> Tensor:
        """``propose`` for the agents' own tasks: ``[A, E, *obs_shape]``."""
        if obs.shape[:2] != (self.num_agents, self.num_envs):
            raise ValueError(
                f"observations {tuple(obs.shape)}: expected {self.num_agents} agents with "
                f"{self.num_envs} copies of the task each"
            )
        return self.propose(obs, explore=explore)

    def actor(self) -> Actor:
        """Something that acts without exploration in other copies of the task than the learner's.

        It draws no random numbers and, where the learner has a memory, has its own, so acting by
        it changes nothing that the learner does later: for evaluation. It always acts by the
        present parameters. Show it the same number of copies every time.
        """

        def act(obs: Tensor, reset: Tensor) -> Tensor:
            return self.propose(obs, explore=False)

        return act

    @torch.no_grad()
    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Values that every agent's own critics give to any actions (Derstroff et al., eq. 3).

        Args:
            obs: ``[A, M, *obs_shape]``.
            actions: K proposals for each observation in the task's units, ``[A, M, K]`` or
                ``[A, M, K, D]``.

        Returns:
            float32 ``[A, M, K]``, the minimum over the critics.
        """
        return self._phases.apply("values", self._q_values, self._as_kept(obs), actions)

    def values(self, obs: Tensor) -> Tensor:
        """Q_i(s, pi_i(s)) without exploration, float32 ``[A, M]``; ``obs`` as of ``propose``."""
        action = self.propose(obs, explore=False)
        return self.q_values(obs, action.unsqueeze(2)).squeeze(2)

    def tensors(self) -> dict[str, Tensor]:
        """What the agents are: flat, CPU, contiguous, every one ``[A, ...]``.

        See ``memory`` for what else an exact continuation needs.
        """
        return super().tensors()

    # What an algorithm adds.

    @abstractmethod
    def _chance(self, count: int, rows: Tensor | None) -> tuple[Tensor, ...]:
        """What chance adds to decisions about ``count`` observations of each agent, on the CPU;
        ``rows`` as of ``propose``.
        """

    @abstractmethod
    def _choose(self, obs: Tensor, *chance: Tensor) -> Tensor:
        """Actions of the networks in the task's units, with what chance adds or without any of it;
        everything on the device. A phase: see ``captured``.
        """

    @abstractmethod
    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        """See ``q_values``; everything on the device. A phase: see ``captured``."""

    # What algorithms use.

    def _act(self, obs: Tensor, explore: bool, rows: Tensor | None) -> Tensor:
        """Actions of the networks in the task's units, exploring or not; see ``propose``."""
        if not explore:
            return self._phases.apply("act", self._choose, obs)
        return self._phases.apply("explore", self._choose, obs, *self._chance(obs.shape[1], rows))

    def _uniform(self, kind: int, count: int, rows: Tensor | None, *shape: int) -> Tensor:
        """Numbers in [0, 1) for a decision, ``[A, count, *shape]`` on the CPU; ``rows`` as of
        ``propose``.
        """
        places, asked = math.prod(shape), _asked(count, rows)
        drawn = self.draws.uniform(self.moments, asked, kind=kind, places=places)
        return _shown(drawn, rows).reshape(-1, count, *shape)

    def _noise(self, count: int, rows: Tensor | None, *shape: int) -> Tensor:
        """Standard normal numbers for a decision, ``[A, count, *shape]`` on the CPU."""
        places, asked = math.prod(shape), _asked(count, rows)
        drawn = self.draws.normal(self.moments, asked, kind=NOISE, places=places)
        return _shown(drawn, rows).reshape(-1, count, *shape)

    def _random(self, count: int, rows: Tensor | None = None) -> Tensor:
        """Uniformly random actions ``[A, count]`` or ``[A, count, D]``, on the CPU."""
        u = self._uniform(RANDOM, count, rows, *self.task.action_shape)
        if self.task.continuous:
            return self.task.unscaled(2.0 * u - 1.0)
        return (u * self.task.num_actions).long()


def _asked(count: int, rows: Tensor | None) -> range:
    """Rows that may be asked about, as far as they matter to those that are."""
    return range(count if rows is None else int(rows.max()) + 1)


def _shown(x: Tensor, rows: Tensor | None) -> Tensor:
    """Of rows that may be asked about, ``[A, all, ...]``, those that are, ``[A, M, ...]``."""
    return x if rows is None else x[torch.arange(len(x))[:, None], rows.cpu()]


def _of(agents: Sequence[bool], theirs: Tensor, others: Tensor) -> Tensor:
    """Rows ``[A, ...]`` of some agents in one tensor and of the others in another."""
    whose, others = sent(theirs.device, torch.tensor(agents), others)
    return torch.where(whose.view(-1, *(1,) * (others.dim() - 1)), theirs, others)
