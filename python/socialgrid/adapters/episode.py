"""One environment that waits at the end of an episode, as single-environment interfaces expect."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .aligned import aligned_rows
from .screen import Screen

RENDER_MODES = ["human", "rgb_array", "ansi"]
RENDER_FPS = 10


def fresh_seed() -> int:
    """A seed from the system's entropy, below 2**63."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


class Episode:
    """One environment of a game.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        render_mode: None, ``"human"``, ``"rgb_array"`` or ``"ansi"``.
        render_tile_size: pixels a tile of the picture; in a terminal, at most.
        **config: of the game, as for ``socialgrid.make_vec``; ``obs_mode`` too.

    Raises:
        ValueError: an unknown render mode; ``socialgrid.ConfigError`` for the game's own keys.
    """

    def __init__(
        self, game: str, render_mode: str | None, render_tile_size: int, **config: Any
    ) -> None:
        import socialgrid  # noqa: PLC0415  (socialgrid may itself be importing this package)

        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ValueError(f"render_mode must be None or one of {RENDER_MODES}: {render_mode!r}")
        self.simulator = socialgrid.make_vec(
            game, num_envs=1, num_threads=1, autoreset="disabled", **config
        )
        self.info: dict[str, Any] = {}
        """What the simulator's last reset or step said."""
        self.over = False
        """Whether the episode has ended and ``reset`` is due."""
        self._render_mode = render_mode
        self._render_tile_size = render_tile_size
        self._seeded = False
        self._screen = Screen(RENDER_FPS)
        self._shown = False

    @property
    def begun(self) -> bool:
        """Whether there has been a ``reset``."""
        return self._seeded

    def reset(self, seed: int | None = None) -> NDArray[Any]:
        """Begin an episode; the views [A, ...] of its first state.

        ``seed`` restarts the random stream; None takes its next episode, or, the first time, a
        stream of its own drawn from the system's entropy.
        """
        if seed is None and not self._seeded:
            seed = fresh_seed()
        obs, self.info = self.simulator.reset(seed=seed)
        self._seeded, self.over = True, False
        self._moved()
        return aligned_rows(obs[0])

    def step(
        self, actions: NDArray[np.int32]
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Views [A, ...], reward float32 [A], terminated bool [A] and truncated bool [A].

        Raises:
            RuntimeError: before ``reset``, or the episode is over.
        """
        if self.over:
            raise RuntimeError("the episode is over: call reset() before the next step()")
        obs, reward, terminated, truncated, self.info = self.simulator.step(actions[None])
        self.over = bool(self.info["done"][0])
        self._moved()
        return aligned_rows(obs[0]), reward[0], terminated[0], truncated[0]

    def events(self) -> NDArray[np.uint8] | None:
        """Events uint8 [A, K] of the last step, none after a reset; None where games have none."""
        if not self.simulator.event_names:
            return None
        shape = (self.simulator.num_agents, len(self.simulator.event_names))
        counted = self.info.get("events")  # a reset has none
        return aligned_rows(np.zeros(shape, np.uint8) if counted is None else counted[0])

    def info_of(self, agent: int) -> dict[str, Any]:
        """What an agent's info holds: its ``events`` of the last step, where the game has any."""
        events = self.events()
        return {} if events is None else {"events": events[agent]}

    def render(self) -> NDArray[np.uint8] | str | None:
        """The whole grid as it is now: a picture, or text, or drawn in the terminal and None."""
        if self._render_mode == "rgb_array":
            picture: NDArray[np.uint8] = self.simulator.render(0, tile_size=self._render_tile_size)
            return picture
        if self._render_mode == "ansi":
            return f"{self.simulator.get_layout(0)}\n"
        if self._render_mode == "human" and not self._shown:
            rows, columns = self.simulator.grid_shape
            tile = self._screen.tile_size(rows, columns, self._render_tile_size)
            self._screen.show(self.simulator.render(0, tile_size=tile))
            self._shown = True
        return None

    def close(self) -> None:
        """Release the simulator; further calls of ``close`` do nothing."""
        self.simulator.close()

    def _moved(self) -> None:
        self._shown = False
        if self._render_mode == "human":
            self.render()
