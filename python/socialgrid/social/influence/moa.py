"""Influence by a model of other agents (Jaques et al. 2019, section 5).

Each agent learns to predict everybody's next action, and asks its model what the others would do
had it acted otherwise: no agent looks into another.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.data.sequences import Minibatch, SequenceBatch
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.moa import ModelOfOthers
from socialgrid.social.influence.blocks import before_steps
from socialgrid.social.influence.divergence import influence
from socialgrid.social.influence.listening import Listening
from socialgrid.social.options import SocialConfig
from socialgrid.social.protocols import Outputs

_BLOCK = 1024  # samples at a time


def model_of_others(model: ActorCritic) -> ModelOfOthers:
    """The branch of a network that models others.

    Raises:
        ValueError: there is none.
    """
    if model.moa is None:
        raise ValueError("the network has no model of other agents; choose the mechanism moa")
    return model.moa


@torch.no_grad()
def modelled_influence(
    model: ActorCritic,
    batch: SequenceBatch,
    config: SocialConfig,
    state: Tensor,
    heard: Listening | None = None,
) -> tuple[Tensor, Tensor]:
    """Influence of every action on what visible others are predicted to do next.

    Leaves the model's memories before every step in ``batch.moa_state``, for ``moa_loss``.

    Args:
        model: the network that acted, all agents of it.
        batch: what was seen and done.
        config: the divergence.
        state: float32 ``[E, A, M]``, memory of the model of others before the first step.
        heard: takes in how the others' next policies depend on an agent's action, as its model of
            them has it.

    Returns:
        influence float32 ``[T, E, A, N]``, exerted by agent ``a`` of the learner on agent ``n`` of
        the world, and the memory after the last step, float32 ``[E, A, M]``.

    Raises:
        ValueError: the network has no model of others.
    """
    moa = model_of_others(model)
    shape, agents, half = batch.action.shape, model.num_agents, moa.memory
    taken = batch.taken.flatten(0, 1).expand(agents, -1, -1)
    inputs, policies = [], []
    for block in before_steps(model, batch):
        inputs.append(moa.inputs(block.convolved, taken[:, block.rows], model.own_slots))
        policies.append(model.logits(block.core(model)).softmax(-1))
    x, policy = torch.cat(inputs, 1), torch.cat(policies, 1)
    reset = batch.reset[:-1].permute(2, 0, 1)
    first = state.transpose(0, 1).contiguous()
    h, c = moa.remember(x.view(agents, *shape[:2], -1), first, reset)
    memories = torch.cat((h.float(), c), -1)
    before = torch.cat((first[:, None], memories[:, :-1]), 1)
    before = before.masked_fill(reset.unsqueeze(-1), 0.0)
    batch.moa_state = before.permute(1, 2, 0, 3).contiguous()

    action, mask = batch.action.flatten(0, 1).t(), batch.mask.flatten(0, 1).t()
    done = batch.done.flatten()
    following = batch.next_taken.flatten(0, 1).t()
    visible = batch.visible[:-1].flatten(0, 1).transpose(0, 1).bool()
    before = before.flatten(1, 2)
    x[..., moa.own_columns] = 0.0
    found = x.new_zeros((*action.shape, moa.world), dtype=torch.float32)
    for start in range(0, x.shape[1], _BLOCK):
        rows = slice(start, start + _BLOCK)
        memory = before[:, rows]
        core = moa.lstm.alternatives(
            x[:, rows], memory[..., :half], memory[..., half:], moa.own_columns
        )
        count = policy.shape[-1]
        predicted = moa.logits(core)[:, :, :count].transpose(2, 3)  # [A, M, N, C, n]
        then = following[:, rows].t().expand(agents, -1, -1)
        exerted = influence(
            predicted,
            policy[:, rows, None],
            action[:, rows, None],
            config.divergence,
            then.clamp(min=0),
        )
        # At the end of an episode nobody does anything next.
        counts = visible[:, rows] & (mask & ~done)[:, rows, None]
        for agent, slot in enumerate(model.own_slots):
            counts[agent, :, slot] = False
        if heard is not None:
            for agent in range(agents):
                possible = model.spec.action_counts[agent]
                for other in set(range(moa.world)) - {model.own_slots[agent]}:
                    given = predicted[agent, :, other, :possible]
                    heard.add(agent, other, given, counts[agent, :, other])
        if config.divergence == "pmi":
            counts = counts & (then >= 0)
        found[:, rows] = exerted * counts
    found = found.transpose(0, 1).reshape(*shape, moa.world)
    return found, memories[:, -1].transpose(0, 1).contiguous()


def moa_loss(
    outputs: Outputs, batch: Minibatch, config: SocialConfig
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Cross-entropy of everybody else's next action, in nats, a mean over all steps and others.

    Steps whose next one is unknown or of another episode add nothing, nor, with
    ``moa_visible_only``, do agents out of sight.

    Args:
        outputs: what the network made of the minibatch, ``convolved`` included.
        batch: the minibatch, with ``others``.
        config: whether only visible agents count.

    Returns:
        loss float32 ``[A]``; moa_loss, moa_correct and moa_predictions (weights of right and of all
        predictions, so that ratios to the last are the mean error of a prediction and the
        accuracy), float32 ``[A]``.

    Raises:
        ValueError: something needed is missing.
    """
    model = outputs.model
    moa = model_of_others(model)
    others = batch.others
    if outputs.convolved is None or others is None:
        raise ValueError("moa: the minibatch was made without a model of other agents")
    following = others.next_taken
    agents, length, sequences = batch.action.shape
    slots = model.own_slots
    x = moa.inputs(outputs.convolved, others.taken.flatten(1, 2), slots)
    h, _ = moa.remember(x.view(agents, length, sequences, -1), others.state, batch.reset)
    logits = moa.logits(h)
    error = F.cross_entropy(
        logits.flatten(0, 3), following.flatten(), ignore_index=-1, reduction="none"
    ).view(following.shape)
    counts = following >= 0
    for agent, slot in enumerate(slots):
        counts[agent, ..., slot] = False
    if config.moa_visible_only:
        counts &= others.visible.bool()
    weight = batch.weight.unsqueeze(-1) * counts / max(1, moa.world - 1)
    loss = (error * weight).flatten(1).sum(1)
    right = (logits.detach().argmax(-1) == following) * weight
    return loss, {
        "moa_loss": loss.detach(),
        "moa_correct": right.flatten(1).sum(1),
        "moa_predictions": weight.flatten(1).sum(1),
    }
