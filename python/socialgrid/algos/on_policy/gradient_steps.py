"""From a recorded batch to gradient steps of some agents, and back where a step went wrong."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from socialgrid.algos.on_policy.going import Going, Snapshot
from socialgrid.algos.on_policy.shards import Shards, added, tree_sum
from socialgrid.algos.options import OnPolicyConfig
from socialgrid.algos.ranks import ALONE, Ranks, raise_first
from socialgrid.algos.stacked_learner import StackedLearner
from socialgrid.algos.untouched import untouched
from socialgrid.algos.workers import Workers
from socialgrid.data.exchange import sent
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch, Sequences, agent_columns
from socialgrid.data.standing import Standing
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.adam import StackedAdam, clip_gradients, gradient_norms
from socialgrid.models.finite import NonFiniteError
from socialgrid.models.flat_parameters import FlatParameters
from socialgrid.models.phases import Phases
from socialgrid.models.recall import piece_length
from socialgrid.models.shard_lessons import Lesson, teach
from socialgrid.models.walks import heard, named_parameters
from socialgrid.social.mechanism import Mechanism

# What numbers are drawn for; decisions have the kinds from 0 on.
_SEQUENCES = 1 << 15
_MOST_SHARDS = 1 << 20
_LOSS = "the loss itself"
LossOf = Callable[[ActorCritic, Minibatch], tuple[Tensor, dict[str, Tensor]]]
_Grads = list[Tensor | None]
T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """The minibatches of a batch, or one of them, which has no axis of minibatches.

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

    def minibatch(self, number: int, standing: Standing) -> Drawn:
        """One of them, where it may stay."""
        starts, envs = (
            [standing.put(f"minibatch/{name}", one[:, number]) for one in each]
            for name, each in (("starts", self.starts), ("envs", self.envs))
        )
        counts = standing.put("minibatch/counts", self.counts[..., number])
        return replace(self, starts=starts, envs=envs, counts=counts)


