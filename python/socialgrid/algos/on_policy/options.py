"""Options of on-policy algorithms. No heavy imports: the command line reads these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from socialgrid.algos.bases import MinibatchConfig, OnPolicyConfig, register_algorithm
from socialgrid.algos.imitation import whom_to_imitate


@register_algorithm
@dataclass(frozen=True)
class PPOConfig(MinibatchConfig):
    """Recurrent PPO of Ndousse et al. (2021), appendix 7.8; defaults are the paper's.

    The batch itself (128 episodes of 250 steps) is the size of the rollout.
    """

    learner: ClassVar[str] = "socialgrid.algos.on_policy.ppo:PPO"

    name: str = "ppo"
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

    def unused(self) -> Mapping[str, str]:
        """See ``OnPolicyConfig``."""
        found = dict(super().unused())
        if self.kl_target is None:
            found["kl_stop_factor"] = "it counts where algorithm.kl_target is a number"
        return found


@register_algorithm
@dataclass(frozen=True)
class A3CConfig(OnPolicyConfig):
    """Asynchronous advantage actor-critic (Mnih et al. 2016) as used by Jaques et al. (2019).

    A worker's batch is one rollout: ``env.rollout_steps`` steps of its share of the environments,
    unrolled whole.
    """

    learner: ClassVar[str] = "socialgrid.algos.on_policy.a3c:A3C"
    fixed: ClassVar[frozenset[str]] = OnPolicyConfig.fixed | {"synchronous", "max_staleness"}

    name: str = "a3c"
    workers: int = 1  # type: ignore[misc]
    """Actor-learners; each has its own environments, no shards, and a thread. 1: no process besides
    the main one. Several that do not wait for each other (``synchronous``) never give the same bits
    again, and go past run.total_steps by what they have under way when the main process sees it
    reached: about a batch each, more where the machine is busy."""
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

    def unused(self) -> Mapping[str, str]:
        """See ``OnPolicyConfig``."""
        found = dict(super().unused())
        if self.workers == 1:
            found |= dict.fromkeys(
                ("synchronous", "max_staleness"), "it counts where algorithm.workers is 2 or more"
            )
        else:
            found["shards"] = "each of algorithm.workers computes its own batch whole"
            if self.synchronous:
                found["max_staleness"] = "with algorithm.synchronous no gradient is stale"
        return found

    def check_batch(self, num_envs: int, rollout_steps: int) -> None:
        """See ``OnPolicyConfig``."""
        if self.workers == 1:  # otherwise its share is a worker's only shard
            super().check_batch(num_envs, rollout_steps)
        if self.workers > num_envs:
            raise ValueError(f"workers: {self.workers} cannot share env.num_envs {num_envs}")


@register_algorithm
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

    name: str = "behaviour-cloning"
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
