"""Adam for stacked agents, each with its own count of steps and its own rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from socialgrid.data.exchange import sent
from socialgrid.models import kernels
from socialgrid.models.flat_parameters import FlatParameters
from socialgrid.models.reading import exact
from socialgrid.models.triton_kernels import choice
from socialgrid.models.walks import named_parameters


def each_rate(rates: float | Sequence[float], num_agents: int) -> list[float]:
    """The learning rate of each agent, where there is one for all or one for each.

    Raises:
        ValueError: their number is wrong.
    """
    each = [float(rates)] if isinstance(rates, (int, float)) else [float(one) for one in rates]
    if len(each) not in (1, num_agents):
        right = (
            "1 agent: give one"
            if num_agents == 1
            else (f"{num_agents} agents: give one or {num_agents}")
        )
        raise ValueError(f"{len(each)} learning rates for {right}")
    return each * num_agents if len(each) == 1 else each


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
        flat: FlatParameters | None = None,
    ) -> None:
        """Zero moments for all parameters of ``module``.

        Args:
            module: whose parameters.
            num_agents: A.
            rate: one for all agents or one for each.
            betas, eps: see the paper.
            flat: the parameters of ``module`` in one block; ``step_where`` needs it.

        Raises:
            ValueError: the number of rates is neither 1 nor ``num_agents``.
        """
        self.num_agents, self.betas, self.eps = num_agents, betas, eps
        named = dict(module.named_parameters())
        self._blocks: tuple[Tensor, Tensor] | None = None
        if flat is None:
            self.first, self.second = (
                {name: torch.zeros_like(p.detach()) for name, p in named.items()} for _ in range(2)
            )
        else:
            block = flat.block.detach()
            self._blocks = torch.zeros_like(block), torch.zeros_like(block)
            parts = [[x] if module is flat else flat.parts(x) for x in self._blocks]
            self.first, self.second = (dict(zip(named, own, strict=True)) for own in parts)
        device = next(iter(self.first.values())).device
        self.steps = torch.zeros(num_agents, dtype=torch.int64, device=device)
        self.rate = torch.zeros(num_agents, dtype=torch.float64)
        self.set_rate(rate)
        # The rates where the parameters are, and which state of ``rate`` that is.
        self._rate_there = torch.zeros(num_agents, device=device)
        self._version_there = -1

    def set_rate(self, rate: float | Sequence[float]) -> None:
        """One rate for all agents or one for each.

        Raises:
            ValueError: their number is wrong.
        """
        self.rate[:] = torch.tensor(each_rate(rate, self.num_agents), dtype=torch.float64)

    @torch.no_grad()
    def step(
        self,
        module: nn.Module,
        agents: Sequence[int],
        rows: Sequence[int],
        scales: Tensor | None = None,
    ) -> None:
        """Apply the gradients of some rows of ``module``.

        Args:
            module: holds ``.grad``; its row ``rows[i]`` is agent ``agents[i]``.
            agents: who takes a step.
            rows: their rows in ``module``.
            scales: factors of the gradients, of all rows.

        What cannot be stepped is not counted.
        """
        self._step(module, agents, rows, scales)
        self.steps[list(agents)] += 1

    def _step(
        self,
        module: nn.Module,
        agents: Sequence[int],
        rows: Sequence[int],
        scales: Tensor | None,
    ) -> None:
        beta1, beta2 = self.betas
        named = [(name, p) for name, p in named_parameters(module) if p.grad is not None]
        if not named:
            return
        if self._descended(named, agents, rows, scales):
            return
        if scales is not None:
            scales = scales.to(named[0][1].device)
        counts = (self.steps + 1).to(named[0][1].device, torch.float32)
        alike: dict[float, list[tuple[int, int]]] = {}
        for agent, row in zip(agents, rows, strict=True):
            alike.setdefault(float(self.rate[agent]), []).append((agent, row))
        for rate, pairs in alike.items():
            each = [
                (
                    p[row],
                    (p.grad[row] * (1.0 if scales is None else scales[row])).contiguous(),
                    self.first[name][agent],
                    self.second[name][agent],
                    agent,
                )
                for agent, row in pairs
                for name, p in named
                if p.grad is not None
            ]
            params, grads, first, second, who = map(list, zip(*each, strict=True))
            # PyTorch's own Adam in one pass over everything; counts tell of this step, too.
            torch._fused_adam_(
                *(params, grads, first, second, [], [counts[agent] for agent in who]),
                lr=rate,
                beta1=beta1,
                beta2=beta2,
                weight_decay=0.0,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )
        # That operator does not tell: what was computed from parameters is out of date now.
        torch.autograd.graph.increment_version([p for _, p in named])

    def _descended(
        self,
        named: Sequence[tuple[str, nn.Parameter]],
        agents: Sequence[int],
        rows: Sequence[int],
        scales: Tensor | None,
    ) -> bool:
        """``step`` by the compiled kernels; False: there are none for these parameters."""
        parts = [
            (p, p.grad.contiguous(), self.first[name], self.second[name])
            for name, p in named
            if p.grad is not None
        ]
        every = [x for part in parts for x in part]
        if not kernels.usable(*every) or not all(x.is_contiguous() for x in every):
            return False
        assert kernels.KERNELS is not None
        steps, rates = (self.steps + 1).tolist(), self.rate.tolist()
        factors = [1.0] * named[0][1].shape[0] if scales is None else scales.tolist()
        kernels.KERNELS.descend_parts(
            [kernels.addresses(*part) for part in parts],
            [p[0].numel() for _, p in named],
            [
                (a, row, steps[a], rates[a], factors[row])
                for a, row in zip(agents, rows, strict=True)
            ],
            (*self.betas, self.eps),
            kernels.threads(),
        )
        torch.autograd.graph.increment_version([p for _, p in named])
        return True

    def bring_rates(self) -> None:
        """Bring the rates to the device, for ``step_where``, if they are not there."""
        if self._version_there != self.rate._version:
            (rate,) = sent(self._rate_there.device, self.rate.float())
            self._rate_there.copy_(rate)
            self._version_there = self.rate._version

    @torch.no_grad()
    def step_where(
        self, flat: FlatParameters, grad: Tensor, stepping: Tensor, scales: Tensor | None = None
    ) -> None:
        """Let those agents take a step that the device says, without asking who they are.

        Args:
            flat: all parameters of all agents, as they were given at first.
            grad: of its block; those of agents that take no step may be anything.
            stepping: bool ``[A]``, on their device.
            scales: factors of the gradients, ``[A]``.
        """
        self.steps.add_(stepping)
        if choice.usable(flat.block):
            self._descend(flat.block, grad, stepping, scales)
        else:
            self._step_where(flat.block, grad, stepping, scales)
        flat.changed()

    def _descend(
        self, block: Tensor, grad: Tensor, stepping: Tensor, scales: Tensor | None
    ) -> None:
        """``step_where`` in one pass."""
        from socialgrid.models.triton_kernels.descent import descend_  # noqa: PLC0415 (Triton)

        assert self._blocks is not None, "moments lie together"
        factors = torch.ones_like(self._rate_there) if scales is None else scales
        numbers = stepping, self.steps, self._rate_there, factors
        descend_(block.detach(), grad.contiguous(), self._blocks, numbers, self.betas, self.eps)

    def _step_where(
        self, block: Tensor, grad: Tensor, stepping: Tensor, scales: Tensor | None
    ) -> None:
        """``step_where`` by PyTorch's operations."""
        assert self._blocks is not None, "moments lie together"
        (first, second), (beta1, beta2) = self._blocks, self.betas
        if scales is not None:
            grad = grad * scales[:, None]
        grad = torch.where(stepping[:, None], grad, 0.0)
        # Where nobody steps nothing may be divided by zero.
        count = self.steps.clamp(min=1).to(exact(grad.device))
        root, share = (1.0 - beta2**count).sqrt(), stepping.float()[:, None]
        rate = (self._rate_there * root / (1.0 - beta1**count)).float()[:, None]
        eps = torch.where(stepping, self.eps * root, 1.0).float()[:, None]
        first.lerp_(grad, share * (1.0 - beta1))
        second.lerp_(grad.square(), share * (1.0 - beta2))
        block.sub_(first / (second.sqrt() + eps) * (rate * share))

    @torch.no_grad()
    def step_block(
        self, module: FlatParameters, agents: Sequence[int], scales: Sequence[float]
    ) -> None:
        """Apply the gradients of some agents, by the compiled kernels, in one pass over each.

        Args:
            module: all parameters of all agents in one block, and ``block.grad``.
            agents: who takes a step.
            scales: factors of the gradients, of all agents.
        """
        block = module.block
        assert kernels.KERNELS is not None
        assert block.grad is not None
        steps, rates = (self.steps + 1).tolist(), self.rate.tolist()
        kernels.KERNELS.descend(
            kernels.addresses(block, block.grad, self.first["block"], self.second["block"]),
            block.shape[1],
            [(agent, steps[agent], rates[agent], scales[agent]) for agent in agents],
            (*self.betas, self.eps),
        )
        self.steps[list(agents)] += 1

    def take_agent(self, agent: int) -> dict[str, Tensor]:
        """Copies of one agent's moments and count."""
        return {name: x[agent].clone() for name, x in self.tensors().items()}

    def put_agent(self, agent: int, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``take_agent``."""
        for name, x in self.tensors().items():
            x[agent] = tensors[name]

    def memory(self) -> list[Tensor]:
        """All that steps change, in as few tensors as hold it, not copied."""
        moments = [*self.first.values(), *self.second.values()]
        return [*(moments if self._blocks is None else self._blocks), self.steps]

    def tensors(self) -> dict[str, Tensor]:
        """Everything, every tensor ``[A, ...]``, not copied."""
        return {
            "steps": self.steps,
            "rate": self.rate,
            **{f"first/{name}": x for name, x in self.first.items()},
            **{f"second/{name}": x for name, x in self.second.items()},
        }


def gradient_norms(module: nn.Module) -> Tensor | None:
    """Norms ``[A]`` of the agents' gradients in one compiled call; None: kernels cannot take steps
    along these.
    """
    known = [(p, p.grad) for _, p in named_parameters(module) if p.grad is not None]
    every = [x for both in known for x in both]
    if not known or not kernels.usable(*every) or not all(x.is_contiguous() for x in every):
        return None
    assert kernels.KERNELS is not None
    grads, apart = kernels.addresses(*(grad for _, grad in known)), [p[0].numel() for p, _ in known]
    return torch.tensor(kernels.KERNELS.norms(grads, apart, len(known[0][0])), dtype=torch.float32)


def clip_gradients(module: nn.Module, max_norm: float) -> Tensor:
    """Scale the gradient of each agent to at most ``max_norm``; returns their norms ``[A]``."""
    known = [p for _, p in named_parameters(module) if p.grad is not None]
    grads = [p.grad.flatten(1) for p in known if p.grad is not None]
    each = torch.stack([torch.linalg.vector_norm(g, dim=1) for g in grads])
    norms: Tensor = torch.linalg.vector_norm(each, dim=0)
    scale = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    for p, grad in zip(known, grads, strict=True):
        # Not in place: parameters that are added up have one gradient tensor between them.
        p.grad = (grad * scale[:, None]).view_as(p)
    return norms
