"""VecEnv: many environments of one game behind one pair of calls, arrays in and arrays out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from socialgrid import _core
from socialgrid._core import BoundOut
from socialgrid.layout import SHARED_FIELDS, Layout, checked, layout_of

Info = dict[str, NDArray[Any]]
Step = tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Info]


def make_vec(
    game: str,
    num_envs: int = 1,
    num_threads: int = 0,
    seed: int = 0,
    first_env_index: int = 0,
    obs_mode: str | None = None,
    autoreset: str = "same_step",
    **config: Any,
) -> VecEnv:
    """Make a batch of environments.

    Args:
        game: a name from :func:`socialgrid.list_games`.
        num_envs: environments in the batch, E.
        num_threads: threads that step them; 0: one for each core that the process may use (its
            affinity and its control group's quota count). Results do not depend on it. A step uses
            as many of them as its work is worth waking; of a small batch, only the caller's.
        seed: names the random streams together with each environment's index.
        first_env_index: index of the first environment. Batches that split one range of indices
            produce together what a single batch produces.
        obs_mode: ``"rgb"`` for pixels, ``"tiles"`` for one integer a cell (see
            :attr:`VecEnv.tile_atlas`), ``"vector"`` for coordinates (Room and Hallway only); None
            for the game's own: ``"vector"`` where there is one, else ``"rgb"``.
        autoreset: what becomes of an environment whose episode has ended, see
            :meth:`VecEnv.step`. ``"same_step"``: the next episode begins in the same step.
            ``"next_step"``: it holds its last state, and the next step begins the next episode.
            ``"disabled"``: it holds its last state until :meth:`VecEnv.reset`.
        config: the game's options; ``print(*socialgrid.game_options(game), sep="\\n")`` shows them.

    Raises:
        ConfigError: unknown game, a value out of range, or an obs_mode that the game does not have.
        UnknownOptionError: unknown option; names the nearest. It is a ConfigError and a TypeError.
        ValueError, TypeError: another argument is out of range or of the wrong type.
    """
    return VecEnv(game, num_envs, num_threads, seed, first_env_index, obs_mode, autoreset, **config)


class VecEnv:
    """E environments of one game with A agents each, stepped together.

    Memory handed out is not written again while any view of it is held. Results depend on the
    game, its options, the seed and the actions; not on threads, batch splits or compilers.

    Pickled and copied (``copy.copy``, ``copy.deepcopy``), it goes on from the same state; arrays
    handed out are not shared. While a sent step is under way that is a RuntimeError.

    Attributes:
        game: name of the game.
        config: every option with its value.
        num_envs: E.
        num_agents: A.
        num_actions: largest number of actions any agent has.
        action_counts: number of actions of each agent.
        action_names: names of the actions, for the agent with the most of them.
        event_names: what a step counts for each agent (K names), in the order of
            ``info["events"]``; empty for games that count nothing.
        agent_fields: names of what this game's agents have besides a place, a direction and being
            in play: in layouts, and in :meth:`worlds` as ``agent_<name>``.
        max_steps: steps after which an episode is truncated.
        grid_shape: (rows, columns) of the grid.
        obs_shape: shape of one agent's view: (H, W, 3) for ``"rgb"``; (V, V) for ``"tiles"``, the
            whole grid in Room and Hallway; for ``"vector"`` (4,) in Room: row, column, goal's row
            and goal's column, each divided by the last one there is; (2,) in Hallway: column and
            goal's column.
        obs_dtype: uint8, or uint16 for ``"tiles"`` of a game with more than 256 pictures; float32
            for ``"vector"``.
        obs_mode: ``"rgb"``, ``"tiles"`` or ``"vector"``: the one in force.
        autoreset: ``"same_step"``, ``"next_step"`` or ``"disabled"``.
        num_threads: threads in use.
        seed: the seed given at construction.
        first_env_index: index of the first environment's stream.
        state_bytes_per_env: memory of one environment's state.
    """

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        num_threads: int = 0,
        seed: int = 0,
        first_env_index: int = 0,
        obs_mode: str | None = None,
        autoreset: str = "same_step",
        **config: Any,
    ) -> None:
        arguments: dict[str, Any] = {
            "game": game,
            "config": config,
            "num_envs": num_envs,
            "num_threads": num_threads,
            "seed": seed,
            "first_env_index": first_env_index,
            "obs_mode": obs_mode,
            "autoreset": autoreset,
        }
        self._core = _core.BatchEnv(**arguments)
        self._arguments = copy.deepcopy(arguments)  # for copies; the caller may change its lists
        facts = self._core.facts()
        self.game: str = facts["game"]
        self.config: dict[str, Any] = facts["config"]
        self.num_envs: int = facts["num_envs"]
        self.num_agents: int = facts["num_agents"]
        self.action_counts: tuple[int, ...] = facts["action_counts"]
        self.action_names: tuple[str, ...] = facts["action_names"]
        self.event_names: tuple[str, ...] = facts["event_names"]
        self.agent_fields: tuple[str, ...] = facts["agent_fields"]
        self._lacking = {
            f"agent_{name}": field.empty
            for name, field in SHARED_FIELDS.items()
            if name not in self.agent_fields
        }
        self.num_actions: int = max(self.action_counts)
        self.max_steps: int = facts["max_steps"]
        self.grid_shape: tuple[int, int] = facts["grid_shape"]
        self.obs_shape: tuple[int, ...] = facts["obs_shape"]
        self.obs_dtype: np.dtype[Any] = facts["obs_dtype"]
        self.obs_mode: str = facts["obs_mode"]
        self.autoreset: str = facts["autoreset"]
        self.num_threads: int = facts["num_threads"]
        self.seed = seed
        self.first_env_index = first_env_index
        self.state_bytes_per_env: int = facts["state_bytes_per_env"]

    @cached_property
    def tile_atlas(self) -> NDArray[np.uint8]:
        """Pictures of the tiles, uint8 [K, t, t, 3], read-only.

        ``tile_atlas[tiles]`` laid out as an image is the rgb view, pixel for pixel.
        """
        atlas = self._core.tile_atlas()
        atlas.flags.writeable = False
        return atlas

    @property
    def idle_actions(self) -> tuple[int | None, ...]:
        """The action of each agent that does nothing; None where all of them do something."""
        still = [i for i, name in enumerate(self.action_names) if name in ("stay", "done")]
        idle = still[0] if still else None
        return (idle,) * self.num_agents

    @cached_property
    def single_observation_space(self) -> gymnasium.spaces.Box:
        """Space of one agent's view."""
        if self.obs_mode == "tiles":
            high = len(self.tile_atlas) - 1
        else:
            high = 255 if self.obs_mode == "rgb" else 1
        return gymnasium.spaces.Box(0, high, self.obs_shape, self.obs_dtype.type)

    @cached_property
    def single_action_spaces(self) -> tuple[gymnasium.spaces.Discrete, ...]:
        """Space of each agent's actions."""
        return tuple(gymnasium.spaces.Discrete(count) for count in self.action_counts)

    def reset(
        self,
        seed: int | Sequence[int] | None = None,
        mask: ArrayLike | None = None,
    ) -> tuple[NDArray[Any], Info]:
        """Start new episodes, everywhere or in some environments.

        Args:
            seed: None: the next episode of every environment's stream. An integer: episode 0 of
                the streams (seed, first_env_index + e). E integers: environment e starts episode 0
                of the stream (seed[e], 0); entries of environments that are not reset are ignored.
            mask: bool [E], the environments to reset; the others stay exactly as they are. None:
                all, as the first time.

        Returns:
            obs [E, A, ...] and info with ``active`` bool [E, A], ``visible`` uint8 [E, A, A] and
            ``last_actions`` int32 [E, A] (-1 before the first step), of all environments.

        Raises:
            ValueError, TypeError: the seed is out of range (0 to 2**64 - 1) or no integer; the
                mask is not bool [E].
            RuntimeError: the first reset has a mask that leaves environments out.
        """
        return self._core.reset(seed, mask)

    def bind(self, out: Mapping[str, Any]) -> BoundOut:
        """Check the caller's memory for results once, for many steps.

        Args:
            out: as for :meth:`step`.

        Returns:
            what :meth:`step` and :meth:`send` of this environment take as ``out``, at no cost for
            each step, also for tensors. It keeps the memory alive and writes there even if a
            tensor is given other memory or an array is made read-only later; numpy refuses to
            resize an array in the meantime.

        Raises:
            TypeError, ValueError, KeyError: as :meth:`step` for such ``out``.
        """
        return BoundOut(self._core, out)

    def step(self, actions: Any, out: Mapping[str, Any] | BoundOut | None = None) -> Step:
        """Let every agent act once.

        An environment whose episode ends (``info["done"]``) goes on as :attr:`autoreset` says:

        - ``"same_step"``: the next episode begins at once, and obs shows its beginning.
        - ``"next_step"``: obs shows the end. The next step ignores the environment's actions,
          whatever they are, and begins the next episode: reward 0, terminated and truncated False,
          obs its beginning.
        - ``"disabled"``: obs shows the end, and the environment must be reset before the next step
          of the batch, which is an error otherwise.

        Until then, environments that wait hold their last state: :meth:`observe`, :meth:`render`,
        :meth:`get_layout` and :meth:`worlds` show the end.

        Args:
            actions: integers [E, A]; checked as a whole before anything changes. Agents out of
                play ignore theirs.
            out: names of results with the caller's own memory for them: C-contiguous, aligned
                numpy arrays, CPU tensors or buffers of exactly the result's shape and dtype. They
                are written in place, and held until the results are back; what could only be
                copied is refused. ``final_obs`` given so is written only in rows that are done.
                Or what :meth:`bind` made of them.

        Returns:
            obs [E, A, ...]: views before the next step; where an environment waits, its last.
            reward: float32 [E, A].
            terminated: bool [E, A], True from the step in which an agent's play ends to the end of
                the episode.
            truncated: bool [E, A], True where the time limit cut an agent off; never together with
                terminated.
            info: ``done`` bool [E], the episode ended in this step; ``final_obs`` [E, A, ...],
            last views of episodes that ended in this step (other rows are zero); ``active`` bool
            [E, A], the agent will act in the next step (nobody does in an environment that waits);
            ``visible`` uint8 [E, A, A], 1 where agent i sees the cell of agent j; ``last_actions``
            int32 [E, A]; where the game has :attr:`event_names`, ``events`` uint8 [E, A, K], how
            often each happened to each agent in this step. The dict writes the zeros of
            ``final_obs`` when it is first asked for it, or for all of its entries: who asks only
            where ``done`` has any steps faster. It is no dict by its very type: ``dict(info)`` is,
            for libraries to which a subclass is an array.

        Raises:
            ActionError: an action is out of range; names environment, agent, value and range.
            TypeError, ValueError: wrong dtype, shape or memory layout.
            FinishedError: ``autoreset="disabled"`` and an environment waits for its reset; names
                it.
            RuntimeError: before reset(), after close(), or while a sent step is under way.
            EnvStepError: an environment failed; the state is as before the call.
        """
        return self._core.step(actions, out)

    def send(self, actions: Any, out: Mapping[str, Any] | BoundOut | None = None) -> None:
        """Begin a step and return at once; :meth:`recv` returns its results."""
        self._core.send(actions, out)

    def recv(self) -> Step:
        """Wait for the step begun by :meth:`send` and return what :meth:`step` returns.

        Ctrl-C is answered while waiting; the step then goes on and a later call returns it.
        """
        return self._core.recv()

    def observe(self) -> NDArray[Any]:
        """The views [E, A, ...] as they are now, without stepping."""
        return self._core.observe()

    def get_state(self) -> bytes:
        """An exact snapshot of the batch, random streams included."""
        return self._core.get_state()

    def set_state(self, state: bytes) -> None:
        """Restore a snapshot of a batch with the same game, options and number of environments.

        What follows is bit for bit what followed the snapshot, also in another process and with
        another number of threads.

        Raises:
            SnapshotError: damaged, truncated, or of another configuration; nothing has changed.
        """
        self._core.set_state(state)

    def get_layout(self, env: int) -> Layout:
        """Readable state of one environment."""
        return layout_of(self._core.get_layout(env))

    def set_layout(self, env: int, layout: Layout) -> None:
        """Put one environment into a given state; its random stream goes on.

        Where finished environments wait, one whose agents have all ended their play waits, and so
        does one whose step is :attr:`max_steps`: what :meth:`get_layout` gave at an episode's end.

        Raises:
            LayoutError: impossible, or a field of the wrong type; the message says where and why,
                and nothing has changed.
            TypeError: not a Layout.
        """
        if not isinstance(layout, Layout):
            raise TypeError(f"layout must be a socialgrid.Layout, not {type(layout).__name__}")
        self._core.set_layout(env, **checked(layout, self.num_agents))

    def worlds(self, fields: Iterable[str]) -> dict[str, NDArray[Any]]:
        """State of all environments as arrays, for scripted players and analysis.

        Args:
            fields: any of ``agent_pos`` int32 [E, A, 2], ``agent_dir`` int32 [E, A],
                ``agent_active`` bool [E, A], ``agent_last_tile`` int32 [E, A] (-1 none),
                ``agent_prestige`` float64 [E, A], ``agent_carrying`` uint8 [E, A] (character of
                the thing, 0 none), ``step`` int32 [E], ``episode`` int64 [E], ``cells`` uint8
                [E, H, W] (characters as in :class:`socialgrid.Layout`), ``content`` int64 [E],
                ``restart`` int64 [E]; and ``agent_<name>`` for each of :attr:`agent_fields`, [E, A]
                int32, or float64 for numbers.

        ``content`` and ``restart`` are numbers by which whoever keeps something derived from a
        world, such as a map of it, sees that it is out of date. ``restart`` changes whenever the
        world does not come from the one before by a step of an episode: with every reset, next
        episode, :meth:`set_layout` and :meth:`set_state`. ``content`` changes then too, and with
        every step that changes what a cell holds: a door, a key, an apple. No number comes back in
        the life of a VecEnv, and those of another one (a copy, say) are others; they are no part
        of its state, and nothing but their being equal means anything.

        Raises:
            KeyError: there is no such field.
        """
        names = list(fields)
        lacking = self._lacking
        if not lacking:
            return self._core.worlds(names)
        found = self._core.worlds([n for n in names if not (isinstance(n, str) and n in lacking)])
        shape = (self.num_envs, self.num_agents)
        return {n: found[n] if n in found else np.full(shape, lacking[n]) for n in names}

    def render(self, env: int, tile_size: int = 32) -> NDArray[np.uint8]:
        """The whole grid with its agents and beams, uint8 [H * t, W * t, 3]."""
        return self._core.render(env, tile_size)

    def inject_failure(self, env: int, *, later: int = 0) -> None:
        """Make the next step fail in an environment, or a later one, as a fault in rules would.

        For tests of what a program does then: that step raises EnvStepError, and the state is as
        before it. Where several environments fail, the first one is named.

        Args:
            env: which environment.
            later: steps before the one that fails.

        Raises:
            IndexError: there is no such environment.
        """
        self._core.inject_failure(env, later)

    def close(self) -> None:
        """Stop the threads and free the memory; arrays already handed out stay valid."""
        self._core.close()

    @property
    def closed(self) -> bool:
        """Whether close() has been called."""
        return self._core.closed

    def __copy__(self) -> VecEnv:
        return copy.deepcopy(self)  # nothing that changes is shared

    def __getstate__(self) -> dict[str, Any]:
        remade = ("_core", "tile_atlas")
        kept = {key: value for key, value in self.__dict__.items() if key not in remade}
        return {**kept, "_snapshot": None if self.closed else self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        snapshot = state["_snapshot"]
        self.__dict__.update(state)
        del self.__dict__["_snapshot"]
        self._core = _core.BatchEnv(**self._arguments)
        if snapshot is None:
            self.close()
        else:
            self.set_state(snapshot)

    def __enter__(self) -> VecEnv:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"VecEnv({self.game!r}, num_envs={self.num_envs}, num_agents={self.num_agents}, "
            f"obs_mode={self.obs_mode!r}, num_threads={self.num_threads})"
        )
