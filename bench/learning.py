"""What `goal-cycle-mini` learns, seed by seed: alone or beside a teacher, with prediction or not.

    python bench/learning.py                    # 12 runs of a million steps, two at a time
    python bench/learning.py --steps 200_000    # a quick look

Runs that are already finished in the folder are kept, so an interrupted call goes on where it was.
Prints a Markdown table and draws every seed's curve.
"""

import argparse
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from socialgrid.report import mean_return, read_metrics, smooth, tenth

ARMS = {"solo": ["learner"], "social": ["trial-and-error", "learner"]}
LOSSES = ["none", "prediction"]
COLORS = {"none": "tab:blue", "prediction": "tab:orange"}


def train(run_dir: Path, arm: str, aux: str, seed: int, steps: int, extra: list[str]) -> None:
    """One run on one thread; does nothing if it is finished already."""
    if (run_dir / "finished").exists():
        return
    players = list(ARMS[arm])
    resume = (run_dir / "checkpoints").is_dir()
    options = (
        ["--resume", str(run_dir)]
        if resume
        else [
            *("goal-cycle-mini", "--players", *players, "--aux", aux, "--seed", str(seed)),
            *("--total-steps", str(steps), "--threads", "1", "--num-threads", "1"),
            *("--run-dir", str(run_dir), *extra),
        ]
    )
    program = Path(sys.executable).with_name("socialgrid-train")
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    with open(run_dir.with_suffix(".log"), "w", encoding="utf-8") as log:
        subprocess.run([str(program), *options], check=True, stdout=log, stderr=log)
    (run_dir / "finished").touch()
    print(f"{run_dir.name}: finished", flush=True)


def table(runs: dict[tuple[str, str, int], Path]) -> str:
    """First and last tenth of every run, by the learner's return per episode."""
    lines = [
        "| arm | auxiliary loss | seed | first tenth | last tenth | teacher | prediction error |",
        "|---|---|---|---|---|---|---|",
    ]
    for (arm, aux, seed), run_dir in runs.items():
        rows = read_metrics(run_dir / "metrics.jsonl")
        slot = len(ARMS[arm]) - 1
        first = mean_return(tenth(rows), slot, False)
        last = mean_return(tenth(rows[::-1]), slot, False)
        teacher = mean_return(tenth(rows[::-1]), 0, False) if slot else None
        error = rows[-1]["agents"].get("prediction_error")
        cells = [
            *(arm, aux, str(seed), f"{first:.2f}", f"{last:.2f}"),
            "-" if teacher is None else f"{teacher:.2f}",
            f"{error[slot]:.4f}" if error else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(runs: dict[tuple[str, str, int], Path], path: Path) -> None:
    """One panel an arm, one line a seed."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(ARMS), sharey=True)
    for axis, arm in zip(axes, ARMS, strict=True):
        slot = len(ARMS[arm]) - 1
        teachers = []
        for (run_arm, aux, seed), run_dir in runs.items():
            if run_arm != arm:
                continue
            rows = read_metrics(run_dir / "metrics.jsonl")
            returns = np.array([row["agents"]["return"][slot] for row in rows], dtype=float)
            teachers += [row["agents"]["return"][0] for row in rows] if slot else []
            label = f"auxiliary loss: {aux}" if seed == min(s for a, x, s in runs) else None
            steps = [row["env_steps"] for row in rows]
            axis.plot(steps, smooth(returns, 5), color=COLORS[aux], lw=1, label=label)
        if teachers:
            level = float(np.nanmean(np.array(teachers, dtype=float)))
            axis.axhline(level, color="grey", ls=":", label="teacher")
        axis.set(title=arm, xlabel="environment steps")
        axis.ticklabel_format(axis="x", style="sci", scilimits=(6, 6))
        axis.legend(frameon=False)
    axes[0].set_ylabel("learner's return per episode")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"), help="folder for runs")
    parser.add_argument(
        "--steps", type=int, default=1_000_000, help="environment steps of each run"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--figure", type=Path, help="RUNS/goal-cycle-mini.png by default")
    parser.add_argument("extra", nargs="*", help="further options of socialgrid-train, after --")
    args = parser.parse_args()
    runs = {
        (arm, aux, seed): args.runs / f"{arm}-{aux}-{seed}"
        for seed, arm, aux in itertools.product(range(args.seeds), ARMS, LOSSES)
    }
    with ThreadPoolExecutor(args.parallel) as pool:
        jobs = [
            pool.submit(train, run_dir, arm, aux, seed, args.steps, args.extra)
            for (arm, aux, seed), run_dir in runs.items()
        ]
        for job in jobs:
            job.result()
    ordered = dict(sorted(runs.items(), key=lambda item: (item[0][0], item[0][1], item[0][2])))
    print(table(ordered))
    picture = args.figure or args.runs / "goal-cycle-mini.png"
    draw(ordered, picture)
    print(picture)


if __name__ == "__main__":
    main()
