"""One environment that waits at the end of an episode, as single-environment interfaces expect.

The simulator resets in the same step; here the finished episode stays until ``reset``, which then
continues with the episode the simulator has already begun, so no episode of a stream is skipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RENDER_MODES = ["rgb_array", "ansi"]
RENDER_FPS = 10


def fresh_seed() -> int:
    """A seed from the system's entropy, below 2**63."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


class Episode:
    """One environment of a game.

    Args:
        game: a registered game, such as ``"GoalCycle-v0"``.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``.
        render_tile_size: pixels a tile of the picture.
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
        self.simulator = socialgrid.make_vec(game, num_envs=1, num_threads=1, **config)
        self.info: dict[str, Any] = {}
        """What the simulator's last reset or step said."""
        self._render_mode = render_mode
        self._render_tile_size = render_tile_size
        self._seeded = False
        self._begun: NDArray[Any] | None = None
        self._last_picture: NDArray[np.uint8] | str | None = None

    @property
    def over(self) -> bool:
        """Whether the episode has ended and ``reset`` is due."""
        return self._begun is not None

    def reset(self, seed: int | None = None) -> NDArray[Any]:
        """Begin an episode; the views [A, ...] of its first state.

        ``seed`` restarts the random stream; None takes its next episode, or, the first time, a
        stream of its own drawn from the system's entropy.
        """
        begun, self._begun, self._last_picture = self._begun, None, None
        if seed is None and begun is not None:
            return begun
        if seed is None and not self._seeded:
            seed = fresh_seed()
        self._seeded = True
        obs, self.info = self.simulator.reset(seed=seed)
        first: NDArray[Any] = obs[0]
        return first

    def step(
        self, actions: NDArray[np.int32]
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Views [A, ...], reward float32 [A], terminated bool [A] and truncated bool [A].

        Raises:
            RuntimeError: the episode is over.
        """
        if self.over:
            raise RuntimeError("the episode is over: call reset() before the next step()")
        picture = self._picture() if self._render_mode is not None else None
        obs, reward, terminated, truncated, self.info = self.simulator.step(actions[None])
        views: NDArray[Any] = obs[0]
        if self.info["done"][0]:
            self._begun, views = views, self.info["final_obs"][0]
            self._last_picture = picture
        return views, reward[0], terminated[0], truncated[0]

    def info_of(self, agent: int) -> dict[str, Any]:
        """What an agent's info of the last step holds: its ``events``, where the game has any."""
        events = self.info.get("events")
        return {} if events is None else {"events": events[0, agent]}

    def render(self) -> NDArray[np.uint8] | str | None:
        """The whole grid as a picture or as text; once the episode is over, as it was last seen."""
        if self._render_mode is None:
            return None
        if self._last_picture is not None:
            return self._last_picture
        return self._picture()

    def close(self) -> None:
        """Release the simulator; further calls of ``close`` do nothing."""
        self.simulator.close()

    def _picture(self) -> NDArray[np.uint8] | str:
        if self._render_mode == "rgb_array":
            picture: NDArray[np.uint8] = self.simulator.render(0, tile_size=self._render_tile_size)
            return picture
        return f"{self.simulator.get_layout(0)}\n"
