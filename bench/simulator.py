"""How fast the simulator is, beside its peers and beside a plain copy of the same bytes.

    python bench/simulator.py                     # everything, a few minutes
    python bench/simulator.py --json speed.json   # the same, also as JSON
    python bench/simulator.py --quick             # seconds; checks that the benchmark runs

Other simulators are measured in the same run when they are importable: marlgrid and Minigrid for
the grids; the public social dilemmas, Melting Pot and SocialJax for the dilemmas; Peer Learning's
public Room for the rooms. Every figure is the median of several repeats, with the lowest and
highest beside it. An agent-step is one agent
acting once: E environments of A agents make E * A of them per step, with movement, rewards,
occlusion, rendering and autoresets included.

Rates are by the clock, and per CPU second beside it: where other programs use the machine too, the
latter is what one thread would reach on a core of its own. Comparisons of one thread with a peer or
with a copy are made per CPU second, those of several threads by the clock.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import socialgrid

ACTION_BATCHES = 64
GAME_BATCH = 256
SCALING_GAME = "GoalCycle-v0"
LARGEST_BATCH = 65536
DILEMMA_AGENTS = 5
JAX_BATCH = 64
JAX_STEPS = 16


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds a repeat lasts at least, and how many repeats."""

    seconds: float
    repeats: int


@dataclass(frozen=True)
class Rate:
    """Operations per second: median, lowest and highest of the repeats; median per CPU second."""

    median: float
    low: float
    high: float
    per_cpu_second: float

    def scaled(self, factor: float) -> Rate:
        return Rate(*(value * factor for value in astuple(self)))


def measure(run: Callable[[int], None], effort: Effort) -> Rate:
    """Rate of ``run(n)``, which does n operations, after a warm-up that also finds a fitting n."""
    count = 1
    while True:
        begin = time.perf_counter()
        run(count)
        elapsed = time.perf_counter() - begin
        if elapsed >= effort.seconds / 4:
            break
        count *= 2
    count = max(1, round(count * effort.seconds / elapsed))
    rates, cpu_rates = [], []
    for _ in range(effort.repeats):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        run(count)
        cpu_rates.append(count / max(time.process_time() - cpu_begin, 1e-9))
        rates.append(count / (time.perf_counter() - begin))
    return Rate(statistics.median(rates), min(rates), max(rates), statistics.median(cpu_rates))


