"""socialgrid: a fast, exact laboratory for social learning among reinforcement-learning agents."""

from importlib.metadata import version as _version

from socialgrid._core import (
    ActionError,
    ConfigError,
    EnvStepError,
    FinishedError,
    LayoutError,
    SnapshotError,
    UnknownOptionError,
)
from socialgrid.adapters.gymnasium import register as _register
from socialgrid.games import Option, game_options, list_games
from socialgrid.geometry import action_distances, occlusion
from socialgrid.layout import Layout
from socialgrid.vec_env import VecEnv, make_vec

__version__ = _version("socialgrid")

__all__ = [
    "ActionError",
    "ConfigError",
    "EnvStepError",
    "FinishedError",
    "Layout",
    "LayoutError",
    "Option",
    "SnapshotError",
    "UnknownOptionError",
    "VecEnv",
    "action_distances",
    "game_options",
    "list_games",
    "make_vec",
    "occlusion",
]

_register()
