"""A slow, readable model of the grid games: the oracle that the C++ core is compared with.

Written from the rules alone and sharing no code with the core. The MiniGrid-style grids, in this
order: `rng`, `tiles`, `config`, `world`, `layout`, `generation`, `step`, `visibility`, `view`,
`render`. The social dilemmas: the folder `dilemmas`. Peer Learning's rooms: `rooms`. Around all of
them: `env`.
"""

from tests.reference import dilemmas, grids, rooms
from tests.reference.env import ReferenceEnv
from tests.reference.layout import Layout

GAMES = {**grids.GAMES, **dilemmas.GAMES, **rooms.GAMES}

__all__ = ["GAMES", "Layout", "ReferenceEnv"]
