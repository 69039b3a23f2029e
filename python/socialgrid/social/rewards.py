"""Rewards that care for others: what an agent learns from instead of its own reward.

A transform reads the rewards of the whole world and returns those of the learner's agents. Others
are all agents of the world, also scripted ones and ones that have left play.

    >>> reward = torch.tensor([[[1.0, 0.0, 4.0]]])        # one step, one environment, three agents
    >>> prosocial_reward(reward, eta=0.5).tolist()
    [[[3.0, 2.5, 4.5]]]
    >>> averse = InequityAversion(1, 3, alpha=5.0, beta=0.05, smoothing=0.975)
    >>> averse(reward, torch.tensor([[False]]), slots=[1]).tolist()  # 0 - 5 / 2 * (1 + 4)
    [[[-12.5]]]
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from socialgrid.data.exchange import sent
from socialgrid.social.mechanism import Mechanism, Rewards


class RewardTransform(Protocol):
    """Turns the world's rewards into those that agents learn from.

    Called once for every rollout, in the order of time: a transform may remember what came before.
    """

    def __call__(self, reward: Tensor, done: Tensor, slots: Sequence[int]) -> Tensor:
        """Transform one rollout.

        Args:
            reward: float32 ``[T, E, N]``, of everybody.
            done: bool ``[T, E]``: the episode ended in step t.
            slots: A indices in ``[0, N)`` of the agents whose rewards are wanted.

        Returns:
            float32 ``[T, E, A]``, a new tensor.
        """
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Copies of what is remembered, for checkpoints; nothing if nothing is."""
        ...

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``tensors`` gave; ValueError where it does not fit."""
        ...


def prosocial_reward(reward: Tensor, eta: float) -> Tensor:
    """``e_k + eta * sum of the others' e`` (Jaques et al. 2019, section 10.5.2).

    Args:
        reward: float ``[..., N]``.
        eta: weight of the others; 0 leaves rewards as they are, 1 gives everybody the sum.

    Returns:
        float ``[..., N]``.
    """
    return reward + eta * (reward.sum(-1, keepdim=True) - reward)


def inequity_averse_reward(
    reward: Tensor, compared: Tensor, slots: Sequence[int], *, alpha: float, beta: float
) -> Tensor:
    """Reward less the pain of having less and the guilt of having more than others.

    Hughes et al. (2018), "Inequity aversion improves cooperation in intertemporal social
    dilemmas": ``r_i - alpha / (N - 1) sum_j max(e_j - e_i, 0) - beta / (N - 1) sum_j max(e_i -
    e_j, 0)``. Both terms lower the reward. An agent alone keeps its own.

    Args:
        reward: r, float ``[..., N]``.
        compared: e, what agents compare, float ``[..., N]``; smoothed rewards or ``reward``.
        slots: A indices of the agents whose rewards are wanted.
        alpha: weight of disadvantageous inequity.
        beta: weight of advantageous inequity.

    Returns:
        float ``[..., A]``.
    """
    num_agents = reward.shape[-1]
    owned = torch.as_tensor(list(slots), dtype=torch.int64, device=reward.device)
    own = compared.index_select(-1, owned)
    less, more = torch.zeros_like(own), torch.zeros_like(own)
    for other in range(num_agents):  # the agent itself adds nothing
        ahead = compared[..., other, None] - own
        less += ahead.clamp(min=0.0)
        more += (-ahead).clamp(min=0.0)
    others = max(1, num_agents - 1)
    return reward.index_select(-1, owned) - (alpha * less + beta * more) / others


class Prosocial:
    """``prosocial_reward`` of every step; the collective reward with ``eta`` 1."""

    def __init__(self, eta: float) -> None:
        self.eta = eta

    def __call__(self, reward: Tensor, done: Tensor, slots: Sequence[int]) -> Tensor:
        """Float32 ``[T, E, A]``; see ``RewardTransform``."""
        owned = torch.as_tensor(list(slots), dtype=torch.int64, device=reward.device)
        return prosocial_reward(reward, self.eta).index_select(-1, owned)

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is remembered."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """There is nothing to load; ValueError if something is given."""
        _check_names(tensors, ())


class InequityAversion:
    """``inequity_averse_reward`` of temporally smoothed rewards (Hughes et al. 2018).

    Rewards are rare, so agents compare ``e_t = smoothing * e_(t-1) + r_t``, which starts from 0 in
    every episode and goes on from one rollout to the next. Without smoothing they compare the
    rewards of the step itself.
    """

    def __init__(
        self,
        num_envs: int,
        num_agents: int,
        *,
        alpha: float,
        beta: float,
        smoothing: float | None,
    ) -> None:
        """Start with nothing earned.

        Args:
            num_envs: E.
            num_agents: N, everybody in the world.
            alpha: weight of having less than others; 5 in the paper.
            beta: weight of having more than others; 0.05 in the paper.
            smoothing: decay of a step (gamma lambda in the paper); None compares raw rewards.
        """
        self.alpha, self.beta, self.smoothing = alpha, beta, smoothing
        self._smoothed = torch.zeros(num_envs, num_agents)

    def __call__(self, reward: Tensor, done: Tensor, slots: Sequence[int]) -> Tensor:
        """Float32 ``[T, E, A]``; see ``RewardTransform``.

        Raises:
            ValueError: other environments or agents than those it was made for.
        """
        if reward.shape[1:] != self._smoothed.shape or done.shape != reward.shape[:-1]:
            raise ValueError(
                f"reward {tuple(reward.shape)} and done {tuple(done.shape)}: expected (steps, "
                f"envs, agents) with (envs, agents) = {tuple(self._smoothed.shape)}, and "
                "(steps, envs)"
            )
        compared = reward if self.smoothing is None else self._smooth(reward, done, self.smoothing)
        return inequity_averse_reward(reward, compared, slots, alpha=self.alpha, beta=self.beta)

    def _smooth(self, reward: Tensor, done: Tensor, decay: float) -> Tensor:
        smoothed = torch.empty_like(reward)
        carry = self._smoothed.to(reward.device)
        for t in range(len(reward)):
            torch.add(reward[t], carry, alpha=decay, out=smoothed[t])
            carry = smoothed[t].masked_fill(done[t, :, None], 0.0)
        self._smoothed = carry.clone()
        return smoothed

    def tensors(self) -> dict[str, Tensor]:
        """``smoothed``, float32 ``[E, N]``, on the CPU; nothing where rewards are raw."""
        return {} if self.smoothing is None else {"smoothed": self._smoothed.cpu().clone()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``tensors`` gave.

        Raises:
            ValueError: other names or another shape.
        """
        _check_names(tensors, self.tensors())
        for name, tensor in tensors.items():
            if tensor.shape != self._smoothed.shape:
                raise ValueError(
                    f"{name} {tuple(tensor.shape)}: expected {tuple(self._smoothed.shape)} "
                    "(envs, agents)"
                )
            self._smoothed = tensor.to(torch.float32).clone()


