"""Code that lists of options name, found when it is needed: whoever reads the lists loads none."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import warnings
from typing import Any

_NEAR = 0.8  # share of letters that a mistyped method and the one that is meant have in common


def find_code(place: str) -> Any:
    """What ``package.module:name`` says."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def check_options(options: type) -> None:
    """Refuse options that a command line cannot set one by one.

    Raises:
        ValueError: they are no dataclass of their own, or one of them has no default.
    """
    if "__dataclass_fields__" not in vars(options):
        raise ValueError(f"{options.__name__}: @dataclass(frozen=True) is missing below @register_")
    for one in dataclasses.fields(options):
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise ValueError(f"{options.__name__}: {one.name} needs a default value")


def warn_of_misspelt(own: type, *bases: type) -> None:
    """Warn of methods that are nearly named like one of some base classes, which would never be
    called.
    """
    hooks = {
        name
        for base in bases
        for name, value in vars(base).items()
        if callable(value) and (name[0] != "_" or getattr(value, "__isabstractmethod__", False))
    }
    for name, value in vars(own).items():
        if callable(value) and name[:2] != "__" and not any(hasattr(base, name) for base in bases):
            for hook in difflib.get_close_matches(name, hooks - set(vars(own)), 1, _NEAR):
                warnings.warn(
                    f"{own.__name__}.{name}: nobody calls that; did you mean {hook}?",
                    stacklevel=3,
                )
