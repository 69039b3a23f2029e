"""Tables of overrides and the dataclasses that they are for, with "did you mean".

Nothing here needs torch, or knows which sections a configuration has.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from socialgrid.algos.options import ALGORITHMS, AlgorithmConfig
from socialgrid.config.errors import UsageError, closest, nearest
from socialgrid.config.maps import with_game_options, without_world
from socialgrid.config.renamed import RENAMED
from socialgrid.social.roles import Chosen, MechanismOptions

T = TypeVar("T")

TABLES = {"tables": True}
"""Metadata of a field that holds tables by name: overrides reach into each of them."""


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionary of a configuration; tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, Chosen):
            return {one.name: plain(one) for one in value}
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    result = plain(config)
    assert isinstance(result, dict)
    return result


def override(base: T, data: Any, where: str = "", root: type | None = None) -> T:
    """Apply a table to a dataclass, and the tables in it to those that it holds.

    Mappings are merged key by key, those of ``TABLES`` at every depth; anything else is replaced.

    Args:
        base: what is overridden.
        data: values by field.
        where: name of the dataclass among the options, for messages.
        root: whose options may be meant by a name that there is not; that of ``base`` by default.

    Raises:
        UsageError: an unknown field (its nearest name is given), a wrong type, or a value out of
            range.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: {data!r} is not a table")
    whole: Any = base  # a dataclass
    root = root or type(base)
    kinds = field_types(type(base))
    tables = {f.name for f in dataclasses.fields(whole) if f.metadata == TABLES}
    changes: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in kinds:
            if now := RENAMED.get(name):
                raise UsageError(f"option {name!r} has another name now: {now!r}")
            near = _nearest_option(str(key), where, kinds, root)
            raise UsageError(f"unknown option {name!r}{near}")
        current = getattr(base, key)
        if name == "algorithm" and isinstance(value, Mapping):
            current = _algorithm(current, value)
        if key in tables and isinstance(value, Mapping):
            changes[key] = merged(to_dict(base)[key], value)
        elif isinstance(current, Chosen):
            changes[key] = _chosen(current, value, name, root)
        elif dataclasses.is_dataclass(current):
            changes[key] = override(current, value, name, root)
        elif name == "env.options" and isinstance(value, Mapping):
            changes[key] = with_game_options(current, value)
        elif isinstance(current, Mapping) and isinstance(value, Mapping):
            changes[key] = {**current, **value}
        else:
            changes[key] = _coerce(value, kinds[key], name)
    try:
        fresh: T = dataclasses.replace(whole, **changes)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{where}: {error}" if where else str(error)) from None
    return fresh


def _chosen(current: Chosen, data: Any, where: str, root: type) -> Chosen:
    """Mechanisms by name: a table chooses one and sets its options, "none" drops it."""
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: {data!r} is not a table of mechanisms")
    found = {one.name: one for one in current}
    for name, table in data.items():
        if now := RENAMED.get(f"{where}.{name}"):
            raise UsageError(f"option '{where}.{name}' has another name now: {now!r}")
        if table in (None, False, "none"):
            found.pop(name, None)
            continue
        kind = mechanism_options(name, type(current), where)
        found[name] = override(found.get(name, kind()), table, f"{where}.{name}", root)
    try:
        return type(current)(tuple(found.values()))
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def mechanism_options(
    name: object, section: type[Chosen], where: str, further: Sequence[str] = ()
) -> type[MechanismOptions]:
    """The options of a mechanism.

    Args:
        name: of the mechanism.
        section: what it is chosen for.
        where: to name in messages.
        further: names that mean something there, too.

    Raises:
        UsageError: there is none of that name.
    """
    known = section.all()
    if not isinstance(name, str) or name not in known:
        names = list(dict.fromkeys((*known, *further)))
        raise UsageError(
            f"{where}: {name!r} is not one of {', '.join(names)}" + nearest(str(name), names)
        )
    return known[name]


def field_types(kind: Any) -> dict[str, Any]:
    """Types of a dataclass's fields, by name."""
    hints = typing.get_type_hints(kind)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}


