"""What algorithms have in common, and the list of all; no heavy imports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import socialgrid.algos.numbers  # noqa: F401 (names of what learners measure)
from socialgrid.lookup import check_options
from socialgrid.models.config import Precision


def _check_rates(rates: float | tuple[float, ...]) -> None:
    values = rates if isinstance(rates, tuple) else (rates,)
    if not values or min(values) < 0:
        raise ValueError(f"learning_rate {rates}: one rate >= 0, or one for every agent")


# Steps of an agent in a gradient from which on so many shards are worth what they cost on a single
# core: little where there are few, a tenth or less where there are sixteen.
_LEAST_STEPS = {1: 0, 2: 1024, 4: 4096, 8: 6144, 16: 8192}
_FEWEST_ENVS = 4  # in a shard


@dataclass(frozen=True)
class OnPolicyConfig:
    """What all learners with a recurrent actor-critic have in common.

    Attributes:
        learner: where the class is that learns so.
        workers: processes that collect batches.
        sociable: whether agents that learn so can have social mechanisms.
        precisions: what its networks can compute in.
        fixed: options that are the same in all phases of a run.
    """

    learner: ClassVar[str] = ""
    regime: ClassVar[str] = "on-policy"
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "tf32", "bf16")
    workers: ClassVar[int] = 1
    sociable: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset(
        {"name", "workers", "shards", "adam_betas", "adam_eps"}
    )

    name: str = ""
    """Chooses the algorithm."""
    gamma: float = 0.99
    """Discount of returns."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantages; 1: the rest of the rollout's returns."""
    value_coef: float = 0.1
    """Weight of the value loss."""
    entropy_coef: float = 1e-5
    """Weight of the entropy bonus."""
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
    shards: int = 0
    """Parts of a batch, with the same number of environments, that ``run.threads`` threads compute
    side by side; what adds up does so in one order, so that results do not depend on the threads.
    0: 2, 4, 8 or 16 where so many share the batch evenly and have enough to do, else 1."""

    def __post_init__(self) -> None:
        if self.shards < 0:
            raise ValueError(f"shards {self.shards}: must be 0 or more")
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in [0, 1]")
        if self.max_grad_norm is not None and self.max_grad_norm <= 0:
            raise ValueError(f"max_grad_norm {self.max_grad_norm}: must be positive")
        if self.learning_rate_steps <= 0:
            raise ValueError(f"learning_rate_steps {self.learning_rate_steps}: must be positive")
        _check_rates(self.learning_rate)

    def check_batch(self, num_envs: int, rollout_steps: int) -> None:
        """Whether a batch of this size can be learnt from.

        Raises:
            ValueError: it cannot.
        """
        self.shards_of(num_envs, rollout_steps)

    def shared(self, num_envs: int) -> dict[str, int]:
        """What shards have to share evenly, by the options that say how much there is."""
        return {"env.num_envs": num_envs}

    def steps_of_gradient(self, num_envs: int, rollout_steps: int) -> int:
        """How many steps of an agent a gradient is computed from."""
        return num_envs * rollout_steps

    def shards_of(self, num_envs: int, rollout_steps: int) -> int:
        """How many shards a batch of this size has: a matter of the configuration alone.

        Raises:
            ValueError: so many cannot share it evenly.
        """
        sizes = self.shared(num_envs)
        whole = math.gcd(*sizes.values())
        if self.shards == 0:
            steps = self.steps_of_gradient(num_envs, rollout_steps)
            return max(
                n
                for n, least in _LEAST_STEPS.items()
                if steps >= least and whole % n == 0 and num_envs >= n * (n > 1) * _FEWEST_ENVS
            )
        if whole % self.shards:
            possible = ", ".join(str(n) for n in range(1, whole + 1) if whole % n == 0)
            told = " and ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(f"shards: {self.shards} cannot share {told} evenly; {possible} can")
        return self.shards

    def check_players(self, kinds: Sequence[str]) -> None:
        """Whether it can be learnt in this company.

        Args:
            kinds: by place: learner, frozen, novice, or the name of a scripted player.

        Raises:
            ValueError: it cannot.
        """

    def unused(self) -> Mapping[str, str]:
        """Options that count for nothing beside the other values, and why."""
        if self.learning_rate_end is None:
            return {"learning_rate_steps": "it counts where algorithm.learning_rate_end is a rate"}
        return {}

    def rates(self, progress: float) -> tuple[float, ...]:
        """Learning rates after so many environment steps: a straight line, then constant."""
        start, end = self.learning_rate, self.learning_rate_end
        starts = start if isinstance(start, tuple) else (start,)
        if end is None:
            return starts
        done = min(1.0, progress / self.learning_rate_steps)
        return tuple(rate + (end - rate) * done for rate in starts)


