"""Twin delayed deterministic policy gradient of independent, stacked agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from socialgrid.algos.off_policy import compiled_actor_critic
from socialgrid.algos.off_policy.compiled_learner import CompiledLearner
from socialgrid.algos.off_policy.dqn import weighted_mean
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import TD3Config
from socialgrid.data.replay import Transitions
from socialgrid.models.policies import DeterministicPolicy
from socialgrid.models.q_network import Critic
from socialgrid.models.task_spec import TaskSpec


class TD3(CompiledLearner):
    """TD3 (Fujimoto et al. 2018, algorithm 1).

    Critics: r + gamma min_k Q'_k(s', clip(pi'(s') + clipped noise)); the bootstrap is left out
    after termination, but not after truncation. Policy: -Q_1(s, pi(s)), every ``policy_delay``
    gradient steps, after which the targets move.
    """

    algorithm = "td3"
    known_to_kernels = True
    config: TD3Config

    def __init__(self, task: TaskSpec, config: TD3Config | None = None, **options: Any) -> None:
        """See ``OffPolicyLearner``.

        Raises:
            ValueError: actions are discrete.
        """
        if not task.continuous:
            raise ValueError("TD3 needs continuous actions; discrete ones: DQN or DiscreteSAC")
        config = config or TD3Config()
        super().__init__(task, config, **options)
        generators, sizes = self._weight_generators, (self.model, config.hidden)
        self._actor = DeterministicPolicy(generators, task, *sizes)
        self._critic = Critic(generators, task, *sizes, config.critics)
        self._actor_target = self._train("actor", self._actor)
        self._critic_target = self._train("critic", self._critic)

    def critic_loss(self, batch: Transitions, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Loss ``[A]`` and absolute temporal differences ``[A, B]`` without gradient.

        Args:
            batch: the transitions.
            noise: standard normal ``[A, B, D]`` for the target's actions.
        """
        config = self.config
        with torch.no_grad():
            limit = config.target_noise_clip
            smoothing = (config.target_noise * noise).clamp(-limit, limit)
            action = (self._actor_target(batch.next_obs) + smoothing).clamp(-1.0, 1.0)
            following = self._critic_target(batch.next_obs, action).amin(0)
            target = batch.reward + config.gamma * ~batch.terminated * following
        difference = target - self._critic(batch.obs, batch.action)
        loss = weighted_mean(difference.square().sum(0), batch.weight)
        return loss, difference.detach().abs().mean(0)

    def actor_loss(self, batch: Transitions) -> Tensor:
        """Loss ``[A]``."""
        value: Tensor = self._critic(batch.obs, self._actor(batch.obs), first=1)[0]
        return -value.mean(1)

    def _learn(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        noise = self._update_noise(*self._noise_shape(batch.action.shape[1]))
        critic_loss, errors = self.critic_loss(batch, noise)
        self._descend("critic", critic_loss, batch)
        numbers = {"critic_loss": critic_loss.detach(), "td_error": errors.mean(1)}
        if self._anybody_steps("actor"):
            critic = self._trained["critic"].flat
            critic.requires_gradient(False)
            try:
                actor_loss = self.actor_loss(batch)
                self._descend("actor", actor_loss, batch)
            finally:
                critic.requires_gradient(True)
            numbers["actor_loss"] = self._of_stepping("actor", actor_loss.detach())
        return errors, numbers

    def _compiled_steps(self, batches: Batches) -> Steps:
        config = self.config
        noise = self._noise_of_steps(batches)
        numbers = {
            "policy_delay": config.policy_delay,
            "target_noise": config.target_noise,
            "target_noise_clip": config.target_noise_clip,
        }
        given = config, numbers, self._trained, self.replay, batches, noise
        found = compiled_actor_critic.take_steps("deterministic", *given)
        names = ["critic_loss", "td_error"]
        if found.means["actor_loss"].isfinite().any():
            names.append("actor_loss")
        return replace(found, means={name: found.means[name] for name in names})

    def _noise_shape(self, count: int) -> tuple[int, ...]:
        return count, *self.task.action_shape

    def _stepping(self, name: str) -> list[int]:
        own = super()._stepping(name)
        return own if name == "critic" else self._whose_turn(self.config.policy_delay)

    def _movers(self) -> list[int]:
        turn = self._whose_turn(self.config.policy_delay)
        return [agent for agent in super()._movers() if agent in turn]

    def _chance(self, count: int, rows: Tensor | None) -> tuple[Tensor, ...]:
        return (self._noise(count, rows, *self.task.action_shape),)

    def _choose(self, obs: Tensor, *chance: Tensor) -> Tensor:
        action = self._actor(obs)
        for noise in chance:
            action = (action + self.config.exploration_noise * noise).clamp(-1.0, 1.0)
        return self.task.unscaled(action)

    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        agents, count, proposals = actions.shape[:3]
        repeated = obs.repeat_interleave(proposals, 1)
        scaled = self.task.scaled(actions).flatten(1, 2)
        values: Tensor = self._critic(repeated, scaled).amin(0)
        return values.view(agents, count, proposals)
