"""Hyper-parameters of the learners. No heavy imports: the command line reads these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import socialgrid.algos.numbers  # noqa: F401 (names of what learners measure)
from socialgrid.algos.imitation import whom_to_imitate

Precision = Literal["fp32", "bf16"]


def _check_rates(rates: float | tuple[float, ...]) -> None:
    values = rates if isinstance(rates, tuple) else (rates,)
    if not values or min(values) < 0:
        raise ValueError(f"learning_rate {rates}: one rate >= 0, or one for every agent")


@dataclass(frozen=True)
class OnPolicyConfig:
    """What all learners with a recurrent actor-critic have in common.

    Attributes:
        learner: where the class is that learns so.
        workers: processes that collect batches.
        sociable: whether agents that learn so can have social mechanisms.
        fixed: options that are the same in all phases of a run.
    """

    learner: ClassVar[str] = ""
    regime: ClassVar[str] = "on-policy"
    workers: ClassVar[int] = 1
    sociable: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset(
        {"name", "workers", "adam_betas", "adam_eps", "precision", "compile"}
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
    precision: Precision = "fp32"
    """bf16: matrix products and convolutions in bfloat16, parameters and losses in float32."""
    compile: bool = False
    """Compile the network with torch.compile."""

    def __post_init__(self) -> None:
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

    def check_players(self, kinds: Sequence[str]) -> None:
        """Whether it can be learnt in this company.

        Args:
            kinds: by place: learner, frozen, novice, or the name of a scripted player.

        Raises:
            ValueError: it cannot.
        """

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
        if self.sequence_length > rollout_steps:
            raise ValueError(
                f"sequence_length: {self.sequence_length} is longer than "
                f"env.rollout_steps {rollout_steps}"
            )


@dataclass(frozen=True)
class PPOConfig(MinibatchConfig):
    """Recurrent PPO of Ndousse et al. (2021), appendix 7.8; defaults are the paper's.

    The batch itself (128 episodes of 250 steps) is the size of the rollout.
    """

    learner: ClassVar[str] = "socialgrid.algos.on_policy.ppo:PPO"

    name: Literal["ppo"] = "ppo"
    gamma: float = 0.993
    gae_lambda: float = 0.97
    clip: float = 0.2
    """Clipping range of the probability ratio."""
    kl_target: float | None = 0.01
    """An agent stops updating on this batch when a minibatch's mean divergence from the acting
    policy exceeds this; None never."""
    kl_stop_factor: float = 1.0
    """Multiplies kl_target; the public code used 1.5."""
    kl_hard_limit: float | None = 0.03
    """Beyond this an agent's parameters and optimiser go back to where the batch found them."""
    value_target: Literal["lambda_return", "discounted_return"] = "lambda_return"
    """Target of the value head; the public code used the bootstrapped discounted return."""
    delta: Literal["td", "public"] = "td"
    """Temporal difference in the advantage: r + gamma V' - V, or the public code's
    r + gamma (V' - V)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("clip", "kl_stop_factor", "kl_target", "kl_hard_limit"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} {value}: must be positive")


@dataclass(frozen=True)
class A3CConfig(OnPolicyConfig):
    """Asynchronous advantage actor-critic (Mnih et al. 2016) as used by Jaques et al. (2019).

    A worker's batch is one rollout: ``env.rollout_steps`` steps of its share of the environments,
    unrolled whole.
    """

    learner: ClassVar[str] = "socialgrid.algos.on_policy.a3c:A3C"
    fixed: ClassVar[frozenset[str]] = OnPolicyConfig.fixed | {"synchronous", "max_staleness"}

    name: Literal["a3c"] = "a3c"
    workers: int = 1  # type: ignore[misc]
    """Actor-learners; each has its own environments. 1: no process besides the main one."""
    synchronous: bool = False
    """Wait for each other's gradients and apply their mean (A2C)."""
    gae_lambda: float = 1.0
    value_coef: float = 0.5
    entropy_coef: float = 0.00176
    normalize_advantages: bool = False
    learning_rate: float | tuple[float, ...] = 0.00126
    learning_rate_end: float | None = 1.2e-5
    max_staleness: int = 50
    """Gradients computed from parameters that more updates than this have passed since are
    dropped."""
    max_grad_norm: float | None = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("workers", "max_staleness"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")

    def check_batch(self, num_envs: int, rollout_steps: int) -> None:
        """See ``OnPolicyConfig``."""
        if self.workers > num_envs:
            raise ValueError(f"workers: {self.workers} cannot share env.num_envs {num_envs}")


@dataclass(frozen=True)
class CloningConfig(MinibatchConfig):
    """Behaviour cloning (Bain and Sammut 1995), the imitation baseline of Ndousse et al. (2021),
    appendix 7.4: cross-entropy on somebody else's actions, with the network of PPO.

    Learners play as well, but their rewards are only measured.
    """

    learner: ClassVar[str] = "socialgrid.algos.on_policy.behaviour_cloning:BehaviourCloning"
    sociable: ClassVar[bool] = False
    # Of rewards and of what is to come nothing is learnt.
    gamma: ClassVar[float] = 0.0  # type: ignore[misc]
    gae_lambda: ClassVar[float] = 0.0  # type: ignore[misc]
    value_coef: ClassVar[float] = 0.0  # type: ignore[misc]
    entropy_coef: ClassVar[float] = 0.0  # type: ignore[misc]
    normalize_advantages: ClassVar[bool] = False  # type: ignore[misc]

    name: Literal["behaviour-cloning"] = "behaviour-cloning"
    fixed: ClassVar[frozenset[str]] = OnPolicyConfig.fixed | {"imitates", "trajectories"}

    imitates: int | None = None
    """Slot of whom to imitate, who is scripted or checkpoint:RUN; by default the first scripted
    player, or else the first checkpoint:RUN."""
    trajectories: str = ""
    """Learn from this file alone, which socialgrid-eval record has written, and from nobody in
    the world."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.imitates is not None and self.imitates < 0:
            raise ValueError(f"imitates {self.imitates}: must be 0 or more")
        if self.imitates is not None and self.trajectories:
            raise ValueError(
                f"imitates {self.imitates}: trajectories {self.trajectories} are learnt from alone"
            )

    def check_players(self, kinds: Sequence[str]) -> None:
        """See ``OnPolicyConfig``."""
        if not self.trajectories:
            whom_to_imitate(self.imitates, kinds)


@dataclass(frozen=True)
class OffPolicyConfig:
    """What all off-policy learners have in common."""

    learner: ClassVar[str] = ""
    discrete_learner: ClassVar[str] = ""
    regime: ClassVar[str] = "off-policy"
    sociable: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset({"name"})
    remembers: ClassVar[bool] = False  # what came before in its own task

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


@dataclass(frozen=True)
class DQNConfig(OffPolicyConfig):
    """Deep Q-networks (Mnih et al. 2015) with double targets (van Hasselt et al. 2016)."""

    learner: ClassVar[str] = "socialgrid.algos.off_policy.dqn:DQN"
    name: Literal["dqn"] = "dqn"
    """Chooses the algorithm."""
    learning_rate: float | tuple[float, ...] = 5e-4
    """Adam's step size: one for all agents or one for each."""
    buffer_size: int = 300_000
    """Transitions that each agent's replay memory holds."""
    max_grad_norm: float | None = 10.0
    """Clip each agent's gradient to this norm; None never."""
    double: bool = True
    """The network chooses the next action, its target values it; otherwise the target does both."""
    epsilon_start: float = 1.0
    """Share of random actions at the beginning."""
    epsilon_end: float = 0.05
    """Share of random actions from ``epsilon_steps`` on."""
    epsilon_steps: int = 100_000
    """Steps of each agent over which the share falls linearly."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epsilon_start", "epsilon_end"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: must be in [0, 1]")
        if self.epsilon_steps < 1:
            raise ValueError(f"epsilon_steps {self.epsilon_steps}: must be at least 1")

    def epsilon(self, steps: int) -> float:
        """Share of random actions after so many steps of an agent."""
        done = min(1.0, steps / self.epsilon_steps)
        return self.epsilon_start * (1.0 - done) + self.epsilon_end * done


@dataclass(frozen=True)
class RecurrentDQNConfig(DQNConfig):
    """DQN with an LSTM, trained on sequences from stored states (R2D2, Kapturowski et al. 2019)."""

    learner: ClassVar[str] = "socialgrid.algos.off_policy.recurrent_dqn:RecurrentDQN"
    remembers: ClassVar[bool] = True
    name: Literal["recurrent-dqn"] = "recurrent-dqn"  # type: ignore[assignment]
    """Chooses the algorithm."""
    batch_size: int = 64
    """Sequences in a gradient step, for each agent."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the layers between the memory and the action values."""
    burn_in: int = 8
    """Steps unrolled before the first that is learnt from, to freshen the stored state."""
    sequence_length: int = 16
    """Steps of a sequence that are learnt from; sequences start so many steps apart."""
    priority_mix: float = 0.9
    """A sequence's priority: this share of its largest temporal difference, the rest of the
    mean."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.burn_in < 0:
            raise ValueError(f"burn_in {self.burn_in}: must be 0 or more")
        if self.sequence_length < 1:
            raise ValueError(f"sequence_length {self.sequence_length}: must be at least 1")
        if not 0.0 <= self.priority_mix <= 1.0:
            raise ValueError(f"priority_mix {self.priority_mix}: must be in [0, 1]")


@dataclass(frozen=True)
class SACConfig(OffPolicyConfig):
    """Soft actor-critic (Haarnoja et al. 2018) with automatic temperature.

    For discrete actions it is the variant of Christodoulou (2019).
    """

    learner: ClassVar[str] = "socialgrid.algos.off_policy.sac:SAC"
    discrete_learner: ClassVar[str] = "socialgrid.algos.off_policy.sac:DiscreteSAC"
    name: Literal["sac"] = "sac"
    """Chooses the algorithm."""
    hidden: tuple[int, ...] = (150, 200)
    """Units of the hidden layers of every network."""
    critics: int = 2
    """Q-functions; the smallest value counts."""
    temperature: float | None = None
    """Weight of the entropy; None: learnt."""
    initial_temperature: float = 1.0
    """Where learning the temperature begins."""
    target_entropy: float | None = None
    """What the temperature is learnt for; None: minus the number of action components, or
    ``target_entropy_ratio`` of the largest entropy of discrete actions."""
    target_entropy_ratio: float = 0.98
    """See ``target_entropy``."""
    state_dependent_noise: bool = True
    """Noise that is a function of the state (gSDE, Raffin et al. 2022); continuous actions only."""
    log_std_init: float = -3.0
    """Initial log-deviation of that noise's matrix."""
    noise_interval: int = 8
    """Steps of each agent between new matrices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("critics", "noise_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.temperature is not None and self.temperature < 0:
            raise ValueError(f"temperature {self.temperature}: must be 0 or more")
        if not self.initial_temperature > 0:
            raise ValueError(f"initial_temperature {self.initial_temperature}: must be positive")


@dataclass(frozen=True)
class TD3Config(OffPolicyConfig):
    """Twin delayed deterministic policy gradient (Fujimoto et al. 2018)."""

    learner: ClassVar[str] = "socialgrid.algos.off_policy.td3:TD3"
    name: Literal["td3"] = "td3"
    """Chooses the algorithm."""
    hidden: tuple[int, ...] = (150, 200)
    """Units of the hidden layers of every network."""
    critics: int = 2
    """Q-functions; the smallest value counts."""
    exploration_noise: float = 0.1
    """Deviation of the noise added to actions scaled to [-1, 1]."""
    target_noise: float = 0.2
    """Deviation of the noise added to the target's actions, so scaled."""
    target_noise_clip: float = 0.5
    """Largest such noise."""
    policy_delay: int = 2
    """Gradient steps of the critics for each of the policy and of the targets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("critics", "policy_delay"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("exploration_noise", "target_noise", "target_noise_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}: must be 0 or more")


AlgorithmConfig = OnPolicyConfig | OffPolicyConfig
ALGORITHMS: dict[str, type[AlgorithmConfig]] = {}
"""All algorithms by name."""
T = TypeVar("T", bound=type[OnPolicyConfig] | type[OffPolicyConfig])


def register_algorithm(options: T) -> T:
    """Put an algorithm on the list; a decorator of its options.

    Raises:
        ValueError: there is one of that name, or it has none, or no learner.
    """
    if not options.name or not options.learner:
        raise ValueError(f"{options.__name__}: an algorithm needs a name and a learner")
    known = ALGORITHMS.get(options.name, options)
    if (known.__module__, known.__qualname__) != (options.__module__, options.__qualname__):
        raise ValueError(f"there is an algorithm {options.name!r} already")
    ALGORITHMS[options.name] = options
    return options


for _options in (
    *(PPOConfig, A3CConfig, CloningConfig),
    *(DQNConfig, RecurrentDQNConfig, SACConfig, TD3Config),
):
    register_algorithm(_options)


def algorithms_of(regime: str) -> tuple[str, ...]:
    """Names of the algorithms that learn in one way."""
    return tuple(name for name, cls in ALGORITHMS.items() if cls.regime == regime)
