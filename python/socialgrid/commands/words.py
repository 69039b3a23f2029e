"""What the commands have in common in reading their words."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from socialgrid.config.errors import UsageError
from socialgrid.config.spelling import read_pairs, seeds_in

_TRAIN_MODULES = ("torch", "tyro", "rich", "tensorboard", "safetensors")


def need_extras() -> None:
    """Refuse to go on without the packages of the extra that commands need.

    Raises:
        UsageError: some are missing.
    """
    missing = [name for name in _TRAIN_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f'{", ".join(missing)} missing; pip install "socialgrid[train]" brings what is needed'
        )


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Positional words in front, and the options after them."""
    count = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:count]), list(words[count:])


def take_pairs(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take ``--set key=value ...`` out of a command line."""
    rest: list[str] = []
    pairs: list[str] = []
    taking = False
    for word in words:
        if word.startswith("-"):
            taking = word == "--set" or word.startswith("--set=")
            if taking:
                pairs += [word.removeprefix("--set=")] if "=" in word else []
                continue
        (pairs if taking else rest).append(word)
    return rest, dict(read_pairs(pairs, "set"))


def join_lists(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Split the values of list options at commas, and write ranges of seeds out."""

    def split(value: str) -> list[str]:
        parts = [part for part in map(str.strip, value.split(",")) if part]
        if current != "--seeds":
            return parts
        return [str(seed) for part in parts for seed in seeds_in(part) or [part]]

    out: list[str] = []
    current = ""
    for word in words:
        if word.startswith("--"):
            current, equals, value = word.partition("=")
            out.append(current if current[2:] in names and equals else word)
            if current[2:] in names and equals:
                out += split(value)
        elif current[2:] in names:
            out += split(word)
        else:
            out.append(word)
    return out


def take_imports(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--import NAME`` out of a command line: modules from outside the package.

    Raises:
        UsageError: no name follows.
    """
    rest: list[str] = []
    names: list[str] = []
    wanted = False
    for word in words:
        option, equals, value = word.partition("=")
        if wanted and not word.startswith("-"):
            names.append(word)
            wanted = False
        elif option == "--import" and not wanted:
            names += [value] if equals else []
            wanted = not equals
        else:
            rest.append(word)
    if wanted or "" in names:
        raise UsageError("--import: which module? --import MODULE")
    return rest, names
