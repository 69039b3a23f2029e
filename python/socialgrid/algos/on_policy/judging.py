"""What was done in a batch, judged: rewards and what mechanisms make of them, advantages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from socialgrid.algos.on_policy.gradient_steps import GradientSteps
from socialgrid.algos.on_policy.shards import Shards, tree_sum
from socialgrid.algos.ranks import raise_first
from socialgrid.algos.untouched import untouched
from socialgrid.data.returns import Discounting, next_values
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import agent_columns
from socialgrid.models import compiled_recall
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.finite import NonFiniteError
from socialgrid.models.reading import read
from socialgrid.models.recall import Recall, piece_length
from socialgrid.social.influence.leaders import Influence
from socialgrid.social.mechanism import Mechanism, Rewards, Totals
from socialgrid.social.roles import INFLUENCE

_Memories = dict[str, dict[str, Tensor]]
_ODD = "rewards that are not finite"


class UnsoundError(Exception):
    """A reward is not finite."""

    def __init__(self, what: str, x: Tensor) -> None:
        super().__init__(what)
        self.what, self.x = what, x


class Judging(GradientSteps):
    """Rewards, advantages and what mechanisms remember from batch to batch."""

    _memories: _Memories  # by mechanism, all environments; empty: everything begins
    _pairs: dict[str, Tensor]

    def carried(self) -> dict[str, Tensor]:
        """What mechanisms remember from one batch to the next, CPU tensors ``[E, ...]`` by name."""
        return {
            f"{mechanism}/{name}": x.cpu().clone()
            for mechanism, tensors in self._memories.items()
            for name, x in tensors.items()
        }

    def load_carried(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``carried``; an empty mapping forgets everything.

        Raises:
            ValueError: a name or a shape does not fit the learner. Nothing has changed then.
        """
        known = {mechanism.name: mechanism for mechanism in self.mechanisms}
        memories: _Memories = {}
        for whole, x in tensors.items():
            owner, _, name = whole.partition("/")
            if owner not in known:
                raise ValueError(f"carried tensor {whole}: not of this learner")
            expected = known[owner].memory(len(x)).get(name)
            if expected is None or expected.shape != x.shape or expected.dtype != x.dtype:
                raise ValueError(
                    f"{owner}'s {name} {x.dtype} {tuple(x.shape)}: of other agents or sizes"
                )
            memories.setdefault(owner, {})[name] = x.clone()
        self._memories = memories

    def _remembered(self, mechanism: Mechanism, num_envs: int) -> dict[str, Tensor]:
        """What a mechanism begins a batch with.

        Raises:
            ValueError: the batch is of another number of environments.
        """
        stored = self._memories.get(mechanism.name, {})
        for name, x in stored.items():
            if len(x) != num_envs:
                raise ValueError(
                    f"{mechanism.name} remembers {name} of {len(x)} environments, the batch has "
                    f"{num_envs}"
                )
        return {name: stored.get(name, x) for name, x in mechanism.memory(num_envs).items()}

    def settled(self, learn: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Do an update, and find out what came of it.

        Args:
            learn: does it. Where nobody asks it leaves parameters and optimisers as they were if
                ``_unsound`` comes to be set.

        Returns:
            what it returns, on the CPU.

        Raises:
            NonFiniteError: something is not finite.
        """
        if self.asks:
            return read(learn())
        before = self._memories
        self._unsound.zero_()
        try:
            found = learn()
        finally:
            if self.flat is not None:
                self.flat.changed()  # graphs do not tell
        found = read({**found, "unsound": self._unsound})
        if bool(found.pop("unsound")):
            self._memories, self.asks = before, True
            try:
                learn()
            finally:
                self.asks = False
            raise AssertionError("something was not finite when it was computed first")
        return found

    def rewards(self, batch: Shards, progress: float) -> Totals:
        """Find out what each kind of decisions is rewarded with, into ``rewards`` of the parts.

        Returns:
            what is to be logged, see ``reported``.

        Raises:
            NonFiniteError: a reward is not finite, and the device is asked.
        """
        before = {one.name: self._remembered(one, batch.num_envs) for one in self.mechanisms}
        # Influence is added to what all others made of the rewards.
        in_turn = sorted(self.mechanisms, key=lambda one: one.options.role == INFLUENCE)

        def work(k: int) -> tuple[Totals, _Memories]:
            rollout, part = batch.rollouts[k], batch.parts[k]
            envs = slice(k * part.num_envs, (k + 1) * part.num_envs)
            own = rollout.own(part.reward)
            rewards = Rewards(
                *(rollout, part, self.model, progress, {"action": own}), phase=self._phase
            )
            sound = [self._sound("reward", own)]
            after: _Memories = {}
            for one in in_turn:
                rewards.memory = {name: x[envs] for name, x in before[one.name].items()}
                one.reward(rewards)
                after[one.name] = rewards.memory
                sound += [self._sound(one.name, x) for x in rewards.of.values()]
            rewards.log("reward_mean", rewards.of["action"].expand_as(own))
            if not self.asks:
                rewards.add(_ODD, (~torch.stack([x for x in sound if x is not None])).sum())
            put = part.standing.put
            part.rewards = {name: put(f"rewards/{name}", x) for name, x in rewards.of.items()}
            return rewards.totals, after

        found, fault = list[tuple[Totals, _Memories]](), None
        try:
            # Of the environment alone it is too little for threads.
            every = range(len(batch.parts))
            found = batch.map(work) if self.mechanisms else [*map(work, every)]
        except UnsoundError as error:
            try:
                self._check_finite(error.what, error.x.permute(2, 0, 1), range(self.num_agents))
            except NonFiniteError as told:
                fault = told
        if self.asks:
            raise_first(self.ranks, fault)
        totals = self._of_ranks(tree_sum([one for one, _ in found], Totals.plus))
        self._memories = {
            owner: {name: torch.cat([after[owner][name] for _, after in found]) for name in tensors}
            for owner, tensors in found[0][1].items()
            if tensors
        }
        if not self.asks:
            self._unsound |= totals.sums.pop(_ODD) > 0
        return totals

    def _sound(self, what: str, x: Tensor) -> Tensor | None:
        """Whether rewards ``[T, E, A]`` are finite, where the device is not asked.

        Raises:
            UnsoundError: they are not.
        """
        sound = x.isfinite().all()
        if not self.asks:
            return sound
        if not bool(sound):
            raise UnsoundError(what, x)
        return None

    def _of_ranks(self, totals: Totals) -> Totals:
        """What adds up over all ranks, in one message."""
        tables = (totals.numbers, totals.pairs, totals.sums)
        sums = iter(self.ranks.total([x for table in tables for x in table.values()]))
        return Totals(*({name: next(sums) for name in table} for table in tables))

    def reported(self, totals: Totals) -> dict[str, Tensor]:
        """Numbers to be logged, float32 ``[A]``, of totals on the CPU; ``pairs`` has the others."""
        numbers, self._pairs = totals.means()
        for mechanism in self.mechanisms:
            mechanism.report(totals.sums, numbers, self._pairs)
        return numbers

    def estimate(
        self,
        batch: Shards,
        network: ActorCritic,
        members: list[int],
        *,
        refresh: bool = False,
    ) -> None:
        """Advantages and value targets of the network's agents from stored values.

        Args:
            batch: with rewards.
            network: of these agents.
            members: whose.
            refresh: recompute values and memories before.
        """
        columns = agent_columns(members)
        if not self.estimated_at_once(batch, network, members, refresh):
            batch.map(lambda k: self._estimate_part(batch.parts[k], network, members, refresh))
        if self.config.normalize_advantages:
            self._standardise(batch, columns)

    def estimated_at_once(
        self, batch: Shards, network: ActorCritic, members: list[int], refresh: bool
    ) -> bool:
        """``estimate`` of all parts in one compiled call; False: there is none, and all is to be
        done.
        """
        by, threads = self.discounting(), self.workers.count(self.device)
        own = all(untouched(part, Recall, "refresh", "bootstrap") for part in batch.parts)
        if by is None or not own:
            return False
        block = piece_length(network, len(members), batch.parts[0].num_envs) if refresh else 0
        ends = [part.ends for part in batch.parts]
        return compiled_recall.estimate(network, batch.parts, ends, members, block, by, threads)

    def _estimate_part(
        self, part: Recall, network: ActorCritic, members: list[int], refresh: bool
    ) -> None:
        """``estimate`` of one part, as PyTorch does it."""
        columns = agent_columns(members)
        if refresh:
            part.refresh(network, members)
        after = part.bootstrap(network, members)
        for name, reward in part.rewards.items():
            last, final = after[name]
            value = part.values[name][..., columns]
            following = next_values(
                value, last, part.terminated[..., columns], part.truncated[..., columns], final
            )
            continues = part.continues[..., columns]
            advantage, target = self.advantages(reward[..., columns], value, following, continues)
            made = part.decisions[name]
            made.advantage[..., columns], made.target[..., columns] = advantage, target

    def _standardise(self, batch: Shards, columns: slice | list[int]) -> None:
        """Advantages of some agents with mean 0 and deviation 1 over their steps in play."""
        count = batch.counts()[0, columns].clamp(min=1)

        def sums(part: Recall) -> Tensor:
            mask, made = part.mask[..., columns], [part.decisions[name] for name in part.rewards]
            each = [(one.advantage[..., columns] * mask).sum((0, 1)) for one in made]
            return torch.stack(each)

        means = batch.total(sums) / count

        def squares(part: Recall) -> Tensor:
            mask, found = part.mask[..., columns], []
            for mean, name in zip(means, part.rewards, strict=True):
                made = part.decisions[name].advantage
                made[..., columns] = made[..., columns] - mean
                found.append((made[..., columns].square() * mask).sum((0, 1)))
            return torch.stack(found)

        deviations = (batch.total(squares) / count).sqrt() + 1e-8
        for part in batch.parts:
            for deviation, name in zip(deviations, part.rewards, strict=True):
                part.decisions[name].advantage[..., columns] /= deviation

    def influence(self, rollout: Rollout) -> Tensor | None:
        """Influence in every recorded step, float32 ``[T, E, A, N]`` on the CPU: exerted by agent
        ``a`` of the learner on agent ``n`` of the world.

        Memories of mechanisms start at zero, and nothing is carried on: meant for rollouts that
        begin with an episode. ``None`` without a mechanism that measures influence.
        """
        for mechanism in self.mechanisms:
            if isinstance(mechanism, Influence):
                batch = Recall(rollout, self.model, self.device)
                memory = mechanism.memory(rollout.num_envs)
                rewards = Rewards(rollout, batch, self.model, 0.0, {}, memory)
                found = mechanism.measured(rewards)
                totals = Totals.of(read(rewards.totals.tensors()))
                numbers, self._pairs = totals.means()
                mechanism.report(totals.sums, numbers, self._pairs)
                return found.cpu()
        return None

    def pairs(self) -> dict[str, Tensor]:
        """What mechanisms measured between agents in the batch learnt from last (or by
        ``influence``), by name, float32 ``[A, N]`` of agent ``a`` of the learner for agent ``n`` of
        the world; NaN where there is nothing.
        """
        return dict(self._pairs)

    def discounting(self) -> Discounting | None:
        """How ``advantages`` discounts, if it does nothing but ``data.returns.estimates``."""
        return None

    @abstractmethod
    def advantages(
        self, reward: Tensor, value: Tensor, following: Tensor, continues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Advantages and value targets; all as ``data.returns`` describes."""
