"""Soft actor-critic of independent, stacked agents, for continuous and for discrete actions."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.algos.off_policy import compiled_actor_critic
from socialgrid.algos.off_policy.compiled_learner import CompiledLearner
from socialgrid.algos.off_policy.dqn import chosen, weighted_mean
from socialgrid.algos.off_policy.experience import EXPLORES, MATRIX
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import SACConfig
from socialgrid.data.replay import Transitions
from socialgrid.models.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    StateDependentPolicy,
)
from socialgrid.models.q_network import Critic, QNetwork
from socialgrid.models.task_spec import TaskSpec


class Temperature(nn.Module):
    """log alpha of every agent, ``[A, 1]``."""

    def __init__(self, num_agents: int, initial: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.full((num_agents, 1), math.log(initial)))


class _SoftActorCritic(CompiledLearner):
    """What both kinds have in common: the temperature and the order of a gradient step."""

    algorithm = "sac"
    samples = True
    config: SACConfig

    def __init__(self, task: TaskSpec, config: SACConfig, **options: Any) -> None:
        super().__init__(task, config, **options)
        self._temperature = Temperature(self.num_agents, config.initial_temperature)
        if config.temperature is None:
            self._train("temperature", self._temperature, target=False)

    @property
    @abstractmethod
    def target_entropy(self) -> float:
        """What the temperature is learnt for."""

    @property
    def temperature(self) -> Tensor:
        """alpha, float32 ``[A]``, without gradient."""
        if self.config.temperature is not None:
            return torch.full((self.num_agents,), self.config.temperature, device=self.device)
        return self._temperature.log.detach().exp()[:, 0]

    def _learn(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        noise = self._step_noise(batch)
        alpha = self.temperature
        critic_loss, errors = self.critic_loss(batch, alpha, noise)
        self._descend("critic", critic_loss, batch)
        critic = self._trained["critic"].flat
        critic.requires_gradient(False)
        try:
            actor_loss, entropy = self.actor_loss(batch, alpha, noise)
            self._descend("actor", actor_loss, batch)
        finally:
            critic.requires_gradient(True)
        if self.config.temperature is None:
            # Haarnoja et al. (2018b), eq. 18, as a loss of log alpha.
            gap = entropy - self.target_entropy
            self._descend("temperature", self._temperature.log[:, 0] * gap, batch)
        return errors, {
            "critic_loss": critic_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "entropy": entropy,
            "temperature": alpha,
            "td_error": errors.abs().mean(1),
        }

    def _compiled_steps(self, batches: Batches) -> Steps:
        noise = self._noise_of_steps(batches)
        numbers = {
            "temperature": self.config.temperature or 0.0,
            "target_entropy": self.target_entropy,
            "num_actions": self.task.num_actions,
        }
        given = self.config, numbers, self._trained, self.replay, batches, noise
        found = compiled_actor_critic.take_steps(self._policy, *given)
        order = ("critic_loss", "actor_loss", "entropy", "temperature", "td_error")
        return replace(found, means={name: found.means[name] for name in order})

    @property
    @abstractmethod
    def _policy(self) -> str:
        """What compiled kernels call the actor."""

    def _step_noise(self, batch: Transitions) -> Tensor | None:
        """Noise ``[A, *shape]`` of a gradient step; none where nothing is drawn."""
        shape = self._noise_shape(batch.reward.shape[1])
        return self._update_noise(*shape) if math.prod(shape) else None

    @abstractmethod
    def critic_loss(
        self, batch: Transitions, alpha: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``[A]`` and temporal differences ``[A, B]`` without gradient."""

    @abstractmethod
    def actor_loss(
        self, batch: Transitions, alpha: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``[A]`` and entropy ``[A]`` without gradient."""

    def _errors(self, target: Tensor, values: Tensor, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Critic loss and temporal differences for targets [A, B] and values [heads, A, B]."""
        difference = target - values
        loss = weighted_mean(0.5 * difference.square().sum(0), batch.weight)
        return loss, difference.detach().abs().mean(0)


class SAC(_SoftActorCritic):
    """Soft actor-critic for continuous actions (Haarnoja et al. 2018).

    Critics: r + gamma (min_k Q'_k(s', a') - alpha log pi(a' | s')), a' ~ pi(s'); the bootstrap is
    left out after termination, but not after truncation. Policy: alpha log pi(a | s) -
    min_k Q_k(s, a) by reparametrisation. Exploration and updates use noise that is a function of
    the state if so configured (Raffin et al. 2022): one matrix for each copy of the task, drawn
    anew every ``noise_interval`` steps, and one for each gradient step.
    """

    known_to_kernels = True

    def __init__(self, task: TaskSpec, config: SACConfig | None = None, **options: Any) -> None:
        """See ``OffPolicyLearner``.

        Raises:
            ValueError: actions are discrete.
        """
        if not task.continuous:
            raise ValueError("SAC is for continuous actions; discrete ones: DiscreteSAC")
        config = config or SACConfig()
        super().__init__(task, config, **options)
        generators, sizes = self._weight_generators, (self.model, config.hidden)
        self._actor: GaussianPolicy | StateDependentPolicy
        if config.state_dependent_noise:
            self._actor = StateDependentPolicy(generators, task, *sizes, config.log_std_init)
        else:
            self._actor = GaussianPolicy(generators, task, *sizes)
        self._critic = Critic(generators, task, *sizes, config.critics)
        self._train("actor", self._actor, target=False)
        self._critic_target = self._train("critic", self._critic)
        self._exploration: Tensor | None = None
        if config.state_dependent_noise:
            self._exploration = self._matrices()

    @property
    def target_entropy(self) -> float:
        """Minus the number of action components, unless configured."""
        wanted = self.config.target_entropy
        return -float(self.task.action_size) if wanted is None else wanted

    def critic_loss(
        self, batch: Transitions, alpha: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See ``_SoftActorCritic``; ``noise`` as ``_step_noise`` draws it."""
        with torch.no_grad():
            action, log_prob = self._actor(batch.next_obs, self._part(noise, 0))
            following = self._critic_target(batch.next_obs, action).amin(0)
            soft = following - alpha[:, None] * log_prob
            target = batch.reward + self.config.gamma * ~batch.terminated * soft
        return self._errors(target, self._critic(batch.obs, batch.action), batch)

    def actor_loss(
        self, batch: Transitions, alpha: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See ``_SoftActorCritic``; ``noise`` as ``_step_noise`` draws it."""
        action, log_prob = self._actor(batch.obs, self._part(noise, 1))
        value = self._critic(batch.obs, action).amin(0)
        loss = (alpha[:, None] * log_prob - value).mean(1)
        return loss, -log_prob.detach().mean(1)

    @property
    def _policy(self) -> str:
        return "of-state" if self.config.state_dependent_noise else "gaussian"

    def _noise_shape(self, count: int) -> tuple[int, ...]:
        """``[latent, D]``, or ``[2, B, D]`` for the next and the present observations."""
        own = self._actor.noise_shape
        return own if self.config.state_dependent_noise else (2, count, *own)

    @staticmethod
    def _part(noise: Tensor | None, which: int) -> Tensor | None:
        return noise if noise is None or noise.dim() == 3 else noise[:, which]

    def _chance(self, count: int, rows: Tensor | None) -> tuple[Tensor, ...]:
        """Normal numbers ``[A, count, D]``; or by which copy's matrix is explored, int64
        ``[A, count]``.
        """
        if self._exploration is None:
            return (self._noise(count, rows, *self._actor.noise_shape),)
        if count % self.num_envs and rows is None:
            raise ValueError(
                f"{count} observations of each agent: must be a multiple of its "
                f"{self.num_envs} copies of the task, each of which has its own noise"
            )
        rows = torch.arange(count).expand(self.num_agents, -1) if rows is None else rows
        return (rows % self.num_envs,)

    def _choose(self, obs: Tensor, *chance: Tensor) -> Tensor:
        noise = chance[0] if chance else None
        if noise is not None and self._exploration is not None:
            agents = torch.arange(self.num_agents, device=self.device)[:, None]
            noise = self._exploration[agents, noise]
        return self.task.unscaled(self._actor(obs, noise)[0])

    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        agents, count, proposals = actions.shape[:3]
        repeated = obs.repeat_interleave(proposals, 1)
        scaled = self.task.scaled(actions).flatten(1, 2)
        values: Tensor = self._critic(repeated, scaled).amin(0)
        return values.view(agents, count, proposals)

    def _count_step(self, in_play: Tensor | None) -> None:
        interval = self.config.noise_interval
        before = [steps // interval for steps in self.agent_steps]
        super()._count_step(in_play)
        anew = [
            steps // interval > turn for steps, turn in zip(self.agent_steps, before, strict=True)
        ]
        if self._exploration is not None and any(anew):
            drawn = self._matrices()
            whose = self._sent(torch.tensor(anew)).view(-1, 1, 1, 1)
            self._exploration.copy_(torch.where(whose, drawn, self._exploration))

    def _matrices(self) -> Tensor:
        """Noise to explore by at each agent's present steps, ``[A, E, latent, D]``."""
        shape = self._actor.noise_shape
        turns = [steps // self.config.noise_interval for steps in self.agent_steps]
        drawn = self.draws.normal(turns, range(self.num_envs), kind=MATRIX, places=math.prod(shape))
        return self._sent(drawn.reshape(self.num_agents, self.num_envs, *shape))

    def _live_tensors(self) -> dict[str, Tensor]:
        found = super()._live_tensors()
        if self._exploration is not None:
            found["exploration"] = self._exploration
        return found


class DiscreteSAC(_SoftActorCritic):
    """Soft actor-critic for discrete actions (Christodoulou 2019): expectations in closed form.

    Critics: r + gamma sum_a pi(a | s') (min_k Q'_k(s', a) - alpha log pi(a | s')). Policy:
    sum_a pi(a | s) (alpha log pi(a | s) - min_k Q_k(s, a)).
    """

    known_to_kernels = True

    def __init__(self, task: TaskSpec, config: SACConfig | None = None, **options: Any) -> None:
        """See ``OffPolicyLearner``.

        Raises:
            ValueError: actions are continuous.
        """
        if task.continuous:
            raise ValueError("DiscreteSAC is for discrete actions; continuous ones: SAC")
        config = config or SACConfig()
        super().__init__(task, config, **options)
        generators, sizes = self._weight_generators, (self.model, config.hidden)
        self._actor = CategoricalPolicy(generators, task, *sizes)
        self._critic = QNetwork(generators, task, *sizes, config.critics)
        self._train("actor", self._actor, target=False)
        self._critic_target = self._train("critic", self._critic)

    @property
    def target_entropy(self) -> float:
        """A share of the entropy of uniformly random actions, unless configured."""
        wanted = self.config.target_entropy
        largest = math.log(self.task.num_actions)
        return self.config.target_entropy_ratio * largest if wanted is None else wanted

    def critic_loss(
        self, batch: Transitions, alpha: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See ``_SoftActorCritic``; ``noise`` is without effect."""
        with torch.no_grad():
            log_probs = self._actor(batch.next_obs)
            following = self._critic_target(batch.next_obs).amin(0)
            soft = (log_probs.exp() * (following - alpha[:, None, None] * log_probs)).sum(-1)
            target = batch.reward + self.config.gamma * ~batch.terminated * soft
        values = self._critic(batch.obs)
        taken = chosen(values, batch.action.expand(values.shape[:-1]))
        return self._errors(target, taken, batch)

    def actor_loss(
        self, batch: Transitions, alpha: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See ``_SoftActorCritic``; ``noise`` is without effect."""
        log_probs = self._actor(batch.obs)
        probs = log_probs.exp()
        with torch.no_grad():
            value = self._critic(batch.obs).amin(0)
        loss = (probs * (alpha[:, None, None] * log_probs - value)).sum(-1).mean(1)
        return loss, -(probs * log_probs).detach().sum(-1).mean(1)

    _policy = "categorical"

    def _chance(self, count: int, rows: Tensor | None) -> tuple[Tensor, ...]:
        return (self._uniform(EXPLORES, count, rows),)

    def _choose(self, obs: Tensor, *chance: Tensor) -> Tensor:
        log_probs: Tensor = self._actor(obs)
        if not chance:
            return log_probs.argmax(-1)
        cumulative = log_probs.exp().cumsum(-1)
        u = chance[0].unsqueeze(-1) * cumulative[..., -1:]
        # Scaling by the last entry keeps rounding from choosing an action beyond the table.
        return (cumulative[..., :-1] <= u).sum(-1)

    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        values: Tensor = self._critic(obs).amin(0)
        return values.gather(-1, actions)
