"""Influential communication: reward for messages that change what listeners do next.

Every agent sends a symbol in every step; everybody hears all symbols one step later (Jaques et al.
2019, section 4). The influence of a message is how far the listeners' policies are from what they
would have been on average over the symbols that the speaker might have sent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid.data.sequences import SequenceBatch
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.social.influence.blocks import after_steps, before_steps
from socialgrid.social.influence.divergence import influence
from socialgrid.social.influence.listening import Listening
from socialgrid.social.options import SocialConfig


@torch.no_grad()
def message_influence(
    model: ActorCritic,
    batch: SequenceBatch,
    config: SocialConfig,
    listened: Listening | None = None,
) -> Tensor:
    """Influence of the message sent in every step, on what the others do in the next.

    It is credited to the step that sent the message, so that it belongs to the same batch; the
    paper adds it to the next step's reward. A message at the end of an episode has no listeners.

    Args:
        model: the network that acted, all agents of it.
        batch: what they did and said.
        config: the divergence.
        listened: takes in how the listeners' next policies depend on the symbol.

    Returns:
        float32 ``[T, E, A, N]``: exerted by agent ``a`` of the learner on agent ``n`` of the world.

    Raises:
        ValueError: the network has no message heads.
    """
    if model.messages is None:
        raise ValueError("the network has no message heads; choose the mechanism comm")
    channels, agents = model.channels, model.num_agents
    said = batch.message.flatten(0, 1).t()
    following = batch.next_taken[..., list(model.own_slots)].flatten(0, 1).t()
    listening = batch.next_mask.flatten(0, 1).t()
    intentions = [
        model.messages.logits(block.core(model)).softmax(-1) for block in before_steps(model, batch)
    ]
    found = said.new_zeros((*said.shape, batch.taken.shape[-1]), dtype=torch.float32)
    for block, weights in zip(after_steps(model, batch), intentions, strict=True):
        rows = block.rows
        for speaker in range(agents):
            column = channels.message_column(speaker)
            others = block.alternatives(model, column, channels.message_columns(speaker))
            for other in range(agents):
                if other == speaker:
                    continue
                exerted = influence(
                    others[other],
                    weights[speaker],
                    said[speaker, rows],
                    config.divergence,
                    following[other, rows].clamp(min=0),
                )
                heard = listening[speaker, rows] & listening[other, rows]
                if listened is not None:
                    listened.add(speaker, model.own_slots[other], others[other], heard)
                if config.divergence == "pmi":  # of a response that is known
                    heard = heard & (following[other, rows] >= 0)
                found[speaker, rows, model.own_slots[other]] = exerted * heard
    return found.transpose(0, 1).reshape(*batch.done.shape, *found.shape[::2])
