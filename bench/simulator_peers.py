"""Other simulators under random play, where they can be imported, and how ours compare."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rates import Effort, comparable, measure

DILEMMA_AGENTS = 5
JAX_BATCH = 64
JAX_STEPS = 16


def stepper_of(env: Any, actions: list[Any], ended: Callable[[Any], bool]) -> Callable[[int], None]:
    """Random play in an environment with the old ``reset``/``step`` loop."""

    def run(count: int) -> None:
        for i in range(count):
            if ended(env.step(actions[i % len(actions)])):
                env.reset()

    env.reset()
    return run


@dataclass(frozen=True)
class Stepper:
    """Random play in a peer's version of one of our games.

    Attributes:
        run: does so many operations.
        agents: in an environment.
        num_envs: environments stepped together.
        steps: of all of them, in one operation.
    """

    run: Callable[[int], None]
    agents: int
    num_envs: int = 1
    steps: int = 1


Steppers = dict[tuple[str, str], Stepper]
"""By our game and kind of view."""


def marlgrid_steppers() -> Steppers:
    """marlgrid's own versions of our games."""
    envs = importlib.import_module("marlgrid.envs")
    agents = importlib.import_module("marlgrid.agents")
    rng = np.random.default_rng(0)
    kinds: dict[str, tuple[Any, int, dict[str, Any]]] = {
        "GoalCycle-v0": (
            envs.ClutteredGoalCycleEnv,
            3,
            {"grid_size": 13, "clutter_density": 0.15, "n_bonus_tiles": 3, "max_steps": 250},
        ),
        "Cluttered-v0": (envs.ClutteredMultiGrid, 1, {"grid_size": 11, "clutter_density": 0.15}),
        "Empty-v0": (envs.EmptyMultiGrid, 1, {"grid_size": 9}),
    }
    found: Steppers = {}
    for game, (kind, count, options) in kinds.items():
        players = [
            agents.GridAgentInterface(
                color="prestige", view_size=7, view_tile_size=3, view_offset=1
            )
            for _ in range(count)
        ]
        env = kind(agents=players, **options)
        actions = list(rng.integers(0, 7, (997, count)))
        run = stepper_of(env, actions, lambda result: bool(np.all(result[2])))
        found[game, "rgb"] = Stepper(run, count)
    return found


def minigrid_steppers() -> Steppers:
    """Minigrid: 7x7 symbols, and pixels at 3 a tile."""
    gymnasium = importlib.import_module("gymnasium")
    wrappers = importlib.import_module("minigrid.wrappers")
    ids = {
        "Empty-v0": "MiniGrid-Empty-8x8-v0",
        "DoorKey-v0": "MiniGrid-DoorKey-8x8-v0",
        "FourRooms-v0": "MiniGrid-FourRooms-v0",
    }
    actions = np.random.default_rng(0).integers(0, 7, 997).tolist()
    found: Steppers = {}
    for game, name in ids.items():
        for mode in ("rgb", "tiles"):
            env = gymnasium.make(name, disable_env_checker=True)
            if mode == "rgb":
                env = wrappers.RGBImgPartialObsWrapper(env, tile_size=3)
            run = stepper_of(env, actions, lambda result: bool(result[2] or result[3]))
            found[game, mode] = Stepper(run, 1)
    return found


def public_dilemma_steppers() -> Steppers:
    """The public social dilemmas, 15x15 pixels."""
    cleanup = importlib.import_module("social_dilemmas.envs.cleanup")
    harvest = importlib.import_module("social_dilemmas.envs.harvest")
    kinds = {
        "Cleanup-v0": (cleanup.CleanupEnv, 9),
        "Harvest-v0": (harvest.HarvestEnv, 8),
    }
    rng = np.random.default_rng(0)
    found: Steppers = {}
    for game, (kind, choices) in kinds.items():
        drawn = rng.integers(0, choices, (997, DILEMMA_AGENTS)).tolist()
        actions = [{f"agent-{i}": action for i, action in enumerate(step)} for step in drawn]
        run = stepper_of(kind(num_agents=DILEMMA_AGENTS), actions, lambda result: False)
        found[game, "rgb"] = Stepper(run, DILEMMA_AGENTS)
    return found


def melting_pot_steppers() -> Steppers:
    """Melting Pot's substrates, 11x11 tiles of 8x8 pixels."""
    substrate = importlib.import_module("meltingpot.substrate")
    rng = np.random.default_rng(0)
    found: Steppers = {}
    for game, name in {"Cleanup-v0": "clean_up", "Harvest-v0": "commons_harvest__open"}.items():
        env = substrate.build(name, roles=("default",) * DILEMMA_AGENTS)
        choices = [spec.num_values for spec in env.action_spec()]
        actions = rng.integers(0, choices, (997, DILEMMA_AGENTS)).tolist()
        run = stepper_of(env, actions, lambda result: bool(result.last()))
        found[game, "rgb"] = Stepper(run, DILEMMA_AGENTS)
    return found


