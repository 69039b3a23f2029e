"""How values are spelt on a command line: numbers, lists, tables, and which words are whose."""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from socialgrid.config.errors import UsageError
from socialgrid.config.maps import with_map_rows

_POWER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d{1,3}")
_SEEDS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_MOST_SEEDS = 999
_MOST_DIGITS = 30  # of a whole number written as a power of ten


def whole_number(text: str) -> str:
    """``1e6`` as ``1000000``; anything else as it is."""
    if not _POWER.fullmatch(text):
        return text
    number = Decimal(text)
    if number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        return text
    return str(int(number))


def with_whole_numbers(words: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """Write powers of ten out behind options that take whole numbers."""
    wanted = {f"--{n.replace('_', '-')}" for n, kind in kinds.items() if _takes_whole(kind)}
    out: list[str] = []
    current = ""
    for word in words:
        if is_option(word):
            current, equals, value = word.partition("=")
            whole = current.replace("_", "-") in wanted and equals
            out.append(f"{current}={whole_number(value)}" if whole else word)
        else:
            out.append(whole_number(word) if current.replace("_", "-") in wanted else word)
    return out


def _takes_whole(kind: Any) -> bool:
    parts = typing.get_args(kind)
    return kind is int or (bool(parts) and float not in parts and any(map(_takes_whole, parts)))


def take(words: Sequence[str], option: str) -> tuple[list[str], list[str] | None]:
    """Take an option and its values out of a command line; the last one counts."""
    rest: list[str] = []
    values: list[str] | None = None
    taking = False
    for word in words:
        if is_option(word):
            name, equals, value = word.partition("=")
            taking = name == option
            if taking:
                values = [value] if equals else []
                continue
        if taking and values is not None:
            values.append(word)
        else:
            rest.append(word)
    return rest, values


def seeds_in(part: str) -> range | None:
    """The seeds that ``3`` or ``0-4`` means; ``None`` where it means none, or a thousand and more.

    >>> list(seeds_in("0-2"))
    [0, 1, 2]
    """
    match = _SEEDS.fullmatch(part)
    if match is None:
        return None
    first = int(match[1])
    found = range(first, int(match[2] or first) + 1)
    return found if 0 < len(found) <= _MOST_SEEDS else None


def take_phases(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take ``--phases.NAME.FIELD VALUE`` and ``--phases.NAME.SECTION.OPTION VALUE`` out.

    Returns:
        the other words, and the values by path.
    """
    rest: list[str] = []
    found: dict[str, Any] = {}
    waiting = ""
    for word in words:
        if waiting:
            found[waiting], waiting = _phase_value(waiting, word), ""
        elif word.startswith("--phases."):
            path, equals, value = word.removeprefix("--phases.").partition("=")
            path = path.replace("-", "_") if path.count(".") else path
            if equals:
                found[path] = _phase_value(path, value)
            else:
                waiting = path
        else:
            rest.append(word)
    if waiting:
        raise UsageError(f"--phases.{waiting}: its value is missing")
    return rest, found


def _phase_value(path: str, word: str) -> Any:
    if path.endswith(".options.map"):
        return _game_option("map", word)
    parts = [read_value(part) for part in word.split(",")] if word[:1] not in "[{" else []
    return read_value(word) if len(parts) < 2 else parts


def spelled_values(word: str, option: str | None, kind: Any) -> list[str]:
    """What tyro is given for a word behind an option of that type."""
    if word == "none" and typing.get_origin(kind) is tuple:
        return []
    if _is_list(kind):
        return [part for part in map(str.strip, word.split(",")) if part]
    return ["None" if word == "none" and _may_be_none(kind) else word]


def is_option(word: str) -> bool:
    """Whether a word names an option."""
    return word.startswith("--") and len(word) > 2


def _is_list(kind: Any) -> bool:
    kinds = (kind, *typing.get_args(kind))
    return any(typing.get_origin(one) is tuple for one in kinds)


def _may_be_none(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def read_pair(word: str, where: str) -> tuple[str, Any]:
    """``key=value`` as both; a file of ``map=FILE.txt`` as its rows.

    Raises:
        UsageError: a word without ``=``, or a map's file that cannot be read.
    """
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise UsageError(f"--{where}: {word!r} is not key=value, as in --{where} {word or 'key'}=1")
    return key, _game_option(key, text)


def _game_option(name: str, text: str) -> Any:
    return with_map_rows({name: read_value(text)})[name]


def read_value(text: str) -> Any:
    """A number, true/false, list or quoted text as TOML writes them; anything else is text."""
    try:
        return tomllib.loads(f"value = {whole_number(text)}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):  # int has a limit of digits
        return text


def read_pairs(words: Sequence[str], where: str) -> Mapping[str, Any]:
    """``["penalty=0.5", ...]`` as a dictionary.

    Raises:
        UsageError: a word without ``=``.
    """
    return dict(read_pair(word, where) for word in words)
