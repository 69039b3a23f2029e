"""Parameters of networks by name, found without walking through all modules every time; hooks."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

# What a module holds by name, and names and what they named when its parameters were found.
_Table = tuple[Mapping[str, Any], list[str], list[Any]]
_Found = tuple[list[_Table], list[tuple[str, nn.Parameter]]]
_FOUND: WeakKeyDictionary[nn.Module, _Found] = WeakKeyDictionary()


def named_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """``module.named_parameters()``, kept until a module or a parameter in it is replaced."""
    tables, named = _FOUND.get(module, ([], []))
    if tables and all(_as_it_was(*table) for table in tables):
        return named
    both = [x for one in module.modules() for x in (one._modules, one._parameters)]
    named = [*module.named_parameters()]
    _FOUND[module] = [(table, [*table], [*table.values()]) for table in both], named
    return named


def _as_it_was(table: Mapping[str, Any], names: list[str], held: list[Any]) -> bool:
    return [*table] == names and all(map(operator.is_, table.values(), held))


def heard(module: nn.Module) -> bool:
    """Whether a hook listens to a module, or to one in it, which compiled kernels would pass by."""
    return any(
        one._forward_hooks
        or one._forward_pre_hooks
        or one._backward_hooks
        or one._backward_pre_hooks
        for one in module.modules()
    )
