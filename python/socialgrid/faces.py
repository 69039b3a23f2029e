"""What a room shows to others: names in the stub beside it, whose code is loaded when asked for.

Type checkers read ``__init__.pyi``; the same list serves at run time, so that those who must not
load torch can import a room. Its ``__init__.py`` says

    __getattr__, __all__ = face(__name__, __file__)
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from socialgrid.extras import naming_the_extra


def face(room: str, file: str) -> tuple[Callable[[str], Any], list[str]]:
    """The ``__getattr__`` and the ``__all__`` of a room.

    Args:
        room: its dotted name.
        file: its ``__init__.py``, beside which the stub lies.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    places = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }

    def found(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        with naming_the_extra():
            return getattr(importlib.import_module(places[name]), name)

    return found, sorted(places)
