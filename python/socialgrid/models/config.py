"""Configuration of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "tf32", "bf16"]
"""Kinds of numbers that networks compute in; parameters, moments and losses are float32 in all."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the recurrent actor-critic of one agent.

    The defaults are those of Ndousse et al. (2021), appendix 7.7: 668,555 parameters with the
    branch that predicts views, on 21x21x3 views and 7 actions. The first convolution's stride is
    the environment's tile size, and so is its kernel if ``first_kernel`` is 1. Their smaller
    network, of which they give the number of parameters only, 357,291, is as large as
    ``channels=(16, 32, 64), features=(160,), memory=96, heads=(128, 128)``. Jaques et al.
    (2019), section 10.4, is ``channels=(6,), first_kernel=3, features=(32, 32), memory=128,
    heads=()``.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    """Output channels of the convolutions."""
    kernel: int = 3
    """Kernel size of every convolution after the first (stride 1, no padding)."""
    first_kernel: int = 1
    """Cells along the side of the first convolution's kernel (stride: one cell, no padding)."""
    features: tuple[int, ...] = (192,)
    """Units of the fully connected layers between the convolutions and the memory."""
    memory: int = 192
    """Units of the LSTM."""
    heads: tuple[int, ...] = (64, 64)
    """Hidden units of the value head and of the policy head."""
    negative_slope: float = 0.01
    """Slope of the leaky ReLUs left of zero."""

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise ValueError(f"channels {self.channels}: at least one layer of at least 1 channel")
        if self.heads and min(self.heads) < 1:
            raise ValueError(f"heads {self.heads}: every layer needs at least 1 unit")
        if not self.features or min(self.features) < 1:
            raise ValueError(f"features {self.features}: at least one layer of at least 1 unit")
        if min(self.kernel, self.first_kernel, self.memory) < 1:
            raise ValueError(
                f"kernel {self.kernel}, first_kernel {self.first_kernel} and memory "
                f"{self.memory} must all be at least 1"
            )
