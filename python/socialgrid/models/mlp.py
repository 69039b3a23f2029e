"""Multilayer perceptrons of independent agents, and what stands before them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.models.config import ModelConfig
from socialgrid.models.encoders import Encoder
from socialgrid.models.layers import StackedLinear, by_agent
from socialgrid.models.products import products
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
        parameters = [p for layer in self.layers for p in (layer.weight, layer.bias)]
        out: Tensor = _Perceptron.apply(  # type: ignore[no-untyped-call]
            x, self.rectified, *parameters
        )
        return out


class _Perceptron(torch.autograd.Function):
    """All layers of all agents; on a CPU agent by agent, so that one's activations stay in the
    cache and nothing is copied between layers.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectified: int, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        activations = []
        for rows, inputs in by_agent(x):
            known = inputs
            for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                known = products(known, weight[rows], bias[rows])
                if i < rectified:
                    known.relu_()
                activations.append(known)
        ctx.save_for_backward(x, *weights, *activations)
        ctx.rectified = rectified
        return _joined(activations[len(weights) - 1 :: len(weights)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        parts = by_agent(x)
        layers = len(saved) // (1 + len(parts))
        weights, activations = saved[:layers], saved[layers:]
        wanted = ctx.needs_input_grad[2]
        dx: list[Tensor] = []
        found: list[list[Tensor]] = [[] for _ in range(2 * layers)]
        for k, (rows, inputs) in enumerate(parts):
            grad = grads[0][rows]
            known = [inputs, *activations[k * layers : (k + 1) * layers]]
            for i in reversed(range(layers)):
                if i < ctx.rectified:
                    grad = torch.ops.aten.threshold_backward(grad, known[i + 1], 0)
                if wanted:
                    found[2 * i].append(products(grad.transpose(1, 2), known[i].transpose(1, 2)))
                    found[2 * i + 1].append(grad.sum(1))
                if i or ctx.needs_input_grad[0]:
                    grad = products(grad, weights[i][rows].transpose(1, 2))
            dx.append(grad)
        d_parameters = [_joined(each) if wanted else None for each in found]
        return _joined(dx) if ctx.needs_input_grad[0] else None, None, *d_parameters


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


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
