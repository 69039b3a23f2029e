"""Does this checkout compute what another commit computed? Every arm, every row, every digit.

    python bench/same.py eba54aa                  # minutes; ends with 0 if all arms are the same
    python bench/same.py eba54aa --only "a3c moa"

Both checkouts are built with the interpreter at hand. Each trains every arm of ``arms.py`` for a
few updates, in its own words, and goes on with the run where the arm says so; then all rows of
metrics are compared exactly, but for times and rates. A name that changed between the two stands in
``RENAMED``; nothing else may differ. Networks do without the compiled kernels, which round
otherwise than PyTorch's operators; tests hold them against those.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arms import ARMS
from checkouts import ROOT, Checkout, build

# Names in rows of metrics: as they were -> as they are.
RENAMED: dict[str, str] = {"message_loss": "comm_loss", "message_entropy": "comm_entropy"}
ADDED = {"followed_others"}  # what rows did not have at first
GONE = {"aux_loss"}  # it was the error of the auxiliary loss once more, or 0 without one
KINDS = ("agents", "pairs", "groups", "members")
TIMES = {"seconds", "time", "env_steps_per_second", "agent_steps_per_second"}

# Runs in the checkout that is measured; says one JSON line an arm.
RECORD = """
import contextlib, importlib.util, io, json, os, pathlib, sys, tempfile
os.environ["SOCIALGRID_KERNELS"] = "off"
out = sys.stdout
spec = importlib.util.spec_from_file_location("arms", sys.argv[1])
arms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(arms)
try:
    from socialgrid.commands.cli import train
except ImportError:
    from socialgrid.train.cli import train  # until 9487337
for name in sys.argv[2:]:
    if name not in arms.ARMS:
        print(json.dumps({"unknown": name}), file=out, flush=True)
        continue
    first, more = arms.ARMS[name]
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said), \\
            contextlib.redirect_stderr(said):
        run = pathlib.Path(folder) / "run"
        code = train([*first.split(), *arms.QUIET.split(), "--run.run-dir", str(run)])
        if code == 0 and more:
            code = train(["--resume", str(run), *more.split()])
        text = (run / "metrics.jsonl").read_text(encoding="utf-8") if code == 0 else ""
    rows = [json.loads(line) for line in text.splitlines()]
    row = {"rows": rows} if code == 0 else {"error": said.getvalue()}
    print(json.dumps(row), file=out, flush=True)
"""


def record(checkout: Checkout, names: list[str]) -> Iterator[dict[str, Any]]:
    """Train arms in a checkout; one after the other, their rows or what went wrong."""
    own = checkout.source / "bench" / "arms.py"
    words = str(own if own.is_file() else ROOT / "bench" / "arms.py")
    with checkout.start(RECORD, words, *names) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{checkout.name} stopped early with {process.returncode}")


def plain(value: Any) -> Any:
    """A row without times, under today's names."""
    if isinstance(value, dict):
        kept = {k: v for k, v in by_kind(value).items() if k not in TIMES | ADDED | GONE}
        return {RENAMED.get(k, k): plain(v) for k, v in kept.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def by_kind(row: dict[str, Any]) -> dict[str, Any]:
    """A row of until 9487337 as rows are since then, its numbers by kind."""
    if "learner" not in row:
        return row
    row = dict(row)
    found: dict[str, dict[str, Any]] = {"groups": row.pop("episode", {})}
    found["pairs"] = row.pop("pairs", {})
    agents = {n: row.pop(n) for n in ("return", "return_std", "solo_return") if n in row}
    agents |= row.pop("learner")
    for name in ("return", "return_std"):
        if "evaluation" in row:
            agents[f"evaluated_{name}"] = row["evaluation"][name]
    row.pop("evaluation", None)
    peers, members = row.pop("peers", {}), {}
    for name, values in peers.items():
        if name == "epoch":
            row[name] = values
        elif not isinstance(values[0], list):
            agents[name] = values
        elif name == "followed":  # counts were shares of the row
            members[name] = [[x / sum(own) if sum(own) else None for x in own] for own in values]
        else:  # what a group has, each of its agents has
            each = len(agents["return"]) // len(values)
            members[name] = [own for own in values for _ in range(each)]
    found |= {"agents": agents, "members": members}
    return row | {kind: numbers for kind, numbers in found.items() if numbers}


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """Places at which two rows differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = [f"{where}{k}: only before" for k in before.keys() - after.keys()]
        found += [f"{where}{k}: only after" for k in after.keys() - before.keys()]
        for key in before.keys() & after.keys():
            found += differences(before[key], after[key], f"{where}{key}.")
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [text for i, (a, b) in pairs for text in differences(a, b, f"{where}{i}.")]
    return [] if before == after else [f"{where.rstrip('.')}: {before} -> {after}"]


def main() -> int:
    """Compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit", help="what to compare with")
    parser.add_argument("--only", default="", help="arms whose names contain this")
    parser.add_argument("--allow", default="", help="columns that may differ, joined by commas")
    args = parser.parse_args()
    names = [name for name in ARMS if args.only in name]
    allowed = set(filter(None, args.allow.split(",")))
    checkouts = [build(args.commit), build(None)]
    bad = new = 0
    # both train at once, and each arm is compared as soon as both have it
    for name, *pair in zip(names, *(record(one, names) for one in checkouts), strict=True):
        errors = [one["error"][-300:] for one in pair if "error" in one]
        if "unknown" in pair[0] and not errors:
            new += 1
            print(f"{name}: new here, nothing to compare with", flush=True)
            continue
        rows = [[plain(row) for row in one.get("rows", [])] for one in pair]
        for row in rows[0] + rows[1]:
            for column in allowed:
                for table in (row, *(row.get(kind, {}) for kind in KINDS)):
                    table.pop(column, None)
        found = errors or differences(*rows)
        bad += bool(found)
        verdict = f"differs: {'; '.join(found[:3])}" if found else f"{len(rows[0])} rows identical"
        print(f"{name}: {verdict}", flush=True)
    count = len(names) - new
    print(f"{count - bad} of {count} arms are the same as at {checkouts[0].name}, {new} are new")
    return int(bad > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
