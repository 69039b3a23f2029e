"""Basic social influence: reward for actions that change what others do (Jaques et al. 2019).

Influencers act first; the others see what they do in this very step. The influence of an
influencer is how far the others' policies are from what they would have been on average over its
alternatives (section 3, eq. 1 and 2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid.data.sequences import SequenceBatch
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.social.blocks import before_steps
from socialgrid.social.config import SocialConfig
from socialgrid.social.divergence import influence


@torch.no_grad()
def basic_influence(model: ActorCritic, batch: SequenceBatch, config: SocialConfig) -> Tensor:
    """Influence of every step, with the share of it that influenced agents get too.

    Args:
        model: the network that acted, all agents of it.
        batch: what they did.
        config: number of influencers, divergence and ``influencee_weight``.

    Returns:
        float32 ``[T, E, A]``: of influencers the sum over all others, of the others
        ``influencee_weight`` times what was exerted on them.
    """
    channels, leaders = model.channels, model.channels.influencers
    agents = model.num_agents
    action = batch.action.flatten(0, 1).t()
    playing = batch.mask.flatten(0, 1).t()
    reward = torch.zeros(action.shape, device=action.device)
    for block in before_steps(model, batch):
        rows = block.rows
        own = model.logits(block.core(model)).softmax(-1)
        for leader in range(leaders):
            others = block.alternatives(
                model, channels.world + leader, channels.action_columns(leader)
            )
            weights = own[leader, :, : channels.actions]
            for other in range(leaders, agents):
                exerted = influence(
                    others[other, :, : weights.shape[-1]],
                    weights,
                    action[leader, rows],
                    config.divergence,
                    action[other, rows],
                )
                exerted = exerted * (playing[leader, rows] & playing[other, rows])
                reward[leader, rows] += exerted
                reward[other, rows] += config.influencee_weight * exerted
    return reward.t().view(batch.action.shape)
