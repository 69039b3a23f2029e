"""All algorithms and their options, in the order of the list; no heavy imports."""

# isort: off
from socialgrid.algos.bases import (
    ALGORITHMS,
    AlgorithmConfig,
    MinibatchConfig,
    OffPolicyConfig,
    OnPolicyConfig,
    algorithms_of,
    register_algorithm,
)
from socialgrid.algos.on_policy.options import A3CConfig, CloningConfig, PPOConfig
from socialgrid.algos.off_policy.options import (
    DQNConfig,
    RecurrentDQNConfig,
    SACConfig,
    TD3Config,
)
# isort: on

__all__ = [
    "ALGORITHMS",
    "A3CConfig",
    "AlgorithmConfig",
    "CloningConfig",
    "DQNConfig",
    "MinibatchConfig",
    "OffPolicyConfig",
    "OnPolicyConfig",
    "PPOConfig",
    "RecurrentDQNConfig",
    "SACConfig",
    "TD3Config",
    "algorithms_of",
    "register_algorithm",
]
