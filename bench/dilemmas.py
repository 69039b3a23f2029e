"""What the social dilemmas' presets learn, seed by seed, with and without social mechanisms.

    python bench/dilemmas.py box-trapped     # 20 runs of 200,000 steps, 100 episodes of each
    python bench/dilemmas.py cleanup-mini    # 15 runs of 400,000 steps
    python bench/dilemmas.py harvest         # 12 runs of 4 million steps; also cleanup
    python bench/dilemmas.py harvest --arms a3c influence --seeds 3 --steps 1_200_000
    python bench/dilemmas.py harvest --arms a3c --as-is --every 200_000

Runs that are already finished in the folder are kept, so an interrupted call goes on where it was;
shorter ones are gone on with; longer ones are refused. ``--arms`` trains only some, or others.
Prints Markdown tables and draws every seed's curve, and of the papers' games every arm's mean and
99.5% interval, as figures 1, 4 and 7 of Jaques et al. 2019 do. ``--every`` also says what was
reached on the way; ``--as-is`` trains nothing and shows the runs as far as they have come.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from budget import check_budget
from socialgrid.config import load_config, load_preset, parse_train
from socialgrid.measures import episodes_with
from socialgrid.report import read_metrics

SEEDS_OF_EVALUATION = 100  # environments are never those of training
METRICS = "metrics.jsonl"
# Told as a mean over all agents, in nats a step.
SOCIAL = {"influence": "influence", "value_of_listening": "value of listening"}


@dataclass(frozen=True)
class Experiment:
    """Arms of a preset, the seeds of each, and what is shown of them.

    Attributes:
        preset: name of the preset.
        arms: options of socialgrid-train by name, after another preset where they begin with one.
        seeds: number of runs of each arm.
        measures: episode metrics in the table.
        drawn: the one in the figure.
        episodes: played by the trained agents of each run; 0: none.
        known: published curves, (environment steps, value), to draw beside.
        more: further arms, for ``--arms``.
        compared: measures to draw as the papers' figures do, joined by commas; empty: none.
    """

    preset: str
    arms: Mapping[str, Sequence[str]]
    seeds: int
    measures: Sequence[str]
    drawn: str
    episodes: int = 0
    known: Mapping[str, Sequence[tuple[float, float]]] | None = None
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)
    compared: str = ""

    def words(self, arm: str) -> Sequence[str]:
        """What comes after ``socialgrid-train``: a preset and options of an arm."""
        words = self.arms[arm] if arm in self.arms else self.more[arm]
        return words if words and not words[0].startswith("-") else [self.preset, *words]


# Far less than the paper's hundreds of millions of steps, so that influence counts from early on.
SHORT = ["--total-steps", "4_000_000", "--workers", "1", "--num-envs", "16",
         "--learning-rate-steps", "20e6"]  # fmt: skip
PAPER = {
    "a3c": SHORT,
    "visible-actions-baseline": ["--social", "influence-baseline", *SHORT],
    "influence": ["--social", "influence", "--curriculum", "1", *SHORT],
    "moa": ["--social", "moa-paper", "--curriculum", "1", *SHORT],
}
# The influenced are rewarded as well, as in the paper's Cleanup, and for more.
FURTHER = {
    "influence-2.24-shared": [
        *PAPER["influence"], "--influencee-weight", "1", "--influence-weight", "2.24"
    ],
    "influence-10-shared": [
        "--social", "influence", "--curriculum", "0", "--influencee-weight", "1",
        "--influence-weight", "10", *SHORT,
    ],
    "influence-weight-0": [*PAPER["influence"], "--influence-weight", "0"],
    "comm-baseline": ["--social", "comm-baseline", *SHORT],
    "comm": ["--social", "comm", "--curriculum", "1", *SHORT],
}  # fmt: skip
EXPERIMENTS = {
    "box-trapped": Experiment(
        "box-trapped",
        {
            "a3c": [],
            "influence": ["--social", "influence"],
            "a3c-entropy-0.3": ["--entropy-coef", "0.3"],
            "influence-entropy-0.3": ["--social", "influence", "--entropy-coef", "0.3"],
        },
        5,
        ("box_opened", "box_step", "apples"),
        "box_opened",
        episodes=100,
    ),
    "cleanup-mini": Experiment(
        "cleanup-mini",
        {
            "a3c": [],
            "visible-actions": ["--social", "visible-actions"],
            "influence": ["--social", "influence"],
            "moa": ["--social", "moa"],
            "inequity": ["--social", "inequity"],
        },
        3,
        ("collective_return", "equality", "apples", "cleaned", "shots"),
        "apples",
    ),
    "cleanup": Experiment(
        "cleanup", PAPER, 3, ("collective_return", "equality", "apples", "cleaned", "shots"),
        "collective_return", more=FURTHER, compared="collective_return,cleaned",
    ),
    "harvest": Experiment(
        "harvest", PAPER, 3,
        ("collective_return", "equality", "sustainability", "apples", "shots", "hits"),
        "collective_return",
        more=FURTHER | {
            "listening": ["harvest-listening", "--total-steps", "4_000_000"],
            "listening-weight-0": [
                "harvest-listening", "--total-steps", "4_000_000", "--influence-weight", "0"
            ],
        },
        compared="collective_return,sustainability",
        # Read from the figure of the public repository's README, PPO without social mechanisms.
        known={
            "public PPO": [
                (1.93e6, -145), (2.39e6, 268), (3.03e6, 530), (3.40e6, 588), (3.49e6, 591),
                (3.58e6, 589), (3.86e6, 557), (4.50e6, 466), (5.05e6, 435), (6.06e6, 407),
            ]
        },
    ),
}  # fmt: skip


def call(program: str, words: Sequence[str], log: Path) -> None:
    """Run one of the project's programs, its output in a file."""
    path = Path(sys.executable).with_name(program)
    with open(log, "w", encoding="utf-8") as output:
        subprocess.run([str(path), *words], check=True, stdout=output, stderr=output)


