"""The scripted players once more, slowly, in numpy: what the core's choose is held against these.

Each says in Python what it does, on the plain path of :class:`socialgrid.players.Player`.
"""

from functools import partial

from .cleaner import Cleaner
from .exit_finder import ExitFinder
from .gatherers import BoxOpener, Gatherer, SustainableGatherer
from .goal_cycle import CycleExpert, TrialAndErrorPlayer
from .goal_walker import DoorKeyExpert, GoalExpert
from .random_player import RandomPlayer
from .room import RoomAdversary, RoomExpert

TWINS = {
    ("expert", "GoalCycle-v0"): CycleExpert,
    ("trial-and-error", "GoalCycle-v0"): TrialAndErrorPlayer,
    ("imperfect", "GoalCycle-v0"): partial(TrialAndErrorPlayer, error_rate=0.1),
    **{
        ("expert", game): GoalExpert
        for game in ("Empty-v0", "Cluttered-v0", "FourRooms-v0", "Maze-v0")
    },
    ("expert", "DoorKey-v0"): DoorKeyExpert,
    ("cleaner", "Cleanup-v0"): Cleaner,
    ("harvester", "Cleanup-v0"): Gatherer,
    ("greedy-harvester", "Harvest-v0"): Gatherer,
    ("sustainable-harvester", "Harvest-v0"): SustainableGatherer,
    ("expert", "Switch-v0"): ExitFinder,
    ("expert", "BoxTrapped-v0"): BoxOpener,
    ("expert", "BoxTrapped-v1"): BoxOpener,
    ("expert", "Room-v0"): RoomExpert,
    ("expert", "Hallway-v0"): RoomExpert,
    ("adversary", "Room-v0"): RoomAdversary,
}


def make_twin(name, env, agent=0, seed=0, **options):
    """Like ``make_player``."""
    twin = RandomPlayer if name == "random" else TWINS[name, env.game]
    player = twin(env, agent, seed, **options)
    player.name = name
    return player