@dataclass(frozen=True)
class MinibatchConfig(OnPolicyConfig):
    """What learners have in common that learn from random subsequences of a batch."""

    num_minibatches: int = 20
    """Gradient steps per batch."""
    minibatch_sequences: int = 512
    """Random subsequences in a minibatch, for each agent."""
    sequence_length: int = 16
    """Steps in a subsequence."""
    refresh_interval: int = 2
    """Recompute hidden states and advantages with the current parameters every so many
    minibatches; 0 never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_minibatches", "minibatch_sequences", "sequence_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.refresh_interval < 0:
            raise ValueError(f"refresh_interval {self.refresh_interval}: must be 0 or more")

    def check_batch(self, num_envs: int, rollout_steps: int) -> None:
        """See ``OnPolicyConfig``."""
        super().check_batch(num_envs, rollout_steps)
        if self.sequence_length > rollout_steps:
            raise ValueError(
                f"sequence_length: {self.sequence_length} is longer than "
                f"env.rollout_steps {rollout_steps}"
            )

    def shared(self, num_envs: int) -> dict[str, int]:
        """See ``OnPolicyConfig``."""
        sequences = {"algorithm.minibatch_sequences": self.minibatch_sequences}
        return super().shared(num_envs) | sequences

    def steps_of_gradient(self, num_envs: int, rollout_steps: int) -> int:
        """See ``OnPolicyConfig``."""
        return self.minibatch_sequences * min(self.sequence_length, rollout_steps)


@dataclass(frozen=True)
class OffPolicyConfig:
    """What all off-policy learners have in common."""

    learner: ClassVar[str] = ""
    discrete_learner: ClassVar[str] = ""
    regime: ClassVar[str] = "off-policy"
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "tf32")
    sociable: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset({"name"})
    remembers: ClassVar[bool] = False  # what came before in its own task
    samples: ClassVar[bool] = False  # policies are distributions, and not all chance is exploration

    name: str = ""
    """Chooses the algorithm."""

    gamma: float = 0.99
    """Discount of returns."""
    learning_rate: float | tuple[float, ...] = 3e-4
    """Adam's step size: one for all agents or one for each."""
    batch_size: int = 256
    """Transitions in a gradient step, for each agent."""
    buffer_size: int = 1_000_000
    """Transitions that each agent's replay memory holds."""
    learning_starts: int = 100
    """Steps of each agent with uniformly random actions and without learning."""
    train_interval: int = 8
    """Steps of each agent between updates."""
    gradient_steps: int = 8
    """Gradient steps in an update."""
    tau: float = 0.02
    """How far targets move towards the networks; 1 copies."""
    target_interval: int = 1
    """Gradient steps between movements of the targets."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of the hidden layers of every network."""
    prioritised: bool = False
    """Draw transitions by their temporal differences (Schaul et al. 2016)."""
    priority_alpha: float = 0.6
    """How much priorities matter: 0 not at all."""
    priority_beta: float = 0.4
    """Exponent of the importance weights at the beginning; it rises to 1."""
    priority_beta_steps: int = 1_000_000
    """Steps of each agent after which the exponent is 1."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates."""
    adam_eps: float = 1e-8
    """Adam's denominator offset."""
    max_grad_norm: float | None = None
    """Clip the gradient of each agent's networks to this norm; None never."""

    def __post_init__(self) -> None:
        for name in ("gamma", "priority_alpha", "priority_beta"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in [0, 1]")
        if not 0.0 < self.tau <= 1.0:
            raise ValueError(f"tau {self.tau}: must be in (0, 1]")
        for name in (
            *("batch_size", "buffer_size", "train_interval", "gradient_steps"),
            *("target_interval", "priority_beta_steps"),
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.learning_starts < 0:
            raise ValueError(f"learning_starts {self.learning_starts}: must be 0 or more")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden {self.hidden}: at least one layer of at least 1 unit")
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            raise ValueError(f"max_grad_norm {self.max_grad_norm}: must be positive")
        rates = self.learning_rate
        values = rates if isinstance(rates, tuple) else (rates,)
        if not values or min(values) < 0:
            raise ValueError(f"learning_rate {rates}: one rate >= 0, or one for every agent")

    def unused(self, *, discrete: bool = False) -> Mapping[str, str]:
        """Options that count for nothing beside the other values, and why.

        Args:
            discrete: actions are known to be.
        """
        if self.prioritised:
            return {}
        names = ("priority_alpha", "priority_beta", "priority_beta_steps", "priority_mix")
        return dict.fromkeys(names, "it counts with algorithm.prioritised")


AlgorithmConfig = OnPolicyConfig | OffPolicyConfig
ALGORITHMS: dict[str, type[AlgorithmConfig]] = {}
"""All algorithms by name."""
T = TypeVar("T", bound=type[OnPolicyConfig] | type[OffPolicyConfig])


def register_algorithm(options: T) -> T:
    """Put an algorithm on the list; a decorator of its options.

    Raises:
        ValueError: there is one of that name, or it has none, or no learner, or an option has no
            default.
    """
    if not options.name or not options.learner:
        raise ValueError(f"{options.__name__}: an algorithm needs a name and a learner")
    check_options(options)
    known = ALGORITHMS.get(options.name, options)
    if (known.__module__, known.__qualname__) != (options.__module__, options.__qualname__):
        raise ValueError(f"there is an algorithm {options.name!r} already")
    ALGORITHMS[options.name] = options
    return options


def algorithms_of(regime: str) -> tuple[str, ...]:
    """Names of the algorithms that learn in one way."""
    return tuple(name for name, cls in ALGORITHMS.items() if cls.regime == regime)
