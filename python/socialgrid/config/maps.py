"""Maps of one's own in configurations: from text files, in place of a preset's world."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import socialgrid
from socialgrid.config.errors import UsageError, told
from socialgrid.config.run_files import file_meant, read_preset, user_path

_SUFFIX = ".txt"


@cache
def said_by_maps() -> frozenset[str]:
    """Options of games that have no meaning together with a map."""
    return frozenset(
        option.name
        for game in socialgrid.list_games()
        for option in socialgrid.game_options(game)
        if option.layout
    )


def without_world(base: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stays of a game's options where others come over them.

    A map replaces the world that earlier options lay out: what it says by itself goes.
    """
    if over.get("map") is None:
        return base
    return {name: value for name, value in base.items() if name not in said_by_maps()}


def beside_map(base: Mapping[str, Any], over: Mapping[str, Any]) -> list[str]:
    """Which later options of a game mean nothing, because earlier ones bring a map."""
    if base.get("map") is None or over.get("map") is not None:
        return []
    return [name for name in over if name in said_by_maps()]


def with_game_options(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a game and those that replace them, as ``without_world`` says."""
    return {**without_world(base, over), **over}


def map_rows(name: str, folder: Path = Path()) -> list[str]:
    """The rows of a map in a text file, one a line.

    Args:
        name: of the file.
        folder: where it is looked for.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    path = folder / user_path(name)
    try:
        return read_preset(path).removeprefix("\ufeff").rstrip("\r\n").splitlines()
    except OSError as error:
        raise UsageError(f"map: {told(error, path)}{file_meant(path)}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"map: {path}: {error}") from None


def check_map(options: Mapping[str, Any], where: str) -> None:
    """Refuse a text where the rows of a map belong: it names no file.

    Args:
        options: of a game, after ``with_map_rows``.
        where: name of the option, for the message.

    Raises:
        UsageError: the map is one.
    """
    value = options.get("map")
    if isinstance(value, str):
        raise UsageError(
            f"{where}: {value!r} is no file that is there, nor a list of rows"
            + file_meant(user_path(value))
        )


def with_map_rows(options: Mapping[str, Any], folder: Path = Path()) -> dict[str, Any]:
    """The same tables at every depth, files of maps replaced by what they hold.

    A text is the name of a file that is there, or ends in ``.txt``; any other stays, for options
    of Gymnasium's environments.

    Raises:
        UsageError: as for ``map_rows``.
    """

    def read(name: str, value: Any) -> Any:
        if name == "map" and isinstance(value, str):
            there = value.endswith(_SUFFIX) or os.path.isfile(folder / user_path(value))
            return map_rows(value, folder) if there else value
        return with_map_rows(value, folder) if isinstance(value, Mapping) else value

    return {name: read(name, value) for name, value in options.items()}
