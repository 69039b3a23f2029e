"""The learners on a GPU: do they agree with the CPU, how fast are they, what do they wait for?

    python bench/gpu.py --seconds 480 --out gpu     # on a machine with a GPU; no network is needed
    python bench/gpu.py --device cpu --tiny         # minutes: checks that the benchmark runs

Needs PyTorch, numpy and a compiler; where the package is not installed it is built first, from
this checkout, without fetching anything (scikit-build-core, pybind11, CMake and ninja have to be
there). Then come the tests that are marked for accelerators (graphs beside their eager twins,
Triton's kernels beside PyTorch, one update of every algorithm and mechanism beside the CPU's, the
same run twice), for at most a third of the time; then the rows of the tables in the order of their
importance. Every test and row is written to ``OUT/tests.jsonl`` and ``OUT/gpu.jsonl`` as it is
done; what finds no time any more is named. Rows are measured by a process of its own
(``gpu_rows.py``): where one fails, hangs or takes the process with it, what it said is in
``OUT/failures.log``, and another process goes on with the next.

An agent-step is one learner acting once, with all the learning that follows from it; scripted
players do not count. A wait is a call in which the host waits for the device. Launches and waits
are counted by PyTorch's profiler in an act (a mean over a short batch) and in an update of two
minibatches. ``--graphs off`` starts operations one by one instead of repeating recorded graphs;
some rows do both, and with and without Triton.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checkouts import ROOT, build_and_restart

# The time that went into building the package counts.
BEGIN = time.monotonic() - float(os.environ.get("SOCIALGRID_BUILT", "0"))

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--seconds", type=float, default=480, help="when to end (default 480)")
parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of gpu.jsonl and logs")
parser.add_argument("--device", default="cuda", help="cuda or cpu (default cuda)")
parser.add_argument("--tiny", action="store_true", help="tiny sizes: checks that it runs")
parser.add_argument("--only", default="", help="rows whose names contain this")
parser.add_argument("--no-tests", action="store_true", help="tables only")
parser.add_argument("--no-rows", action="store_true", help="tests only, which have all the time")
parser.add_argument("--graphs", default="on", choices=("on", "off"), help="whether phases repeat")

TESTS = (
    "tests/python/accelerator/test_captured_there.py",
    "tests/python/accelerator/test_graphs.py",
    "tests/python/models/triton",
    "tests/python/accelerator/test_parity.py",
)
LONGEST = 120  # seconds that a row may take before it is taken to hang
HOPELESS = 3  # rows with graphs that fail one after the other, before the rest goes without
FAILED = 3  # what gpu_rows.py ends with after a row that failed, which it has told of


def left(args: argparse.Namespace) -> float:
    """Seconds until the program has to end."""
    return float(args.seconds) - (time.monotonic() - BEGIN)


def write(out: Path, **row: Any) -> None:
    """Keep a row."""
    with (out / "gpu.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def run_tests(args: argparse.Namespace, seconds: float) -> None:
    """The tests of the accelerator, in several processes where pytest-xdist is there."""
    words = ["-q", "-p", "told", "-p", "no:cacheprovider", "-p", "no:benchmark"]
    words += ["--accelerator", args.device]
    if importlib.util.find_spec("xdist"):
        words += ["-n", str(min(12, os.cpu_count() or 1))]
    if args.tiny:
        words += ["-k", "ppo or dqn"]
    told = args.out.resolve() / "tests.jsonl"
    told.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT / "bench"), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "SOCIALGRID_TOLD": str(told), "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", *words, *TESTS]
    with (args.out / "tests.log").open("w", encoding="utf-8") as log:
        tests = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            tests.wait(seconds)
        except subprocess.TimeoutExpired:
            end(tests)
            print(f"  tests: stopped after {seconds:.0f} s", flush=True)
    tell_tests(args.out, told)


def tell_tests(out: Path, told: Path) -> None:
    """How many tests passed, what failed, and how far accelerator and CPU were apart by arm."""
    found = (
        [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
        if told.exists()
        else []
    )
    failed = [one for one in found if one["outcome"] == "failed"]
    for one in failed:
        print(f"  FAILED {one['test']}: {one['said'][-1:]}")
        with (out / "failures.log").open("a", encoding="utf-8") as log:
            log.write("\n".join([f"=== {one['test']}", *one["said"], ""]))
    said = f"{sum(one['outcome'] == 'passed' for one in found)} passed, {len(failed)} failed"
    if not found:
        log = (out / "tests.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said += f"; {log[-1] if log else 'pytest said nothing'}"
    print(f"  tests: {said}")
    write(out, row="tests", said=said, failed=[one["test"] for one in failed])
    apart = [(*one["difference"].split(" ", 1), one["test"]) for one in found if one["difference"]]
    far = sorted(((float(size), of, test) for size, of, test in apart), reverse=True)
    for size, of, test in far:
        write(out, row="agreement", arm=test.partition("[")[2].rstrip("]"), difference=size, of=of)
    worst = "; ".join(f"{test.partition('[')[2].rstrip(']')} {s:.1e} of {of}"
                      for s, of, test in far[:4])  # fmt: skip
    print(f"  one update beside the CPU's, {len(far)} arms; furthest apart: {worst}", flush=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_rows(args: argparse.Namespace) -> None:
    """All rows, by as many processes as it takes."""
    at, number, in_a_row, unborn = args.out / "at.json", 0, 0, 0
    until, graphs = time.time() + left(args), args.graphs
    while left(args) > 15:
        at.unlink(missing_ok=True)
        words = ["--until", str(until), "--out", str(args.out), "--device", args.device]
        words += ["--only", args.only, "--graphs", graphs, "--at", str(number)]
        words += ["--tiny"] if args.tiny else []
        rows = subprocess.Popen(
            [sys.executable, str(ROOT / "bench" / "gpu_rows.py"), *words], start_new_session=True
        )
        why = watched(rows, at, args)
        if rows.returncode == 0:
            return
        if not at.exists():
            print(f"  FAILED before any row: status {rows.returncode}", flush=True)
            unborn += 1
            if unborn > 1:
                return
            continue
        failed, name, _ = json.loads(at.read_text(encoding="utf-8"))
        in_a_row = in_a_row + 1 if failed == number else 1
        if in_a_row >= HOPELESS and graphs == "on":
            print(f"  {in_a_row} rows in a row failed: the rest without graphs", flush=True)
            graphs, in_a_row = "off", 0
        if rows.returncode != FAILED:
            print(f"  FAILED {name}: {why}", flush=True)
            write(args.out, row=name, error=why)
        number = failed + 1


def watched(rows: subprocess.Popen[bytes], at: Path, args: argparse.Namespace) -> str:
    """Wait for a process that measures rows, and end it when one takes too long; why it ended."""
    since, last = time.monotonic(), ""
    while True:
        try:
            status = rows.wait(0.5)
        except subprocess.TimeoutExpired:
            now = at.read_text(encoding="utf-8") if at.exists() else ""
            if now != last:
                since, last = time.monotonic(), now
            taken = time.monotonic() - since
            if taken > LONGEST or left(args) < 0:
                end(rows)
                return f"ended after {taken:.0f} s"
        else:
            return f"ended by signal {-status}" if status < 0 else f"status {status}"


def missed(out: Path) -> Iterator[str]:
    """Rows for which no time was left."""
    for line in (out / "gpu.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("missed"):
            yield row["row"]


def main() -> None:
    """Build, test, measure."""
    args = parser.parse_args()
    if importlib.util.find_spec("socialgrid") is None:
        build_and_restart()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["SOCIALGRID_GRAPHS"] = args.graphs
    import torch

    import socialgrid

    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no CUDA device here; --device cpu --tiny tries the program")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("gpu.jsonl", "failures.log"):
        (args.out / name).unlink(missing_ok=True)
    card = torch.cuda.get_device_name() if args.device == "cuda" else "no accelerator"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{card}; {cores} cores; Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"socialgrid {socialgrid.__version__}",
        flush=True,
    )
    write(
        args.out, card=card, cores=cores, torch=torch.__version__,
        built_in=os.environ.get("SOCIALGRID_BUILT"),
    )  # fmt: skip
    if not args.no_tests:
        run_tests(args, seconds=(1.0 if args.no_rows else 0.33) * left(args))
    if not args.no_rows:
        run_rows(args)
    names = [] if args.no_rows else [*missed(args.out)]
    if names:
        print(f"  no time was left for: {'; '.join(names)}")
    print(f"done after {time.monotonic() - BEGIN:.0f} s")


if __name__ == "__main__":
    main()
