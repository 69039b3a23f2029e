"""What every social mechanism's options have in common, and the list of all mechanisms.

No heavy imports: the command line reads these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from socialgrid.lookup import check_options

HEARING, REWARD, INFLUENCE, ADVISER, AUXILIARY = (
    "hearing", "reward", "influence", "adviser", "auxiliary",
)  # fmt: skip
"""Roles: agents hear something; rewards care for others; influence on others is rewarded; others'
advice is followed; something besides the task is predicted."""
ROLES = (HEARING, REWARD, INFLUENCE, ADVISER, AUXILIARY)
_SEVERAL = (HEARING,)  # roles that several mechanisms may have at once


@dataclass(frozen=True)
class MechanismOptions:
    """Options of one mechanism: its fields are what ``--NAME.FIELD`` sets.

    Attributes:
        name: what ``--social`` or, of an auxiliary loss, ``--aux`` calls it.
        made_by: its class, ``package.module:name``.
        role: what it does; of most roles there is one mechanism at most.
        of_team: where a learner's agents depend on who the others are by place, what they do
            ("lead and follow each other"): such agents play together or not at all.
        fixed: options that shape networks or what agents hear: the same in all phases of a run.
        telling: options that tell a reader most of what sets two runs apart.
    """

    name: ClassVar[str] = ""
    made_by: ClassVar[str] = ""
    role: ClassVar[str] = REWARD
    of_team: ClassVar[str] = ""
    fixed: ClassVar[tuple[str, ...]] = ()
    telling: ClassVar[tuple[str, ...]] = ()

    def unused(self) -> Mapping[str, str]:
        """Options that count for nothing beside the other values, and why."""
        return {}

    def unbounded(self) -> tuple[str, ...]:
        """Names of its numbers that can have any value by these options, whatever is declared."""
        return ()


MECHANISMS: dict[str, type[MechanismOptions]] = {}
"""All mechanisms by name, in the order in which they change rewards, but influence does so last."""
T = TypeVar("T", bound=type[MechanismOptions])


def register_mechanism(options: T) -> T:
    """Put a mechanism on the list; a decorator of its options.

    Raises:
        ValueError: there is one of that name, or it has none, or no class, or no role, or an
            option has no default.
    """
    if not options.name or not options.made_by:
        raise ValueError(f"{options.__name__}: a mechanism needs a name and made_by")
    if options.role not in ROLES:
        raise ValueError(
            f"{options.__name__}: its role is {options.role!r}, not one of {', '.join(ROLES)}"
        )
    check_options(options)
    known = MECHANISMS.get(options.name, options)
    if (known.__module__, known.__qualname__) != (options.__module__, options.__qualname__):
        raise ValueError(f"there is a mechanism {options.name!r} already")
    MECHANISMS[options.name] = options
    return options


@dataclass(frozen=True)
class Chosen:
    """Mechanisms in force, by their options, in the order of the list.

    >>> Chosen((MechanismOptions(),)).names
    ('',)
    """

    roles: ClassVar[tuple[str, ...]] = ROLES

    options: tuple[MechanismOptions, ...] = ()

    def __post_init__(self) -> None:
        for one in self.options:
            if one.role not in self.roles:
                raise ValueError(f"{one.name}: its role is {one.role}, not {', '.join(self.roles)}")
        place = {name: i for i, name in enumerate(MECHANISMS)}
        ordered = sorted(self.options, key=lambda one: place.get(one.name, len(place)))
        object.__setattr__(self, "options", tuple(ordered))
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"{', '.join(self.names)}: each at most once")
        for role in {one.role for one in self.options} - set(_SEVERAL):
            found = [one.name for one in self.options if one.role == role]
            if len(found) > 1:
                raise ValueError(f"{' and '.join(found)}: one {role} mechanism at most")

    @property
    def names(self) -> tuple[str, ...]:
        """What is chosen."""
        return tuple(one.name for one in self.options)

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Names of their numbers that can have any value, whatever is declared of them."""
        return tuple(name for one in self.options for name in one.unbounded())

    def of_role(self, role: str) -> MechanismOptions | None:
        """The first one with a role."""
        return next((one for one in self.options if one.role == role), None)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[MechanismOptions]:
        return iter(self.options)

    def __len__(self) -> int:
        return len(self.options)

    @classmethod
    def all(cls) -> dict[str, type[MechanismOptions]]:
        """What can be chosen here."""
        return {name: one for name, one in MECHANISMS.items() if one.role in cls.roles}


@dataclass(frozen=True)
class Social(Chosen):
    """What there is because there are others."""

    roles: ClassVar[tuple[str, ...]] = (HEARING, REWARD, INFLUENCE, ADVISER)


@dataclass(frozen=True)
class Auxiliary(Chosen):
    """What is predicted besides."""

    roles: ClassVar[tuple[str, ...]] = (AUXILIARY,)
