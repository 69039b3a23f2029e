"""What can be in a cell, and what each kind allows."""

from dataclasses import dataclass

COLORS = {
    "red": (255, 0, 0),
    "orange": (255, 165, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "cyan": (0, 139, 139),
    "purple": (112, 39, 195),
    "yellow": (255, 255, 0),
    "olive": (128, 128, 0),
    "grey": (100, 100, 100),
    "pink": (255, 0, 189),
    "white": (255, 255, 255),
}
# Agent i has the i-th colour unless told otherwise.
AGENT_COLORS = (
    *("red", "blue", "purple", "orange", "olive", "pink"),
    *("cyan", "green", "yellow", "grey", "white"),
)

PORTABLE = ("key", "ball", "box")
CHARS = {
    ".": "empty",
    "#": "wall",
    "G": "goal",
    "L": "lava",
    "D": "door",
    "K": "key",
    "O": "ball",
    "B": "box",
}


@dataclass(frozen=True)
class Tile:
    """The content of one cell, agents apart."""

    kind: str
    color: str = ""  # doors, keys, balls and boxes
    state: str = ""  # doors: "open", "closed" or "locked"
    index: int = -1  # cycle tiles: the place in the cycle

    @property
    def opaque(self):
        return self.kind == "wall" or (self.kind == "door" and self.state != "open")

    @property
    def walkable(self):
        """Agents may enter. Everything else but agents blocks."""
        return self.kind in ("empty", "goal", "cycle", "lava") or (
            self.kind == "door" and self.state == "open"
        )

    @property
    def portable(self):
        return self.kind in PORTABLE

    @property
    def ends_play(self):
        return self.kind in ("goal", "lava")

    @property
    def hidden_as(self):
        """The kind by which `hide` names this tile; "goal" covers the cycle tiles too."""
        return {self.kind, "goal"} if self.kind == "cycle" else {self.kind}

    @property
    def char(self):
        if self.kind == "cycle":
            return str(self.index)
        return next(char for char, kind in CHARS.items() if kind == self.kind)

    @property
    def detail(self):
        """What the character does not tell, in words; empty where it tells everything."""
        if self.kind == "door":
            return f"{self.color} {self.state} door"
        return f"{self.color} {self.kind}" if self.portable else ""


EMPTY = Tile("empty")
WALL = Tile("wall")
GOAL = Tile("goal")


def from_char(char):
    """The tile a layout character stands for, in its default colour and state."""
    if char.isdigit():
        return Tile("cycle", index=int(char))
    kind = CHARS[char]
    if kind == "door":
        return Tile("door", color="yellow", state="locked")
    return Tile(kind, color="yellow" if kind in PORTABLE else "")


def from_detail(words):
    """The tile described by "yellow key" or "red locked door"."""
    color, *state, kind = words.split()
    return Tile(kind, color=color, state=state[0] if state else "")
