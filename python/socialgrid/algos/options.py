"""Hyper-parameters of the learners. No heavy imports: the command line reads these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from socialgrid.algos.off_policy_config import (
    DQNConfig,
    OffPolicyConfig,
    RecurrentDQNConfig,
    SACConfig,
    TD3Config,
)

Precision = Literal["fp32", "bf16"]


def _check_rates(rates: float | tuple[float, ...]) -> None:
    values = rates if isinstance(rates, tuple) else (rates,)
    if not values or min(values) < 0:
        raise ValueError(f"learning_rate {rates}: one rate >= 0, or one for every agent")


@dataclass(frozen=True)
class PPOConfig:
    """Recurrent PPO of Ndousse et al. (2021), appendix 7.8; defaults are the paper's.

    The batch itself (128 episodes of 250 steps) is the size of the rollout.
    """

    regime: ClassVar[str] = "on-policy"
    name: Literal["ppo"] = "ppo"
    """Chooses the algorithm."""
    gamma: float = 0.993
    """Discount of returns."""
    gae_lambda: float = 0.97
    """Lambda of generalised advantage estimation."""
    clip: float = 0.2
    """Clipping range of the probability ratio."""
    num_minibatches: int = 20
    """Gradient steps per batch."""
    minibatch_sequences: int = 512
    """Random subsequences in a minibatch, for each agent."""
    sequence_length: int = 16
    """Steps in a subsequence."""
    refresh_interval: int = 2
    """Recompute hidden states and advantages with the current parameters every so many
    minibatches; 0 never."""
    kl_target: float | None = 0.01
    """An agent stops updating on this batch when a minibatch's mean divergence from the acting
    policy exceeds this; None never."""
    kl_stop_factor: float = 1.0
    """Multiplies kl_target; the public code used 1.5."""
    kl_hard_limit: float | None = 0.03
    """Beyond this an agent's parameters and optimiser go back to where the batch found them."""
    value_coef: float = 0.1
    """Weight of the value loss."""
    aux_coef: float = 3.0
    """Weight of the auxiliary loss."""
    entropy_coef: float = 1e-5
    """Weight of the entropy bonus."""
    aux: str = "prediction"
    """Auxiliary loss: none, reconstruction or prediction."""
    value_target: Literal["lambda_return", "discounted_return"] = "lambda_return"
    """Target of the value head; the public code used the bootstrapped discounted return."""
    delta: Literal["td", "public"] = "td"
    """Temporal difference in the advantage: r + gamma V' - V, or the public code's
    r + gamma (V' - V)."""
    normalize_advantages: bool = True
    """Scale each agent's advantages to mean 0 and deviation 1 over the batch."""
    learning_rate: float | tuple[float, ...] = 1e-4
    """Adam's step size: one for all agents or one for each (1e-4 novices, 1e-5 experts)."""
    learning_rate_end: float | None = None
    """Reached linearly at ``learning_rate_steps``; none: constant."""
    learning_rate_steps: float = 20e6
    """Environment steps of the annealing."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates."""
    adam_eps: float = 1e-8
    """Adam's denominator offset."""
    max_grad_norm: float | None = None
    """Clip each agent's gradient to this norm; None never."""
    precision: Precision = "fp32"
    """bf16: matrix products and convolutions in bfloat16, parameters and losses in float32."""
    compile: bool = False
    """Compile the network with torch.compile."""

    def __post_init__(self) -> None:
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in [0, 1]")
        for name in ("num_minibatches", "minibatch_sequences", "sequence_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.refresh_interval < 0:
            raise ValueError(f"refresh_interval {self.refresh_interval}: must be 0 or more")
        for name in ("clip", "kl_stop_factor", "kl_target", "kl_hard_limit", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} {value}: must be positive")
        if self.learning_rate_steps <= 0:
            raise ValueError(f"learning_rate_steps {self.learning_rate_steps}: must be positive")
        _check_rates(self.learning_rate)


@dataclass(frozen=True)
class A3CConfig:
    """Asynchronous advantage actor-critic (Mnih et al. 2016) as used by Jaques et al. (2019).

    A worker's batch is one rollout: ``env.rollout_steps`` steps of its share of the environments,
    unrolled whole.
    """

    regime: ClassVar[str] = "on-policy"
    name: Literal["a3c"] = "a3c"
    """Chooses the algorithm."""
    workers: int = 1
    """Actor-learners; each has its own environments. 1: no process besides the main one."""
    synchronous: bool = False
    """Wait for each other's gradients and apply their mean (A2C)."""
    gamma: float = 0.99
    """Discount of returns."""
    gae_lambda: float = 1.0
    """1: n-step returns, n being the rest of the rollout; less: generalised advantages."""
    value_coef: float = 0.5
    """Weight of the value loss."""
    aux_coef: float = 0.0
    """Weight of the auxiliary loss."""
    entropy_coef: float = 0.00176
    """Weight of the entropy bonus."""
    aux: str = "none"
    """Auxiliary loss: none, reconstruction or prediction."""
    normalize_advantages: bool = False
    """Scale each agent's advantages to mean 0 and deviation 1 over the batch."""
    learning_rate: float | tuple[float, ...] = 0.00126
    """Step size: one for all agents or one for each."""
    learning_rate_end: float | None = 1.2e-5
    """Reached linearly at ``learning_rate_steps``; none: constant."""
    learning_rate_steps: float = 20e6
    """Environment steps of the annealing."""
    max_staleness: int = 50
    """Gradients computed from parameters that more updates than this have passed since are
    dropped."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates."""
    adam_eps: float = 1e-8
    """Adam's denominator offset."""
    max_grad_norm: float | None = 40.0
    """Clip each agent's gradient to this norm; None never."""
    precision: Precision = "fp32"
    """bf16: matrix products and convolutions in bfloat16, parameters and losses in float32."""
    compile: bool = False
    """Compile the network with torch.compile."""

    def __post_init__(self) -> None:
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in [0, 1]")
        for name in ("workers", "max_staleness"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.max_grad_norm is not None and self.max_grad_norm <= 0:
            raise ValueError(f"max_grad_norm {self.max_grad_norm}: must be positive")
        if self.learning_rate_steps <= 0:
            raise ValueError(f"learning_rate_steps {self.learning_rate_steps}: must be positive")
        _check_rates(self.learning_rate)


@dataclass(frozen=True)
class CloningConfig:
    """Behaviour cloning: cross-entropy on recorded actions, same network as PPO."""

    num_minibatches: int = 20
    """Gradient steps per batch of trajectories."""
    minibatch_sequences: int = 512
    """Random subsequences in a minibatch, for each agent."""
    sequence_length: int = 16
    """Steps in a subsequence."""
    refresh_interval: int = 2
    """Recompute hidden states every so many minibatches; 0 never."""
    learning_rate: float | tuple[float, ...] = 1e-4
    """Adam's step size: one for all agents or one for each."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates."""
    adam_eps: float = 1e-8
    """Adam's denominator offset."""
    max_grad_norm: float | None = None
    """Clip each agent's gradient to this norm; None never."""
    precision: Precision = "fp32"
    """bf16: matrix products and convolutions in bfloat16, parameters and losses in float32."""
    compile: bool = False
    """Compile the network with torch.compile."""

    def __post_init__(self) -> None:
        for name in ("num_minibatches", "minibatch_sequences", "sequence_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.refresh_interval < 0:
            raise ValueError(f"refresh_interval {self.refresh_interval}: must be 0 or more")
        _check_rates(self.learning_rate)


def annealed_rates(config: PPOConfig | A3CConfig, progress: float) -> tuple[float, ...]:
    """Learning rates after ``progress`` environment steps: a straight line, then constant."""
    start = config.learning_rate
    starts = start if isinstance(start, tuple) else (start,)
    end = config.learning_rate_end
    if end is None:
        return starts
    done = min(1.0, progress / config.learning_rate_steps)
    return tuple(rate + (end - rate) * done for rate in starts)


AlgorithmConfig = PPOConfig | A3CConfig | DQNConfig | RecurrentDQNConfig | SACConfig | TD3Config
ALGORITHMS: dict[str, type[AlgorithmConfig]] = {
    "ppo": PPOConfig,
    "a3c": A3CConfig,
    "dqn": DQNConfig,
    "recurrent-dqn": RecurrentDQNConfig,
    "sac": SACConfig,
    "td3": TD3Config,
}
OFF_POLICY = tuple(name for name, cls in ALGORITHMS.items() if issubclass(cls, OffPolicyConfig))
ON_POLICY = tuple(name for name in ALGORITHMS if name not in OFF_POLICY)
