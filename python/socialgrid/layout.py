"""A readable description of one environment's state."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from socialgrid._core import LayoutError

T = TypeVar("T")
LARGEST = 2**31 - 1
LARGEST_SIDE = 255  # rows or columns of a grid
LONGEST = 300  # characters of a text: a row of cells, or the description of a thing


@dataclass
class Layout:
    """What is where in one environment: for reading, writing and drawing up situations.

    Attributes:
        cells: one string a row, one character a cell. MiniGrid-style games: ``.`` empty, ``#``
            wall, ``0``-``9`` cycle tiles by index, ``G`` goal, ``L`` lava, ``D`` door, ``K`` key,
            ``O`` ball, ``B`` box. Social dilemmas, what is there now: space ground, ``@`` wall,
            ``A`` apple, ``H`` waste, ``R`` river, ``S`` stream; in Switch ``D`` closed and ``O``
            open door, ``s`` switch off, ``S`` on; in BoxTrapped ``#`` box. There a cell can only
            hold what the game's map lets it hold; beams belong to a step, not to a layout. Room
            and Hallway: ``.`` empty, ``G`` the one goal, at a wall.
        agent_pos: (row, col) of each agent, row 0 on top; (-1, -1) while it waits to enter play.
        agent_dir: 0 right, 1 down, 2 left, 3 up; always 0 in Room and Hallway.
        agent_active: whether each agent is in play; None: all are.
        agent_carrying: for example ``"yellow key"`` or None for each agent; None: nobody carries.
        agent_prestige: at least 0 for each agent; None: all 0.
        agent_last_tile: index of the last rewarded cycle tile or None for each agent.
        step: steps since the episode began.
        details: colour and state of doors, keys, balls and boxes by (row, col), for example
            ``"red locked door"``, ``"blue key"``; a ``D`` without details is a yellow locked door,
            other things are yellow.
        agent_fields: what else the game's agents have (:attr:`socialgrid.VecEnv.agent_fields`), by
            name, a value for each agent; what is absent is as when an episode begins.

    The social dilemmas and the rooms have nothing to carry, no prestige, no last tile and no
    details.
    """

    cells: Sequence[str]
    agent_pos: Sequence[tuple[int, int]]
    agent_dir: Sequence[int]
    agent_active: Sequence[bool] | None = None
    agent_carrying: Sequence[str | None] | None = None
    agent_prestige: Sequence[float] | None = None
    agent_last_tile: Sequence[int | None] | None = None
    step: int = 0
    details: Mapping[tuple[int, int], str] | None = None
    agent_fields: Mapping[str, Sequence[Any]] | None = None

    def __str__(self) -> str:
        """The map with agents drawn as arrows."""
        rows = [list(row) for row in self.cells]
        for index, (row, col) in enumerate(self.agent_pos):
            if self.agent_active is None or self.agent_active[index]:
                rows[row][col] = ">v<^"[self.agent_dir[index]]
        return "\n".join("".join(row) for row in rows)


def layout_of(written: dict[str, Any]) -> Layout:
    """The layout that the core wrote."""
    fields: dict[str, list[Any]] = written.pop("agent_fields")
    agents = len(written["agent_pos"])
    shared: dict[str, Any] = {
        f"agent_{name}": fields.pop(name, [field.absent] * agents)
        for name, field in SHARED_FIELDS.items()
    }
    return Layout(**written, **shared, agent_fields=fields or None)


def checked(layout: Layout, num_agents: int) -> dict[str, Any]:
    """A layout's fields as the core takes them: plain ints, bools, floats and texts in lists.

    Args:
        layout: as the user gave it; its fields may be arrays and hold numpy's scalars.
        num_agents: A; fields of agents must have that many entries.

    Raises:
        LayoutError: a field of the wrong type or length; names the entry. Nothing is rounded.
    """

    def per_agent(name: str, convert: Callable[[Any, str], T]) -> list[T]:
        return _entries(getattr(layout, name), name, num_agents, convert)

    def optional(name: str, convert: Callable[[Any, str], T]) -> list[T]:
        return [] if getattr(layout, name) is None else per_agent(name, convert)

    details = {} if layout.details is None else layout.details
    if not isinstance(details, Mapping):
        raise LayoutError(
            f"details must be a mapping from (row, col) to text, not {_kind(details)}"
        )
    fields = {} if layout.agent_fields is None else layout.agent_fields
    if not isinstance(fields, Mapping):
        raise LayoutError(
            f"agent_fields must be a mapping from names to sequences, not {_kind(fields)}"
        )
    own = {
        _field_name(name): _entries(values, f"agent_fields[{name!r}]", num_agents, _value)
        for name, values in fields.items()
    }
    shared = {
        name: optional(f"agent_{name}", field.convert) for name, field in SHARED_FIELDS.items()
    }
    return {
        "cells": _entries(layout.cells, "cells", None, _text),
        "agent_pos": per_agent("agent_pos", _position),
        "agent_dir": per_agent("agent_dir", _integer),
        "agent_active": optional("agent_active", _flag),
        "agent_fields": own | shared,
        "step": _integer(layout.step, "step"),
        "details": {
            _position(where, "details: a place"): _text(text, f"details[{where!r}]")
            for where, text in details.items()
        },
    }


def _kind(value: object) -> str:
    return type(value).__name__


def _entries(
    values: Any, name: str, count: int | None, convert: Callable[[Any, str], T]
) -> list[T]:
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__getitem__"):
        raise LayoutError(f"{name} must be a sequence, not {_kind(values)}")
    try:
        length = len(values)
    except (TypeError, OverflowError):
        raise LayoutError(f"{name} must be a sequence of few entries") from None
    if count is not None and length != count:
        raise LayoutError(f"{name} has {length} entries for {count} agents")
    if length > LARGEST_SIDE:
        raise LayoutError(f"{name} has {length} entries; a grid has at most {LARGEST_SIDE} rows")
    return [convert(values[i], f"{name}[{i}]") for i in range(length)]


def _integer(value: Any, where: str) -> int:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise LayoutError(f"{where} must be an integer, not {_shown(value)}") from None
    if not -LARGEST <= number <= LARGEST:
        raise LayoutError(f"{where} is out of range")
    return number


def _integer_or_none(value: Any, where: str) -> int | None:
    return None if value is None else _integer(value, where)


def _position(value: Any, where: str) -> tuple[int, int]:
    row, col = _entries(value, where, 2, _integer)
    return row, col


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise LayoutError(f"{where} must be True or False, not {_shown(value)}")
    return bool(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise LayoutError(f"{where} must be a number, not {_shown(value)}")
    if isinstance(value, np.complexfloating):
        raise LayoutError(f"{where} must be a number, not {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise LayoutError(f"{where} is out of range") from None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise LayoutError(f"{where} must be a text, not {_shown(value)}")
    if len(value) > LONGEST:
        raise LayoutError(f"{where} has {len(value)} characters; allowed: {LONGEST} at most")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LayoutError(f"{where} has half a character: {value!a}") from None
    return str(value)


def _text_or_none(value: Any, where: str) -> str | None:
    return None if value is None else _text(value, where)


def _field_name(name: Any) -> str:
    text = _text(name, "agent_fields: a name")
    if text in SHARED_FIELDS:
        raise LayoutError(f"agent_fields has {text!r}, which a layout has as agent_{text}")
    return text


def _value(value: Any, where: str) -> int | float | str | None:
    if value is None or isinstance(value, str):
        return _text_or_none(value, where)
    if isinstance(value, float | np.floating):
        return _number(value, where)
    return _integer(value, where)


@dataclass(frozen=True)
class SharedField:
    """What agents of the MiniGrid-style games have; layouts and arrays of all games have it.

    Attributes:
        convert: an entry of a layout, checked.
        absent: the entry where a game's agents do not have it.
        empty: the same in an array.
    """

    convert: Callable[[Any, str], Any]
    absent: Any
    empty: np.generic


SHARED_FIELDS = {
    "carrying": SharedField(_text_or_none, None, np.uint8(0)),
    "prestige": SharedField(_number, 0.0, np.float64(0)),
    "last_tile": SharedField(_integer_or_none, None, np.int32(-1)),
}


def _shown(value: object) -> str:
    """A value for a message; of what has a long or no text, the type."""
    if isinstance(value, bool | float | str | np.generic) and len(text := ascii(value)) <= LONGEST:
        return text
    return _kind(value)
