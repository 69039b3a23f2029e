"""What may go wrong by the user's hand, told in one line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable

_GONE = ("no CUDA-capable device", "busy or unavailable", "uncorrectable ECC", "driver shutting")
_NEAR = 0.65  # share of letters that a mistyped name and the one that is meant have in common


class UsageError(ValueError):
    """A bad option, path or file. The command line prints it as one line and exits with 2."""


class CheckpointError(UsageError):
    """A checkpoint that is damaged, foreign or missing."""


def told(error: OSError, path: object = None) -> str:
    """What the system refused, in one line that names the file."""
    name = error.filename if error.filename is not None else path
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    reason = error.strerror or str(error) or type(error).__name__
    return f"{name}: {reason}" if name is not None else reason


def lacking(error: RuntimeError) -> str | None:
    """What the machine lacks, where torch or the simulator ran out of memory or threads, or a card
    is gone.

    Returns:
        one line, or ``None`` where the error is about something else.
    """
    text = str(error)
    if size := re.search(r"you tried to allocate (\d+) bytes", text):
        return f"out of memory: no {int(size[1]):,} bytes for one tensor"
    if type(error).__name__ == "OutOfMemoryError" or "Storage size calculation overflowed" in text:
        return f"out of memory: {text.partition(chr(10))[0]}"
    if (first := text.partition(chr(10))[0]).startswith("CUDA error: "):
        if "out of memory" in first:  # of pinned memory, say
            return f"out of memory: {first}"
        if any(words in first for words in _GONE):
            return f"the card cannot be used (any more): {first}"
    threads = ("threads could be started", "can't start new thread")  # ours, Python's
    return text if any(words in text for words in threads) else None


def check_encodable(name: str, text: str) -> None:
    """Refuse a name that is no text, as bytes that are not UTF-8 on a command line make one.

    Raises:
        UsageError: it has lone surrogates in it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name}: {text!r} is not UTF-8") from None


def about(subject: str, error: Exception) -> str:
    """An error with what it is about in front, unless it says so itself."""
    text = str(error)
    named = text.startswith(subject) or repr(subject) in text
    return text if named else f"{subject}: {text}"


def plain_utf8(text: str) -> str:
    """The same text with lone surrogates escaped, which UTF-8 cannot hold."""
    return text.encode(errors="backslashreplace").decode()


def plain_line(text: str) -> str:
    """The same text in one line that does nothing to a terminal: control characters escaped."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in " ".join(text.split())
    )


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, if any is so much alike that it may be meant."""
    folded, name = {each.lower(): each for each in known}, name.lower()
    if version := re.search(r"-v\d+$", name):  # which half of all names end in makes none alike
        stem = name.removesuffix(version[0])
        alike = (
            difflib.SequenceMatcher(None, re.sub(r"-v\d+$", "", each), stem) for each in folded
        )
        folded = {
            each: folded[each] for each, one in zip(folded, alike, strict=True)
            if one.real_quick_ratio() >= _NEAR and one.ratio() >= _NEAR
        }  # fmt: skip
    matches = difflib.get_close_matches(name, list(folded), n=1, cutoff=_NEAR)
    if not matches and len(name) > 2:  # a word that was cut off, or written out
        matches = [each for each in folded if len(each) > 2 and name.startswith(each)][:1]
        matches = matches or [each for each in folded if each.startswith(name)][:1]
    return folded[matches[0]] if matches else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name closest to ``name``, or nothing."""
    match = closest(name, known)
    return f" (did you mean {match!r}?)" if match else ""
