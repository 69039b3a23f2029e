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
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import socialgrid
from machine import available_cores, describe_machine
from rates import Effort, Rate, comparable, measure
from simulator_peers import ROOMS, measure_peers, peers_of, times_peer
from simulator_tables import print_tables

ACTION_BATCHES = 64
GAME_BATCH = 256
SCALING_GAME = "GoalCycle-v0"
LARGEST_BATCH = 65536


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
    return int(statm.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


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


def run_all(quick: bool, batch: int | None) -> dict[str, Any]:
    effort = Effort(0.005, 2) if quick else Effort(0.25, 7)
    peer_effort = Effort(0.02, 2) if quick else Effort(1.0, 5)
    batch = batch or (16 if quick else GAME_BATCH)
    sizes = (1, 16, 64) if quick else tuple(4**k for k in range(9) if 4**k <= LARGEST_BATCH)
    cores = available_cores()
    report: dict[str, Any] = {"machine": describe_machine(cores)}
    report["peers"], report["peers_absent"] = measure_peers(peer_effort)
    report["games"] = measure_games(cores, batch, report["peers"], effort)
    report["scaling_game"] = SCALING_GAME
    report["threads"] = measure_threads(cores, batch if quick else 1024, effort)
    report["batches"] = measure_batches(cores, sizes, effort)
    report["memory"] = measure_memory(256 if quick else 16384)
    report["overhead"] = measure_overhead(effort)
    return report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of the simulator, beside its peers.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; rough")
    parser.add_argument("--num-envs", type=int, help=f"batch of the first table ({GAME_BATCH})")
    options = parser.parse_args(arguments)
    report = run_all(options.quick, options.num_envs)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print_tables(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
