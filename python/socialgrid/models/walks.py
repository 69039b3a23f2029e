"""Parameters of networks by name, found without walking through all modules every time; hooks."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from torch.nn.modules.module import _has_any_global_hook

# What a module holds by name, and names and what they named when its parameters were found.
_Table = tuple[Mapping[str, Any], list[str], list[Any]]
_Found = tuple[list[_Table], list[tuple[str, nn.Parameter]]]
_FOUND: WeakKeyDictionary[nn.Module, _Found] = WeakKeyDictionary()

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


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
    """Whether somebody listens to a module, to one in it or to a parameter's gradient, or has put
    another ``forward`` there: compiled kernels, and what accelerators repeat, would pass that by.
    """
    every = [vars(one) for one in module.modules()]
    own = [p for one in every for p in one["_parameters"].values() if p is not None]
    return (
        _has_any_global_hook()  # type: ignore[no-untyped-call]
        or any(one[hooks] for hooks in _HOOKS for one in every)
        or any("forward" in one for one in every)
        or any(p._backward_hooks for p in own)
    )
