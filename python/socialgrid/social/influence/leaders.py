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
from socialgrid.social.influence.blocks import before_steps
from socialgrid.social.influence.divergence import influence
from socialgrid.social.influence.listening import Listening
from socialgrid.social.options import SocialConfig


@torch.no_grad()
def basic_influence(
    model: ActorCritic,
    batch: SequenceBatch,
    config: SocialConfig,
    heard: Listening | None = None,
) -> Tensor:
    """Influence of every step's actions on the others' actions in the same step.

    Args:
        model: the network that acted, all agents of it.
        batch: what they did.
        config: the divergence.
        heard: takes in how the others' policies depend on an influencer's action of this step.

    Returns:
        float32 ``[T, E, A, N]``: exerted by agent ``a`` of the learner on agent ``n`` of the
        world; only influencers exert any, and only on the learner's other agents.
    """
    channels, leaders = model.channels, model.channels.influencers
    action = batch.action.flatten(0, 1).t()
    playing = batch.mask.flatten(0, 1).t()
    found = action.new_zeros((*action.shape, batch.taken.shape[-1]), dtype=torch.float32)
    for block in before_steps(model, batch):
        rows = block.rows
        own = model.logits(block.core(model)).softmax(-1)
        for leader in range(leaders):
            policies = block.alternatives(
                model, channels.world + leader, channels.action_columns(leader)
            )
            count = min(channels.actions, own.shape[-1])
            possible = model.spec.action_counts[leader]
            for other in range(leaders, model.num_agents):
                exerted = influence(
                    policies[other, :, :count],
                    own[leader, :, :count],
                    action[leader, rows],
                    config.divergence,
                    action[other, rows],
                )
                counts = playing[leader, rows] & playing[other, rows]
                slot = model.own_slots[other]
                found[leader, rows, slot] = exerted * counts
                if heard is not None:
                    heard.add(leader, slot, policies[other, :, :possible], counts)
    return found.transpose(0, 1).reshape(*batch.done.shape, *found.shape[::2])
