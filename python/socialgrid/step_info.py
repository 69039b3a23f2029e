"""StepInfo: a step's info, a dict that writes most of one entry when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from socialgrid import _core

_LAST = "final_obs"


class StepInfo(dict[str, NDArray[Any]]):
    """What a step tells besides views, rewards and endings: a dict like any other.

    ``final_obs`` is zero but for episodes that ended, and few ask for it, so that a step leaves its
    zeros out: they are written when the dict is first asked for the entry, or for all entries.
    Copies and pickles are plain dicts, and so is ``dict(info)``, for libraries that ask for that
    very type, as those do that look for arrays in nested containers (pytrees).
    """

    __slots__ = ("unread",)
    unread: NDArray[Any] | None  # final_obs without its zeros, until it is asked for

    def __missing__(self, name: str) -> NDArray[Any]:
        if name in self:  # which completes it
            return dict.__getitem__(self, name)
        raise KeyError(name)

    def complete(self) -> None:
        """Make ``final_obs`` an entry, if it is not; threads may do so together."""
        unread = getattr(self, "unread", None)
        if unread is not None:
            _core.clear_rest(unread)
            dict.setdefault(self, _LAST, unread)
            self.unread = None

    def __reduce_ex__(self, protocol: object) -> tuple[type[dict[str, Any]], tuple[Any]]:
        return dict, (dict(self),)


def _completed_first(name: str, always: bool) -> Callable[..., Any]:
    method = getattr(dict, name)

    def call(self: StepInfo, *args: Any, **named: Any) -> Any:
        if always or args[:1] == (_LAST,):
            for one in (self, *args):
                if isinstance(one, StepInfo):
                    one.complete()
        return method(self, *args, **named)

    call.__name__, call.__doc__ = name, method.__doc__
    return call


# dict's own methods read its memory and would not call __missing__.
for _name in ("__contains__", "__delitem__", "get", "pop", "setdefault"):
    setattr(StepInfo, _name, _completed_first(_name, always=False))
for _name in (
    *("__eq__", "__ne__", "__or__", "__ror__", "__ior__", "__iter__", "__reversed__"),
    *("__len__", "__repr__", "clear", "copy", "items", "keys", "popitem", "values"),
):
    setattr(StepInfo, _name, _completed_first(_name, always=True))
