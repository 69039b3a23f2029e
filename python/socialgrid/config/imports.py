"""Code from outside the package: modules that a command line names, and no record can choose.

What such a module registers when it is imported (a mechanism, an algorithm, an adviser, a player,
an environment of Gymnasium) has a name from then on, like the package's own.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence

from socialgrid.config.errors import UsageError


def import_modules(names: Iterable[str]) -> tuple[str, ...]:
    """Import modules that a user names.

    Args:
        names: dotted names, looked for in the working directory, too, or ``gymnasium:MODULE:ID``.

    Returns:
        the modules' own names, each once.

    Raises:
        UsageError: one cannot be imported; in one line.
    """
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # at the end: nothing of Python's own is replaced
    found = [name.removeprefix("gymnasium:").rpartition(":")[0] or name for name in names]
    for module in dict.fromkeys(found):
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            lines = str(error).splitlines() or [""]
            told = f"{type(error).__name__}: {lines[0]}"
            raise UsageError(f"--import {module}: cannot be imported: {told}") from error
    return tuple(dict.fromkeys(found))


def check_imported(names: Sequence[str]) -> None:
    """Refuse what needs modules that nobody has imported.

    Raises:
        UsageError: it says what has to be added to the command line.
    """
    for name in names:
        if name not in sys.modules:
            raise UsageError(
                f"run.imports: it needs the code of module {name}, which a record must not choose; "
                f"if it is yours, add --import {name}"
            )
