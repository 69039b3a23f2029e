"""Following an expert, to goals hidden and in sight, and opening a box for the sake of influence.

    python bench/two_results.py --out two-results                 # all runs, two at a time
    python bench/two_results.py --out two-results --jobs 16 --seconds 420
    python bench/two_results.py --out two-results --seconds 0     # only print the tables again
    python bench/two_results.py --only size,size-alone --seeds 3 4

Every run is a process of its own with one thread, in the order of importance. What is finished is
kept in OUT/results.json at once; when the time is over the runs under way write checkpoints and
end, and the next call goes on from there. Prints Markdown tables, and leaves them in OUT/tables.md,
with OUT/curves.png, returns of learners in company and alone, where matplotlib is installed.
Where the package is not installed it is built first, without fetching anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkouts import ROOT, build_and_restart

# The time that went into building the package counts.
BEGIN = time.monotonic() - float(os.environ.get("SOCIALGRID_BUILT", "0"))
FOLLOW, BOX = "follow-the-expert", "box-trapped-influence"
SIGHT, PENALTY, SIZE = "follow-in-sight", "follow-by-penalty", "follow-full-size"
SEEDS = range(5)
GRACE = 20.0  # seconds that interrupted runs have to write their checkpoints
CODE = "import sys; from socialgrid.commands.cli import train; sys.exit(train())"
PLAIN = "--no-tensorboard --no-video --no-curves --device cpu --threads 1 --env.num-threads 1"
# Most steps are outside a box that stays open: the mean value of listening is smaller.
ONCE = "--set held=false --phases.listen.steps 600_000 --phases.listen.above 0.1"
AS_SHIPPED = "--set opening=last held=false push_cost=0 --phases.listen.steps 200_000"
BOX_ARMS = {
    "influence": ("influence, weight 1", ""),
    "without": ("weight 0", "--influence-weight 0"),
    "weight3": ("weight 3", "--influence-weight 3"),
    "once": ("weight 1, opens once for good", ONCE),
    "once3": ("weight 3, opens once for good", f"{ONCE} --influence-weight 3"),
    "v0": ("weight 1, rule of v0", AS_SHIPPED),
    "pmi": ("weight 1, PMI", "--divergence pmi"),
    "jsd": ("weight 1, Jensen-Shannon", "--divergence jsd"),
    "shared": ("weight 1, influencee weight 1", "--influencee-weight 1"),
}
ALONE = "--players learner --closing.measures return:0"
AS_LONG = "--phases.find.steps 400_000 --phases.show.steps 500_000"  # as they last in company
LONGER = "--phases.find.steps 2_700_000"
FOLLOW_ARMS = {  # name: (preset, words)
    "company": (FOLLOW, ""),
    "alone": (FOLLOW, ALONE),
    "teacher": (FOLLOW, f"--players trial-and-error,learner {LONGER}"),
    "order": (FOLLOW, f"--set reset_on_mistake=false {LONGER}"),
    "sight": (SIGHT, ""),
    "sight-alone": (SIGHT, ALONE),
    "penalty": (PENALTY, ""),
    "penalty-alone": (PENALTY, ALONE),
    "size": (SIZE, ""),
    "size-alone": (SIZE, f"{ALONE} {AS_LONG}"),
}
DRAWN = {FOLLOW: ("company", "alone"), SIGHT: ("sight", "sight-alone"),
         PENALTY: ("penalty", "penalty-alone"), SIZE: ("size", "size-alone")}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run: its arm, seed and command line."""

    arm: str
    seed: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder and of its row in the results."""
        return f"{self.arm}-{self.seed}"


def plan() -> Iterator[Run]:
    """All runs, the most important ones first."""
    first = (("company", "influence"), ("without", "alone"))
    rest = [arm for arm in (*FOLLOW_ARMS, *BOX_ARMS) if arm not in (*first[0], *first[1])]
    for arms in (*first, *((arm,) for arm in rest)):
        for seed in SEEDS:
            for arm in arms:
                preset, extra = FOLLOW_ARMS[arm] if arm in FOLLOW_ARMS else (BOX, BOX_ARMS[arm][1])
                yield Run(arm, seed, (preset, *extra.split(), "--seed", str(seed)))


def begin(run: Run, out: Path) -> subprocess.Popen[bytes]:
    """Start a run, or go on with it from its checkpoint."""
    folder = out / "runs" / run.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    words = ["--resume", str(folder)]
    if not (folder / "checkpoints").is_dir():
        words = [*run.words, *PLAIN.split(), "--run-dir", str(folder)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with folder.with_suffix(".log").open("ab") as log:
        command = [sys.executable, "-c", CODE, *words]
        return subprocess.Popen(command, stdout=log, stderr=log, env=env)


def result(run: Run, out: Path) -> dict[str, Any]:
    """What became of a finished run, ready for the tables."""
    from socialgrid.report import read_metrics

    folder = out / "runs" / run.name
    rows = read_metrics(folder / "metrics.jsonl")
    closing = json.loads((folder / "closing.json").read_text(encoding="utf-8"))
    found = {
        "arm": run.arm,
        "seed": run.seed,
        "env_steps": rows[-1]["env_steps"],
        "seconds": rows[-1]["seconds"],
        "closing": closing,
    }
    if run.arm in FOLLOW_ARMS:
        slot = len(rows[0]["agents"]["return"]) - 1
        found["last_tenth"] = closing["training"][f"return:{slot}"]
        found["steps_to_7"] = first_above(rows, slot, 7.0)
    return found


def first_above(rows: Sequence[Mapping[str, Any]], slot: int, level: float) -> int | None:
    """Steps until the mean return of ten rows was above a level."""
    for last in range(9, len(rows)):
        values = [row["agents"]["return"][slot] for row in rows[last - 9 : last + 1]]
        if None not in values and statistics.fmean(values) > level:
            return int(rows[last]["env_steps"])
    return None


def keep(out: Path, results: Mapping[str, Any]) -> None:
    """Write the results in one piece."""
    draft = out / ".results.json"
    draft.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draft.replace(out / "results.json")


def work(
    runs: Sequence[Run], out: Path, jobs: int, seconds: float, results: dict[str, Any]
) -> None:
    """Run what is missing until it is done or the time is over."""
    waiting = [run for run in runs if run.name not in results]
    going: dict[str, tuple[Run, subprocess.Popen[bytes]]] = {}
    while (waiting or going) and time.monotonic() - BEGIN < seconds:
        while waiting and len(going) < jobs:
            run = waiting.pop(0)
            going[run.name] = (run, begin(run, out))
        for name, (run, process) in list(going.items()):
            if process.poll() is not None:
                going.pop(name)
                finish(run, process.returncode, out, results)
        time.sleep(0.2)
    for _, process in going.values():
        process.send_signal(signal.SIGTERM)
    for run, process in going.values():
        try:
            process.wait(max(0.1, seconds + GRACE - (time.monotonic() - BEGIN)))
        except subprocess.TimeoutExpired:
            process.kill()
        if process.returncode == 0:
            finish(run, 0, out, results)
        else:
            print(f"{run.name}: not finished; the next call goes on with it", flush=True)


def finish(run: Run, code: int, out: Path, results: dict[str, Any]) -> None:
    """Keep a run that has ended."""
    try:
        if code:
            raise RuntimeError(f"exit code {code}, see {out / 'runs' / run.name}.log")
        results[run.name] = result(run, out)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        print(f"{run.name}: {error}", flush=True)
        return
    keep(out, results)
    taken = results[run.name]["seconds"]
    print(f"[{time.monotonic() - BEGIN:5.0f} s] {run.name}: {taken:.0f} s", flush=True)


def cell(value: float | None, digits: int = 2) -> str:
    """A number in a table."""
    return "-" if value is None else f"{value:.{digits}f}"


def follow_table(results: Mapping[str, Any]) -> list[str]:
    """The learner in company and alone, by seed."""
    titles: list[str] = []
    lines: list[str] = []
    for seed in SEEDS:
        company, alone = results.get(f"company-{seed}"), results.get(f"alone-{seed}")
        if company is None:
            continue
        conditions = company["closing"]["conditions"]
        titles = titles or list(conditions)
        base = None if alone is None else alone["last_tenth"]
        reached = company["steps_to_7"]
        lines.append(
            f"| {seed} | **{cell(company['last_tenth'])}** | {cell(base)} | "
            f"{'-' if reached is None else f'{reached:,}'} | {company['env_steps']:,} | "
            + " | ".join(cell(conditions[title]["return:1"]) for title in titles)
            + f" | {company['seconds']:.0f} |"
        )
    head = ["seed", "in company, last tenth", "alone, last tenth", "steps to 7", "steps",
            *titles, "seconds"]  # fmt: skip
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines]


def further_tables(results: Mapping[str, Any]) -> list[str]:
    """Every further arm of learners beside somebody, by seed."""
    lines: list[str] = []
    for arm, (preset, words) in FOLLOW_ARMS.items():
        rows = {row["seed"]: row for row in results.values() if row["arm"] == arm}
        if arm in DRAWN[FOLLOW] or not rows:
            continue
        there = next(iter(rows.values()))["closing"]["conditions"]
        titles = conditions = list(there)
        learner = next(iter(there[titles[0]]))  # presets name what the learner earns first
        if words.startswith(ALONE):  # nobody else is there, whatever a condition says
            conditions, titles = conditions[:1], ["final weights"]
        head = ["seed", "last tenth", "steps", *titles, "seconds"]
        lines += [f"`{' '.join(('socialgrid-train', preset, *words.split()))}`", ""]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for seed, row in sorted(rows.items()):
            played = row["closing"]["conditions"]
            means = " | ".join(cell(played[title][learner]) for title in conditions)
            lines.append(
                f"| {seed} | **{cell(row['last_tenth'])}** | {row['env_steps']:,} | {means} | "
                f"{row['seconds']:.0f} |"
            )
        lines.append("")
    return lines


def box_table(results: Mapping[str, Any]) -> list[str]:
    """Every arm and seed of the box."""
    head = ["arm", "seed", "warm-up", "value of listening", "opened", "first step",
            "agent 1 ate", "return of agent 0", "of agent 1", "seconds"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for arm, (title, _) in BOX_ARMS.items():
        for seed in SEEDS:
            found = results.get(f"{arm}-{seed}")
            if found is None:
                continue
            closing = found["closing"]
            played = next(iter(closing["conditions"].values()))
            warm = next((p for p in closing["phases"] if p["name"] == "listen"), None)
            steps, value = (None, None) if warm is None else (warm["steps"], warm["value"])
            reached = "" if warm is None or warm["reached"] else " (bound not reached)"
            lines.append(
                f"| {title} | {seed} | {'-' if steps is None else f'{steps:,}'} | "
                f"{cell(value)}{reached} | **{cell(played['box_opened'])}** | "
                f"{cell(played['box_step'], 1)} | {cell(played['rewarded:1'])} | "
                f"{cell(played['return:0'], 1)} | {cell(played['return:1'], 1)} | "
                f"{found['seconds']:.0f} |"
            )
    return lines


def means(results: Mapping[str, Any]) -> list[str]:
    """Mean and range over seeds of what matters most in each arm."""
    lines = ["| arm | seeds | measure | mean | lowest | highest |", "|---|---|---|---|---|---|"]
    for arm in (*FOLLOW_ARMS, *BOX_ARMS):
        rows = [row for row in results.values() if row["arm"] == arm]
        if not rows:
            continue
        if arm in FOLLOW_ARMS:
            title, measure = f"{FOLLOW_ARMS[arm][0]}, {arm}", "return, last tenth"
            values = [row["last_tenth"] for row in rows]
        else:
            title, measure = f"{BOX}, {BOX_ARMS[arm][0]}", "opened"
            played = [next(iter(row["closing"]["conditions"].values())) for row in rows]
            values = [one["box_opened"] for one in played]
        lines.append(
            f"| {title} | {len(rows)} | {measure} | {statistics.fmean(values):.2f} | "
            f"{min(values):.2f} | {max(values):.2f} |"
        )
    return lines


def draw(out: Path) -> None:
    """Draw returns over training: learners in company and alone, a line a seed; a teacher."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from socialgrid.report import read_metrics

    there = [
        preset
        for preset, arms in DRAWN.items()
        if any((out / "runs" / f"{arm}-{seed}").is_dir() for arm in arms for seed in SEEDS)
    ]
    if not there:
        return
    figure = Figure(figsize=(8, 3.2 * len(there)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, preset in enumerate(there, 1):
        axes = figure.add_subplot(len(there), 1, place)
        for colour, arm in zip(("C0", "C1"), DRAWN[preset], strict=True):
            label: str | None = arm
            for seed in SEEDS:
                path = out / "runs" / f"{arm}-{seed}" / "metrics.jsonl"
                rows = read_metrics(path) if path.exists() else []
                if not rows:
                    continue
                rows = [row for row in rows if row["agents"]["return"][-1] is not None]
                steps = [row["env_steps"] for row in rows]
                others, values = ([row["agents"]["return"][a] for row in rows] for a in (0, -1))
                if arm == DRAWN[preset][0] and label:
                    axes.plot(steps, others, "0.7", linewidth=0.9, label="a teacher")
                axes.plot(steps, values, colour, alpha=0.8, linewidth=0.9, label=label)
                axes.annotate(str(seed), (steps[-1], values[-1]), fontsize=7, color=colour)
                label = None
        axes.set(xlabel="environment steps", ylabel="return of the learner", title=preset)
        axes.legend()
        axes.grid(alpha=0.2)
    figure.savefig(out / "curves.png", dpi=90)


def provenance() -> str:
    """Machine, versions and commit."""
    import torch

    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True,
            check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return (
        f"commit {commit}; {os.cpu_count()} cores of {platform.machine()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}; one thread a run"
    )


def main() -> None:
    """See the head of the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("two-results"), help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    parser.add_argument("--seconds", type=float, default=1e9, help="when to stop (default: never)")
    parser.add_argument("--only", default="", help="arms, with commas between them")
    parser.add_argument("--seeds", type=int, nargs="+", choices=SEEDS, help="only these")
    args = parser.parse_args()
    if importlib.util.find_spec("socialgrid") is None:
        build_and_restart()
    arms = args.only.split(",") if args.only else [*FOLLOW_ARMS, *BOX_ARMS]
    unknown = set(arms) - {*FOLLOW_ARMS, *BOX_ARMS}
    if unknown:
        parser.error(f"no arms {sorted(unknown)}; there are {', '.join([*FOLLOW_ARMS, *BOX_ARMS])}")
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "results.json"
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    seeds = args.seeds or SEEDS
    runs = [run for run in plan() if run.arm in arms and run.seed in seeds]
    work(runs, args.out, args.jobs, args.seconds, results)
    text = [f"{len(results)} runs; {provenance()}", ""]
    for table in (follow_table, further_tables, box_table, means):
        text += [*table(results), ""]
    (args.out / "tables.md").write_text("\n".join(text), encoding="utf-8")
    draw(args.out)
    print("\n".join(text))


if __name__ == "__main__":
    main()
