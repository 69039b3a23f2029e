"""What may go wrong by the user's hand, told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A bad option, path or file. The command line prints it as one line and exits with 2."""


class CheckpointError(UsageError):
    """A checkpoint that is damaged, foreign or missing."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, if any is alike."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.45)
    return matches[0] if matches else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name closest to ``name``, or nothing."""
    match = closest(name, known)
    return f" (did you mean {match!r}?)" if match else ""
