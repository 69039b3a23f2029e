"""Advantage actor-critic for recurrent, independent agents (Mnih et al. 2016, algorithm S3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from socialgrid.algos.on_policy.going import Going
from socialgrid.algos.on_policy.recurrent_learner import RecurrentLearner
from socialgrid.algos.on_policy.shards import Shards
from socialgrid.algos.options import A3CConfig
from socialgrid.algos.untouched import untouched
from socialgrid.data.returns import Discounting, estimates
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Judged, Sequences
from socialgrid.models.deciding import compiled
from socialgrid.models.picking import picked
from socialgrid.models.recall import piece_length
from socialgrid.social.mechanism import Totals


class A3C(RecurrentLearner[A3CConfig]):
    """Independent actor-critic learners on one stack; implements ``Learner``.

    ``update`` is one gradient step on one rollout, unrolled whole from the memory stored before
    its first step. Its two halves, ``compute_gradients`` and ``apply_gradients``, are for several
    actor-learners that share parameters: see ``socialgrid.train.on_policy.asynchronous``.
    """

    algorithm = "a3c"
    default_config = A3CConfig
    stepping: Sequence[int] = ()
    """Agents with a gradient of the last ``compute_gradients``."""

    def update(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """One gradient step.

        Args:
            rollout: collected with the present parameters.
            progress: environment steps done so far, for annealing and curriculum.

        Returns:
            float32 ``[A]`` each, NaN for agents that do not learn: policy_loss, value_loss,
            entropy, those of mechanisms, value_mean, reward_mean (per step in
            play), gradient_norm (before clipping), learning_rate, and what the social mechanisms
            report.

        Raises:
            NonFiniteError: parameters and optimisers are as before the call.
        """
        self.updates += 1
        found = self.settled(lambda: self._learn(rollout, progress))
        stepping = found["stepping"]
        self.stepping = stepping.nonzero().flatten().tolist()
        rates = self.optimiser.rate.float().masked_fill(~stepping, float("nan"))
        norms = found.get("gradient_norm", torch.full_like(rates, float("nan")))
        return self._told(found) | {"gradient_norm": norms, "learning_rate": rates}

    def _learn(self, rollout: Rollout, progress: float) -> dict[str, Tensor]:
        """Both halves, where possible without asking the device."""
        if not self.asks:
            self._anneal(progress)
        batch, found, going = self._judged(rollout, progress)
        if going is not None:
            found |= self._phase("learn", partial(self._from_batch, batch, going, progress))
        self.model.zero_grad(set_to_none=True)
        return found

    def _from_batch(self, batch: Shards, going: Going, progress: float) -> dict[str, Tensor]:
        """Gradients of a batch that has been judged, and a step with them."""
        found = self._computed(batch, going)
        if self.asks:
            self._anneal(progress)
        stepping, everyone = found["stepping"], range(self.num_agents)
        norms, scales = self._clip(self.model)
        self._watch("gradient", norms, everyone, stepping)
        # Adam's steps are bounded: with finite gradients parameters stay finite.
        self._take_steps(self.model, everyone, stepping & ~self._unsound, scales)
        return found | {"gradient_norm": torch.where(stepping, norms, float("nan"))}

    def _anneal(self, progress: float) -> None:
        if self.config.learning_rate_end is not None:
            self.optimiser.set_rate(self.config.rates(progress))

    def compute_gradients(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """Gradients of one rollout into ``.grad`` of ``model``; nothing is learnt yet.

        ``stepping`` tells afterwards which agents have one: those that learn and were in play.

        Args:
            rollout: collected with the present parameters.
            progress: environment steps done so far, for the curriculum.

        Returns:
            metrics as in ``update``, without those of the step itself.

        Raises:
            NonFiniteError: a reward or a loss.
        """

        def learn() -> dict[str, Tensor]:
            batch, found, going = self._judged(rollout, progress)
            return found if going is None else found | self._computed(batch, going)

        found = self.settled(learn)
        self.stepping = found["stepping"].nonzero().flatten().tolist()
        return self._told(found)

    def _judged(
        self, rollout: Rollout, progress: float
    ) -> tuple[Shards, dict[str, Tensor], Going | None]:
        """A batch with rewards, what is told of them, and who learns from it."""
        batch = self.shards(rollout)
        found = self.rewards(batch, progress).tensors()
        going = self._learners(batch)
        self.model.zero_grad(set_to_none=True)
        nobody = torch.zeros(self.num_agents, dtype=torch.bool, device=self.device)
        return batch, found | {"stepping": nobody}, going

    def _computed(self, batch: Shards, going: Going) -> dict[str, Tensor]:
        """Gradients of one batch, whose they are, and what ``_told`` makes metrics of."""
        columns = going.columns
        self.estimate(batch, going.network, going.members)
        numbers = self._unrolled_gradients(batch, going)
        if going.network is not self.model:
            parameters = zip(self.model.parameters(), going.network.parameters(), strict=True)
            for p, part in parameters:
                if part.grad is not None:
                    p.grad = torch.zeros_like(p)
                    p.grad[columns] = part.grad
        numbers["value_mean"] = batch.mean(lambda part: part.values["action"])[columns]
        agents, nothing = self.num_agents, float("nan")
        found = {f"own/{k}": going.of_all(x, agents, nothing) for k, x in numbers.items()}
        return found | {"stepping": going.of_all(going.flags, agents, False)}

    def _told(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Metrics of what was read of a batch."""
        numbers, stepping = self.reported(Totals.of(found)), found["stepping"]
        if not bool(stepping.any()):
            return {}
        own = {k.partition("/")[2]: x for k, x in found.items() if k.startswith("own/")}
        nothing = float("nan")
        return own | {k: x.masked_fill(~stepping, nothing) for k, x in numbers.items()}

    def apply_gradients(
        self, progress: float = 0.0, agents: Sequence[int] | None = None
    ) -> dict[str, Tensor]:
        """Clip each agent's gradient and take one step of its optimiser.

        Args:
            progress: environment steps done so far, for the annealing.
            agents: who takes a step; those of the last ``compute_gradients`` by default.

        Returns:
            gradient_norm (before clipping) and learning_rate, float32 ``[A]``.

        Raises:
            NonFiniteError: a gradient is not finite; nothing has changed.
        """
        agents = self.stepping if agents is None else list(agents)
        self._anneal(progress)
        norms = torch.zeros(0)
        if agents:
            every, scales = self._clip(self.model)
            norms = every[agents]
            # Adam's steps are bounded: with finite gradients parameters stay finite.
            self._check_finite("gradient", norms, agents)
            self.optimiser.step(self.model, agents, agents, *(() if scales is None else (scales,)))
        self.model.zero_grad(set_to_none=True)
        rates = self.optimiser.rate[agents].float()
        return {
            "gradient_norm": self._spread(norms, agents),
            "learning_rate": self._spread(rates, agents),
        }

    def share_memory(self) -> dict[str, Tensor]:
        """Move parameters and optimisers to memory that processes can share, and return them."""
        return {name: shareable(x) for name, x in self._live_tensors().items()}

    def join(self, shared: Mapping[str, Tensor]) -> None:
        """Make the parameters and optimisers of another process's learner one's own.

        Args:
            shared: what its ``share_memory`` returned.
        """
        for name, p in self.model.named_parameters():
            p.data = shared[f"model/{name}"]
        moments = self.optimiser
        for name in moments.first:
            moments.first[name] = shared[f"optimiser/first/{name}"]
            moments.second[name] = shared[f"optimiser/second/{name}"]
        moments.steps, moments.rate = shared["optimiser/steps"], shared["optimiser/rate"]

    def advantages(
        self, reward: Tensor, value: Tensor, following: Tensor, continues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See ``RecurrentLearner``.

        Values are those recorded while acting, which are those of the present parameters: a
        rollout is learnt from once, at once.
        """
        return estimates(reward, value, following, continues, self._discounting)

    def discounting(self) -> Discounting | None:
        """See ``RecurrentLearner``."""
        return self._discounting if untouched(self, A3C, "advantages") else None

    @property
    def _discounting(self) -> Discounting:
        return Discounting(self.config.gamma, self.config.gae_lambda)

    def _unrolled_gradients(self, batch: Shards, going: Going) -> dict[str, Tensor]:
        """Gradients of the whole rollout from its first step, some environments at a time."""
        members = going.members
        length, counts = batch.num_steps, batch.counts()[:, going.columns]
        piece = piece_length(going.network, len(members), length)

        envs = [
            torch.arange(part.num_envs, device=self.device).expand(len(members), -1)
            for part in batch.parts
        ]
        where = Sequences(members, [*map(torch.zeros_like, envs)], envs, length, piece, counts)
        return self._gradients(batch, where, going, self.loss, self.lesson(going.network))

    @compiled("policy gradient")
    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Policy-gradient loss."""
        log_prob = picked(log_probs, made.choice.flatten(1))
        return -(log_prob * made.advantage.flatten(1) * weight).sum(1), {}

    def _spread(self, values: Tensor, agents: Sequence[int]) -> Tensor:
        """Numbers of some agents as float32 ``[A]`` on the CPU, NaN for the others."""
        spread = torch.full((self.num_agents,), float("nan"))
        spread[list(agents)] = values.float().cpu()
        return spread


def shareable(x: Tensor) -> Tensor:
    """Move the memory of ``x`` to where other processes can reach it; returns ``x``."""
    shared: Tensor = x.share_memory_()  # type: ignore[no-untyped-call]
    return shared
