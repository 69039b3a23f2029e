"""Samples of a rollout with the agent first, a block at a time: what influence is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from socialgrid.data.sequences import agent_columns
from socialgrid.models.acting import known
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.counterfactuals import Asked, Counterfactual, exert, usable
from socialgrid.models.hearing import Channel, Hearing, silenced
from socialgrid.models.recall import Recall
from socialgrid.social.influence.divergence import Divergence

_BLOCK = 1024


class Chosen(NamedTuple):
    """A token that one agent chooses and another one hears.

    Attributes:
        listener: who hears it.
        column: number of the token.
        first: where the code of its first value lies in the one-hot code of tokens.
    """

    listener: int
    column: int
    first: int

    @classmethod
    def of(cls, hearing: Hearing, channel: Channel, column: int, listener: int) -> Chosen:
        """A column of a channel."""
        first = hearing.code(channel, column).start
        return cls(listener, hearing.column(channel) + column, first)


@dataclass
class Block:
    """``M`` consecutive samples (of ``T * E``) of all agents before a step.

    Attributes:
        rows: where the samples lie in ``[T * E]``.
        features: ``[A, M, F]`` of what was seen.
        views: prepared, ``[A, M, ...]``, what the features were made of.
        state: float32 ``[A, M, S]``, resets applied.
        reset: bool ``[A, M]``.
        tokens: int16 ``[A, M, K]``, what was heard.
    """

    rows: slice
    features: Tensor
    views: Tensor
    state: Tensor
    reset: Tensor
    tokens: Tensor

    def convolved(self, model: ActorCritic) -> Tensor:
        """The convolutions' output ``[A, M, ...]``."""
        return model.encoder.convolved(self.views, model.dtype)

    def core(self, model: ActorCritic) -> Tensor:
        """Memory output ``[A, M, memory]`` of this step."""
        none = torch.zeros_like(self.reset)
        return model.advance(self.features, self.state, none, self.tokens)[0]

    def alternatives(self, model: ActorCritic, column: int, columns: slice) -> Tensor:
        """Policy logits ``[A, M, C, n]`` had one token been each of its ``C`` values.

        Args:
            model: the network.
            column: number of the token.
            columns: where its values lie in the one-hot code of tokens.
        """
        heard = model.hear(self.features, silenced(self.tokens, column))
        first = self.features.shape[-1]
        memory = model.config.memory
        core = model.lstm.alternatives(
            heard,
            self.state[..., :memory],
            self.state[..., memory : 2 * memory],
            slice(first + columns.start, first + columns.stop),
        )
        return model.logits(core.flatten(1, 2)).view(*core.shape[:3], -1)

    def answers(self, model: ActorCritic) -> bool:
        """Whether ``exert`` knows a way."""
        return known(model) and usable(model.lstm, model.policy_head, self.features, self.state)

    def exert(self, model: ActorCritic, asked: Mapping[Chosen, Asked], kind: Divergence) -> None:
        """Influence of tokens that might have been others, by compiled kernels.

        Args:
            model: the network.
            asked: by what is chosen and who hears it.
            kind: of divergence.

        Raises:
            IndexError: there is no such token, choice or action.
        """
        head, state, memory = model.policy_head, self.state, model.config.memory
        hearing, every = model.hearing, []
        listeners = sorted({one.listener for one in asked})
        agents = agent_columns(listeners)
        gates, codes = model.lstm.without_codes(
            self.features[agents], state[agents, :, :memory], agents
        )
        read = hearing.codes(self.tokens[agents])
        for one, question in asked.items():
            row = listeners.index(one.listener)
            others = read[row].clone()
            others[:, one.column] = -1
            c = state[one.listener, :, memory : 2 * memory]
            choices = slice(one.first, one.first + question.weights.shape[1])
            given = gates[row], codes[row], choices, others, c
            every.append(Counterfactual(one.listener, *given, [question]))
        mask = model.action_mask[:, 0] if model.has_masked_actions else None
        exert(every, head, mask, kind)


def before_steps(model: ActorCritic, batch: Recall) -> Iterator[Block]:
    """All samples before steps 0 to T - 1."""
    yield from _blocks(model, batch.views[:-1], batch.state, batch.reset[:-1], batch.tokens)


def after_steps(model: ActorCritic, batch: Recall) -> Iterator[Block]:
    """All samples after steps 0 to T - 1: what is seen and heard next.

    Where an episode ended these are of the next one; whoever uses them leaves them out.
    """
    last = batch.last_state(model)[None]
    state = torch.cat((batch.state[1:], last))
    tokens = torch.cat((batch.tokens[1:], batch.last_tokens[None]))
    yield from _blocks(model, batch.views[1:], state, batch.reset[1:], tokens)


def _blocks(
    model: ActorCritic, views: Tensor, state: Tensor, reset: Tensor, tokens: Tensor
) -> Iterator[Block]:
    def agents_first(x: Tensor) -> Tensor:
        return x.flatten(0, 1).transpose(0, 1)

    views, state, reset, tokens = (agents_first(x) for x in (views, state, reset, tokens))
    state = state.masked_fill(reset.unsqueeze(-1), 0.0)
    for first in range(0, views.shape[1], _BLOCK):
        rows = slice(first, min(first + _BLOCK, views.shape[1]))
        features = model.encode(views[:, rows])
        yield Block(rows, features, views[:, rows], state[:, rows], reset[:, rows], tokens[:, rows])
