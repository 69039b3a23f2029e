"""Is this checkout faster than another commit? The same work there and here, in turns.

    python bench/against.py eba54aa                        # tens of minutes of one core
    python bench/against.py eba54aa --only mini --turns 5
    python bench/against.py eba54aa --threads 2 --wall     # by the clock, on an idle machine

Both checkouts are built with the interpreter at hand. A piece of work is a training run of
``arms.py`` in each checkout's own words; a short and a long run of it are made, and the difference
of their CPU times (of the clock with ``--wall``) over the difference of their steps is what an
agent-step costs: starting up is not in it. The two checkouts take turns; the ratio is the median of
the turns', with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

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


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit", help="what to compare with")
    parser.add_argument("--only", default="", help="work whose name contains this")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of both (default 1)")
    parser.add_argument("--wall", action="store_true", help="by the clock, not by CPU time")
    args = parser.parse_args()
    there, here = build(args.commit), build(None)
    clock = "wall" if args.wall else "cpu"
    unit = "second" if args.wall else "CPU second"
    print(f"load {os.getloadavg()[0]:.1f}, {args.threads} threads, {args.turns} turns\n")
    print(f"| work | {there.name}, agent-steps a {unit} | here | times as fast |")
    print("|---|---|---|---|")
    for name in WORK:
        if args.only not in name:
            continue
        turns = []
        for turn in range(args.turns):
            order = (there, here) if turn % 2 == 0 else (here, there)
            measured = {one.name: cost(one, name, clock, args.threads) for one in order}
            turns.append((measured[there.name], measured[here.name]))
        ratios = sorted(before / after for before, after in turns)
        before, after = (1 / statistics.median(column) for column in zip(*turns, strict=True))
        print(
            f"| {name} | {before:,.0f} | {after:,.0f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
