"""What the numbers of a run are called, in which unit, and where they are worth a place.

A row of metrics has numbers of four kinds, each by name (``KINDS``):

- ``agents``, ``[A]``: one of each agent, as its return;
- ``pairs``, ``[A][A]``: of each agent with regard to each other one, as its influence on it;
- ``groups``: one of all agents together, as their collective return;
- ``members``, ``[A][P]``: of each agent with regard to each member of its group, as its trust.

Whoever shows them goes by kind. What measures a number declares, beside it, what else there is to
say of the name; a name that nobody declares is shown as it is, in TensorBoard and in pictures.

    >>> declare("shells", "shells found", "a day", Place.LINE)
    >>> measure("shells").heading
    'shells found, a day'
    >>> measure("lost_shells").heading
    'lost shells'
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

KINDS = ("agents", "pairs", "groups", "members")


class Place(IntEnum):
    """Where a number is shown; each place includes those before it."""

    FILE = 0
    """``metrics.jsonl`` and TensorBoard only."""
    PANEL = 1
    """A panel of its own in pictures of curves."""
    TABLE = 2
    """The console's table, where there is room."""
    LINE = 3
    """The console's line."""


class Values(Enum):
    """What values a number can have."""

    COUNT = "0 or more"
    SHARE = "0 to 1"
    STEP = "0 to the steps of an episode"
    CORRELATION = "-1 to 1"
    ANY = "any"


@dataclass(frozen=True)
class Measure:
    """What there is to say of a name.

    Attributes:
        title: in words.
        unit: of its numbers; "share" of a whole (in a table of members, of its row).
        place: where it is shown.
        digits: after the point, in the console.
        compared: curves from elsewhere are drawn beside it.
        values: what it can be.
        moment: what happens in the step of an episode that it is, as "the box opens"; empty where
            it is no step, or not one to be marked in pictures.
    """

    title: str
    unit: str = ""
    place: Place = Place.PANEL
    digits: int = 4
    compared: bool = False
    values: Values = Values.COUNT
    moment: str = ""

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


_DECLARED: dict[str, Measure] = {}


def declare(
    name: str,
    title: str = "",
    unit: str = "",
    place: Place = Place.PANEL,
    *,
    digits: int = 4,
    compared: bool = False,
    values: Values = Values.COUNT,
    moment: str = "",
) -> None:
    """Say what a name in rows of metrics stands for; see ``Measure``.

    The last one to declare a name is right.
    """
    _DECLARED[name] = Measure(title or words(name), unit, place, digits, compared, values, moment)


def declared(name: str) -> bool:
    """Whether anybody has said what a name stands for."""
    return name in _DECLARED


def measure(name: str) -> Measure:
    """What is known of a name."""
    return _DECLARED.get(name) or Measure(words(name))


def words(name: str) -> str:
    """A name as a reader would write it."""
    return name.replace("_", " ")


# What every run measures, whoever plays by whatever rules.
declare("return", "return per episode", place=Place.LINE, digits=2, values=Values.ANY)
declare("return_std", place=Place.FILE)
declare(
    "solo_return",
    "return per episode, solo environments",
    place=Place.TABLE,
    digits=2,
    values=Values.ANY,
)
for _name in ("mean_return", "learners_return", "others_return", "learners_return_alone"):
    declare(_name, values=Values.ANY)
declare(
    "evaluated_return",
    "return without exploration, of evaluations",
    place=Place.LINE,
    digits=2,
    compared=True,
    values=Values.ANY,
)
declare("evaluated_return_std", place=Place.FILE)
declare("followed", "whose proposals were carried out", "share", Place.TABLE, digits=2)
declare("followed_others", "share of steps in which another member was followed")