class GradientSteps(StackedLearner):
    """What learners with recurrent networks need to take steps.

    Attributes:
        model: the networks of all agents.
        flat: their parameters in one block, where the device is not asked.
        optimiser: theirs.
        mechanisms: those in force.
        workers: who computes shards.
        ranks: the processes that learn together, each from a part of the batch.
        snapshot: what they were before an update.
        standing: memory of updates that stays.
        phases: of updates.
    """

    config: OnPolicyConfig
    model: ActorCritic
    flat: FlatParameters | None
    optimiser: StackedAdam
    mechanisms: list[Mechanism]
    workers: Workers
    ranks: Ranks = ALONE
    snapshot: Snapshot
    standing: Standing
    phases: Phases
    asks: bool
    """Whether the device is asked what came out as soon as that matters. A CPU is: agents that have
    stopped are left out, and what is not finite is found where it is. Asking an accelerator means
    to wait for it. There everything is computed of everybody, flags on the device say for whom it
    counts, and all is read at the end; should something be unsound, the update is undone, and done
    again with asking."""
    _unsound: Tensor  # bool, of an update without asking: something was not finite

    def _watch(
        self, what: str, x: Tensor, agents: Sequence[int], counts: Tensor | None = None
    ) -> None:
        """See to it that what some agents (or those who count) made is finite.

        Args:
            what: it is.
            x: ``[len(agents)]``.
            agents: whose.
            counts: bool, likewise.

        Raises:
            NonFiniteError: it is not, and the device is asked.
        """
        odd = ~x.isfinite()
        if counts is not None:
            odd &= counts
        if not self.asks:
            self._unsound |= odd.any()
        elif bool(odd.any()):
            rows = range(len(agents)) if counts is None else counts.nonzero().flatten().tolist()
            self._check_finite(what, x[[*rows]], [agents[row] for row in rows])

    def going(self, agents: Sequence[int]) -> Going:
        """Some agents, all of which are to learn, in a network of theirs.

        It is a copy if that saves work; ``_write_back`` brings its parameters home.
        """
        network = self.model
        if list(agents) != list(range(self.num_agents)):
            network = self.model.take_agents(agents)
        flags = torch.ones(len(agents), dtype=torch.bool, device=self.device)
        return Going(network, list(agents), flags)

    def _learners(self, batch: Shards) -> Going | None:
        """Agents that learn and were in play at all; ``None``: there are none."""
        if not bool(self._learning.any()):
            return None
        played = batch.counts()[0] > 0
        if not self.asks:
            self.optimiser.bring_rates()
            flags = played & sent(self.device, self._learning)[0]
            everyone = list(range(self.num_agents))
            return Going(self.model, everyone, self.standing.put("going", flags))
        there = played.tolist()
        agents = [a for a in range(self.num_agents) if bool(self._learning[a]) and there[a]]
        return self.going(agents) if agents else None

    def _go_on(self, going: Going, stepping: Tensor) -> Going | None:
        """Those who step go on; ``None``: nobody does.

        Args:
            going: who took part so far.
            stepping: bool ``[len(going.members)]``, some of them.
        """
        if not self.asks:
            going.flags.copy_(stepping)
            return going
        steps = stepping.tolist()
        if all(steps):
            return going
        self._write_back(going)
        agents = [agent for agent, goes in zip(going.members, steps, strict=True) if goes]
        return self.going(agents) if agents else None

    def _write_back(self, going: Going) -> None:
        if going.network is not self.model:
            self.model.put_agents(going.members, going.network)

    def _step(self, going: Going, stepping: Tensor) -> None:
        """Clip the gradients and take a step with those who do."""
        limited = self.config.max_grad_norm is not None
        scales = self._clip(going.network)[1] if limited else None
        self._take_steps(going.network, going.members, stepping, scales)

    def _clip(self, network: ActorCritic) -> tuple[Tensor, Tensor | None]:
        """Clip each agent's gradient: norms before ``[A]``, and factors with which ``_take_steps``
        is to shorten them; None: they have been shortened.
        """
        limit = self.config.max_grad_norm
        most = float("inf") if limit is None else limit
        own = self.asks and untouched(self.optimiser, StackedAdam, "step")
        norms = gradient_norms(network) if own else None
        if norms is None:
            return clip_gradients(network, most), None
        return norms, (most / (norms + 1e-6)).clamp(max=1.0)

    def _take_steps(
        self, network: ActorCritic, members: Sequence[int], stepping: Tensor, scales: Tensor | None
    ) -> None:
        """Apply gradients of some members, bool ``[len(members)]``, of a network; see ``_clip``."""
        if not self.asks:
            assert self.flat is not None, "nobody asks"
            self.optimiser.step_where(self.flat, self.flat.gradients(), stepping)
            return
        rows = [row for row, steps in enumerate(stepping.tolist()) if steps]
        if rows:
            agents = [members[row] for row in rows]
            self.optimiser.step(network, agents, rows, *(() if scales is None else (scales,)))

    def shards(self, rollout: Rollout) -> Shards:
        """A rollout on the device, dealt out to shards.

        Raises:
            ValueError: they cannot share its environments evenly.
        """
        count = self.config.shards_of(rollout.num_envs * self.ranks.size, rollout.num_steps)
        standing = None if self.asks else self.standing
        return Shards(rollout, self.model, self.device, count, self.workers, self.ranks, standing)

    def _phase(self, name: str, work: Callable[[], T]) -> T:
        """Do a part of an update that reads and writes memory which stays, where there is such: an
        accelerator repeats it by itself, unless somebody listens to networks.
        """
        if self.asks or heard(self.model):
            return work()
        mechanisms = tuple(one.options for one in self.mechanisms)
        baked = (self.config, mechanisms, self.standing.moves, self.ranks)
        return self.phases.run(name, work, baked)

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
            part, found = batch.parts[k], []  # of shards
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
            both = torch.stack([torch.cat(x, -1) for x in zip(*found, strict=True)])
            starts, envs = sent(self.device, both)[0].unbind(0)
            return starts, envs, part.counts(agents, starts, envs, length)

        # Too little for threads, which would wait for each other's Python.
        starts, envs, counts = zip(*map(draw, range(len(batch.parts))), strict=True)
        return Drawn(list(agents), length, starts, envs, batch.added(counts))

    @abstractmethod
    def numbers_of(
        self, network: ActorCritic, lesson: Lesson, rows: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and numbers, each ``[..., A]``, of what lessons came to, ``[numbers, ..., A]``."""

    def sampled_gradients(
        self,
        batch: Shards,
        drawn: Drawn,
        going: Going,
        loss_of: LossOf,
        lesson: Lesson | None = None,
    ) -> dict[str, Tensor]:
        """Gradients of one minibatch into ``.grad`` of the network.

        Args:
            batch: what it was drawn from.
            drawn: the minibatch.
            going: some of those drawn for.
            loss_of, lesson: see ``_gradients``.

        Returns:
            the numbers of the whole minibatch.
        """
        members = going.members
        rows = agent_columns([drawn.agents.index(agent) for agent in members])
        counts = drawn.counts[:, rows]
        starts, envs = ([x[rows] for x in each] for each in (drawn.starts, drawn.envs))
        piece = piece_length(going.network, len(members), drawn.length)
        where = Sequences(members, starts, envs, drawn.length, piece, counts)
        return self._gradients(batch, where, going, loss_of, lesson)

    def _gradients(
        self,
        batch: Shards,
        where: Sequences,
        going: Going,
        loss_of: LossOf,
        lesson: Lesson | None = None,
    ) -> dict[str, Tensor]:
        """Gradients of a minibatch, shard by shard, into ``.grad`` of the network.

        Args:
            batch: the shards.
            where: the minibatch.
            going: whose gradients.
            loss_of: loss of each agent ``[A]`` and numbers ``[A]`` by name; both add up over
                pieces.
            lesson: the same as compiled kernels are told of it, if they know it.

        Returns:
            the numbers of the whole minibatch.

        Raises:
            NonFiniteError: a loss is not finite.
        """
        network, members = going.network, going.members
        taught = None
        if lesson is not None:
            taught = teach(network, lesson, batch.parts, where, self.workers.count(self.device))
        if lesson is not None and taught is not None:
            rows, (flat,) = self._of_all_ranks(taught.rows, [taught.grads])
            assert flat is not None
            loss, sums = self.numbers_of(network, lesson, rows)
            grads: _Grads = [*replace(taught, grads=flat).each()]
            parameters = taught.parameters
        else:
            loss, sums, grads = self._layer_by_layer(batch, where, network, loss_of)
            parameters = [*network.parameters()]
        if not self.asks:
            self._watch("loss", loss, members, going.flags)
        elif not bool(loss.isfinite().all()):
            self._find_fault(batch, where, network, members, loss_of)
        for _, p in named_parameters(network):  # some may have gradients that came another way
            p.grad = None
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        for mechanism in self.mechanisms:
            mechanism.finish(sums)
        return sums

    def _layer_by_layer(
        self, batch: Shards, where: Sequences, network: ActorCritic, loss_of: LossOf
    ) -> tuple[Tensor, dict[str, Tensor], _Grads]:
        """Loss, numbers and gradients of a minibatch, as PyTorch differentiates it."""
        parameters = list(network.parameters())

        def work(k: int) -> tuple[_Grads, list[str], Tensor]:
            grads: _Grads = []
            names: list[str] = []
            sums: Tensor | None = None
            for gather in _pieces(batch, where, k):
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
        rows, grads = self._of_all_ranks(added([rows for *_, rows in done]), own)
        sums = dict(zip(done[0][1], rows, strict=True))
        return sums.pop(_LOSS), sums, grads

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

    def _of_all_ranks(self, rows: Tensor, grads: _Grads) -> tuple[Tensor, _Grads]:
        """Numbers and gradients of the whole minibatch, in one message."""
        if self.ranks.size == 1:
            return rows, grads
        # Which parameters have any is a matter of the networks, and alike in all ranks.
        rows, *sums = self.ranks.total([rows, *(x for x in grads if x is not None)])
        whole = iter(sums)
        return rows, [None if x is None else next(whole) for x in grads]

    @torch.no_grad()
    def _find_fault(
        self,
        batch: Shards,
        where: Sequences,
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
    ) -> None:
        """Raise for the first piece whose loss is not finite."""
        total = torch.zeros(len(members), device=self.device)
        try:
            for k in range(len(batch.parts)):
                for gather in _pieces(batch, where, k):
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

    def _settle_parameters(self, agents: Tensor) -> None:
        """See to it that parameters of a mask of agents, bool ``[A]``, are finite; where nobody
        asks, everything goes back to what it was if something was not.
        """
        parameters = [p.detach() for _, p in named_parameters(self.model)]
        if self.asks and bool(torch.stack(torch._foreach_norm(parameters)).sum().isfinite()):
            return
        every = range(self.num_agents)
        norms = [torch.stack(torch._foreach_norm([p[a] for p in parameters])).sum() for a in every]
        self._watch("parameter", torch.stack(norms), every, agents)
        if not self.asks:
            self.snapshot.restore(self._unsound.expand(self.num_agents))


def _pieces(batch: Shards, where: Sequences, k: int) -> list[Callable[[], Minibatch]]:
    """What makes those of a minibatch that belong to a part of the batch."""
    rest = where.length, where.piece, where.counts
    return batch.parts[k].minibatches(where.members, where.starts[k], where.envs[k], *rest)


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
