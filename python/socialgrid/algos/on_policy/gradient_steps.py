"""From a recorded batch to gradient steps of some agents, and back where a step went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from socialgrid.algos.options import OnPolicyConfig
from socialgrid.algos.stacked_learner import StackedLearner
from socialgrid.algos.workers import Workers
from socialgrid.data.sequences import Minibatch
from socialgrid.models.actor_critic import ActorCritic, put_agent, take_agent
from socialgrid.models.adam import StackedAdam
from socialgrid.models.recall import Recall, piece_length
from socialgrid.social.mechanism import Mechanism

# Fewer than these are not worth a thread of their own.
FEWEST_ENVS, _FEWEST_SEQUENCES = 16, 16
# What numbers are drawn for; decisions have the kinds from 0 on.
_SEQUENCES = 1 << 15
_MOST_MINIBATCHES = 1 << 20  # of a batch
_Piece = tuple[tuple[Tensor | None, ...], dict[str, Tensor]]
LossOf = Callable[[ActorCritic, Minibatch], tuple[Tensor, dict[str, Tensor]]]


class GradientSteps(StackedLearner):
    """What learners with recurrent networks need to take steps.

    Attributes:
        model: the networks of all agents.
        optimiser: theirs.
        mechanisms: those in force.
    """

    config: OnPolicyConfig
    model: ActorCritic
    optimiser: StackedAdam
    mechanisms: list[Mechanism]
    _workers: Workers

    def _network_of(self, agents: Sequence[int]) -> tuple[ActorCritic, list[int]]:
        """A network to compute gradients of these agents in, and the agents it holds.

        It is a copy if that saves work; ``_write_back`` brings its parameters home.
        """
        everyone = list(range(self.num_agents))
        if list(agents) == everyone:
            return self.model, everyone
        return self.model.take_agents(agents), list(agents)

    def _write_back(self, network: ActorCritic, members: Sequence[int]) -> None:
        if network is not self.model:
            self.model.put_agents(members, network)

    def _refresh(
        self, batch: Recall, network: ActorCritic, members: Sequence[int], *, policy: bool
    ) -> Tensor | None:
        """Recompute memories and values of the network's agents, environments side by side."""
        share = max(FEWEST_ENVS, -(-batch.num_envs // self._workers.count(self.device)))
        parts = [slice(e, e + share) for e in range(0, batch.num_envs, share)]

        def refresh(envs: slice) -> Tensor | None:
            return batch.refresh(network, members, envs=envs, policy=policy)

        found = [x for x in self._workers.map(refresh, parts, self.device) if x is not None]
        return torch.cat(found, 1) if policy else None

    def _sampled_gradients(
        self,
        batch: Recall,
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
        *,
        minibatch: int,
        sequences: int,
        length: int,
    ) -> dict[str, Tensor]:
        """Gradients of one fresh minibatch into ``.grad`` of the network.

        Args:
            batch: where to draw from.
            network: holds exactly the agents ``members``.
            members: the agents to draw for.
            loss_of: see ``_gradients``.
            minibatch: its number among those of the batch.
            sequences: how many for each agent.
            length: steps in each.

        Returns:
            the numbers of the whole minibatch.
        """
        length = min(length, batch.num_steps)
        index = self.draws.integers(
            batch.places(length),
            self.updates * _MOST_MINIBATCHES + minibatch,
            range(1),
            kind=_SEQUENCES,
            places=sequences,
            agents=members,
        )
        starts, envs = batch.sequences(index.squeeze(1))
        share = -(-sequences // self._workers.count(self.device))
        largest = piece_length(network, len(members), length)
        piece = min(largest, max(_FEWEST_SEQUENCES, share))
        pieces = batch.minibatches(members, starts, envs, length, piece)
        return self._gradients(pieces, network, members, loss_of)

    def _gradients(
        self,
        pieces: Sequence[Callable[[], Minibatch]],
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
    ) -> dict[str, Tensor]:
        """Gradients of a minibatch, piece by piece, into ``.grad`` of the network.

        Args:
            pieces: what makes the parts of the minibatch.
            network: holds exactly the agents ``members``.
            members: whose gradients.
            loss_of: loss of each agent ``[A]`` and numbers ``[A]`` by name; both add up over
                pieces.

        Returns:
            the numbers of the whole minibatch.
        """
        parameters = list(network.parameters())

        def work(gather: Callable[[], Minibatch]) -> _Piece:
            part = gather()
            loss, numbers = loss_of(network, part)
            self._check_finite("loss", loss.detach(), members, part)
            return torch.autograd.grad(loss.sum(), parameters, allow_unused=True), numbers

        done = self._workers.map(work, pieces, self.device)
        # Added up in the order of the pieces, whoever was done first.
        for p, *grads in zip(parameters, *(grads for grads, _ in done), strict=True):
            known = [g for g in grads if g is not None]
            p.grad = torch.stack(known).sum(0) if len(known) > 1 else (known or [None])[0]
        names = done[0][1]
        sums = {name: torch.stack([n[name] for _, n in done]).sum(0) for name in names}
        for mechanism in self.mechanisms:
            mechanism.finish(sums)
        return sums

    def _learners(self, batch: Recall) -> list[int]:
        """Agents that learn and were in play at all."""
        played = batch.mask.flatten(0, 1).any(0).tolist()
        return [a for a in range(self.num_agents) if bool(self._learning[a]) and played[a]]

    def _snapshot(self, agents: Sequence[int]) -> dict[int, dict[str, Tensor]]:
        return {
            agent: {
                **{f"model/{name}": x for name, x in take_agent(self.model, agent).items()},
                **{f"adam/{name}": x for name, x in self.optimiser.take_agent(agent).items()},
            }
            for agent in agents
        }

    def _restore(self, agent: int, snapshot: Mapping[str, Tensor]) -> None:
        """Put back parameters and optimiser of one agent: copies, so nothing is shared."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): x for k, x in snapshot.items() if k.startswith(prefix)}

        put_agent(self.model, agent, part("model/"))
        self.optimiser.put_agent(agent, part("adam/"))

    def _check_parameters(self, agents: Sequence[int]) -> None:
        rows = [
            torch.stack(torch._foreach_norm([p[a] for p in self.model.parameters()])).sum()
            for a in agents
        ]
        if rows:
            self._check_finite("parameter", torch.stack(rows).detach(), agents)
