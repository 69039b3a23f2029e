"""Code that lists of options name, found when it is needed: whoever reads the lists loads none."""

from __future__ import annotations

import importlib
from typing import Any


def find_code(place: str) -> Any:
    """What ``package.module:name`` says."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
