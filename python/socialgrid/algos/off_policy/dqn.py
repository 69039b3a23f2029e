"""Deep Q-networks of independent, stacked agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.algos.off_policy import compiled_q, taking_steps
from socialgrid.algos.off_policy.compiled_learner import CompiledLearner
from socialgrid.algos.off_policy.experience import BATCH, EXPLORES, RANDOM
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import DQNConfig
from socialgrid.data.replay import Transitions
from socialgrid.models.picking import picked
from socialgrid.models.q_network import QNetwork
from socialgrid.models.task_spec import TaskSpec


def weighted_mean(x: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over a batch, ``[A, B] -> [A]``, of importance-weighted numbers."""
    return x.mean(1) if weight is None else (x * weight).mean(1)


def chosen(values: Tensor, action: Tensor) -> Tensor:
    """Values ``[..., N, num_actions]`` of the actions int64 ``[..., N]``."""
    return picked(values, action)


class DQN(CompiledLearner):
    """DQN (Mnih et al. 2015), double (van Hasselt et al. 2016), epsilon-greedy.

    Loss: Huber of r + gamma Q'(s', argmax_a Q(s', a)) - Q(s, a), where Q' is the target and the
    bootstrap is left out after termination, but not after truncation.
    """

    algorithm = "dqn"
    known_to_kernels = True
    config: DQNConfig

    def __init__(
        self,
        task: TaskSpec,
        config: DQNConfig | None = None,
        **options: Any,
    ) -> None:
        """See ``OffPolicyLearner``.

        Raises:
            ValueError: actions are continuous.
        """
        if task.continuous:
            raise ValueError("DQN needs discrete actions; continuous ones: SAC or TD3")
        super().__init__(task, config or DQNConfig(), **options)
        generators = self._weight_generators
        self._q = QNetwork(generators, task, self.model, self.config.hidden)
        self._q_target = self._train("q", self._q)

    @property
    def epsilon(self) -> Tensor:
        """Share of random actions of each agent now, float32 ``[A]`` on the CPU."""
        return torch.tensor([self.config.epsilon(steps) for steps in self.agent_steps])

    def loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Loss ``[A]`` and temporal differences ``[A, B]`` without gradient."""
        with torch.no_grad():
            following = self._q_target(batch.next_obs)[0]
            judge = self._q(batch.next_obs)[0] if self.config.double else following
            bootstrap = chosen(following, judge.argmax(-1))
            target = batch.reward + self.config.gamma * ~batch.terminated * bootstrap
        value = chosen(self._q(batch.obs)[0], batch.action)
        loss = F.smooth_l1_loss(value, target, reduction="none")
        return weighted_mean(loss, batch.weight), (target - value).detach()

    @torch.no_grad()
    def values(self, obs: Tensor) -> Tensor:
        """See ``OffPolicyLearner``: the best action's value, seen at one look."""
        return self._phases.apply(
            "best", lambda seen: self._q(seen)[0].amax(-1), self._as_kept(obs)
        )

    def exploration(self) -> tuple[dict[str, Any], dict[str, float]]:
        """What decides who explores its own tasks in the next steps: arrays and numbers as compiled
        kernels are given them.
        """
        config = self.config
        arrays = {
            "taken": torch.tensor(self.agent_steps),
            "moments": torch.tensor(self.moments),
            "explores": self._learning,
            "keys": self.draws.keys.numpy().view(np.uint64),
        }
        numbers = {
            "epsilon_start": config.epsilon_start,
            "epsilon_end": config.epsilon_end,
            "epsilon_steps": config.epsilon_steps,
            "learning_starts": config.learning_starts,
            "whether": EXPLORES,
            "which": RANDOM,
        }
        return arrays, numbers

    def updating(self) -> dict[str, Any] | None:
        """What decides which updates are due after the next steps, in all of which everybody is in
        play, and all that they need, as compiled kernels are given it; None where only ``update``
        can take them.
        """
        config, learners = self.config, self._learning.nonzero()[:, 0].tolist()
        counts = zip(self.agent_steps, self._since_update, self.replay.sizes, strict=True)
        replaced = {"update", "_take_gradient_steps", "_batch_words"} & vars(self).keys()
        alike = len(set(counts)) == 1 and not replaced
        if not (alike and learners and config.gradient_steps) or config.prioritised:
            return None
        if not self._compiles():
            return None
        places = torch.zeros(len(learners), config.gradient_steps, config.batch_size).long()
        begun = [self.agent_updates[agent] for agent in learners]
        return compiled_q.updating(
            *(self._trained["q"], config, self.replay),
            Batches(learners, begun, places),
            self.draws.keys[learners],
            {
                "taken": self.agent_steps[0],
                "waited": self._since_update[0],
                "stored": self.replay.sizes[0],
                "copies": self.num_envs,
                "kind": BATCH,
            },
        )

    def count_updates(
        self, sums: Sequence[Sequence[Sequence[float]]], partly: int, waited: int
    ) -> dict[str, Tensor]:
        """Kernels have taken updates, between steps that have been counted as stored.

        Args:
            sums: of losses and of errors, of every learner, in every update.
            partly: gradient steps of one more, which ends with what is not finite.
            waited: steps of every agent since the last update.

        Returns:
            metrics by name, float32 ``[updates, A]``, as of ``update``.
        """
        steps, learners = self.config.gradient_steps, self._learners
        taken = len(sums) * steps + partly
        self.updates += taken
        self.agent_updates = [count + taken for count in self.agent_updates]
        self._since_update = [waited] * self.num_agents
        if not taken:
            return {}
        taking_steps.changed(self._trained["q"])
        found = torch.full((len(sums), self.num_agents, 2), torch.nan)
        of_steps = torch.tensor(sums, dtype=torch.float64).view(len(sums), len(learners), 2)
        found[:, learners] = (of_steps / steps).float()
        return {"loss": found[..., 0], "td_error": found[..., 1]}

    def _chance(self, count: int, rows: Tensor | None) -> tuple[Tensor, ...]:
        """Who explores, bool ``[A, count]``, and what is done then."""
        explores = self._uniform(EXPLORES, count, rows) < self.epsilon[:, None]
        return explores, self._random(count, rows)

    def _choose(self, obs: Tensor, *chance: Tensor) -> Tensor:
        greedy: Tensor = self._q(obs)[0].argmax(-1)
        if not chance:
            return greedy
        explores, other = chance
        return torch.where(explores, other, greedy)

    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        values: Tensor = self._q(obs)[0]
        return values.gather(-1, actions)

    def _readable(self) -> bool:
        part, kept = self._trained["q"], self.replay.kept["obs"].dtype
        return all(compiled_q.readable(one, kept) for one in (part.network, part.target))

    def _compiled_steps(self, batches: Batches) -> Steps | None:
        given = self._trained["q"], self.config, self.task.num_actions, self.replay, batches
        return compiled_q.take_steps(*given)

    def _learn(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        loss, errors = self.loss(batch)
        self._descend("q", loss, batch)
        return errors, {"loss": loss.detach(), "td_error": errors.abs().mean(1)}
