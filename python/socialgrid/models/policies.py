"""Policies of independent agents: squashed Gaussians, with noise of the state or without,
deterministic ones and categorical ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from socialgrid.models.config import ModelConfig
from socialgrid.models.layers import StackedLinear
from socialgrid.models.mlp import StackedMLP, Torso
from socialgrid.models.products import affine
from socialgrid.models.task_spec import TaskSpec

_LOG_STD_RANGE = (-20.0, 2.0)
_LARGEST_MEAN = 2.0
_LEAST_VARIANCE = 1e-6


def squashed_log_prob(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log-density of ``tanh(x)`` where x ~ N(mean, std^2), summed over the last axis.

    Haarnoja et al. (2018), appendix C, with log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2 x)),
    which neither overflows nor cancels.
    """
    normal = -0.5 * ((x - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)
    return (normal - 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))).sum(-1)


class _Policy(nn.Module):
    """A perceptron behind a torso; without ``outputs`` its last hidden layer is the result."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.torso = Torso(generators, task, model)
        self.body = StackedMLP(generators, self.torso.size, hidden, outputs)


class GaussianPolicy(_Policy):
    """tanh of a Gaussian whose mean and deviation depend on the observation (SAC)."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
    ) -> None:
        super().__init__(generators, task, model, hidden)
        self.mean = StackedLinear(generators, self.body.size, task.action_size)
        self.log_std = StackedLinear(generators, self.body.size, task.action_size)
        self.noise_shape: tuple[int, ...] = (task.action_size,)

    def forward(self, obs: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities.

        Args:
            obs: ``[A, N, *obs_shape]``.
            noise: standard normal ``[A, N, D]``, or ``None`` for the most probable action before
                squashing.

        Returns:
            actions ``[A, N, D]`` in [-1, 1] and log-probabilities ``[A, N]``.
        """
        latent = self.body(self.torso(obs))
        mean = self.mean(latent)
        std = self.log_std(latent).clamp(*_LOG_STD_RANGE).exp()
        x = mean if noise is None else mean + std * noise
        return x.tanh(), squashed_log_prob(x, mean, std)


class StateDependentPolicy(_Policy):
    """tanh of a Gaussian whose noise is a function of the state (gSDE, Raffin et al. 2022).

    With features z(s) of the last hidden layer and a matrix ``theta`` [latent, D] of independent
    entries N(0, sigma^2), the noise is z(s) theta: smooth in time as long as the matrix is kept.
    Over draws of the matrix it is Gaussian with variance z(s)^2 sigma^2 for each component, which
    is what log-probabilities are computed with. Means are kept within +-2 before squashing.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
        log_std_init: float,
    ) -> None:
        super().__init__(generators, task, model, hidden)
        self.mean = StackedLinear(generators, self.body.size, task.action_size)
        self.noise_shape: tuple[int, ...] = (self.body.size, task.action_size)
        shape = (len(generators), *self.noise_shape)
        self.log_std = nn.Parameter(torch.full(shape, float(log_std_init)))

    def forward(self, obs: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities.

        Args:
            obs: ``[A, N, *obs_shape]``.
            noise: standard normal, scaled here to the matrix of each agent ``[A, latent, D]`` or
                of each sample ``[A, N, latent, D]``; ``None`` for none.

        Returns:
            actions ``[A, N, D]`` in [-1, 1] and log-probabilities ``[A, N]``.
        """
        latent = self.body(self.torso(obs))
        mean = F.hardtanh(self.mean(latent), -_LARGEST_MEAN, _LARGEST_MEAN)
        sigma = self.log_std.exp()
        std = (affine(latent.square(), sigma.square().mT, None) + _LEAST_VARIANCE).sqrt()
        if noise is None:
            x = mean
        elif noise.dim() == 3:
            x = mean + affine(latent, (sigma * noise).mT, None)
        else:
            x = mean + (latent.unsqueeze(-2) @ (sigma.unsqueeze(1) * noise)).squeeze(-2)
        return x.tanh(), squashed_log_prob(x, mean, std)


class DeterministicPolicy(_Policy):
    """tanh of a perceptron (TD3)."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
    ) -> None:
        super().__init__(generators, task, model, hidden, task.action_size)

    def forward(self, obs: Tensor) -> Tensor:
        """Actions ``[A, N, D]`` in [-1, 1] for observations ``[A, N, *obs_shape]``."""
        return torch.tanh(self.body(self.torso(obs)))


class CategoricalPolicy(_Policy):
    """Probabilities of discrete actions (discrete SAC)."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
    ) -> None:
        super().__init__(generators, task, model, hidden, task.num_actions)

    def forward(self, obs: Tensor) -> Tensor:
        """Log-probabilities ``[A, N, num_actions]`` for ``[A, N, *obs_shape]``."""
        log_probs: Tensor = self.body(self.torso(obs)).log_softmax(-1)
        return log_probs
