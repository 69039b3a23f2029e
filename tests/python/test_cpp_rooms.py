"""The C++ half of the house: a core that knows no game, families that do not know each other."""

import re
from pathlib import Path

import pytest

CPP = Path(__file__).parents[2] / "cpp"

# What the files of a room may include, besides their own.
KNOWS = {
    "core": set(),
    "grid": {"core"},
    "dilemma": {"core"},
    "rooms": {"core"},
    "games": {"core", "grid", "dilemma", "rooms"},
    "players": {"core"},  # which of a game know its characters and its actions
    "learning": set(),  # kernels of the learners, which know no world
    # Sight and distances are functions that players call; of games the bindings know the core.
    "bindings": {"core", "learning", "players", "grid/visibility.hpp", "grid/distances.hpp"},
}
# Words of games and families.
OF_GAMES = re.compile(
    r"prestige|carrying|last_tile|arrivals?\b|spawn_cols|goal|beam|apple|waste|\bdoor", re.I
)


def sources(room):
    return sorted((CPP / room).rglob("*.[ch]pp*"))


def test_every_file_is_in_a_room():
    files = [path.relative_to(CPP) for path in CPP.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} == set(KNOWS)


@pytest.mark.parametrize("room", KNOWS)
def test_rooms_include_what_is_below(room):
    near = [room, *(other for other in KNOWS[room] if (CPP / other).is_dir())]
    for path in sources(room):
        for include in re.findall(r'#include "([^"]+)"', path.read_text(encoding="utf-8")):
            if "/" not in include:  # a neighbour, or learning's
                assert any((CPP / other / include).exists() for other in near), (path, include)
                continue
            assert include in KNOWS[room] or include.partition("/")[0] in near, (path, include)


@pytest.mark.parametrize("room", ["core", "bindings"])
def test_no_game_is_named_where_all_are_served(room):
    for path in sources(room):
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        assert not OF_GAMES.search(code), path
