"""Multilayer perceptrons of independent agents, and what stands before them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from socialgrid.models.config import ModelConfig
from socialgrid.models.encoders import Encoder
from socialgrid.models.layers import StackedLinear
from socialgrid.models.task_spec import TaskSpec


class StackedMLP(nn.Module):
    """``[A, N, inputs] -> [A, N, outputs]``, ReLU after every layer but the last.

    Without ``outputs`` the last hidden layer, rectified too, is the result.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        sizes = (inputs, *hidden) if outputs is None else (inputs, *hidden, outputs)
        self.rectified = len(hidden)
        self.size = sizes[-1]
        self.layers = nn.ModuleList(
            StackedLinear(generators, before, after) for before, after in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply every agent's layers to its own samples."""
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < self.rectified:
                x = torch.relu(x)
        return x


class Torso(nn.Module):
    """Observations ``[A, N, *obs_shape]`` to float32 features ``[A, N, size]``.

    Vectors pass as they are; views go through the convolutions of ``models.encoders``.
    """

    def __init__(
        self, generators: Sequence[torch.Generator], task: TaskSpec, model: ModelConfig
    ) -> None:
        super().__init__()
        self.encoder = None if task.view is None else Encoder(generators, task.view, model)
        self.size = math.prod(task.obs_shape) if task.view is None else model.features[-1]

    def forward(self, obs: Tensor) -> Tensor:
        """Features of every agent's observations."""
        if self.encoder is None:
            return obs.flatten(2).float()
        features: Tensor = self.encoder(self.encoder.prepare(obs), torch.float32)
        return features
