"""What agents hear besides what they see: integer tokens that enter the memory one-hot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.models.spec import ViewSpec

if TYPE_CHECKING:
    from socialgrid.social.options import SocialConfig


@dataclass(frozen=True)
class Channels:
    """The columns of tokens of one step, int16 ``[..., K]``; -1 says nothing.

    In this order: the last action of every agent of the world (visible actions; an agent's own
    column is silent), the action that each influencer takes in this very step (silent for the
    influencers themselves), and the last message of every agent of the learner, the own included.

    Attributes:
        slots: the learner's agents among all agents of the world.
        world: number of agents in the world if their last actions are visible, otherwise 0.
        influencers: number of the learner's agents, the first ones, that act before the others.
        speakers: number of the learner's agents if they send messages, otherwise 0.
        actions: number of actions.
        vocabulary: number of symbols.
    """

    slots: tuple[int, ...] = ()
    world: int = 0
    influencers: int = 0
    speakers: int = 0
    actions: int = 0
    vocabulary: int = 0

    @classmethod
    def of(cls, config: SocialConfig, spec: ViewSpec) -> Channels:
        """The channels that social mechanisms ask for.

        Raises:
            ValueError: there are not more agents than influencers, or nobody to talk to or to
                model.
        """
        agents = spec.num_agents
        if "moa" in config.mechanisms and spec.world_agents < 2:
            raise ValueError("moa: there is no other agent in the world to model")
        influencers = config.num_influencers if "influence" in config.mechanisms else 0
        if influencers >= agents and influencers:
            raise ValueError(
                f"num_influencers {influencers}: the learner has {agents} agents, and at least "
                "one must be left to be influenced"
            )
        talking = "comm" in config.mechanisms
        if talking and agents < 2:
            raise ValueError("comm: messages need at least two learning agents")
        return cls(
            slots=spec.slots,
            world=spec.world_agents if "visible-actions" in config.mechanisms else 0,
            influencers=influencers,
            speakers=agents if talking else 0,
            actions=max(spec.world_action_counts),
            vocabulary=config.vocabulary if talking else 0,
        )

    @property
    def columns(self) -> int:
        """K: tokens of one agent in one step."""
        return self.world + self.influencers + self.speakers

    @property
    def width(self) -> int:
        """X: numbers in the one-hot code of an agent's tokens."""
        return (self.world + self.influencers) * self.actions + self.speakers * self.vocabulary

    @property
    def message_size(self) -> int:
        """Numbers that an agent's memory carries for its last message."""
        return 1 if self.speakers else 0

    def tokens(self, last_actions: Tensor | None, messages: Tensor | None) -> Tensor:
        """Tokens before a step, influencers still silent.

        Args:
            last_actions: integers ``[E, N]``, or ``[A, E, N]`` where each agent hears others;
                -1 for none; needed for visible actions.
            messages: integers ``[E, A]``, -1 for none; needed where agents talk.

        Returns:
            int16 ``[A, E, K]``.

        Raises:
            ValueError: something needed is missing.
        """
        agents, parts = len(self.slots), []
        if self.world:
            if last_actions is None:
                raise ValueError("visible-actions: act() needs last_actions [E, N]")
            seen = last_actions.to(torch.int16).expand(agents, -1, -1).clone()
            for row, slot in enumerate(self.slots):
                seen[row, :, slot] = -1
            parts.append(seen)
        lead = last_actions if messages is None else messages
        if self.influencers and lead is None:
            raise ValueError("influence: act() needs last_actions [E, N]")
        if self.influencers and lead is not None:
            shape = (agents, lead.shape[-2], self.influencers)
            parts.append(torch.full(shape, -1, dtype=torch.int16, device=lead.device))
        if self.speakers:
            if messages is None:
                raise ValueError("comm: the messages [E, A] of the step before are missing")
            parts.append(messages.to(torch.int16).expand(agents, -1, -1))
        return torch.cat(parts, -1)

    def tell(self, tokens: Tensor, action: Tensor) -> Tensor:
        """Tokens ``[A, E, K]`` in which the influenced know what influencers do now.

        Args:
            tokens: ``[A, E, K]``.
            action: int64 ``[A, E]``.
        """
        told = tokens.clone()
        columns = slice(self.world, self.world + self.influencers)
        told[self.influencers :, :, columns] = action[: self.influencers].t().to(torch.int16)
        return told

    def one_hot(self, tokens: Tensor, dtype: torch.dtype) -> Tensor:
        """Code ``[..., X]`` of tokens ``[..., K]``; a silent column is all zero."""
        acting, parts = self.world + self.influencers, []
        for columns, size in (
            (tokens[..., :acting], self.actions),
            (tokens[..., acting:], self.vocabulary),
        ):
            if columns.shape[-1]:
                parts.append(one_hot_actions(columns, size, dtype))
        return torch.cat(parts, -1)

    def action_columns(self, influencer: int) -> slice:
        """Where in the one-hot code the present action of an influencer lies."""
        first = (self.world + influencer) * self.actions
        return slice(first, first + self.actions)

    def message_columns(self, speaker: int) -> slice:
        """Where in the one-hot code the last message of an agent of the learner lies."""
        first = (self.world + self.influencers) * self.actions + speaker * self.vocabulary
        return slice(first, first + self.vocabulary)

    def silenced(self, tokens: Tensor, column: int) -> Tensor:
        """Tokens with one column silent."""
        quiet = tokens.clone()
        quiet[..., column] = -1
        return quiet

    def message_column(self, speaker: int) -> int:
        """Number of the column of an agent's last message."""
        return self.world + self.influencers + speaker


def one_hot_actions(actions: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Code ``[..., K * count]`` of actions ``[..., K]``; -1 is all zero."""
    code = F.one_hot(actions.long() + 1, count + 1)[..., 1:]
    return code.flatten(-2).to(dtype)
