"""What agents hear besides what they see: integer tokens that enter the memory one-hot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Before:
    """The step before, as far as agents may hear of it.

    Attributes:
        num_envs: E.
        device: where tokens are wanted.
        actions: integers ``[E, N]``, everybody's last action, -1 for none; None: nobody knows.
        rewards: float32 ``[E, N]``, what everybody got for it; None: nobody knows.
        choices: integers ``[E, A]``, by name what each of the learner's further heads chose last,
            -1 for nothing.
    """

    num_envs: int
    device: torch.device
    actions: Tensor | None = None
    rewards: Tensor | None = None
    choices: Mapping[str, Tensor] = field(default_factory=dict)


class Channel(ABC):
    """Columns of tokens that every agent hears in every step; -1 says nothing.

    Attributes:
        columns: tokens of one agent in one step.
        symbols: values that a token may have.
        leaders: number of the learner's agents, the first ones, that act before the others; what
            they do in this very step is heard in these columns.
        compiled: what ``tokens`` comes to, so that compiled steps need not ask: "silence",
            "actions" (everybody's last ones; the own column is silent) or "choices" (what all
            agents of the learner, the own included, chose last of the decision ``name``); "":
            something else.
    """

    columns: int
    symbols: int
    leaders: int = 0
    compiled: ClassVar[str] = ""

    @abstractmethod
    def tokens(self, before: Before) -> Tensor:
        """int16 ``[A, E, columns]`` before a step, leaders still silent."""


class Hearing:
    """All channels of a network, side by side.

    Attributes:
        slots: the learner's agents among all agents of the world.
        columns: K, tokens of one agent in one step.
        width: X, numbers in their one-hot code.
        leaders: number of agents that act before the others.
    """

    def __init__(self, channels: Sequence[Channel] = (), slots: Sequence[int] = ()) -> None:
        self.slots, self.channels = tuple(slots), tuple(channels)
        self.columns = sum(channel.columns for channel in self.channels)
        self.width = sum(channel.columns * channel.symbols for channel in self.channels)
        self.leaders = max((channel.leaders for channel in self.channels), default=0)

    def tokens(self, before: Before) -> Tensor:
        """Tokens ``[A, E, K]`` before a step, leaders still silent.

        Raises:
            ValueError: something that a channel tells of is not known.
        """
        return torch.cat([channel.tokens(before) for channel in self.channels], -1)

    def compiled(self, further: Sequence[str]) -> list[tuple[int, int, int]] | None:
        """How compiled steps hear the same; nothing where only ``tokens`` knows.

        Args:
            further: names of what is decided besides actions.

        Returns:
            of each channel what it tells of (0 nothing, 1 actions, 2 choices), of which further
            decision, and in how many columns.
        """
        found = []
        for channel in self.channels:
            # What a class says of its tokens does not hold for who makes others.
            if "tokens" in vars(channel):
                return None
            kinds = [vars(one) for one in type(channel).__mro__ if "tokens" in vars(one)]
            kind = kinds[0].get("compiled", "")
            if kind not in ("silence", "actions", "choices"):
                return None
            which = 0
            if kind == "choices":
                name = getattr(channel, "name", None)
                if name not in further:
                    return None
                which = further.index(name)
            number = ("silence", "actions", "choices").index(kind)
            found.append((number, which, channel.columns))
        return found

    def tell(self, tokens: Tensor, action: Tensor) -> Tensor:
        """Tokens ``[A, E, K]`` in which all others know what leaders do now.

        Args:
            tokens: ``[A, E, K]``.
            action: int64 ``[A, E]``.
        """
        told = tokens.clone()
        for channel in self.channels:
            if channel.leaders:
                first = self.column(channel)
                led = action[: channel.leaders].t().to(torch.int16)
                told[channel.leaders :, :, first : first + channel.columns] = led
        return told

    def one_hot(self, tokens: Tensor, dtype: torch.dtype) -> Tensor:
        """Code ``[..., X]`` of tokens ``[..., K]``; a silent column is all zero."""
        parts, first = [], 0
        for channel in self.channels:
            columns = tokens[..., first : first + channel.columns]
            parts.append(one_hot_actions(columns, channel.symbols, dtype))
            first += channel.columns
        return torch.cat(parts, -1)

    def codes(self, tokens: Tensor) -> Tensor:
        """Places of ones in ``one_hot``, int32 ``[..., K]``; -1 of a silent column."""
        widths = [one.symbols for one in self.channels for _ in range(one.columns)]
        first = torch.tensor([0, *widths[:-1]], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return (tokens.int() + first).masked_fill_(tokens < 0, -1)

    def column(self, channel: Channel) -> int:
        """Number of the first column of a channel."""
        before = self.channels[: self.channels.index(channel)]
        return sum(other.columns for other in before)

    def code(self, channel: Channel, column: int) -> slice:
        """Where in the one-hot code a column of a channel lies."""
        before = self.channels[: self.channels.index(channel)]
        first = sum(other.columns * other.symbols for other in before) + column * channel.symbols
        return slice(first, first + channel.symbols)


def silenced(tokens: Tensor, column: int) -> Tensor:
    """Tokens with one column silent."""
    quiet = tokens.clone()
    quiet[..., column] = -1
    return quiet


def one_hot_actions(actions: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Code ``[..., K * count]`` of actions ``[..., K]``; -1 is all zero."""
    code = F.one_hot(actions.long() + 1, count + 1)[..., 1:]
    return code.flatten(-2).to(dtype)
