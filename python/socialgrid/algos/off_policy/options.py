"""Options of off-policy algorithms. No heavy imports: the command line reads these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from socialgrid.algos.bases import OffPolicyConfig, register_algorithm


@register_algorithm
@dataclass(frozen=True)
class DQNConfig(OffPolicyConfig):
    """Deep Q-networks (Mnih et al. 2015) with double targets (van Hasselt et al. 2016)."""

    learner: ClassVar[str] = "socialgrid.algos.off_policy.dqn:DQN"
    name: str = "dqn"
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
    """Share of random actions at the beginning; none where advice is followed, unless agents
    explore all the same (``explore_when_advised``)."""
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


@register_algorithm
@dataclass(frozen=True)
class RecurrentDQNConfig(DQNConfig):
    """DQN with an LSTM, trained on sequences from stored states (R2D2, Kapturowski et al. 2019)."""

    learner: ClassVar[str] = "socialgrid.algos.off_policy.recurrent_dqn:RecurrentDQN"
    remembers: ClassVar[bool] = True
    name: str = "recurrent-dqn"
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


@register_algorithm
@dataclass(frozen=True)
class SACConfig(OffPolicyConfig):
    """Soft actor-critic (Haarnoja et al. 2018) with automatic temperature.

    For discrete actions it is the variant of Christodoulou (2019).
    """

    learner: ClassVar[str] = "socialgrid.algos.off_policy.sac:SAC"
    discrete_learner: ClassVar[str] = "socialgrid.algos.off_policy.sac:DiscreteSAC"
    samples: ClassVar[bool] = True
    name: str = "sac"
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

    def unused(self, *, discrete: bool = False) -> Mapping[str, str]:
        """See ``OffPolicyConfig``."""
        found = dict(super().unused(discrete=discrete))
        if self.target_entropy is not None:
            found["target_entropy_ratio"] = "algorithm.target_entropy says what it is"
        if self.temperature is not None:
            found |= dict.fromkeys(
                ("initial_temperature", "target_entropy", "target_entropy_ratio"),
                f"algorithm.temperature {self.temperature:g} is not learnt",
            )
        if not self.state_dependent_noise:
            found |= dict.fromkeys(
                ("log_std_init", "noise_interval"), "it counts with algorithm.state_dependent_noise"
            )
        if discrete:
            found |= dict.fromkeys(
                ("state_dependent_noise", "log_std_init", "noise_interval"),
                "it counts where actions are continuous",
            )
        return found


@register_algorithm
@dataclass(frozen=True)
class TD3Config(OffPolicyConfig):
    """Twin delayed deterministic policy gradient (Fujimoto et al. 2018)."""

    learner: ClassVar[str] = "socialgrid.algos.off_policy.td3:TD3"
    name: str = "td3"
    """Chooses the algorithm."""
    hidden: tuple[int, ...] = (150, 200)
    """Units of the hidden layers of every network."""
    critics: int = 2
    """Q-functions; the smallest value counts."""
    exploration_noise: float = 0.1
    """Deviation of the noise added to actions scaled to [-1, 1]; none is where advice is followed,
    unless agents explore all the same (``explore_when_advised``)."""
    target_noise: float = 0.2
    """Deviation of the noise added to the target's actions, so scaled."""
    target_noise_clip: float = 0.5
    """Largest such noise."""
    policy_delay: int = 2
    """Gradient steps of the critics for each of the policy and of the targets; these move in such
    steps that are multiples of ``target_interval`` as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("critics", "policy_delay"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("exploration_noise", "target_noise", "target_noise_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}: must be 0 or more")

    def unused(self, *, discrete: bool = False) -> Mapping[str, str]:
        """See ``OffPolicyConfig``."""
        found = dict(super().unused(discrete=discrete))
        if not self.target_noise:
            found["target_noise_clip"] = "algorithm.target_noise is 0"
        if self.policy_delay % self.target_interval == 0:
            found["target_interval"] = (
                f"targets move with the policy, every algorithm.policy_delay {self.policy_delay} "
                "gradient steps"
            )
        return found
