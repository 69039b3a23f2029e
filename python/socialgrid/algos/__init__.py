"""Learning algorithms: losses and updates of independent, stacked agents."""

from socialgrid.algos.config import CloningConfig, PPOConfig

__all__ = ["CloningConfig", "PPOConfig"]