def _check_names(tensors: Mapping[str, Tensor], expected: Collection[str]) -> None:
    if set(tensors) != set(expected):
        raise ValueError(f"remembered {sorted(tensors)}: expected {sorted(expected)}")


class OtherRegarding(Mechanism):
    """A mechanism that puts a transform of everybody's rewards in place of an agent's own."""

    @abstractmethod
    def transform(self, num_envs: int, num_agents: int) -> RewardTransform:
        """Begin with nothing remembered."""

    def memory(self, num_envs: int) -> dict[str, Tensor]:
        """See ``Mechanism``."""
        return self.transform(num_envs, self.spec.world_agents).tensors()

    def reward(self, rewards: Rewards) -> None:
        """See ``Mechanism``."""
        rollout = rewards.rollout
        transform = self.transform(rollout.num_envs, rollout.num_agents)
        transform.load_tensors(rewards.memory)
        own = rollout.own(rollout.reward)
        changed = transform(rollout.reward, rollout.done, rollout.agents)
        (further,) = sent(rewards.batch.device, changed - own)
        rewards.of["action"] = rewards.of["action"] + further
        rewards.memory = transform.tensors()


class CollectiveReward(OtherRegarding):
    """The mechanism ``collective``: everybody gets the sum."""

    def transform(self, num_envs: int, num_agents: int) -> RewardTransform:
        """See ``OtherRegarding``."""
        return Prosocial(1.0)


class ProsocialReward(OtherRegarding):
    """The mechanism ``prosocial``."""

    def transform(self, num_envs: int, num_agents: int) -> RewardTransform:
        """See ``OtherRegarding``."""
        return Prosocial(self.options.eta)


class InequityAverseReward(OtherRegarding):
    """The mechanism ``inequity``."""

    def transform(self, num_envs: int, num_agents: int) -> RewardTransform:
        """See ``OtherRegarding``."""
        return InequityAversion(
            num_envs,
            num_agents,
            alpha=self.options.alpha,
            beta=self.options.beta,
            smoothing=self.options.smoothing,
        )