def train(
    experiment: Experiment, arm: str, seed: int, run_dir: Path, further: Sequence[str]
) -> None:
    """One run on one thread, then its evaluation; does nothing that is done already."""
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    steps, finished = budget(experiment, arm, further), run_dir / "finished"
    if finished.exists() and load_config(run_dir).run.total_steps < steps:
        for old in (finished, evaluation(run_dir, False), evaluation(run_dir, True)):
            old.unlink(missing_ok=True)
    if not finished.exists():
        start = (
            ["--resume", str(run_dir), "--total-steps", str(steps)]
            if (run_dir / "checkpoints").is_dir()
            else [*experiment.words(arm), "--run-dir", str(run_dir), "--seed", str(seed),
                  "--threads", "1", "--num-threads", "1", "--no-tensorboard", *further]
        )  # fmt: skip
        call("socialgrid-train", start, run_dir.with_suffix(".log"))
        finished.touch()
    for greedy in (False, True):
        result = evaluation(run_dir, greedy)
        if experiment.episodes and not result.exists():
            words = [str(run_dir), "--episodes", str(experiment.episodes), "--json", str(result)]
            words += ["--seeds", str(SEEDS_OF_EVALUATION), *(["--greedy"] if greedy else [])]
            call("socialgrid-eval", words, run_dir.with_suffix(".eval.log"))
    print(f"{run_dir.name}: finished", flush=True)


def train_all(
    experiment: Experiment,
    runs: Mapping[tuple[str, int], Path],
    further: Sequence[str],
    parallel: int,
) -> None:
    """What is missing of the runs, seed by seed; nothing where one was to be shorter."""
    for (arm, _), run_dir in runs.items():
        check_budget(run_dir, budget(experiment, arm, further), longer=True)
    with ThreadPoolExecutor(parallel) as pool:
        jobs = [
            pool.submit(train, experiment, arm, seed, run_dir, further)
            for (arm, seed), run_dir in sorted(runs.items(), key=lambda item: item[0][1])
        ]
        for job in jobs:
            job.result()


