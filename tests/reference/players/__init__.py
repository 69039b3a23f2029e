"""The scripted players once more, slowly, in numpy: what the core's choose is held against these.

Each says in Python what it does, on the plain path of :class:`socialgrid.players.Player`.
"""

from functools import partial

from .goal_cycle import CycleExpert, TrialAndErrorPlayer
from .goal_walker import DoorKeyExpert, GoalExpert
from .random_player import RandomPlayer

TWINS = {
    ("expert", "GoalCycle-v0"): CycleExpert,
    ("trial-and-error", "GoalCycle-v0"): TrialAndErrorPlayer,
    ("imperfect", "GoalCycle-v0"): partial(TrialAndErrorPlayer, error_rate=0.1),
    **{
        ("expert", game): GoalExpert
        for game in ("Empty-v0", "Cluttered-v0", "FourRooms-v0", "Maze-v0")
    },
    ("expert", "DoorKey-v0"): DoorKeyExpert,
}


def make_twin(name, env, agent=0, seed=0, **options):
    """Like ``make_player``."""
    twin = RandomPlayer if name == "random" else TWINS[name, env.game]
    player = twin(env, agent, seed, **options)
    player.name = name
    return player
