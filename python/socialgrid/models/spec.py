"""What a network has to know about an environment: views and actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

EYES = (
    "view_size", "view_offset", "tile_size", "see_through_walls", "view_rotation", "show_beams",
)  # fmt: skip
"""Options of games that decide what a view of a given size shows."""


def hidden_from(world: Any, agent: int) -> list[str]:
    """Kinds of objects that an agent of a ``VecEnv`` does not see, sorted."""
    given = world.config.get("hide") or []
    if any(isinstance(item, str) for item in given):
        return sorted(given)  # from everybody
    return sorted(given[agent]) if agent < len(given) else []


@dataclass(frozen=True)
class ViewSpec:
    """Geometry of the agents' views and the number of actions of each agent.

    Attributes:
        rows, cols: size of a view in cells (7 and 7 in the papers).
        tile_size: pixels along the side of one cell's tile.
        action_counts: number of actions of every agent that the learner owns.
        atlas: uint8 ``[K, t, t, 3]`` when observations are tile numbers ``[rows, cols]``;
            ``None`` when they are pixels ``[rows * t, cols * t, 3]``. Specs are equal whatever
            their tiles look like.
        slots: which agents of the world these are; the first ones by default.
        world_action_counts: number of actions of every agent of the world; only these agents by
            default.
    """

    rows: int
    cols: int
    tile_size: int
    action_counts: tuple[int, ...]
    atlas: npt.NDArray[np.uint8] | None = field(default=None, compare=False)
    slots: tuple[int, ...] = ()
    world_action_counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.slots:
            object.__setattr__(self, "slots", tuple(range(len(self.action_counts))))
        if not self.world_action_counts:
            object.__setattr__(self, "world_action_counts", self.action_counts)
        if min(self.rows, self.cols, self.tile_size) < 1:
            raise ValueError(
                f"view of {self.rows}x{self.cols} cells of {self.tile_size} pixels: "
                "every number must be at least 1"
            )
        if not self.action_counts or min(self.action_counts) < 1:
            raise ValueError(
                f"action_counts {self.action_counts}: one count >= 1 for every agent is needed"
            )
        if self.atlas is not None and len(self.atlas) > 32_768:
            raise ValueError(f"an atlas of {len(self.atlas)} tiles: at most 32768 can be numbered")
        if self.atlas is not None and self.atlas.shape[1:] != (self.tile_size, self.tile_size, 3):
            raise ValueError(
                f"atlas of shape {self.atlas.shape} does not hold tiles of "
                f"{self.tile_size}x{self.tile_size}x3"
            )
        if len(self.slots) != len(self.action_counts) or not set(self.slots) <= set(
            range(self.world_agents)
        ):
            raise ValueError(
                f"slots {self.slots}: one agent of the {self.world_agents} of the world for each "
                f"of {len(self.action_counts)} agents"
            )

    @classmethod
    def of(cls, env: Any, agents: tuple[int, ...] | None = None) -> ViewSpec:
        """Read the specification from a ``socialgrid.VecEnv``.

        Args:
            env: the environment batch.
            agents: indices of the agents that the learner owns; all of them by default.
        """
        owned = tuple(range(env.num_agents)) if agents is None else agents
        world = tuple(int(count) for count in env.action_counts)
        counts = tuple(world[agent] for agent in owned)
        atlas = np.asarray(env.tile_atlas)
        tile = int(atlas.shape[1])
        if env.obs_mode == "tiles":
            rows, cols = (int(size) for size in env.obs_shape)
            return cls(rows, cols, tile, counts, atlas, owned, world)
        height, width = int(env.obs_shape[0]), int(env.obs_shape[1])
        return cls(height // tile, width // tile, tile, counts, None, owned, world)

    @property
    def num_agents(self) -> int:
        """Number of agents that the learner owns."""
        return len(self.action_counts)

    @property
    def world_agents(self) -> int:
        """Number of agents in the world (N)."""
        return len(self.world_action_counts)

    @property
    def num_actions(self) -> int:
        """Largest number of actions of any agent of the world: the width of the policy head, so
        that an agent's network fits also beside other agents.
        """
        return max(self.world_action_counts)

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """Shape of one agent's observation."""
        if self.atlas is not None:
            return (self.rows, self.cols)
        return (*self.image_shape[:2], 3)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one view in pixels."""
        return (self.rows * self.tile_size, self.cols * self.tile_size, 3)
