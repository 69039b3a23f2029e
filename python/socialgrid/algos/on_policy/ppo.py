"""Recurrent PPO with auxiliary losses (Ndousse et al. 2021, section 3 and appendix 7.8)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property, partial

import torch
from torch import Tensor

from socialgrid.algos.on_policy.going import Going, StepLog
from socialgrid.algos.on_policy.gradient_steps import Drawn, GradientSteps
from socialgrid.algos.on_policy.recurrent_learner import RecurrentLearner
from socialgrid.algos.on_policy.shards import Shards
from socialgrid.algos.options import PPOConfig
from socialgrid.algos.untouched import untouched
from socialgrid.data.returns import Discounting, estimates
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Judged, Sequences
from socialgrid.models.adam import StackedAdam
from socialgrid.models.deciding import compiled
from socialgrid.models.picking import picked
from socialgrid.models.reading import exact
from socialgrid.models.recall import piece_length
from socialgrid.models.shard_steps import Bounds, descend
from socialgrid.social.mechanism import Mechanism, Totals


class PPO(RecurrentLearner[PPOConfig]):
    """Independent PPO learners on one stack; implements ``Learner``."""

    algorithm = "ppo"
    default_config = PPOConfig

    @property
    def _stop(self) -> float | None:
        """Divergence in a minibatch beyond which an agent learns no more of a batch."""
        config = self.config
        return None if config.kl_target is None else config.kl_target * config.kl_stop_factor

    @cached_property
    def _log(self) -> StepLog:
        return StepLog(self.num_agents, self.device)

    def update(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """Learn from one batch; every agent stops, or is set back, on its own.

        Args:
            rollout: the batch.
            progress: environment steps done before it, for annealing and curriculum.

        Returns:
            float32 ``[A]`` each, NaN for agents that do not learn: policy_loss, value_loss,
            entropy, clip_fraction, kl and those of mechanisms (means over the
            gradient steps done), kl_final (whole batch, after the last step), gradient_steps,
            restored (1 if set back), value_mean, reward_mean (per step in play), and what the
            social mechanisms report.

        Raises:
            NonFiniteError: parameters and optimisers are as before the call.
        """
        self.updates += 1
        if self.config.learning_rate_end is not None:
            self.optimiser.set_rate(self.config.rates(progress))
        found = self.settled(lambda: self._learn(rollout, progress))
        learners = found["learners"]
        nothing = torch.full((self.num_agents,), float("nan"))
        metrics = dict.fromkeys(_ALWAYS, nothing)
        metrics |= StepLog.means(self._log.names, found)
        took_part = found["log/counts"] > 0
        whole = {"restored": found["restored"].float(), "kl_final": found["kl_final"]}
        whole = {name: torch.where(took_part, x, nothing) for name, x in whole.items()}
        numbers = self.reported(Totals.of(found)) | {"value_mean": found["value_mean"]}
        return metrics | whole | {k: torch.where(learners, x, nothing) for k, x in numbers.items()}

    def _learn(self, rollout: Rollout, progress: float) -> dict[str, Tensor]:
        """Learn, and tell what ``update`` makes metrics of."""
        batch = self.shards(rollout)
        totals = self.rewards(batch, progress)
        going = self._learners(batch)
        self._log.clear()
        nobody = torch.zeros(self.num_agents, dtype=torch.bool, device=self.device)
        told = {"learners": nobody, "restored": nobody, "kl_final": nobody.float()}
        told["value_mean"] = nobody.float()
        if going is not None:
            learners = going.of_all(going.flags, self.num_agents, False)
            told["learners"] = learners = self.standing.put("learners", learners)
            self.snapshot.keep()
            try:
                self._optimise(batch, going)
                told |= self._phase("finish", partial(self._finish, batch, going, learners))
            except BaseException:
                self.snapshot.restore(learners)
                raise
        return {**totals.tensors(), **told, **self._log.tensors()}

    def _finish(self, batch: Shards, going: Going, learners: Tensor) -> dict[str, Tensor]:
        """Undo what went too far, and look at what was learnt."""
        found = self._undo_divergence(batch, going)
        self._settle_parameters(learners)
        return found | {"value_mean": batch.mean(lambda part: part.values["action"])}

    def _optimise(self, batch: Shards, going: Going) -> None:
        config = self.config
        self._phase("estimate", partial(self.estimate, batch, going.network, going.members))
        drawn = self.draw_minibatches(
            *(batch, going.members),
            minibatches=config.num_minibatches,
            sequences=config.minibatch_sequences,
            length=config.sequence_length,
        )
        interval, left = config.refresh_interval, range(config.num_minibatches)
        while left:
            fresh = interval and left.start % interval == 0
            if fresh and left.start:
                self._phase("refresh", partial(self._refresh, batch, going))
            until = interval - left.start % interval if interval else len(left)
            done, stepping = self._minibatches(batch, drawn, left[:until], going)
            further = self._go_on(going, stepping)
            if further is None:
                break
            going, left = further, left[done:]
        else:
            self._write_back(going)
        self.model.zero_grad(set_to_none=True)

    def _minibatches(
        self, batch: Shards, drawn: Drawn, which: range, going: Going
    ) -> tuple[int, Tensor]:
        """Learn from the first of some minibatches, or from several at once until somebody stops.

        Returns:
            how many, and who has taken a step with the last of them, bool ``[len(going.members)]``.
        """
        steps = self.steps_at_once(batch, drawn, which, going) if self.asks else None
        if steps is not None:
            return len(steps), steps[-1]
        one = drawn.minibatch(which.start, self.standing)
        return 1, self._phase("minibatch", partial(self._minibatch, batch, one, going))

    def _refresh(self, batch: Shards, going: Going) -> None:
        self.estimate(batch, going.network, going.members, refresh=True)

    def _minibatch(self, batch: Shards, drawn: Drawn, going: Going) -> Tensor:
        """Learn from a minibatch; who has taken a step, bool ``[len(going.members)]``."""
        numbers = self.sampled_gradients(
            *(batch, drawn, going, self.loss, self.lesson(going.network))
        )
        far = going.flags & self._above(numbers["kl"], self.config.kl_hard_limit)
        stepping = going.flags & ~far & ~self._above(numbers["kl"], self._stop)
        self._log.add(going, numbers, stepping)
        self._log.beyond |= going.of_all(far, self.num_agents, False)
        self._step(going, stepping)
        return stepping

    def steps_at_once(
        self, batch: Shards, drawn: Drawn, which: range, going: Going
    ) -> Tensor | None:
        """``_minibatch`` for one minibatch after the other, in one compiled call.

        Returns:
            who has taken a step with each of those learnt from, bool ``[n, len(going.members)]``;
            None: there is no such call, or for none of them.
        """
        config, network, members = self.config, going.network, going.members
        lesson = self.lesson(network) if self._steps_alike() else None
        if lesson is None:
            return None
        places = [drawn.agents.index(agent) for agent in members]
        piece = piece_length(network, len(members), drawn.length)
        where = Sequences(members, drawn.starts, drawn.envs, drawn.length, piece, drawn.counts)
        found = descend(
            *(network, lesson, batch.parts, where, places, which, self.optimiser),
            Bounds(
                min(_or_infinite(self._stop), _or_infinite(config.kl_hard_limit)),
                _or_infinite(config.max_grad_norm),
            ),
            self.workers.count(self.device),
        )
        if found is None or not len(found[1]):
            return None
        rows, stepping = found
        _, numbers = self.numbers_of(network, lesson, rows)
        far = self._above(numbers["kl"], config.kl_hard_limit)
        self._log.add(going, numbers, stepping)
        self._log.beyond |= going.of_all(far[-1], self.num_agents, False)
        return stepping

    def _steps_alike(self) -> bool:
        """Whether nobody does otherwise what compiled kernels do with a minibatch."""
        return (
            self.ranks.size == 1
            and untouched(self, PPO, "_minibatch", "_above", "numbers_of", "_told_of", "_numbers")
            and untouched(self, GradientSteps, "sampled_gradients", "_gradients", "_step")
            and untouched(self, GradientSteps, "_take_steps")
            and untouched(self.optimiser, StackedAdam, "step")
            and all(untouched(one, Mechanism, "finish") for one in self.mechanisms)
        )

    def _above(self, kl: Tensor, limit: float | None) -> Tensor:
        """Whether divergences are beyond a limit, bool likewise."""
        if limit is None:
            return torch.zeros_like(kl, dtype=torch.bool)
        return kl.to(exact(kl.device)) > limit

    def _undo_divergence(self, batch: Shards, going: Going) -> dict[str, Tensor]:
        """Set back every agent that a minibatch or the whole batch finds beyond the hard limit.

        Args:
            batch: what was learnt from.
            going: who learnt from it.
        """
        limit, beyond = self.config.kl_hard_limit, self._log.beyond
        moved = (self._log.steps > 0).to(self.device)
        nothing = torch.full(moved.shape, float("nan"), device=moved.device)
        if limit is None or (self.asks and not bool(moved.any())):
            return {"restored": beyond, "kl_final": nothing}
        if self.asks:
            going = self.going(moved.nonzero().flatten().tolist())
        else:
            going = replace(going, flags=moved)  # of all, whoever went on to the end
        network, members, columns = going.network, going.members, going.columns

        def change(k: int) -> Tensor:
            part = batch.parts[k]
            log_prob = part.refresh(network, members, policy=True)
            assert log_prob is not None, "policy=True"
            before = part.decisions["action"].log_prob[..., columns]
            return ((before - log_prob) * part.mask[..., columns]).sum((0, 1))

        changes = batch.added(batch.map(change)) / batch.counts()[0, columns].clamp(min=1)
        kl = torch.where(moved, going.of_all(changes, self.num_agents), nothing)
        beyond = beyond | self._above(kl, limit)
        self.snapshot.restore(moved & beyond)
        return {"restored": beyond, "kl_final": kl}

    def advantages(
        self, reward: Tensor, value: Tensor, following: Tensor, continues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See ``RecurrentLearner``."""
        return estimates(reward, value, following, continues, self._discounting)

    def discounting(self) -> Discounting | None:
        """See ``RecurrentLearner``."""
        return self._discounting if untouched(self, PPO, "advantages") else None

    @property
    def _discounting(self) -> Discounting:
        config = self.config
        return Discounting(config.gamma, config.gae_lambda, config.delta, config.value_target)

    @compiled("clipped")
    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Clipped loss; ``kl``, mean change of log-probability, and share of clipped ratios."""
        limit = self.config.clip
        chosen = picked(log_probs, made.choice.flatten(1))
        change = chosen - made.log_prob.flatten(1)
        ratio, advantage = change.exp(), made.advantage.flatten(1)
        clipped = ratio.clamp(1.0 - limit, 1.0 + limit)
        gain = torch.minimum(ratio * advantage, clipped * advantage)
        return -(gain * weight).sum(1), {
            "kl": -(change * weight).sum(1),
            "clip_fraction": ((ratio != clipped) * weight).sum(1),
        }


def _or_infinite(limit: float | None) -> float:
    return math.inf if limit is None else limit


_ALWAYS = (
    *("policy_loss", "value_loss", "entropy", "kl", "clip_fraction"),
    *("kl_final", "gradient_steps", "restored", "value_mean", "reward_mean"),
)
