"""Is this checkout faster than another commit? The same work there and here, in turns.

    python bench/against.py eba54aa                        # tens of minutes of one core
    python bench/against.py eba54aa --only mini --turns 5
    python bench/against.py eba54aa --threads 2 --wall     # by the clock, on an idle machine
    python bench/against.py eba54aa --what simulator       # steps of games, and scripted players

Both checkouts are built with the interpreter at hand. A piece of work is a training run of
``arms.py`` in each checkout's own words; a short and a long run of it are made, and the difference
of their CPU times (of the clock with ``--wall``) over the difference of their steps is what an
agent-step costs: starting up is not in it. The two checkouts take turns; the ratio is the median of
the turns', with the lowest and the highest. Of the simulator, the work is random play in the games
of ``stepping.py``; a second table has ``players.py``'s players beside the simulator's own step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import players
import stepping
from arms import WORK
from checkouts import ROOT, Checkout, build

# Runs in the checkout that is measured; says the seconds that the run took.
RUN = """
import contextlib, importlib.util, io, json, pathlib, resource, sys, tempfile, time
spec = importlib.util.spec_from_file_location("arms", sys.argv[1])
arms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(arms)
try:
    from socialgrid.commands.cli import train
except ImportError:
    from socialgrid.train.cli import train  # until 9487337
name, steps, threads = sys.argv[2:5]
words = arms.WORK[name][0].split() + arms.QUIET.split() + ["--run.total-steps", steps]
words += ["--run.threads", threads, "--env.num-threads", threads]
said = io.StringIO()
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said), \\
        contextlib.redirect_stderr(said):
    run = pathlib.Path(folder) / "run"
    begin = time.perf_counter()
    code = train([*words, "--run.run-dir", str(run)])
    wall = time.perf_counter() - begin
if code:
    sys.exit(said.getvalue()[-500:])
both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"cpu": sum(one.ru_utime + one.ru_stime for one in both), "wall": wall}))
"""


def cost(checkout: Checkout, name: str, clock: str, threads: int) -> float:
    """Seconds that an agent-step costs in a checkout."""
    _, short, long, agents = WORK[name]
    own = checkout.source / "bench" / "arms.py"
    arms = str(own if own.is_file() else ROOT / "bench" / "arms.py")
    seconds = []
    for steps in (short, long):
        with checkout.start(RUN, arms, name, str(steps), str(threads)) as process:
            said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{checkout.name} cannot do {name}")
        seconds.append(json.loads(said)[clock])
    return float(seconds[1] - seconds[0]) / ((long - short) * agents)


def compare(
    pair: tuple[Checkout, Checkout],
    names: Iterable[str],
    turns: int,
    unit: str,
    costs: Callable[[Checkout, str], float],
) -> None:
    """Print the table of what costs so many seconds an agent-step there and here."""
    print(f"| work | {pair[0].name}, agent-steps a {unit} | here | times as fast |")
    print("|---|---|---|---|")
    for name in names:
        found = []
        for turn in range(turns):
            order = pair if turn % 2 == 0 else pair[::-1]
            measured = {one.name: costs(one, name) for one in order}
            found.append([measured[one.name] for one in pair])
        ratios = sorted(before / after for before, after in found)
        before, after = (1 / statistics.median(column) for column in zip(*found, strict=True))
        print(
            f"| {name} | {before:,.0f} | {after:,.0f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
            flush=True,
        )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit", help="what to compare with")
    parser.add_argument(
        "--what", choices=("training", "simulator"), default="training", help="default: training"
    )
    parser.add_argument("--only", default="", help="work whose name contains this")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of both (default 1)")
    parser.add_argument("--wall", action="store_true", help="by the clock, not by CPU time")
    args = parser.parse_args()
    pair = build(args.commit), build(None)
    unit = "second" if args.wall else "CPU second"
    print(f"load {os.getloadavg()[0]:.1f}, {args.threads} threads, {args.turns} turns\n")

    def training(one: Checkout, name: str) -> float:
        return cost(one, name, "wall" if args.wall else "cpu", args.threads)

    def simulator(one: Checkout, name: str) -> float:
        return stepping.cost(one, name, args.threads, args.wall)

    def wanted(names: Iterable[str]) -> list[str]:
        return [name for name in names if args.only in name]

    if args.what == "training":
        compare(pair, wanted(WORK), args.turns, unit, training)
        return
    compare(pair, wanted(stepping.CASES), args.turns, unit, simulator)
    play = players.Play(turns=args.turns, threads=(args.threads,), wall=args.wall)
    print()
    players.compare(pair, wanted(players.CASES), play)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
