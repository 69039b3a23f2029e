"""Options of the social dilemmas, and their maps."""

from dataclasses import dataclass

import numpy as np

HARVEST_MAP = (
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
    "@ P   P      A    P AAAAA    P  A P  @",
    "@  P     A P AA    P    AAA    A  A  @",
    "@     A AAA  AAA    A    A AA AAAA   @",
    "@ A  AAA A    A  A AAA  A  A   A A   @",
    "@AAA  A A    A  AAA A  AAA        A P@",
    "@ A A  AAA  AAA  A A    A AA   AA AA @",
    "@  A A  AAA    A A  AAA    AAA  A    @",
    "@   AAA  A      AAA  A    AAAA       @",
    "@ P  A       A  A AAA    A  A      P @",
    "@A  AAA  A  A  AAA A    AAAA     P   @",
    "@    A A   AAA  A A      A AA   A  P @",
    "@     AAA   A A  AAA      AA   AAA P @",
    "@ A    A     AAA  A  P          A    @",
    "@       P     A         P  P P     P @",
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
)
CLEANUP_MAP = (
    "@@@@@@@@@@@@@@@@@@",
    "@RRRRRR     BBBBB@",
    "@HHHHHH      BBBB@",
    "@RRRRRR     BBBBB@",
    "@RRRRR  P    BBBB@",
    "@RRRRR    P BBBBB@",
    "@HHHHH       BBBB@",
    "@RRRRR      BBBBB@",
    "@HHHHHHSSSSSSBBBB@",
    "@HHHHHHSSSSSSBBBB@",
    "@RRRRR   P P BBBB@",
    "@HHHHH   P  BBBBB@",
    "@RRRRRR    P BBBB@",
    "@HHHHHH P   BBBBB@",
    "@RRRRR       BBBB@",
    "@HHHH    P  BBBBB@",
    "@RRRRR       BBBB@",
    "@HHHHH  P P BBBBB@",
    "@RRRRR       BBBB@",
    "@HHHH       BBBBB@",
    "@RRRRR       BBBB@",
    "@HHHHH      BBBBB@",
    "@RRRRR       BBBB@",
    "@HHHH       BBBBB@",
    "@@@@@@@@@@@@@@@@@@",
)
SWITCH_MAP = (
    "@@@@D@@@@",
    "@       @",
    "s P   P s",
    "@       @",
    "s   P   s",
    "@       @",
    "s P   P s",
    "@       @",
    "@@@@@@@@@",
)
BOX_TRAPPED_MAP = (
    "@@@@@@@@@",
    "@ A   A @",
    "@       @",
    "@  ### P@",
    "@  #T#  @",
    "@  ###  @",
    "@ P   P @",
    "@A     A@",
    "@@@@@@@@@",
)

COMMON = {
    "num_agents": 5,
    "max_steps": 1000,
    "view_size": 15,
    "tile_size": 1,
    "view_rotation": "egocentric",
}
BEAMS = {"show_beams": True, "fire_cost": 1.0, "hit_penalty": 50.0}
GAMES = {
    "Cleanup-v0": {
        **COMMON,
        **BEAMS,
        "map": CLEANUP_MAP,
        "apple_spawn_probability": 0.05,
        "waste_spawn_probability": 0.5,
        "depletion_threshold": 0.4,
        "restoration_threshold": 0.0,
    },
    "Harvest-v0": {
        **COMMON,
        **BEAMS,
        "map": HARVEST_MAP,
        "apple_spawn_probabilities": (0, 0.005, 0.02, 0.05),
        "neighbourhood": "public",
    },
    "Switch-v0": {**COMMON, "map": SWITCH_MAP, "view_size": 7},
    "BoxTrapped-v0": {**COMMON, "map": BOX_TRAPPED_MAP, "num_agents": 2, "max_steps": 50},
    "BoxTrapped-v1": {
        **COMMON,
        "map": BOX_TRAPPED_MAP,
        "num_agents": 2,
        "max_steps": 50,
        "opening": "first",
        "held": True,
        "push_cost": 0.1,
    },
}
BOXES = ("BoxTrapped-v0", "BoxTrapped-v1")


@dataclass(frozen=True)
class Config:
    """Every option, resolved. Those of other games are left at None."""

    game: str
    map: tuple
    num_agents: int
    max_steps: int
    view_size: int
    tile_size: int
    view_rotation: str
    show_beams: bool | None = None
    fire_cost: float | None = None
    hit_penalty: float | None = None
    apple_spawn_probability: float | None = None
    waste_spawn_probability: float | None = None
    depletion_threshold: float | None = None
    restoration_threshold: float | None = None
    apple_spawn_probabilities: tuple | None = None
    neighbourhood: str | None = None
    # Version 0 of Box Trapped has no such options; this is how it goes there.
    opening: str = "last"
    held: bool = False
    push_cost: float = 0.0

    obs_mode = "rgb"
    obs_dtype = np.uint8

    @property
    def obs_shape(self):
        return (self.view_size * self.tile_size, self.view_size * self.tile_size, 3)

    @property
    def action_counts(self):
        count = {"Cleanup-v0": 9, **dict.fromkeys(BOXES, 7)}.get(self.game, 8)
        counts = [count] * self.num_agents
        if self.game in BOXES:
            counts[0] = 8
        return tuple(counts)

    @property
    def event_names(self):
        return {
            "Cleanup-v0": ("apples", "cleaned", "shots", "hits"),
            "Harvest-v0": ("apples", "shots", "hits"),
            "Switch-v0": ("toggles", "exits"),
            **dict.fromkeys(BOXES, ("apples", "opened")),
        }[self.game]


def resolve(game, given):
    """Turn the options a user wrote into a Config."""
    unknown = set(given) - set(GAMES[game])
    if unknown:
        raise ValueError(f"{game} has no option {sorted(unknown)}")
    options = {**GAMES[game], **{key: value for key, value in given.items() if value is not None}}
    options["map"] = tuple(options["map"])
    return Config(game=game, **options)
