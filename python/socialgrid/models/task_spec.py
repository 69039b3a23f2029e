"""What an off-policy learner has to know about a task: observations and actions."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.models.spec import ViewSpec

# 16-bit tile numbers are kept under a signed type that every device computes with.
_KEPT_AS = {
    "float32": torch.float32,
    "float64": torch.float32,
    "uint8": torch.uint8,
    "uint16": torch.int16,
    "int16": torch.int16,
}


@dataclass(frozen=True)
class TaskSpec:
    """Observations and actions of a task that ``A`` independent learners each have copies of.

    Attributes:
        num_agents: A, the learners; peers and seeds alike.
        obs_shape: shape of one observation.
        obs_dtype: "float32", "float64" (kept as float32), "uint8" or "uint16".
        num_actions: number of discrete actions; 0 for continuous ones.
        action_low, action_high: bounds of continuous actions, finite, one for each component.
        view: geometry of the views where observations are pixels or tile numbers; ``None`` for
            vectors.
    """

    num_agents: int
    obs_shape: tuple[int, ...]
    obs_dtype: str = "float32"
    num_actions: int = 0
    action_low: tuple[float, ...] = ()
    action_high: tuple[float, ...] = ()
    view: ViewSpec | None = None

    def __post_init__(self) -> None:
        if self.num_agents < 1:
            raise ValueError(f"num_agents {self.num_agents}: must be at least 1")
        if self.obs_dtype not in _KEPT_AS:
            raise ValueError(f"obs_dtype {self.obs_dtype!r}: must be one of {sorted(_KEPT_AS)}")
        if self.num_actions < 0 or (self.num_actions > 0) == bool(self.action_low):
            raise ValueError(
                f"num_actions {self.num_actions} and action_low {self.action_low}: give either a "
                "number of actions or the bounds of continuous ones"
            )
        if len(self.action_low) != len(self.action_high):
            raise ValueError(
                f"{len(self.action_low)} lower and {len(self.action_high)} upper action bounds"
            )
        for low, high in zip(self.action_low, self.action_high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"action bounds {low} and {high}: must be finite and ascending")
        if self.view is not None and self.view.obs_shape != self.obs_shape:
            raise ValueError(f"obs_shape {self.obs_shape}, but views are {self.view.obs_shape}")

    @classmethod
    def of_view(cls, view: ViewSpec, num_agents: int, obs_dtype: str = "uint8") -> TaskSpec:
        """A grid game with the views and actions of ``view``'s first agent, for each learner."""
        one = ViewSpec(view.rows, view.cols, view.tile_size, view.action_counts[:1], view.atlas)
        return cls(num_agents, view.obs_shape, obs_dtype, view.action_counts[0], view=one)

    @classmethod
    def of_spaces(cls, observation: Any, action: Any, num_agents: int) -> TaskSpec:
        """Read the spaces of a Gymnasium environment (of one copy, not of a vector of them).

        Raises:
            ValueError: observations are no ``Box``, or actions neither ``Box`` nor ``Discrete``.
        """
        shape, dtype = getattr(observation, "shape", None), np.dtype(observation.dtype).name
        if shape is None or not hasattr(observation, "low"):
            raise ValueError(f"observation space {observation}: must be a Box")
        if hasattr(action, "n") and int(getattr(action, "start", 0)) == 0:
            return cls(num_agents, tuple(shape), dtype, int(action.n))
        if not hasattr(action, "low"):
            raise ValueError(f"action space {action}: must be a Box, or Discrete from 0 on")
        low, high = (tuple(map(float, np.ravel(x))) for x in (action.low, action.high))
        return cls(num_agents, tuple(shape), dtype, 0, low, high)

    @property
    def continuous(self) -> bool:
        """Whether actions are vectors rather than numbers."""
        return self.num_actions == 0

    @property
    def action_size(self) -> int:
        """Components of a continuous action, or number of discrete ones."""
        return self.num_actions or len(self.action_low)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one action: ``(D,)`` or ``()``."""
        return (len(self.action_low),) if self.continuous else ()

    @property
    def action_dtype(self) -> torch.dtype:
        """Of stored actions."""
        return torch.float32 if self.continuous else torch.int64

    @property
    def kept_dtype(self) -> torch.dtype:
        """Of stored observations."""
        return _KEPT_AS[self.obs_dtype]

    def scaled(self, action: Tensor) -> Tensor:
        """Continuous actions ``[..., D]`` in the environment's units to [-1, 1]."""
        low, high = self._bounds(action)
        return 2.0 * (action - low) / (high - low) - 1.0

    def unscaled(self, action: Tensor) -> Tensor:
        """Inverse of ``scaled``, within the bounds."""
        low, high = self._bounds(action)
        found = low + 0.5 * (action + 1.0) * (high - low)
        return torch.minimum(torch.maximum(found, low), high)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return _bounds(self.action_low, self.action_high, like.dtype, like.device)


@functools.cache
def _bounds(
    low: tuple[float, ...], high: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Lowest and highest actions, once on each device."""
    made = (torch.tensor(x, dtype=dtype, device=device) for x in (low, high))
    return next(made), next(made)