def option_paths(root: type) -> dict[str, Any]:
    """Every option as ``section.field`` with its type, those of all algorithms and mechanisms
    together; a mechanism's are ``NAME.field``.
    """
    paths: dict[str, Any] = {}
    for section, kind in field_types(root).items():
        if isinstance(kind, type) and issubclass(kind, Chosen):
            for name, options in kind.all().items():
                paths |= {f"{name}.{one}": of for one, of in field_types(options).items()}
            continue
        algorithms = kind == AlgorithmConfig
        for cls in ALGORITHMS.values() if algorithms else typing.get_args(kind) or (kind,):
            if not dataclasses.is_dataclass(cls):
                continue  # tables, whose names are the preset's
            paths |= {f"{section}.{name}": of for name, of in field_types(cls).items()}
        if isinstance(kind, types.UnionType):
            paths[f"{section}.name"] = str
    return paths


def algorithm_name(name: object) -> str:
    """Check the name of an algorithm.

    Raises:
        UsageError: there is none of that name.
    """
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise UsageError(
            f"algorithm.name: {name!r} is not one of {', '.join(ALGORITHMS)}"
            + nearest(str(name), ALGORITHMS)
        )
    return name


def _algorithm(current: AlgorithmConfig, data: Mapping[str, Any]) -> AlgorithmConfig:
    """What the options of the algorithm named in ``data`` are applied to."""
    name = data.get("name", current.name)
    return current if name == current.name else ALGORITHMS[algorithm_name(name)]()


def owners_of(option: str) -> list[str]:
    """Names of the algorithms that have an option."""
    return [name for name, cls in ALGORITHMS.items() if option in field_types(cls)]


def only(owners: Sequence[str]) -> str:
    """Who alone has something: ``a, b have``."""
    return f"{', '.join(owners)} {'has' if len(owners) == 1 else 'have'}"


def _nearest_option(key: str, where: str, here: Mapping[str, Any], root: type) -> str:
    if where == "algorithm" and (owners := owners_of(key)):
        return f": only {only(owners)} it"
    if match := closest(key, here):
        return f" (did you mean {f'{where}.{match}'.lstrip('.')!r}?)"
    elsewhere = {path.rsplit(".", 1)[-1]: path for path in option_paths(root)}
    match = closest(key, elsewhere)
    return f" (did you mean {elsewhere[match]!r}?)" if match else ""


def _coerce(value: Any, kind: Any, name: str) -> Any:
    """Check ``value`` against the type of a field; lists become tuples."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(value, args, kind, name)
    if origin is Literal:
        if value not in args:
            raise UsageError(
                f"{name}: {value!r} is not one of {', '.join(map(str, args))}"
                + nearest(str(value), map(str, args))
            )
        return value
    if origin is tuple:
        if args[-1] is Ellipsis and isinstance(value, int | float):
            value = (value,)  # a list of one
        if not isinstance(value, list | tuple):
            raise UsageError(f"{name}: {value!r} is not a list")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise UsageError(f"{name}: {len(value)} values, {len(args)} are needed")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return tuple(
            _coerce(item, item_kind, f"{name}[{i}]")
            for i, (item, item_kind) in enumerate(zip(value, kinds, strict=True))
        )
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 1e6
    if isinstance(value, float) and math.isnan(value):
        raise UsageError(f"{name}: nan is not a number")
    if not isinstance(kind, type):
        if isinstance(value, Mapping):
            return dict(value)
        raise UsageError(f"{name}: {value!r} is not a table")
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UsageError(f"{name}: {value!r} is not of type {kind.__name__}")
    return value


def _coerce_union(value: Any, args: tuple[Any, ...], kind: Any, name: str) -> Any:
    if type(None) in args and (value is None or value == "none"):
        return None
    for choice in args:
        try:
            return _coerce(value, choice, name)
        except UsageError:
            continue
    raise UsageError(f"{name}: {value!r} is not of type {kind}")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged at every depth; anything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            kept = without_world(old, value) if key == "options" else old
            value = merged(kept, value)  # noqa: PLW2901
        result[key] = value
    return result
