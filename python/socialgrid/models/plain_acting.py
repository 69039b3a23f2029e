"""Acting in plain PyTorch, on every device and in every type; ``acting`` has it compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from socialgrid.data.rollout import Decision, as_signed
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.heads import chosen_log_prob


class Places(Protocol):
    """Where what is decided goes; see ``acting.Step``."""

    decisions: dict[str, Decision]
    before: Tensor
    after: Tensor
    tokens: Tensor | None


@torch.no_grad()
def plainly(
    model: ActorCritic,
    obs: Tensor,
    state: Tensor,
    reset: Tensor,
    tokens: Tensor | None,
    uniform: Mapping[str, Tensor],
    to: Places,
    envs: slice,
) -> None:
    """Compute some environments of a step; see ``acting.Acting.begin`` for what is given."""
    views = model.prepare(as_signed(obs[envs]).transpose(0, 1))
    memory, zeroed = state[envs].transpose(0, 1), reset[envs].transpose(0, 1)
    features, leaders = model.encode(views), model.hearing.leaders
    heard = None if tokens is None or not model.hearing.columns else tokens[:, envs]
    led = None
    if heard is not None and leaders:
        core, _ = model.advance(features, memory, zeroed, heard)
        led = _choose(model.logits(core), uniform.get("action"), envs)
        heard = model.hearing.tell(heard, led)
    core, after = model.advance(features, memory, zeroed, heard)
    for place, (name, heads) in enumerate(model.heads.items()):
        logits = heads.logits(core)
        chosen = _choose(logits, uniform.get(name), envs)
        if name == "action" and led is not None:
            chosen[:leaders] = led[:leaders]
        if name != "action":
            after[..., 2 * model.config.memory + place - 1] = chosen + 1
        made = to.decisions[name]
        made.choice[envs] = chosen.t()
        made.log_prob[envs] = chosen_log_prob(logits, chosen).t()
        made.value[envs] = heads.value(core).t()
    to.before[envs] = state[envs].masked_fill(reset[envs].unsqueeze(-1), 0.0)
    to.after[envs] = after.transpose(0, 1)
    if heard is not None and to.tokens is not None:
        to.tokens[envs] = heard.transpose(0, 1)


def _choose(logits: Tensor, uniform: Tensor | None, envs: slice) -> Tensor:
    """Choices ``[A, E]``: drawn by ``uniform`` [A, all], or the most probable ones."""
    return logits.argmax(-1) if uniform is None else _invert(logits, uniform[:, envs])


def _invert(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample choices ``[A, E]`` by inverting the cumulative distribution at ``uniform``."""
    cumulative = logits.softmax(-1).cumsum(-1)
    # Scaling by the last entry keeps rounding from choosing one beyond the table.
    return (cumulative[..., :-1] <= uniform.unsqueeze(-1) * cumulative[..., -1:]).sum(-1)
