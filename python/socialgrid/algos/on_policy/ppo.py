"""Recurrent PPO with auxiliary losses (Ndousse et al. 2021, section 3 and appendix 7.8)."""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid.algos.on_policy.recurrent_learner import RecurrentLearner
from socialgrid.algos.on_policy.shards import Shards
from socialgrid.algos.options import PPOConfig
from socialgrid.data.returns import discounted_returns, gae
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Judged
from socialgrid.models.adam import clip_gradients
from socialgrid.models.deciding import compiled


class PPO(RecurrentLearner[PPOConfig]):
    """Independent PPO learners on one stack; implements ``Learner``."""

    algorithm = "ppo"
    default_config = PPOConfig

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
        batch = self.shards(rollout)
        numbers = self.rewards(batch, progress)
        learners = self._learners(batch)
        snapshot = self._snapshot(learners)
        log = _Metrics(self.num_agents)
        try:
            self._optimise(batch, learners, snapshot, log)
            self._check_parameters(learners)
        except BaseException:
            for agent in learners:
                self._restore(agent, snapshot[agent])
            raise
        numbers["value_mean"] = batch.mean(lambda part: part.values["action"])
        whole = torch.stack([x.cpu() for x in numbers.values()]).tolist()
        for name, x in zip(numbers, whole, strict=True):
            for agent in learners:
                log.set(agent, name, x[agent])
        return log.means()

    def _optimise(
        self,
        batch: Shards,
        learners: list[int],
        snapshot: dict[int, dict[str, Tensor]],
        log: _Metrics,
    ) -> None:
        config = self.config
        if not learners:
            return
        going, moved = list(learners), set[int]()
        network, members = self._network_of(going)
        self.estimate(batch, network, members)
        drawn = self.draw_minibatches(
            *(batch, learners),
            minibatches=config.num_minibatches,
            sequences=config.minibatch_sequences,
            length=config.sequence_length,
        )
        for i in range(config.num_minibatches):
            if not going:
                break
            if i and config.refresh_interval and i % config.refresh_interval == 0:
                self.estimate(batch, network, members, refresh=True)
            found = self._sampled_gradients(batch, drawn, i, network, members, self.loss)
            # All at once: an accelerator is waited for whenever a number is read.
            numbers = dict(zip(found, torch.stack([*found.values()]).tolist(), strict=True))
            kl = numbers["kl"]
            steps = [a for a in going if not self._beyond(kl[members.index(a)])]
            for agent in going:
                log.add(agent, numbers, members.index(agent), stepped=agent in steps)
                limit = config.kl_hard_limit
                if limit is not None and kl[members.index(agent)] > limit:
                    log.set(agent, "restored", 1.0)
            rows = [members.index(agent) for agent in steps]
            if config.max_grad_norm is not None and rows:
                clip_gradients(network, rows, config.max_grad_norm)
            self.optimiser.step(network, steps, rows)
            moved |= set(steps)
            if steps != going:
                self._write_back(network, members)
                going = steps
                if going:
                    network, members = self._network_of(going)
        if going:
            self._write_back(network, members)
        self.model.zero_grad(set_to_none=True)
        self._undo_divergence(batch, sorted(moved), snapshot, log)

    def _beyond(self, kl: float) -> bool:
        """Whether a minibatch's divergence ends an agent's update."""
        config = self.config
        target = None if config.kl_target is None else config.kl_target * config.kl_stop_factor
        return any(limit is not None and kl > limit for limit in (target, config.kl_hard_limit))

    def _undo_divergence(
        self,
        batch: Shards,
        moved: list[int],
        snapshot: dict[int, dict[str, Tensor]],
        log: _Metrics,
    ) -> None:
        """Set back every agent that a minibatch or the whole batch finds beyond the hard limit."""
        limit = self.config.kl_hard_limit
        if limit is None or not moved:
            return
        network, members = self._network_of(moved)

        def change(k: int) -> Tensor:
            part = batch.parts[k]
            log_prob = part.refresh(network, members, policy=True)
            assert log_prob is not None, "policy=True"
            before = part.decisions["action"].log_prob[..., members]
            return ((before - log_prob) * part.mask[..., members]).sum((0, 1))

        changes = batch.added(batch.map(change)) / batch.counts()[0, members].clamp(min=1)
        for agent in moved:
            kl = float(changes[members.index(agent)])
            log.set(agent, "kl_final", kl)
            if kl > limit or log.get(agent, "restored") == 1.0:
                log.set(agent, "restored", 1.0)
                self._restore(agent, snapshot[agent])

    def advantages(
        self, reward: Tensor, value: Tensor, following: Tensor, continues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See ``RecurrentLearner``."""
        config = self.config
        advantage = gae(
            reward,
            value,
            following,
            continues,
            gamma=config.gamma,
            lam=config.gae_lambda,
            delta=config.delta,
        )
        if config.value_target == "lambda_return":
            return advantage, advantage + value
        return advantage, discounted_returns(reward, following, continues, gamma=config.gamma)

    @compiled("clipped")
    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Clipped loss; ``kl``, mean change of log-probability, and share of clipped ratios."""
        limit = self.config.clip
        chosen = log_probs.gather(-1, made.choice.flatten(1).unsqueeze(-1)).squeeze(-1)
        change = chosen - made.log_prob.flatten(1)
        ratio, advantage = change.exp(), made.advantage.flatten(1)
        clipped = ratio.clamp(1.0 - limit, 1.0 + limit)
        gain = torch.minimum(ratio * advantage, clipped * advantage)
        return -(gain * weight).sum(1), {
            "kl": -(change * weight).sum(1),
            "clip_fraction": ((ratio != clipped) * weight).sum(1),
        }


_ALWAYS = (
    *("policy_loss", "value_loss", "entropy", "kl", "clip_fraction"),
    *("kl_final", "gradient_steps", "restored", "value_mean", "reward_mean"),
)


class _Metrics:
    """Running means by agent and name."""

    def __init__(self, num_agents: int) -> None:
        self.num_agents = num_agents
        self._sums: dict[str, list[float]] = {}
        self._counts: dict[str, list[int]] = {}
        for name in _ALWAYS:
            self._row(name)

    def _row(self, name: str) -> list[float]:
        self._counts.setdefault(name, [0] * self.num_agents)
        return self._sums.setdefault(name, [0.0] * self.num_agents)

    def add(self, agent: int, numbers: dict[str, list[float]], row: int, *, stepped: bool) -> None:
        """Average a minibatch's numbers in; count it if it led to a step."""
        for name, x in numbers.items():
            self._row(name)[agent] += x[row]
            self._counts[name][agent] += 1
        self._row("gradient_steps")[agent] += float(stepped)
        self._counts["gradient_steps"][agent] = 1
        self._counts["restored"][agent] = 1

    def set(self, agent: int, name: str, value: Tensor | float) -> None:
        """Replace a number."""
        self._row(name)[agent] = float(value)
        self._counts[name][agent] = 1

    def get(self, agent: int, name: str) -> float:
        """Sum of a number so far."""
        return self._row(name)[agent]

    def means(self) -> dict[str, Tensor]:
        """Everything, float32 [A]; NaN where nothing was recorded."""
        return {
            name: torch.tensor(sums) / torch.tensor(self._counts[name])
            for name, sums in self._sums.items()
        }
