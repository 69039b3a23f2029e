"""Influence by a model of other agents (Jaques et al. 2019, section 5).

Each agent learns to predict everybody's next action, and asks its model what the others would do
had it acted otherwise: no agent looks into another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.data.sequences import Minibatch
from socialgrid.models.acting import known
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.counterfactuals import Asked, Counterfactual, exert, usable
from socialgrid.models.moa import ModelOfOthers
from socialgrid.models.recall import Recall
from socialgrid.models.spec import ViewSpec
from socialgrid.social.influence.blocks import before_steps
from socialgrid.social.influence.divergence import influence
from socialgrid.social.influence.leaders import Influence
from socialgrid.social.influence.listening import Listening
from socialgrid.social.mechanism import Outputs

_BLOCK = 1024  # samples at a time


class ModelledInfluence(Influence):
    """The mechanism ``moa``."""

    def __init__(self, options: Any, spec: ViewSpec) -> None:
        super().__init__(options, spec)
        if spec.world_agents < 2:
            raise ValueError("moa: there is no other agent in the world to model")
        self.alternatives = spec.num_actions

    def memory(self, num_envs: int) -> dict[str, Tensor]:
        """``memory``, float32 ``[E, A, M]``, of the models."""
        return {"memory": torch.zeros((num_envs, self.spec.num_agents, 2 * self.options.memory))}

    def branch(self, generators: Sequence[torch.Generator], network: ActorCritic) -> ModelOfOthers:
        """See ``Mechanism``."""
        features, memory = network.config.features, self.options.memory
        return ModelOfOthers(generators, self.spec, network.encoder.flat, features, memory)

    def model(self, network: ActorCritic) -> ModelOfOthers:
        """Its branch of a network."""
        branch = network.branches[self.name]
        assert isinstance(branch, ModelOfOthers), "see branch()"
        return branch

    @torch.no_grad()
    def exerted(
        self, network: ActorCritic, batch: Recall, heard: Listening, memory: dict[str, Tensor]
    ) -> Tensor:
        """Influence of every action on what visible others are predicted to do next.

        Leaves in the batch what ``loss`` learns from, and remembers the memory after it.
        """
        moa = self.model(network)
        shape, agents, half = batch.action.shape, network.num_agents, moa.memory
        taken = batch.taken.flatten(0, 1).expand(agents, -1, -1)
        inputs, policies = [], []
        for block in before_steps(network, batch):
            inputs.append(
                moa.inputs(block.convolved(network), taken[:, block.rows], network.own_slots)
            )
            policies.append(network.logits(block.core(network)).softmax(-1))
        x, policy = torch.cat(inputs, 1), torch.cat(policies, 1)
        reset = batch.reset[:-1].permute(2, 0, 1)
        first = memory["memory"].transpose(0, 1).contiguous()
        h, c = moa.remember(x.view(agents, *shape[:2], -1), first, reset)
        memories = torch.cat((h.float(), c), -1)
        memory["memory"] = memories[:, -1].transpose(0, 1).contiguous()
        before = torch.cat((first[:, None], memories[:, :-1]), 1)
        before = before.masked_fill(reset.unsqueeze(-1), 0.0)
        kept = before.permute(1, 2, 0, 3).contiguous()
        batch.memories["moa"] = batch.standing.put("memories/moa", kept)
        batch.extras["taken"] = batch.taken.unsqueeze(2)
        batch.extras["next_taken"] = batch.next_taken.unsqueeze(2)
        batch.extras["visible"] = batch.visible

        action, mask = batch.action.flatten(0, 1).t(), batch.mask.flatten(0, 1).t()
        done = batch.done.flatten()
        following = batch.next_taken.flatten(0, 1).t()
        visible = batch.visible[:-1].flatten(0, 1).transpose(0, 1).bool()
        before = before.flatten(1, 2)
        found = x.new_zeros((*action.shape, moa.world), dtype=torch.float32)
        if type(moa) is ModelOfOthers and known(network) and usable(moa.lstm, moa.head, x, before):
            pairs = policy, action, following, visible, mask & ~done
            self._compiled(network, (x, before, taken), pairs, found, heard)
            return found.transpose(0, 1).reshape(*shape, moa.world)
        x[..., moa.own_columns] = 0.0
        for start in range(0, x.shape[1], _BLOCK):
            rows = slice(start, start + _BLOCK)
            state = before[:, rows]
            core = moa.lstm.alternatives(
                x[:, rows], state[..., :half], state[..., half:], moa.own_columns
            )
            count = policy.shape[-1]
            predicted = moa.logits(core)[:, :, :count].transpose(2, 3)  # [A, M, N, C, n]
            then = following[:, rows].t().expand(agents, -1, -1)
            exerted = influence(
                predicted,
                policy[:, rows, None],
                action[:, rows, None],
                self.options.divergence,
                then.clamp(min=0),
            )
            # At the end of an episode nobody does anything next.
            counts = visible[:, rows] & (mask & ~done)[:, rows, None]
            for agent, slot in enumerate(network.own_slots):
                counts[agent, :, slot] = False
            for agent in range(agents):
                possible = network.spec.action_counts[agent]
                for other in set(range(moa.world)) - {network.own_slots[agent]}:
                    given = predicted[agent, :, other, :possible]
                    heard.add(agent, other, given, counts[agent, :, other])
            if self.options.divergence == "pmi":
                counts = counts & (then >= 0)
            found[:, rows] = exerted * counts
        return found.transpose(0, 1).reshape(*shape, moa.world)

    def _compiled(
        self,
        network: ActorCritic,
        read: tuple[Tensor, Tensor, Tensor],
        pairs: tuple[Tensor, ...],
        found: Tensor,
        heard: Listening,
    ) -> None:
        """Influence in all samples by compiled kernels."""
        moa, (x, before, taken) = self.model(network), read
        policy, action, following, visible, there = pairs
        half, count, every = moa.memory, moa.num_actions, []
        gates, codes = moa.lstm.without_codes(
            x[..., : moa.features], before[..., :half], slice(network.num_agents)
        )
        first = count * torch.arange(1, 1 + moa.world)
        others = torch.where(taken < 0, -1, taken + first).int()
        for agent, slot in enumerate(network.own_slots):
            read_of = others[agent].clone()
            read_of[:, slot] = -1
            asked, possible = [], network.spec.action_counts[agent]
            for other in set(range(moa.world)) - {slot}:
                then = following[other]
                counts = visible[agent, :, other] & there[agent]
                known_of = counts & (then >= 0) if self.options.divergence == "pmi" else counts
                asked.append(
                    Asked(
                        *(other * count, count, policy[agent], action[agent], then.clamp(min=0)),
                        *(counts, known_of, found[agent, :, other]),
                        heard.told(agent, other, possible, counts),
                    )
                )
            own, c = slice(0, policy.shape[-1]), before[agent, :, half:]
            every.append(Counterfactual(agent, gates[agent], codes[agent], own, read_of, c, asked))
        mask = moa.action_mask.flatten().expand(network.num_agents, -1)
        exert(every, moa.head, mask, self.options.divergence)

    def loss(self, outputs: Outputs, part: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of everybody else's next action, in nats, a mean over all steps and others.

        Steps whose next one is unknown or of another episode add nothing, nor, with
        ``visible_only``, do agents out of sight. The weights of right and of all predictions
        add up with it: ratios to the last are the mean error of a prediction and the accuracy.
        """
        moa, slots = self.model(outputs.network), outputs.network.own_slots
        following = part.extras["next_taken"]
        x = moa.inputs(outputs.convolved(), part.extras["taken"].flatten(1, 2), slots)
        x = x.view(*part.action.shape, -1)
        h, _ = moa.remember(x, part.memories["moa"], part.reset)
        logits = moa.logits(h)
        error = F.cross_entropy(
            logits.flatten(0, 3), following.flatten(), ignore_index=-1, reduction="none"
        ).view(following.shape)
        counts = following >= 0
        for agent, slot in enumerate(slots):
            counts[agent, ..., slot] = False
        if self.options.visible_only:
            counts &= part.extras["visible"].bool()
        weight = part.weight.unsqueeze(-1) * counts / max(1, moa.world - 1)
        loss = (error * weight).flatten(1).sum(1)
        right = (logits.detach().argmax(-1) == following) * weight
        return self.options.coef * loss, {
            "moa_loss": loss.detach(),
            "moa_correct": right.flatten(1).sum(1),
            "moa_predictions": weight.flatten(1).sum(1),
        }

    def finish(self, numbers: dict[str, Tensor]) -> None:
        """See ``Mechanism``."""
        predictions = numbers.pop("moa_predictions").clamp(min=1e-12)
        numbers["moa_accuracy"] = numbers.pop("moa_correct") / predictions
        numbers["moa_loss"] = numbers["moa_loss"] / predictions
