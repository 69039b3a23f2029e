"""The games there are and the options each of them takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from socialgrid import _core


@dataclass(frozen=True)
class Option:
    """One configuration key of a game; printed, it says all of this in two lines.

    Attributes:
        name: the key, as given to :func:`socialgrid.make_vec`.
        type: ``"bool"``, ``"int"``, ``"float"`` or ``"str"``.
        shape: ``"single"``; ``"per_agent"`` (one for all, or a list with one per agent);
            ``"list"``; ``"list_per_agent"`` (a list for all, or one list per agent); ``"size"``
            (an integer or ``[rows, columns]``).
        default: the value when the key is absent; None when the option is then off.
        low: smallest number allowed, None where there is no such bound.
        high: largest number allowed.
        choices: texts allowed; empty where any text is.
        help: one line on what it does.
        layout: a ``map`` says by itself what it is: together with one it has no meaning.
    """

    name: str
    type: str
    shape: str
    default: Any
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    help: str
    layout: bool

    def __str__(self) -> str:
        return self.described(self.default)

    def described(self, value: Any) -> str:
        """Name, type, what is allowed and, in a second line, what it does.

        Args:
            value: what is called its default.
        """
        kind = self.type if self.shape == "single" else f"{self.type}, {self.shape}"
        bounds = [f"{x:g}" if x is not None else "" for x in (self.low, self.high)]
        allowed = ", ".join(self.choices) or (" to ".join(bounds) if any(bounds) else "")
        text = "off" if value is None else str(value)
        text = text if len(text) <= 60 else f"{text[:50]}..."
        return (
            f"{self.name} ({kind.replace('_', ' ')})"
            + (f": {allowed}" if allowed else "")
            + f"\n    {self.help} (default: {text})"
        )


def list_games() -> list[str]:
    """Names of all games, for example ``"GoalCycle-v0"``."""
    return _core.list_games()


def game_options(game: str) -> list[Option]:
    """Every option of a game.

    Raises:
        ConfigError: there is no such game; the message names the nearest.
    """
    return [
        Option(**{**item, "choices": tuple(item["choices"])}) for item in _core.game_options(game)
    ]
