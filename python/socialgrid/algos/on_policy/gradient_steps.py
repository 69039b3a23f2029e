"""From a recorded batch to gradient steps of some agents, and back where a step went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.algos.on_policy.shards import Shards, added, tree_sum
from socialgrid.algos.options import OnPolicyConfig
from socialgrid.algos.ranks import ALONE, Ranks, raise_first
from socialgrid.algos.stacked_learner import StackedLearner
from socialgrid.algos.workers import Workers
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch
from socialgrid.models.actor_critic import ActorCritic, put_agent, take_agent
from socialgrid.models.adam import StackedAdam
from socialgrid.models.finite import NonFiniteError
from socialgrid.models.recall import piece_length
from socialgrid.social.mechanism import Mechanism

# What numbers are drawn for; decisions have the kinds from 0 on.
_SEQUENCES = 1 << 15
_MOST_SHARDS = 1 << 20
_LOSS = "the loss itself"
LossOf = Callable[[ActorCritic, Minibatch], tuple[Tensor, dict[str, Tensor]]]
Gather = Callable[[], Minibatch]
_Grads = list[Tensor | None]


@dataclass(frozen=True)
class Drawn:
    """The minibatches of a batch.

    Attributes:
        agents: whose.
        length: steps of each sequence.
        starts, envs: of every part of the batch, int64 ``[len(agents), minibatches, sequences]``.
        counts: of all parts together, int64 ``[2, len(agents), minibatches]``, see
            ``SequenceBatch.counts``.
    """

    agents: Sequence[int]
    length: int
    starts: Sequence[Tensor]
    envs: Sequence[Tensor]
    counts: Tensor


class GradientSteps(StackedLearner):
    """What learners with recurrent networks need to take steps.

    Attributes:
        model: the networks of all agents.
        optimiser: theirs.
        mechanisms: those in force.
        workers: who computes shards.
        ranks: the processes that learn together, each from a part of the batch.
    """

    config: OnPolicyConfig
    model: ActorCritic
    optimiser: StackedAdam
    mechanisms: list[Mechanism]
    workers: Workers
    ranks: Ranks = ALONE

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

    def shards(self, rollout: Rollout) -> Shards:
        """A rollout on the device, dealt out to shards.

        Raises:
            ValueError: they cannot share its environments evenly.
        """
        count = self.config.shards_of(rollout.num_envs * self.ranks.size, rollout.num_steps)
        return Shards(rollout, self.model, self.device, count, self.workers, self.ranks)

    def draw_minibatches(
        self, batch: Shards, agents: Sequence[int], *, minibatches: int, sequences: int, length: int
    ) -> Drawn:
        """Draw minibatches for some agents; each has as many sequences of every shard.

        Args:
            batch: where to draw from.
            agents: the agents to draw for.
            minibatches: how many.
            sequences: in each, for each agent; shards can share them evenly.
            length: steps in each sequence, at most those of the batch.
        """
        length = min(length, batch.num_steps)

        def draw(k: int) -> tuple[Tensor, Tensor, Tensor]:
            part, found = batch.parts[k], []
            for shard in range(batch.within):
                index = self.draws.integers(
                    part.places(length, batch.within),
                    self.updates * _MOST_SHARDS + batch.first + k * batch.within + shard,
                    range(minibatches),
                    kind=_SEQUENCES,
                    places=sequences // batch.count,
                    agents=agents,
                )
                found.append(part.sequences(index, shard, batch.within))
            starts, envs = (torch.cat(x, -1) for x in zip(*found, strict=True))
            return starts, envs, part.counts(agents, starts, envs, length)

        starts, envs, counts = zip(*batch.map(draw), strict=True)
        return Drawn(list(agents), length, starts, envs, batch.added(counts))

    def _sampled_gradients(
        self,
        batch: Shards,
        drawn: Drawn,
        minibatch: int,
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
    ) -> dict[str, Tensor]:
        """Gradients of one minibatch into ``.grad`` of the network.

        Args:
            batch: what it was drawn from.
            drawn: all of them.
            minibatch: which.
            network: holds exactly the agents ``members``.
            members: some of those drawn for.
            loss_of: see ``_gradients``.

        Returns:
            the numbers of the whole minibatch.
        """
        rows = [drawn.agents.index(agent) for agent in members]
        counts = drawn.counts[:, rows, minibatch]
        piece = piece_length(network, len(members), drawn.length)

        def pieces(k: int) -> list[Gather]:
            starts, envs = drawn.starts[k][rows, minibatch], drawn.envs[k][rows, minibatch]
            return batch.parts[k].minibatches(members, starts, envs, drawn.length, piece, counts)

        return self._gradients(batch, pieces, network, members, loss_of)

    def _gradients(
        self,
        batch: Shards,
        pieces: Callable[[int], list[Gather]],
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
    ) -> dict[str, Tensor]:
        """Gradients of a minibatch, shard by shard, into ``.grad`` of the network.

        Args:
            batch: the shards.
            pieces: what makes the pieces of the minibatch that belong to a part of the batch.
            network: holds exactly the agents ``members``.
            members: whose gradients.
            loss_of: loss of each agent ``[A]`` and numbers ``[A]`` by name; both add up over
                pieces.

        Returns:
            the numbers of the whole minibatch.

        Raises:
            NonFiniteError: a loss is not finite.
        """
        parameters = list(network.parameters())

        def work(k: int) -> tuple[_Grads, list[str], Tensor]:
            grads: _Grads = []
            names: list[str] = []
            sums: Tensor | None = None
            for gather in pieces(k):
                loss, numbers = loss_of(network, gather())
                found: _Grads = [*torch.autograd.grad(loss.sum(), parameters, allow_unused=True)]
                grads = found if sums is None else _both(grads, found)
                names = [_LOSS, *numbers]
                rows = torch.stack([loss.detach(), *numbers.values()])
                sums = rows if sums is None else sums + rows
            assert sums is not None, "there is a piece at least"
            return grads, names, sums

        done = batch.map(work)
        own = self._added([grads for grads, *_ in done])
        rows, grads = self._of_all_ranks(added([rows for *_, rows in done]), own, parameters)
        sums = dict(zip(done[0][1], rows, strict=True))
        if not bool(sums.pop(_LOSS).isfinite().all()):
            self._find_fault(batch, pieces, network, members, loss_of)
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        for mechanism in self.mechanisms:
            mechanism.finish(sums)
        return sums

    def _added(self, grads: Sequence[_Grads]) -> _Grads:
        """Gradients of all parts; several threads add up some of them each."""
        if len(grads) == 1:
            return grads[0]
        every = range(len(grads[0]))
        count = min(len(every), self.workers.count(self.device))
        shares = [every[i::count] for i in range(count)]

        def add(share: Sequence[int]) -> _Grads:
            return tree_sum([[one[i] for i in share] for one in grads], _both)

        whole: _Grads = [None] * len(every)
        for share, found in zip(shares, self.workers.map(add, shares, self.device), strict=True):
            for i, grad in zip(share, found, strict=True):
                whole[i] = grad
        return whole

    def _of_all_ranks(
        self, rows: Tensor, grads: _Grads, parameters: Sequence[Tensor]
    ) -> tuple[Tensor, _Grads]:
        """Numbers and gradients of the whole minibatch, in one message."""
        if self.ranks.size == 1:
            return rows, grads
        known = torch.tensor([float(x is not None) for x in grads], device=rows.device)
        whole = [torch.zeros_like(p) if x is None else x
                 for x, p in zip(grads, parameters, strict=True)]  # fmt: skip
        rows, known, *whole = self.ranks.total([rows, known, *whole])
        found = zip(known.tolist(), whole, strict=True)
        return rows, [x if anybody else None for anybody, x in found]

    @torch.no_grad()
    def _find_fault(
        self,
        batch: Shards,
        pieces: Callable[[int], list[Gather]],
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
    ) -> None:
        """Raise for the first piece whose loss is not finite."""
        total = torch.zeros(len(members), device=self.device)
        try:
            for k in range(len(batch.parts)):
                for gather in pieces(k):
                    part = gather()
                    loss, _ = loss_of(network, part)
                    self._check_finite("loss", loss, members, part)
                    total = total + loss
            self._check_finite("loss", total, members)
        except NonFiniteError as error:
            raise_first(self.ranks, error)
        raise_first(self.ranks, None)
        self._check_finite("loss", self.ranks.total([total])[0], members)
        raise AssertionError("the loss was not finite when it was computed first")

    def _learners(self, batch: Shards) -> list[int]:
        """Agents that learn and were in play at all."""
        played = (batch.counts()[0] > 0).tolist()
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


def _both(first: _Grads, second: _Grads) -> _Grads:
    """Sum of two; new tensors, for parameters that are added up have one gradient between them."""
    whole = [y if x is None else x for x, y in zip(first, second, strict=True)]
    known = [
        (i, x, y)
        for i, (x, y) in enumerate(zip(first, second, strict=True))
        if x is not None and y is not None
    ]
    sums = torch._foreach_add([x for _, x, _ in known], [y for *_, y in known])
    for (i, *_), total in zip(known, sums, strict=True):
        whole[i] = total
    return whole
