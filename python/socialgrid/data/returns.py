"""Returns and advantages: pure functions of arrays whose first axis is time.

All arrays are ``[T, ...]`` of the same shape. Three inputs describe how steps hang together:

- ``next_value[t]`` is the value of what follows step ``t`` for the agent: the next view's in the
  same episode, the last view's when a time limit cut the episode off, 0 after termination.
  ``next_values`` builds it.
- ``continues[t]`` (bool) says that step ``t + 1`` is of the same episode and the agent is still
  in play, so that estimates flow back over the border.
- Steps in which an agent was not in play have values here too; whoever uses the results masks
  them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Discounting:
    """How rewards to come count.

    Attributes:
        gamma, lam, delta: see ``gae``.
        target: what values are to be: advantages plus values, or ``discounted_returns``.
    """

    gamma: float
    lam: float
    delta: Literal["td", "public"] = "td"
    target: Literal["lambda_return", "discounted_return"] = "lambda_return"


def estimates(
    reward: Tensor, value: Tensor, next_value: Tensor, continues: Tensor, by: Discounting
) -> tuple[Tensor, Tensor]:
    """Advantages and value targets, ``[T, ...]`` each; see ``gae``."""
    advantage = gae(
        *(reward, value, next_value, continues), gamma=by.gamma, lam=by.lam, delta=by.delta
    )
    if by.target == "lambda_return":
        return advantage, advantage + value
    return advantage, discounted_returns(reward, next_value, continues, gamma=by.gamma)


def next_values(
    value: Tensor,
    last_value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_value: Tensor,
) -> Tensor:
    """Value of what follows each step; time limits bootstrap, terminations do not.

    Args:
        value: float ``[T, ...]``, estimates before each step.
        last_value: ``[...]``, estimate after the last step, if its episode goes on.
        terminated, truncated: bool ``[T, ...]``.
        final_value: ``[T, ...]``, estimates of the last views of truncated episodes; read only
            where ``truncated``.

    Returns:
        ``[T, ...]``.
    """
    following = torch.cat((value[1:], last_value[None]))
    following = torch.where(truncated, final_value, following)
    return following.masked_fill(terminated, 0.0)


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    continues: Tensor,
    *,
    gamma: float,
    lam: float,
    delta: Literal["td", "public"] = "td",
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16).

    Args:
        reward, value, next_value: float ``[T, ...]``.
        continues: bool ``[T, ...]``.
        gamma: discount.
        lam: lambda; 0 gives one-step differences, 1 returns minus values.
        delta: "td" for r + gamma V' - V; "public" for r + gamma (V' - V), what the public code of
            Ndousse et al. (2021) computes.

    Returns:
        ``[T, ...]``.
    """
    if delta == "public":
        difference = reward + gamma * (next_value - value)
    else:
        difference = reward + gamma * next_value - value
    decay = continues.to(reward.dtype) * (gamma * lam)
    return _discounted_sum(difference, decay)


def discounted_returns(
    reward: Tensor, next_value: Tensor, continues: Tensor, *, gamma: float
) -> Tensor:
    """Discounted sum of rewards, bootstrapped where the recorded episode breaks off.

    Args:
        reward, next_value: float ``[T, ...]``.
        continues: bool ``[T, ...]``; the last step bootstraps in any case.
        gamma: discount.

    Returns:
        ``[T, ...]``.
    """
    flows = continues.clone()
    flows[-1] = False
    first = reward + gamma * next_value.masked_fill(flows, 0.0)
    return _discounted_sum(first, flows.to(reward.dtype) * gamma)


def _discounted_sum(x: Tensor, decay: Tensor) -> Tensor:
    """y[t] = x[t] + decay[t] * y[t + 1], with y[T] = 0."""
    total = torch.empty_like(x)
    carry = torch.zeros_like(x[0])
    for t in range(len(x) - 1, -1, -1):
        carry = torch.addcmul(x[t], decay[t], carry, out=total[t])
    return total