def measure_game(
    game: str, num_envs: int, num_threads: int, obs_mode: str, effort: Effort, **config: Any
) -> tuple[Rate, int, int]:
    """Agent-steps/s under random actions, the bytes of one step's views, agents an environment."""
    env = socialgrid.make_vec(
        game, num_envs=num_envs, num_threads=num_threads, obs_mode=obs_mode, **config
    )
    rng = np.random.default_rng(0)
    shape = (min(ACTION_BATCHES, max(2, 2**22 // num_envs)), num_envs, env.num_agents)
    actions = rng.integers(0, env.action_counts, shape, dtype=np.int32)
    obs, _ = env.reset(seed=0)
    num_bytes = obs.nbytes
    del obs

    def run(count: int) -> None:
        for i in range(count):
            env.step(actions[i % len(actions)])

    rate = measure(run, effort).scaled(num_envs * env.num_agents)
    env.close()
    return rate, num_bytes, env.num_agents


def measure_copy(num_bytes: int, effort: Effort) -> Rate:
    """Bytes/s of copying a block of this size again and again, on one core."""
    source = np.random.default_rng(0).integers(0, 256, num_bytes, dtype=np.uint8)
    target = np.zeros_like(source)

    def run(count: int) -> None:
        for _ in range(count):
            np.copyto(target, source)

    return measure(run, effort).scaled(num_bytes)


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


def comparable(row: dict[str, Any]) -> float:
    """The rate that comparisons use: per CPU second for one thread, by the clock for several."""
    return float(row["per_cpu_second"] if row.get("threads", 1) == 1 else row["median"])


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


def measure_games(
    cores: int, batch: int, peers: list[dict[str, Any]], effort: Effort
) -> list[dict[str, Any]]:
    rows = []
    for game in socialgrid.list_games():
        for obs_mode in ("vector", "rgb") if game in ROOMS else ("rgb", "tiles"):
            for threads in sorted({1, cores}):
                rate, num_bytes, agents = measure_game(game, batch, threads, obs_mode, effort)
                copy = measure_copy(num_bytes, effort)
                row: dict[str, Any] = {
                    "game": game,
                    "obs_mode": obs_mode,
                    "threads": threads,
                    "num_envs": batch,
                    "agents": agents,
                    **asdict(rate),
                    "obs_bytes_per_step": num_bytes,
                    "copy_bytes_per_second": copy.per_cpu_second,
                }
                byte_rate = comparable(row) * num_bytes / (batch * agents)
                row["share_of_copy_rate"] = byte_rate / copy.per_cpu_second
                for peer in peers_of(game):
                    found = times_peer(row, peers, peer)
                    row[f"times_{peer}"] = found[0] if found else None
                    row[f"same_game_in_{peer}"] = bool(found and found[1])
                rows.append(row)
    return rows


def measure_threads(cores: int, batch: int, effort: Effort) -> list[dict[str, Any]]:
    counts = sorted({1, cores} | {2**k for k in range(1, 8) if 2**k < cores})
    rows = []
    for obs_mode in ("rgb", "tiles"):
        single = None
        for threads in counts:
            rate, _, _ = measure_game(SCALING_GAME, batch, threads, obs_mode, effort)
            single = single or rate
            rows.append(
                {
                    "obs_mode": obs_mode,
                    "threads": threads,
                    "num_envs": batch,
                    **asdict(rate),
                    "times_one_thread": rate.median / single.median,
                    "cpu_efficiency": rate.per_cpu_second / single.per_cpu_second,
                }
            )
    return rows


def measure_batches(cores: int, sizes: Iterable[int], effort: Effort) -> list[dict[str, Any]]:
    return [
        {
            "obs_mode": "rgb",
            "threads": threads,
            "num_envs": size,
            **asdict(measure_game(SCALING_GAME, size, threads, "rgb", effort)[0]),
        }
        for threads in sorted({1, cores})
        for size in sizes
    ]


def resident_bytes() -> int | None:
    """Memory the process holds, where the system tells."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_memory(num_envs: int) -> list[dict[str, Any]]:
    """Bytes an environment of each game takes: state, views, and all with one step's results."""
    rows = []
    for game in socialgrid.list_games():
        # Each in a process of its own, so that memory freed earlier is not counted as free.
        script = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            f"import simulator; simulator.print_memory({game!r}, {num_envs})"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        rows.append({"game": game, "num_envs": num_envs, **json.loads(done.stdout)})
    return rows


def print_memory(game: str, num_envs: int) -> None:
    small = socialgrid.make_vec(game, num_envs=1)
    small.reset(seed=0)
    small.close()
    before = resident_bytes()
    env = socialgrid.make_vec(game, num_envs=num_envs)
    env.reset(seed=0)
    actions = np.zeros((num_envs, env.num_agents), dtype=np.int32)
    results = env.step(actions)
    after = resident_bytes()
    total = None if before is None or after is None else (after - before) / num_envs
    print(
        json.dumps(
            {
                "resident_bytes_per_env": total,
                "view_bytes_per_env": results[0].nbytes / num_envs,
                "state_bytes_per_env": env.state_bytes_per_env,
                "snapshot_bytes_per_env": len(env.get_state()) / num_envs,
            }
        )
    )


def measure_overhead(effort: Effort) -> dict[str, Any]:
    """Seconds a step of one environment with one agent takes: what a call costs in itself."""
    env = socialgrid.make_vec("Empty-v0", num_envs=1, num_threads=1, obs_mode="tiles")
    action = np.zeros((1, 1), dtype=np.int32)
    env.reset(seed=0)

    def run(count: int) -> None:
        for _ in range(count):
            env.step(action)

    rate = measure(run, effort)
    return {
        "microseconds_per_step": 1e6 / rate.median,
        "low": 1e6 / rate.high,
        "high": 1e6 / rate.low,
    }


def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        changed = "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine(cores: int) -> dict[str, Any]:
    packages = ("socialgrid", "numpy", "gymnasium", "minigrid", "marlgrid", "dmlab2d", "jax")
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": cores,
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages if version(name)},
    }


def run_all(quick: bool, batch: int | None) -> dict[str, Any]:
    effort = Effort(0.005, 2) if quick else Effort(0.25, 7)
    peer_effort = Effort(0.02, 2) if quick else Effort(1.0, 5)
    batch = batch or (16 if quick else GAME_BATCH)
    sizes = (1, 16, 64) if quick else tuple(4**k for k in range(9) if 4**k <= LARGEST_BATCH)
    cores = available_cores()
    report: dict[str, Any] = {"machine": describe_machine(cores)}
    report["peers"], report["peers_absent"] = measure_peers(peer_effort)
    report["games"] = measure_games(cores, batch, report["peers"], effort)
    report["threads"] = measure_threads(cores, batch if quick else 1024, effort)
    report["batches"] = measure_batches(cores, sizes, effort)
    report["memory"] = measure_memory(256 if quick else 16384)
    report["overhead"] = measure_overhead(effort)
    return report


def rate_text(row: dict[str, Any]) -> str:
    return f"{row['median']:,.0f} ({row['low']:,.0f}-{row['high']:,.0f})"


def cpu_text(row: dict[str, Any]) -> str:
    return f"{row['per_cpu_second']:,.0f}"


def times_text(row: dict[str, Any], peer: str) -> str:
    times = row[f"times_{peer}"]
    if times is None:
        return "-"
    return f"{times:,.0f}" + ("" if row[f"same_game_in_{peer}"] else "*")


def bytes_text(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def game_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["game"],
        str(row["agents"]),
        row["obs_mode"],
        str(row["threads"]),
        rate_text(row),
        cpu_text(row),
        *(times_text(row, peer) for peer in peers_of(row["game"])),
        f"{row['copy_bytes_per_second'] / 1e9:.1f}",
        f"{row['share_of_copy_rate']:.1%}",
    ]


def peer_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["peer"],
        row["game"],
        str(row["agents"]),
        str(row["num_envs"]),
        row["obs_mode"],
        rate_text(row),
        cpu_text(row),
    ]


