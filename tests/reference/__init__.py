"""A slow, readable model of the grid games: the oracle that the C++ core is compared with.

Written from the rules alone and sharing no code with the core. Read in this order: `rng`, `tiles`,
`config`, `world`, `layout`, `generation`, `step`, `visibility`, `view`, `render`, `env`.
"""

from tests.reference.config import GAMES
from tests.reference.env import ReferenceEnv
from tests.reference.layout import Layout

__all__ = ["GAMES", "Layout", "ReferenceEnv"]
