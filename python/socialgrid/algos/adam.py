"""Adam for stacked agents, each with its own count of steps and its own rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class StackedAdam:
    """Adam (Kingma & Ba 2014) on parameters ``[A, ...]``, one optimiser for each row.

    A row that is not stepped keeps its parameters, moments and count bit for bit; a row that is
    stepped does what ``torch.optim.Adam`` does to an agent's own parameters.
    """

    def __init__(
        self,
        module: nn.Module,
        num_agents: int,
        rate: float | Sequence[float],
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        """Zero moments for all parameters of ``module``.

        Raises:
            ValueError: the number of rates is neither 1 nor ``num_agents``.
        """
        self.num_agents, self.betas, self.eps = num_agents, betas, eps
        named = dict(module.named_parameters())
        self.first = {name: torch.zeros_like(p.detach()) for name, p in named.items()}
        self.second = {name: torch.zeros_like(p.detach()) for name, p in named.items()}
        self.steps = torch.zeros(num_agents, dtype=torch.int64)
        self.rate = torch.zeros(num_agents, dtype=torch.float64)
        self.set_rate(rate)

    def set_rate(self, rate: float | Sequence[float]) -> None:
        """One rate for all agents or one for each.

        Raises:
            ValueError: their number is wrong.
        """
        values = [float(rate)] if isinstance(rate, (int, float)) else [float(r) for r in rate]
        if len(values) not in (1, self.num_agents):
            raise ValueError(
                f"{len(values)} learning rates for {self.num_agents} agents: give one or "
                f"{self.num_agents}"
            )
        self.rate[:] = torch.tensor(values, dtype=torch.float64)

    @torch.no_grad()
    def step(self, module: nn.Module, agents: Sequence[int], rows: Sequence[int]) -> None:
        """Apply the gradients of some rows of ``module``.

        Args:
            module: holds ``.grad``; its row ``rows[i]`` is agent ``agents[i]``.
            agents: who takes a step.
            rows: their rows in ``module``.
        """
        beta1, beta2 = self.betas
        named = [(name, p) for name, p in module.named_parameters() if p.grad is not None]
        for agent, row in zip(agents, rows, strict=True):
            self.steps[agent] += 1
            count = int(self.steps[agent])
            params = [p[row] for _, p in named]
            grads = [p.grad[row] for _, p in named if p.grad is not None]
            first = [self.first[name][agent] for name, _ in named]
            second = [self.second[name][agent] for name, _ in named]
            torch._foreach_lerp_(first, grads, 1.0 - beta1)
            torch._foreach_mul_(second, beta2)
            torch._foreach_addcmul_(second, grads, grads, 1.0 - beta2)
            scale = (1.0 - beta2**count) ** 0.5
            denominators = torch._foreach_sqrt(second)
            torch._foreach_div_(denominators, scale)
            torch._foreach_add_(denominators, self.eps)
            size = -float(self.rate[agent]) / (1.0 - beta1**count)
            torch._foreach_addcdiv_(params, first, denominators, size)

    def take_agent(self, agent: int) -> dict[str, Tensor]:
        """Copies of one agent's moments and count."""
        return {name: x[agent].clone() for name, x in self.tensors().items()}

    def put_agent(self, agent: int, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``take_agent``."""
        for name, x in self.tensors().items():
            x[agent] = tensors[name]

    def tensors(self) -> dict[str, Tensor]:
        """Everything, every tensor ``[A, ...]``, not copied."""
        return {
            "steps": self.steps,
            "rate": self.rate,
            **{f"first/{name}": x for name, x in self.first.items()},
            **{f"second/{name}": x for name, x in self.second.items()},
        }


def clip_gradients(module: nn.Module, rows: Sequence[int], max_norm: float) -> Tensor:
    """Scale the gradient of each given row to at most ``max_norm``; returns their norms."""
    known = [p for p in module.parameters() if p.grad is not None]
    chosen = list(rows)
    grads = [p.grad.flatten(1) for p in known if p.grad is not None]
    each = torch.stack([torch.linalg.vector_norm(g, dim=1) for g in grads])
    norms: Tensor = torch.linalg.vector_norm(each, dim=0)[chosen]
    scale = torch.ones(len(grads[0]), device=norms.device)
    scale[chosen] = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    for p, grad in zip(known, grads, strict=True):
        # Not in place: parameters that are added up have one gradient tensor between them.
        p.grad = (grad * scale[:, None]).view_as(p)
    return norms