def socialjax_steppers() -> Steppers:
    """SocialJax, compiled for the processor: 11x11 symbols, a batch, some steps to a call."""
    jax = importlib.import_module("jax")
    socialjax = importlib.import_module("socialjax")
    found: Steppers = {}
    for game, name in {"Cleanup-v0": "clean_up", "Harvest-v0": "harvest_common_open"}.items():
        env = socialjax.make(name, num_agents=DILEMMA_AGENTS)
        found[game, "tiles"] = Stepper(
            jax_stepper(jax, env, env.action_space(0).n), DILEMMA_AGENTS, JAX_BATCH, JAX_STEPS
        )
    return found


def jax_stepper(jax: Any, env: Any, choices: int) -> Callable[[int], None]:
    """Random play in JAX_BATCH environments at once, JAX_STEPS steps an operation."""

    def step(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], None]:
        key, state, _obs = carry
        key, for_actions, for_env = jax.random.split(key, 3)
        actions = jax.random.randint(for_actions, (env.num_agents, JAX_BATCH), 0, choices)
        keys = jax.random.split(for_env, JAX_BATCH)
        obs, state, *_ = jax.vmap(env.step)(keys, state, list(actions))
        return (key, state, obs), None

    @jax.jit  # type: ignore[untyped-decorator]
    def play(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        last: tuple[Any, ...] = jax.lax.scan(step, carry, None, length=JAX_STEPS)[0]
        return last

    key = jax.random.PRNGKey(0)
    obs, state = jax.vmap(env.reset)(jax.random.split(key, JAX_BATCH))
    held = [(key, state, obs)]

    def run(count: int) -> None:
        for _ in range(count):
            held[0] = play(held[0])
        jax.block_until_ready(held[0])

    run(1)  # compiles
    return run


def peer_learning_steppers() -> Steppers:
    """Peer Learning's public Room and Hallway, without limits of time."""
    room = importlib.import_module("env.room").RoomEnv(length=21, dims=2)
    hallway = importlib.import_module("env.hallway").Hallway(size=21)
    rng = np.random.default_rng(0)
    found: Steppers = {}
    for game, env, choices in (("Room-v0", room, 4), ("Hallway-v0", hallway, 2)):
        actions = rng.integers(0, choices, 997).tolist()
        found[game, "vector"] = Stepper(stepper_of(env, actions, lambda result: bool(result[2])), 1)
    return found


DILEMMAS = ("Cleanup-v0", "Harvest-v0", "Switch-v0", "BoxTrapped-v0", "BoxTrapped-v1")
ROOMS = ("Room-v0", "Hallway-v0")
GRID_PEERS: dict[str, Callable[[], Steppers]] = {
    "marlgrid": marlgrid_steppers,
    "minigrid": minigrid_steppers,
}
DILEMMA_PEERS: dict[str, Callable[[], Steppers]] = {
    "social_dilemmas": public_dilemma_steppers,
    "meltingpot": melting_pot_steppers,
    "socialjax": socialjax_steppers,
}
ROOM_PEERS: dict[str, Callable[[], Steppers]] = {"peer_learning": peer_learning_steppers}
PEERS = GRID_PEERS | DILEMMA_PEERS | ROOM_PEERS


def peers_of(game: str) -> list[str]:
    """The simulators that a game is compared with."""
    if game in ROOMS:
        return list(ROOM_PEERS)
    return list(DILEMMA_PEERS if game in DILEMMAS else GRID_PEERS)


def measure_peers(effort: Effort) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows for the peers that are importable, and why the others are not."""
    rows: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    for peer, steppers in PEERS.items():
        try:
            found = steppers()
        except ImportError as error:
            absent[peer] = str(error)
            continue
        for (game, mode), stepper in found.items():
            rate = measure(stepper.run, effort)
            rows.append(
                {
                    "peer": peer,
                    "game": game,
                    "obs_mode": mode,
                    "agents": stepper.agents,
                    "num_envs": stepper.num_envs,
                    **asdict(rate.scaled(stepper.agents * stepper.num_envs * stepper.steps)),
                }
            )
    return rows, absent


def times_peer(
    row: dict[str, Any], peers: list[dict[str, Any]], peer: str
) -> tuple[float, bool] | None:
    """How many times the peer's rate a row is; whether the peer has that game and view.

    Where it has not, its fastest game counts.
    """
    own = [other for other in peers if other["peer"] == peer]
    key = ("game", "obs_mode")
    same = [other for other in own if all(other[name] == row[name] for name in key)]
    if not own:
        return None
    return comparable(row) / max(map(comparable, same or own)), bool(same)
