"""The simulator's figures as tables."""

from __future__ import annotations

import importlib
from typing import Any

from simulator_peers import DILEMMA_PEERS, GRID_PEERS, ROOM_PEERS, peers_of


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
            f"{report['scaling_game']} over threads, {threads[0]['num_envs']} environments",
            f"view,threads,{rate},x one thread,CPU efficiency",
            map(thread_cells, threads),
        ),
        (
            f"{report['scaling_game']} over batch sizes, rgb",
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
