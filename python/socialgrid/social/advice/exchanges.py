"""What members of a group see of each other's tasks, and what they would ask and answer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.models.streams import agent_generator
from socialgrid.social.advice.adviser import Members, PeerLearner
from socialgrid.social.advice.advising import (
    AdvisingPolicies,
    Layers,
    outcomes,
    readable_values,
)
from socialgrid.social.advice.options import LeCTROptions

_WEIGHTS = 8  # purpose of the random numbers here


class Exchanges:
    """Advising networks of all agents, what they read and how they decide."""

    def __init__(
        self, learner: PeerLearner, config: LeCTROptions, members: Members, seed: int
    ) -> None:
        """Initialise networks; see ``LeCTR``.

        Raises:
            ValueError: actions are continuous, observations are no vectors, the learner has a
                memory, or a group has fewer than two members with networks.
        """
        task, agents, n = learner.task, members.num_agents, len(members.owners)
        if task.continuous:
            raise ValueError("LeCTR advises discrete actions; these are continuous")
        if task.view is not None:
            raise ValueError("LeCTR reads vector observations; these are views")
        parts = getattr(learner, "parts", [learner])
        if any(getattr(part.config, "remembers", False) for part in parts):
            raise ValueError("LeCTR asks for values of any observation; this learner has a memory")
        if n < 2:
            raise ValueError(
                f"owners {members.owners}: LeCTR needs two or more members with networks"
            )
        self.config, self.members, self.device = config, members, learner.device
        self._learner, self._task = learner, task
        self._agents, self._owners, self._copies = agents, n, learner.num_envs
        self._size, self._actions = math.prod(task.obs_shape), task.num_actions
        weights = [agent_generator(seed, a, _WEIGHTS) for a in range(agents)]
        one = self._actions + 2
        sizes = (self._size + one, self._size + 2 * one)
        self.policies = AdvisingPolicies(weights, sizes, config.hidden, self._actions)
        critic_sizes = (self._size + n * one, *config.hidden, self._actions + 1)
        self.critic = Layers(weights, critic_sizes)
        for network in (self.policies, self.critic):
            network.to(self.device)
        self._own_slot = torch.arange(agents, device=self.device) % n
        self._is_other = F.one_hot(self._own_slot, n)[:, None] == 0
        self._everyone = torch.arange(agents, device=self.device)
        self._all_actions = torch.arange(self._actions, device=self.device)
        self._silent = F.one_hot(torch.tensor(self._actions), self._actions + 1).to(self.device)
        self._scale = torch.full((agents,), 1e-8, device=self.device)

    # What agents see.

    def _see(self, obs: Tensor) -> Tensor:
        """``[A, M, *]`` to ``[A, M, size + n * K]``: observations, and what each member with a
        network thinks of every action there.
        """
        n, count = self._owners, obs.shape[1]
        shown = self.members.split(obs).flatten(1, 2).repeat_interleave(n, 0)
        actions = self._all_actions.expand(*shown.shape[:2], -1)
        values = self._learner.q_values(shown, actions).to(self.device)
        values = self._by_asker(values.view(self._agents, n, count, -1)).flatten(2)
        return torch.cat((obs.flatten(2).float(), values), -1)

    def _own_values(self, obs: Tensor) -> Tensor:
        """Every agent's action values of its own observations ``[A, M, *]``: ``[A, M, K]``."""
        actions = self._all_actions.expand(*obs.shape[:2], -1)
        found: Tensor = self._learner.q_values(obs, actions).to(self.device)
        return found

    def _by_asker(self, x: Tensor) -> Tensor:
        """Of each teacher about each asker, ``[A, n, M, *]``, to ``[A, M, n, *]`` by asker."""
        n = self._owners
        grouped = x.view(-1, n, *x.shape[1:]).transpose(1, 2)
        return grouped.transpose(2, 3).reshape(self._agents, x.shape[2], n, *x.shape[3:])

    def _by_teacher(self, x: Tensor) -> Tensor:
        """Of each asker about each teacher, ``[A, M, n]``, to ``[A, n * M]`` by teacher."""
        return self.members.split(x).permute(0, 3, 1, 2).reshape(self._agents, -1)

    def _shaped(self, obs: Tensor) -> Tensor:
        """``[A, M, size]`` as the learner wants observations."""
        return obs.reshape(*obs.shape[:2], *self._task.obs_shape)

    def _split(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Observations ``[A, M, size]`` and values ``[A, M, n, K]``."""
        shape = (*seen.shape[:2], self._owners, self._actions)
        return seen[..., : self._size], seen[..., self._size :].reshape(shape)

    def _values_of(self, seen: Tensor) -> Tensor:
        """Largest absolute value that each agent gave to anything in ``seen``, ``[A]``."""
        largest = self.members.split(self._split(seen)[1].abs().amax((1, 3)))
        return largest.amax(1).flatten()

    def _inputs(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What students ``[A, M, *]``, teachers ``[A, n * M, *]`` and critics ``[A, M, *]`` read.

        A teacher reads the steps of every asker of its group, one asker after the other; what it
        makes of its own is never used.
        """
        n, count = self._owners, seen.shape[1]
        obs, values = self._split(seen)
        scale = self.members.split(self._scale).repeat_interleave(n, 0)
        read = readable_values(values, scale[:, None, :, None])
        student = torch.cat((obs, read[self._everyone, :, self._own_slot]), -1)
        exchange = torch.cat((student[:, :, None].expand(-1, -1, n, -1), read), -1)
        # [G, asker, M, teacher, *] to [G, teacher, asker, M, *]
        teacher = self.members.split(exchange).permute(0, 3, 1, 2, 4)
        teacher = teacher.reshape(self._agents, n * count, -1)
        return student, teacher, torch.cat((obs, read.flatten(2)), -1)

    # What agents do.

    def _log_probs(
        self, policies: AdvisingPolicies, student: Tensor, teacher: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of asking, ``[A, M, 2]``, the last for doing so, and answers, ``[A, M, n, K + 1]``."""
        ask = policies.student(student).log_softmax(-1)
        answers = policies.teacher(teacher).log_softmax(-1)
        shape = (self._agents, self._owners, student.shape[1], self._actions + 1)
        return ask, self._by_asker(answers.view(shape))

    def _behaviour(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """P(ask) ``[A, M]`` and P(answer) ``[A, M, n, K + 1]`` with exploration."""
        student, teacher, _ = self._inputs(seen)
        ask, answers = self._log_probs(self.policies, student, teacher)
        epsilon = self.config.epsilon
        asking = (1.0 - epsilon) * ask[..., 1].exp() + epsilon / 2
        return asking, (1.0 - epsilon) * answers.exp() + epsilon / (self._actions + 1)

    def _outcomes(self, ask: Tensor, answers: Tensor) -> Tensor:
        """P(outcome) ``[A, M, K + 1]`` for log-probabilities of all agents' policies."""
        answering = torch.where(self._is_other[..., None], answers.exp(), self._silent)
        return outcomes(ask[..., 1].exp(), answering)
