"""Learning algorithms: losses and updates of independent, stacked agents."""

from socialgrid.algos.options import CloningConfig, PPOConfig

__all__ = ["CloningConfig", "PPOConfig"]
