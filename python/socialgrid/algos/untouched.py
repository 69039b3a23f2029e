"""Whether somebody does otherwise what compiled ways do at once."""

from __future__ import annotations


def untouched(one: object, kind: type, *methods: str) -> bool:
    """Whether an object has methods as its kind has them, neither inherited nor set otherwise."""
    return all(
        getattr(getattr(one, name), "__func__", None) is getattr(kind, name) for name in methods
    )
