"""Behaviour cloning: imitate recorded actions with the network of PPO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from socialgrid.algos.on_policy.recurrent_learner import RecurrentLearner
from socialgrid.algos.options import CloningConfig
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Judged, Minibatch
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.adam import clip_gradients
from socialgrid.models.config import ModelConfig
from socialgrid.models.recall import Recall, chosen_log_prob
from socialgrid.models.spec import ViewSpec


class BehaviourCloning(RecurrentLearner[CloningConfig]):
    """Cross-entropy on trajectories of somebody else; implements ``Learner``.

    Fill a rollout with the views and actions of an expert (``rollout.action`` holds the actions,
    ``rollout.state`` may stay zero) and call ``update``: memories are those of the learner's own
    network along the expert's trajectory.
    """

    algorithm = "behaviour_cloning"
    default_config = CloningConfig

    def __init__(
        self,
        spec: ViewSpec,
        model: ModelConfig | None = None,
        config: CloningConfig | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        agent_ids: Sequence[int] | None = None,
        dump_dir: Path | str | None = None,
    ) -> None:
        """Initialise as ``PPO`` does; the network has no auxiliary branch."""
        super().__init__(
            *(spec, model, config),
            seed=seed,
            device=device,
            agent_ids=agent_ids,
            dump_dir=dump_dir,
        )

    def update(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """Learn from one batch of trajectories; ``progress`` changes nothing.

        Returns:
            float32 ``[A]`` each, NaN for agents that do not learn: cross_entropy (nats) and
            accuracy (share of steps whose most probable action is the recorded one).

        Raises:
            NonFiniteError: parameters and optimisers are as before the call.
        """
        self.updates += 1
        config = self.config
        batch = Recall(rollout, self.model, self.device)
        learners = self._learners(batch)
        snapshot = self._snapshot(learners)
        sums = {name: torch.zeros(self.num_agents) for name in ("cross_entropy", "accuracy")}
        try:
            if learners:
                network, members = self._network_of(learners)
                rows = [members.index(agent) for agent in learners]
                for i in range(config.num_minibatches):
                    if i == 0 or (config.refresh_interval and i % config.refresh_interval == 0):
                        self._refresh(batch, network, members, policy=False)
                    numbers = self._sampled_gradients(
                        *(batch, network, members, self.loss),
                        sequences=config.minibatch_sequences,
                        length=config.sequence_length,
                    )
                    for name, x in numbers.items():
                        sums[name][members] += x.cpu()
                    if config.max_grad_norm is not None:
                        clip_gradients(network, rows, config.max_grad_norm)
                    self.optimiser.step(network, learners, rows)
                self._write_back(network, members)
                self.model.zero_grad(set_to_none=True)
            self._check_parameters(learners)
        except BaseException:
            for agent in learners:
                self._restore(agent, snapshot[agent])
            raise
        silent = [a for a in range(self.num_agents) if a not in learners]
        means = {name: x / config.num_minibatches for name, x in sums.items()}
        for mean in means.values():
            mean[silent] = float("nan")
        return means

    def loss(self, network: ActorCritic, part: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of each agent, [A], and its accuracy."""
        logits, _ = self.outputs(network, part).decisions["action"]
        made, weight = part.decisions["action"], part.weight.flatten(1)
        loss, numbers = self.policy_loss(logits.log_softmax(-1), made, weight)
        return loss, {"cross_entropy": loss.detach(), **numbers}

    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the recorded actions, in nats."""
        action = made.choice.flatten(1)
        loss = -(chosen_log_prob(log_probs, action) * weight).sum(1)
        right = log_probs.detach().argmax(-1) == action
        return loss, {"accuracy": (right * weight).sum(1)}

    def advantages(
        self, reward: Tensor, value: Tensor, following: Tensor, continues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """None: rewards are not looked at."""
        return torch.zeros_like(value), torch.zeros_like(value)