def budget(experiment: Experiment, arm: str, further: Sequence[str]) -> int:
    """Steps of an arm's runs."""
    preset, *words = experiment.words(arm)
    config = parse_train([*words, *further], load_preset(preset), "socialgrid-train")
    return config.run.total_steps


def evaluation(run_dir: Path, greedy: bool) -> Path:
    """Where the evaluation of a run lies."""
    return run_dir / ("evaluation-greedy.json" if greedy else "evaluation.json")


def mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """Mean of an episode metric over updates, weighted by the episodes that have it; nan where none
    has.
    """
    found = [
        (row["groups"][name], episodes_with(row, name))
        for row in rows
        if row.get("groups", {}).get(name) is not None
    ]
    if not found:
        return float("nan")
    values, episodes = np.transpose(found)
    return float(np.average(values, weights=episodes))


def tables(experiment: Experiment, runs: Mapping[tuple[str, int], Path]) -> str:
    """Means over the last tenth of every run's updates, and evaluations."""
    names = [name.replace("_", " ") for name in experiment.measures]
    lines = ["Means over the last tenth of training:", ""]
    lines += ["| arm | seed | steps | " + " | ".join([*names, *SOCIAL.values()]) + " |"]
    lines += ["|---|---|---|" + "---|" * (len(names) + len(SOCIAL))]
    for (arm, seed), run_dir in runs.items():
        rows = read_metrics(run_dir / METRICS)
        last = rows[-max(1, len(rows) // 10) :]
        found = (mean(last, name) for name in experiment.measures)
        cells = ["-" if np.isnan(value) else f"{value:.2f}" for value in found]
        for name in SOCIAL:
            each = [np.mean(row["agents"][name]) for row in last if name in row["agents"]]
            cells.append(f"{np.mean(each):.1e}" if each else "-")
        steps = rows[-1]["env_steps"]
        lines.append(f"| {arm} | {seed} | {steps:,} | " + " | ".join(cells) + " |")
    if not experiment.episodes:
        return "\n".join(lines)
    lines += ["", f"{experiment.episodes} episodes of the trained agents, sampled and greedy:", ""]
    lines += ["| arm | seed | " + " | ".join(f"{name}, {how}" for name in names
                                             for how in ("sampled", "greedy")) + " |"]  # fmt: skip
    lines += ["|---|---|" + "---|" * (2 * len(names))]
    for (arm, seed), run_dir in runs.items():
        found = [json.loads(evaluation(run_dir, greedy).read_text(encoding="utf-8"))["group"]
                 for greedy in (False, True)]  # fmt: skip
        cells = []
        for name in experiment.measures:
            for group in found:
                value = group[name]["over_episodes"]["mean"] if name in group else None
                cells.append("-" if value is None else f"{value:.2f}")
        lines.append(f"| {arm} | {seed} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def on_the_way(experiment: Experiment, runs: Mapping[tuple[str, int], Path], every: int) -> str:
    """What every run came to in each stretch of so many steps, a table a measure."""
    stretches: dict[tuple[str, int], dict[int, list[dict[str, Any]]]] = {}
    for run, run_dir in runs.items():
        stretches[run] = defaultdict(list)
        for row in read_metrics(run_dir / METRICS):
            stretches[run][-(-row["env_steps"] // every)].append(row)
    until = range(1, max(max(found, default=1) for found in stretches.values()) + 1)
    head = " | ".join(f"{part * every / 1e6:g} M" for part in until)
    lines: list[str] = []
    for name in (*experiment.measures, *SOCIAL):
        lines += [f"{SOCIAL.get(name, name.replace('_', ' '))}, by environment steps:", ""]
        lines += [f"| arm | seed | {head} |", "|---|---|" + "---|" * len(until)]
        for (arm, seed), found in stretches.items():
            cells = []
            for rows in (found[part] for part in until):
                each = [row["agents"][name] for row in rows if name in row["agents"]]
                value = np.mean(each) if each and name in SOCIAL else mean(rows, name)
                form = ".1e" if name in SOCIAL else ".0f" if abs(value) >= 100 else ".2f"
                cells.append("" if np.isnan(value) else f"{value:{form}}")
            if any(cells):
                lines.append(f"| {arm} | {seed} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def draw(experiment: Experiment, runs: Mapping[tuple[str, int], Path], path: Path) -> None:
    """One panel an arm, one line a seed."""
    name = experiment.drawn
    arms = list(dict.fromkeys(arm for arm, _ in runs))
    figure = Figure(figsize=(3.2 * len(arms) + 1, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, len(arms), sharey=True))
    for axis, arm in zip(axes, arms, strict=True):
        for (run_arm, seed), run_dir in runs.items():
            if run_arm != arm:
                continue
            rows = [row for row in read_metrics(run_dir / METRICS) if row.get("groups")]
            blocks = np.array_split(np.arange(len(rows)), min(60, len(rows)))
            steps = [rows[block[-1]]["env_steps"] for block in blocks]
            values = [mean([rows[i] for i in block], name) for block in blocks]
            axis.plot(steps, values, lw=1, label=f"seed {seed}")
        for label, points in (experiment.known or {}).items():
            axis.plot(*zip(*points, strict=True), "k.:", lw=1, ms=4, label=label)
        axis.set(title=arm, xlabel="environment steps")
        axis.ticklabel_format(axis="x", style="sci", scilimits=(6, 6))
        axis.legend(frameon=False, fontsize=7)
    axes[0].set_ylabel(name.replace("_", " "))
    figure.savefig(path, dpi=110)


def compare(
    experiment: Experiment, runs: Mapping[tuple[str, int], Path], path: Path, log: Path
) -> None:
    """Every arm's mean and 99.5% interval over its seeds, as in the figures of the paper."""
    labelled = [f"{arm}={run_dir}" for (arm, _), run_dir in runs.items()]
    words = ["arms", *labelled, "--measure", experiment.compared, "--level", "0.995"]
    rows = [row for run_dir in runs.values() for row in read_metrics(run_dir / METRICS)]
    if all(any(mean([row], name) > 0 for row in rows) for name in experiment.compared.split(",")):
        words += ["--bottom", "0"]  # early fines would fill the panel
    call("socialgrid-plot", [*words, "--out", str(path)], log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for runs")
    parser.add_argument("--seeds", type=int, help="runs of each arm")
    parser.add_argument("--steps", type=int, help="of each run; the arms' own by default")
    parser.add_argument("--arms", nargs="+", help="only these; some are trained on request only")
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--every", type=int, help="also tell what was reached every so many steps")
    parser.add_argument("--as-is", action="store_true", help="train nothing, show what is there")
    args = parser.parse_args()
    experiment = EXPERIMENTS[args.experiment]
    arms = args.arms or list(experiment.arms)
    known = [*experiment.arms, *experiment.more]
    unknown = [arm for arm in arms if arm not in known]
    if unknown:
        parser.error(f"no arm {unknown[0]!r}; there are {', '.join(known)}")
    seeds = range(args.seeds or experiment.seeds)
    further = ["--total-steps", str(args.steps)] if args.steps else []
    folder = args.runs / args.experiment
    runs = {
        (arm, seed): folder / f"{arm}-{seed}"
        for arm in arms
        for seed in seeds
    }  # fmt: skip
    if args.as_is:
        runs = {run: run_dir for run, run_dir in runs.items() if (run_dir / METRICS).exists()}
        experiment = replace(experiment, episodes=0)
        if not runs:
            parser.error(f"nothing has been run in {folder}")
    else:
        train_all(experiment, runs, further, args.parallel)
    print(tables(experiment, runs))
    if args.every:
        print("\n" + on_the_way(experiment, runs, args.every))
    path = folder / f"{args.experiment}.png"
    draw(experiment, runs, path)
    print(path)
    if experiment.compared:
        path = path.with_name(f"{args.experiment}-arms.png")
        compare(experiment, runs, path, folder / "arms.log")
        print(path)


if __name__ == "__main__":
    main()