def thread_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["obs_mode"],
        str(row["threads"]),
        rate_text(row),
        cpu_text(row),
        f"{row['times_one_thread']:.2f}",
        f"{row['cpu_efficiency']:.0%}",
    ]


def batch_cells(row: dict[str, Any]) -> list[str]:
    return [f"{row['num_envs']:,}", str(row["threads"]), rate_text(row), cpu_text(row)]


def memory_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["game"],
        bytes_text(row["resident_bytes_per_env"]),
        bytes_text(row["view_bytes_per_env"]),
        bytes_text(row["state_bytes_per_env"]),
        bytes_text(row["snapshot_bytes_per_env"]),
    ]


def tables_of(report: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, head, rows of text) of every table."""
    rate = "agent-steps/s (lowest-highest),per CPU second"
    games, peers, threads, batches, memory = (
        report[name] for name in ("games", "peers", "threads", "batches", "memory")
    )
    families = []
    for family, names in (
        ("Grids", GRID_PEERS),
        ("Social dilemmas", DILEMMA_PEERS),
        ("Rooms", ROOM_PEERS),
    ):
        times = ",".join(f"x {peer}" for peer in names)
        families.append(
            (
                f"{family}, {games[0]['num_envs']} environments",
                f"game,agents,view,threads,{rate},{times},copy GB/s,share of it",
                [game_cells(row) for row in games if peers_of(row["game"]) == list(names)],
            )
        )
    tables = [
        *families,
        (
            "Peers",
            f"peer,game,agents,environments,view,{rate}",
            map(peer_cells, peers),
        ),
        (
            f"{SCALING_GAME} over threads, {threads[0]['num_envs']} environments",
            f"view,threads,{rate},x one thread,CPU efficiency",
            map(thread_cells, threads),
        ),
        (
            f"{SCALING_GAME} over batch sizes, rgb",
            f"environments,threads,{rate}",
            map(batch_cells, batches),
        ),
        (
            f"Memory, bytes an environment in a batch of {memory[0]['num_envs']:,}",
            "game,resident in all,views of one step,state,snapshot",
            map(memory_cells, memory),
        ),
    ]
    return [(title, head.split(","), list(rows)) for title, head, rows in tables]


def print_tables(report: dict[str, Any]) -> None:
    try:
        console = importlib.import_module("rich.console").Console()
        rich_table = importlib.import_module("rich.table").Table
    except ImportError:
        console = None
    for title, head, rows in tables_of(report):
        if not rows:
            continue
        if console is not None and console.is_terminal:
            table = rich_table(title=title)
            for name in head:
                table.add_column(name)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        else:
            print(f"\n{title}\n")
            print("| " + " | ".join(head) + " |")
            print("|" + "---|" * len(head))
            for row in rows:
                print("| " + " | ".join(row) + " |")
    overhead = report["overhead"]
    print(
        f"\nOne environment, one agent: {overhead['microseconds_per_step']:.2f} microseconds a step"
        f" ({overhead['low']:.2f}-{overhead['high']:.2f}), all of Python's overhead included."
    )
    if report["peers"]:
        print("* the peer has no such game or view: compared with the fastest it has.")
    for peer, reason in report["peers_absent"].items():
        print(f"{peer} not measured: {reason}")
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(f"\ncommit {machine['commit']}, {machine['date']}")
    print(f"{machine['cpu']}, {machine['cores']} cores, load average {machine['load_average']}")
    print(f"{machine['system']}, Python {machine['python']}, {versions}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of the simulator, beside its peers.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; rough")
    parser.add_argument("--num-envs", type=int, help=f"batch of the first table ({GAME_BATCH})")
    options = parser.parse_args(arguments)
    report = run_all(options.quick, options.num_envs)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    print_tables(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
