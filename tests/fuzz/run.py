"""Build and run the libFuzzer targets: hostile maps, configurations, layouts and snapshots.

    python tests/fuzz/run.py --seconds 5         # each; what .ci/run does
    python tests/fuzz/run.py --seconds 3600      # an hour each
    python tests/fuzz/run.py --only layouts      # one of them

Needs clang++ with libFuzzer; without it, it says so and ends with 0. Inputs that reach new code are
kept in build/fuzz/corpus and used again. An input that breaks something is left in build/fuzz as
NAME-crash-... and repeated by giving it to the target: build/fuzz/fuzz_NAME FILE.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
TARGETS = ("maps", "configs", "layouts", "snapshots")
SEEDS = 64  # random inputs to begin with; the targets make sense of any bytes
LONGEST = 1024  # bytes of an input


def compiler() -> str | None:
    """A clang++ that can link a fuzz target."""
    names = ["clang++", *(f"clang++-{version}" for version in range(22, 13, -1))]
    for name in [os.environ.get("CXX", ""), *names]:
        found = shutil.which(name)
        if not found or "clang" not in name:
            continue
        program = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
        command = [found, "-x", "c++", "-", "-fsanitize=fuzzer,address", "-o", os.devnull]
        if subprocess.run(command, input=program.encode(), check=False).returncode == 0:
            return found
    return None


def build(cxx: str) -> None:
    log = BUILD / "build.log"
    BUILD.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        configure = ["cmake", "--preset", "fuzz", f"-DCMAKE_CXX_COMPILER={cxx}"]
        for command in (configure, ["cmake", "--build", "--preset", "fuzz"]):
            done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, check=False)
            if done.returncode != 0:
                sys.exit(log.read_text() + "\nthe fuzz targets could not be built")


def fuzz(name: str, seconds: int, seed: int) -> bool:
    """Run one target; print how many inputs it took and say whether it held."""
    corpus, seeds = BUILD / "corpus" / name, BUILD / "seeds" / name
    for folder in (corpus, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(name)
    for index in range(SEEDS):
        (seeds / str(index)).write_bytes(dice.randbytes(dice.randint(1, 200)))
    command = [
        BUILD / f"fuzz_{name}",
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-seed={seed}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={BUILD / name}-",
        corpus,
        seeds,
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    if done.returncode != 0 or inputs is None:
        print(done.stderr[-6000:])
        print(f"{name}: BROKEN, exit code {done.returncode}")
        return False
    print(f"{name}: {int(inputs[1]):,} inputs in {seconds} s held", flush=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default 1)")
    parser.add_argument("--only", choices=TARGETS, help="one target instead of all")
    parser.add_argument("--only-build", action="store_true", help="compile the targets, run none")
    options = parser.parse_args()
    cxx = compiler()
    if cxx is None:
        print("there is no clang++ with libFuzzer; the fuzz targets are left out")
        return
    build(cxx)
    if options.only_build:
        return
    names = [options.only] if options.only else TARGETS
    held = [fuzz(name, options.seconds, options.seed) for name in names]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
