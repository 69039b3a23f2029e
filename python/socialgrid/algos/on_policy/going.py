"""Who learns from a batch, and what is remembered for those who have to go back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from socialgrid.data.sequences import agent_columns
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.adam import StackedAdam


@dataclass(frozen=True)
class Going:
    """Agents that learn from a batch.

    Attributes:
        network: holds exactly the agents ``members``.
        members: whose gradients are computed.
        flags: bool ``[len(members)]`` on their device: who of them takes steps. Where the device is
            asked (``GradientSteps.asks``) all do: the others have left the network.
    """

    network: ActorCritic
    members: list[int]
    flags: Tensor

    @property
    def columns(self) -> slice | list[int]:
        """An index of the members among all agents."""
        return agent_columns(self.members)

    def of_all(self, x: Tensor, num_agents: int, otherwise: float = 0.0) -> Tensor:
        """Numbers ``[len(members)]`` as ``[A]``, with another one for those who do not step."""
        spread = x.new_full((num_agents,), otherwise)
        spread[self.columns] = torch.where(self.flags, x, otherwise)
        return spread


class Snapshot:
    """Parameters and optimisers of all agents as they were, in memory that is used again."""

    def __init__(self, network: nn.Module, optimiser: StackedAdam) -> None:
        """Nothing is kept yet; of the network, or of all its parameters in one block."""
        self._network, self._optimiser = network, optimiser
        self._kept: list[Tensor] = []

    def _live(self) -> list[Tensor]:
        return [*(p.detach() for p in self._network.parameters()), *self._optimiser.memory()]

    def keep(self) -> None:
        """Keep everything as it is."""
        live = self._live()
        if not self._kept:
            self._kept = [torch.empty_like(x) for x in live]
        for dtype in {x.dtype for x in live}:  # those of one kind are copied at once
            both = [(y, x) for y, x in zip(self._kept, live, strict=True) if x.dtype == dtype]
            torch._foreach_copy_([y for y, _ in both], [x for _, x in both])

    def restore(self, agents: Tensor) -> None:
        """Put the agents of a mask, bool ``[A]`` on the device, back to what they were."""
        if agents.device.type == "cpu" and not bool(agents.any()):
            return
        for kept, x in zip(self._kept, self._live(), strict=True):
            torch.where(agents.view(-1, *[1] * (x.dim() - 1)), kept, x, out=x)


class StepLog:
    """Means over gradient steps by agent, kept where they are computed until they are read.

    Attributes:
        names: of what is averaged, once there was a step.
        sums: ``[names, A]``.
        counts: gradient steps computed, ``[A]``.
        steps: those that were taken, ``[A]``.
        beyond: bool ``[A]``: a minibatch found the agent too far from where it began.
    """

    def __init__(self, num_agents: int, device: torch.device) -> None:
        # On the CPU where the best that a device has is not good enough.
        self._device = torch.device("cpu") if device.type == "mps" else device
        self.names: list[str] = []
        self.sums = torch.zeros((0, num_agents), dtype=torch.float64, device=self._device)
        self.counts, self.steps = (
            torch.zeros(num_agents, dtype=torch.int64, device=self._device) for _ in range(2)
        )
        self.beyond = torch.zeros(num_agents, dtype=torch.bool, device=device)

    def clear(self) -> None:
        """Begin anew, in the same memory."""
        for x in (self.sums, self.counts, self.steps, self.beyond):
            x.zero_()

    def add(self, going: Going, numbers: Mapping[str, Tensor], stepping: Tensor) -> None:
        """Take numbers ``[len(going.members)]`` of a minibatch in, or ``[n, ...]`` of several, of
        those who were going; some take a step with it.
        """
        flags, agents = going.flags.to(self._device), len(going.members)
        rows = torch.stack([*numbers.values()]).to(self._device, torch.float64)
        if not self.names:
            self.names = [*numbers]
            self.sums = self.sums.new_zeros((len(self.names), self.sums.shape[1]))
        rows = torch.where(flags, rows, 0.0).view(len(rows), -1, agents)
        for one in rows.unbind(1):  # one after the other, whoever brings how many at a time
            self.sums[:, going.columns] += one
        self.counts[going.columns] += flags * rows.shape[1]
        self.steps[going.columns] += stepping.to(self._device).view(-1, agents).sum(0)

    def tensors(self) -> dict[str, Tensor]:
        """What has to be read for ``means``."""
        return {"log/sums": self.sums, "log/counts": self.counts, "log/steps": self.steps}

    @staticmethod
    def means(names: Sequence[str], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means by name, and ``gradient_steps``, float32 ``[A]``; NaN of those who took part in
        none.
        """
        counts, steps = found["log/counts"], found["log/steps"].float()
        means = {n: x.float() / counts for n, x in zip(names, found["log/sums"], strict=True)}
        return means | {"gradient_steps": steps.masked_fill(counts == 0, float("nan"))}
