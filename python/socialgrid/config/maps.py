"""Maps of one's own in configurations: from text files, in place of a preset's world."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from socialgrid.config.errors import UsageError, told
from socialgrid.config.run_files import read_preset, user_path

SUFFIX = ".txt"
SAID_BY_MAPS = frozenset(
    {"grid_size", "num_clutter", "clutter_density", "num_goals", "randomize_goal"}
)
"""Options of games that have no meaning together with a map."""


def without_world(base: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stays of a game's options where others come over them.

    A map replaces the world that earlier options lay out: what it says by itself goes.
    """
    if over.get("map") is None:
        return base
    return {name: value for name, value in base.items() if name not in SAID_BY_MAPS}


def with_game_options(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a game and those that replace them, as ``without_world`` says."""
    return {**without_world(base, over), **over}


def map_rows(name: str, folder: Path = Path()) -> list[str]:
    """The rows of a map in a text file, one a line.

    Args:
        name: of the file, ending in ``.txt``.
        folder: where it is looked for.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    path = folder / user_path(name)
    try:
        return read_preset(path).removeprefix("\ufeff").rstrip("\r\n").splitlines()
    except OSError as error:
        raise UsageError(f"map: {told(error, path)}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"map: {path}: {error}") from None


def with_map_rows(options: Mapping[str, Any], folder: Path = Path()) -> dict[str, Any]:
    """The same tables at every depth, files of maps replaced by what they hold.

    Raises:
        UsageError: as for ``map_rows``.
    """

    def read(name: str, value: Any) -> Any:
        if name == "map" and isinstance(value, str) and value.endswith(SUFFIX):
            return map_rows(value, folder)
        return with_map_rows(value, folder) if isinstance(value, Mapping) else value

    return {name: read(name, value) for name, value in options.items()}
