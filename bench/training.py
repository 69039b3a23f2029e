"""How fast learning is, where the time goes, and what stacking the agents is worth.

    python bench/training.py                       # all tables, some minutes
    python bench/training.py --json training.json  # the same, also as JSON
    python bench/training.py --quick               # seconds; checks that the benchmark runs
    python bench/training.py --presets --precisions  # the small network of the dilemmas only

An agent-step is one agent acting once, with all the learning that follows from it. Rates are by the
clock and, beside it, per CPU second: where other programs use the machine too, the latter is what
one thread would reach on a core of its own. With more than one thread (``--threads``) waiting for
the others counts as CPU time, so measure on an idle machine or with one thread.

One learner is held against a loop in plain PyTorch with ``nn.LSTM`` and against sb3-contrib's
RecurrentPPO, where it is installed. ``of peak`` is what the network's multiplications come to of
those of a large matrix product on this machine; what is looked up counts as if it were computed.

The last two tables are of the small networks of the social dilemmas: Harvest with five agents, by
A3C with one process or several (each with one thread) and by PPO with the public recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from actors import measure_workers
from lone_learner import Lone, measure_lone
from plain_loops import compare, compare_small, matrix_peak
from socialgrid.commands.allocation import keep_freed_memory
from threads import tables
from whole_loop import PRESETS, measure_training


def table(heads: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def machine(args: argparse.Namespace) -> dict[str, Any]:
    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
        )
        return found.stdout.strip()

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            x.split(":")[1]
            for x in info.read_text(encoding="utf-8").splitlines()
            if "model name" in x
        ]
        model = names[0].strip() if names else model
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "--short", "HEAD"),
        "changes": bool(git("status", "--porcelain", "--", "../python", "../cpp", ".")),
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": args.threads,
        "torch": torch.__version__,
        "device": args.device,
        "bf16_instructions": torch.cpu._is_avx512_bf16_supported(),
    }


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _told(row: Lone) -> list[str]:
    found = [row.preset, f"{row.ours:,.0f}", f"{row.same_work:,.0f}"]
    for theirs in (row.ppo_lstm, row.recurrent_ppo):
        if theirs is None:
            found += ["not installed", ""]
        else:
            ratios = f"{row.ours / theirs:.2f}, {row.same_work / theirs:.2f}"
            found += [f"{theirs:,.0f}", ratios]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--threads",
        type=_numbers,
        default=[os.cpu_count() or 1],
        help="of torch and the core; several, as in 1,2,4: only what threads make of learning",
    )
    parser.add_argument(
        "--shards",
        type=_numbers,
        default=[0],
        help="several, as in 1,4,8,16: only what shards cost on one thread",
    )
    parser.add_argument("--only", nargs="*", help="presets of those tables", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--agents", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--presets", nargs="*", choices=sorted(PRESETS), default=["mini", "full"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bf16"])
    parser.add_argument("--obs-modes", nargs="+", choices=["rgb", "tiles"], default=["rgb"])
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2, 4], help="actor-learners of A3C"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--quick", action="store_true", help="tiny batches: only check that it runs"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    threads, shards = args.threads, args.shards
    args.threads = threads[0]
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    about = machine(args)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    if len(threads) > 1 or len(shards) > 1:
        rows = tables(args, threads, shards)
        if args.json:
            args.json.write_text(
                json.dumps({"machine": about, "threads": rows}, indent=2) + "\n", encoding="utf-8"
            )
        return
    training = [
        measure_training(preset, precision, agents, mode, args)
        for preset in args.presets
        for precision in args.precisions
        for agents in args.agents
        for mode in args.obs_modes
    ]
    if training:
        print("\nWhole loop; shares of the time\n")
    rows = []
    for row in training:
        total = row.simulate + row.act + row.update
        rows.append(
            [
                *(row.preset, row.precision, str(row.agents), row.obs_mode),
                f"{row.agent_steps_per_second:,.0f}",
                f"{row.agent_steps_per_cpu_second:,.0f}",
                *(f"{x / total:.1%}" for x in (row.simulate, row.act, row.update)),
            ]
        )
    heads = ["preset", "precision", "agents", "views", "agent-steps/s", "per CPU second"]
    if training:
        print(table([*heads, "simulate", "act", "update"], rows), flush=True)
    lone = [measure_lone(preset, args) for preset in args.presets if args.device == "cpu"]
    if lone:
        print("\nOne learner beside others' loops, agent-steps per CPU second, float32\n")
        heads = ["preset", "here", "same work", "plain nn.LSTM loop", "ratios"]
        heads += ["RecurrentPPO", "ratios"]
        print(table(heads, [_told(row) for row in lone]), flush=True)
    comparisons = [
        row
        for precision in args.precisions
        for agents in args.agents
        for row in compare(precision, agents, args)
    ]
    comparisons += compare_small(5, args)
    print("\nStack of agents beside a loop over plain modules\n")
    rows = [
        [
            *(row.network, row.task, row.precision, str(row.agents)),
            *(f"{1000 * x:.1f} ms" for x in (row.plain, row.stacked)),
            *(f"{row.ratio:.2f}", f"{row.peak:.1%}"),
        ]
        for row in comparisons
    ]
    heads = ["network", "task", "precision", "agents", "plain loop", "stack", "times as fast"]
    print(table([*heads, "of peak"], rows), flush=True)
    for precision in dict.fromkeys(row.precision for row in comparisons):
        print(f"peak in {precision}: {matrix_peak(precision) / 1e9:,.0f} GFLOP/s", flush=True)
    actors = [
        measure_workers(algorithm, workers, args)
        for algorithm, counts in (("a3c", args.workers), ("a2c", args.workers[1:]), ("ppo", [1]))
        for workers in counts
    ]
    print("\nHarvest, five agents, small network; a2c is a3c with its barrier\n")
    rows = [
        [
            *(row.algorithm, str(row.workers), f"{row.agent_steps_per_second:,.0f}"),
            *(f"{row.updates_per_second:.2f}", f"{row.staleness:.2f}"),
        ]
        for row in actors
    ]
    heads = ["algorithm", "workers", "agent-steps/s", "updates/s", "mean staleness"]
    print(table(heads, rows))
    if args.json:
        document = {
            "machine": about,
            "training": [asdict(row) for row in training],
            "lone": [asdict(row) for row in lone],
            "peak": {row.precision: matrix_peak(row.precision) for row in comparisons},
            "comparisons": [{**asdict(row), "ratio": row.ratio} for row in comparisons],
            "actors": [asdict(row) for row in actors],
        }
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
