"""Multilayer perceptrons of independent agents, and what stands before them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from socialgrid.models import kernels
from socialgrid.models.config import ModelConfig
from socialgrid.models.encoders import Encoder
from socialgrid.models.layers import StackedLinear, agent_by_agent
from socialgrid.models.perceptrons import perceptron
from socialgrid.models.products import product
from socialgrid.models.task_spec import TaskSpec
from socialgrid.models.walks import heard

_FEW = 8  # samples of an agent for which one batched product beats a product for each agent


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
        self._stack = [StackedLinear(generators, *ends) for ends in pairwise(sizes)]
        self.layers = nn.ModuleList(self._stack)

    def forward(self, x: Tensor) -> Tensor:
        """Apply every agent's layers to its own samples."""
        if any(map(heard, self._stack)):
            return self._layer_by_layer(x)
        parameters = [p for layer in self._stack for p in (layer.weight, layer.bias)]
        if kernels.usable(x, parameters[0]):
            return perceptron(x, self.rectified, parameters)
        if x.shape[1] <= _FEW and not torch.is_grad_enabled():
            for i, layer in enumerate(self._stack):
                x = product(x, layer.weight, layer.bias, rectify=i < self.rectified)
            return x
        out: Tensor = _Perceptron.apply(  # type: ignore[no-untyped-call]
            x, self.rectified, *parameters
        )
        return out

    def _layer_by_layer(self, x: Tensor) -> Tensor:
        """The same for those who listen to layers."""
        for i, layer in enumerate(self._stack):
            x = layer(x)
            if i < self.rectified:
                x = x.relu()
        return x


class _Perceptron(torch.autograd.Function):
    """All layers of all agents; on a CPU agent by agent, so that one's activations stay in the
    cache and nothing is copied between layers.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectified: int, *parameters: Tensor) -> Tensor:
        layers, activations = len(parameters) // 2, []
        for known, *own in zip(*map(_parts, (x, *parameters)), strict=True):
            for i in range(layers):
                known = product(known, own[2 * i], own[2 * i + 1], rectify=i < rectified)  # noqa: PLW2901
                activations.append(known)
        ctx.save_for_backward(x, *parameters[::2], *activations)
        ctx.layers, ctx.rectified = layers, rectified
        return _joined(activations[layers - 1 :: layers], x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        layers = ctx.layers
        weights, activations = saved[:layers], saved[layers:]
        wanted = ctx.needs_input_grad[2]
        dx: list[Tensor] = []
        found: list[list[Tensor]] = [[] for _ in range(2 * layers)]
        each = zip(*map(_parts, (grads[0], x, *weights)), strict=True)
        for k, (grad, inputs, *own) in enumerate(each):
            known = [inputs, *activations[k * layers : (k + 1) * layers]]
            for i in reversed(range(layers)):
                if i < ctx.rectified:
                    grad = torch.ops.aten.threshold_backward(grad, known[i + 1], 0)  # noqa: PLW2901
                if wanted:
                    found[2 * i].append(_weight_gradient(grad, known[i]))
                    found[2 * i + 1].append(grad.sum(-2))
                if i or ctx.needs_input_grad[0]:
                    grad = product(grad, own[i].mT)  # noqa: PLW2901
            dx.append(grad)
        d_parameters = [_joined(each, x) if wanted else None for each in found]
        return _joined(dx, x) if ctx.needs_input_grad[0] else None, None, *d_parameters


def _weight_gradient(grad: Tensor, inputs: Tensor) -> Tensor:
    """grad^T @ inputs; the product copies what is transposed on its left, so the smaller one."""
    if inputs.shape[-1] < grad.shape[-1]:
        return product(inputs.mT, grad.mT).mT
    return product(grad.mT, inputs.mT)


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """Agent by agent, or everybody's at once where ``_joined`` finds them together."""
    return x.unbind() if agent_by_agent(x) else (x,)


def _joined(parts: list[Tensor], like: Tensor) -> Tensor:
    """Inverse of ``_parts``."""
    if not agent_by_agent(like):
        return parts[0]
    return parts[0][None] if len(parts) == 1 else torch.stack(parts)


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
