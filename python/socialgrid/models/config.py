"""Configuration of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the recurrent actor-critic of one agent.

    The defaults are those of Ndousse et al. (2021), appendix 7.7: 668,555 parameters with the
    auxiliary branch on 21x21x3 views and 7 actions. The first convolution's kernel and stride
    are the environment's tile size.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    """Output channels of the convolutions."""
    kernel: int = 3
    """Kernel size of every convolution after the first (stride 1, no padding)."""
    features: int = 192
    """Units of the fully connected layer between the convolutions and the memory."""
    memory: int = 192
    """Units of the LSTM."""
    heads: tuple[int, ...] = (64, 64)
    """Hidden units of the value head and of the policy head."""
    negative_slope: float = 0.01
    """Slope of the leaky ReLUs left of zero."""
    decoder_output: Literal["leaky_relu", "linear"] = "leaky_relu"
    """Nonlinearity of the predicted pixels; the paper names leaky ReLU for every convolution."""

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise ValueError(f"channels {self.channels}: at least one layer of at least 1 channel")
        if self.heads and min(self.heads) < 1:
            raise ValueError(f"heads {self.heads}: every layer needs at least 1 unit")
        if min(self.kernel, self.features, self.memory) < 1:
            raise ValueError(
                f"kernel {self.kernel}, features {self.features} and memory {self.memory} "
                "must all be at least 1"
            )
