"""Parameters of networks by name, found without walking through all modules every time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

# What a module holds by name, and what it held when its parameters were found.
_Table = tuple[Mapping[str, Any], tuple[tuple[str, Any], ...]]
_Found = tuple[list[_Table], list[tuple[str, nn.Parameter]]]
_FOUND: WeakKeyDictionary[nn.Module, _Found] = WeakKeyDictionary()


def named_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """``module.named_parameters()``, kept until a module or a parameter in it is replaced."""
    tables, named = _FOUND.get(module, ([], []))
    if tables and all(_as_it_was(*table) for table in tables):
        return named
    both = [x for one in module.modules() for x in (one._modules, one._parameters)]
    named = [*module.named_parameters()]
    _FOUND[module] = [(table, tuple(table.items())) for table in both], named
    return named


def _as_it_was(table: Mapping[str, Any], items: tuple[tuple[str, Any], ...]) -> bool:
    return len(table) == len(items) and all(table.get(name) is x for name, x in items)
