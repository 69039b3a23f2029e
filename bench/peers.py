"""What peers learn with and without advice, group by group, and whom they follow.

    python bench/peers.py room             # five arms of five groups, 100,000 steps of each agent
    python bench/peers.py room-mini        # a small room: sizes of groups, an adversary, minutes
    python bench/peers.py pendulum         # SAC alone, with four peers and with random advice
    python bench/peers.py walker2d         # likewise, or hopper; three groups, hours

An arm is one run of socialgrid-train whose groups (the seeds of the experiment) are stacked. Runs
that are already finished in the folder are kept, so an interrupted call goes on where it was, and
shorter ones are gone on with; longer ones are refused. ``--at-once`` trains several arms at a time,
``--arms`` only some or others, ``--seed 1`` other groups. Prints Markdown tables, how far arms
differ beside their groups, and draws every group's curve. The published settings are those of the
presets; budgets here are smaller.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from budget import check_budget
from socialgrid.commands.ending import show_anything
from socialgrid.config import load_config
from socialgrid.report import read_metrics

Array = NDArray[Any]


@dataclass(frozen=True)
class Experiment:
    """Arms of a preset and what all have in common.

    Attributes:
        preset: name of the preset.
        steps: of each agent.
        common: options of socialgrid-train for all arms.
        arms: further options by name.
        published: the paper's mean evaluation return over training, where it has one.
        more: arms that are trained only where ``--arms`` names them.
    """

    preset: str
    steps: int
    common: Sequence[str]
    arms: Mapping[str, Sequence[str]]
    published: Mapping[str, str]
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def words(self, arm: str) -> list[str]:
        """Options of an arm."""
        return [*self.common, *(self.arms | self.more)[arm]]


PEERS = ["--social", "peers"]
EXPLORING = "--explore-when-advised"
ADVERSARY = [*PEERS, "--players", "learner,learner,adversary"]
ROOM = {
    "single, exploring": ["--social", "none"],
    "single, as the public code": [*PEERS, "--peers", "1"],
    "2 peers": PEERS,
    "adversary, trust": ADVERSARY,
    "adversary, critic only": [*ADVERSARY, "--advice", "critic"],
}
MOTOR = {
    "single": ["--social", "none"],
    "4 peers": [*PEERS, "--peers", "4"],
    "random advice": ["--social", "random-advice", "--peers", "4"],
}
EXPERIMENTS = {
    "room": Experiment(
        "room-21",
        100_000,
        ["--groups", "5", "--batch-size", "64",
         "--gradient-steps", "4", "--epsilon-steps", "20_000"],
        ROOM,
        {
            "single, as the public code": "46±16",
            "2 peers": "72±8",
            "random advice": "68±10",
            "early advising": "12±4",
            "LeCTR": "15±3",
        },
        {
            "random advice": ["--social", "random-advice"],
            "early advising": ["--social", "early-advising"],
            "LeCTR": ["--social", "lectr"],
            "2 peers, exploring": [*PEERS, EXPLORING],
            "random advice, exploring": ["--social", "random-advice", EXPLORING],
            "adversary, random advice": [*ADVERSARY, "--social", "random-advice"],
        },
    ),
    "room-mini": Experiment(
        "room-mini",
        30_000,
        ["--groups", "5"],
        {
            **ROOM,
            "4 peers": [*PEERS, "--peers", "4"],
            "8 peers": [*PEERS, "--peers", "8"],
            "random advice": ["--social", "random-advice"],
        },
        {},
        {
            "2 peers, exploring": [*PEERS, EXPLORING],
            "4 peers, exploring": [*PEERS, "--peers", "4", EXPLORING],
            "random advice, exploring": ["--social", "random-advice", EXPLORING],
            "random advice of 4": ["--social", "random-advice", "--peers", "4"],
            "random advice of 4, exploring": [
                "--social", "random-advice", "--peers", "4", EXPLORING,
            ],
        },
    ),
    "pendulum": Experiment(
        "pendulum-mini",
        6_000,
        ["--groups", "5", "--evaluation.interval", "500", "--evaluation.episodes", "5",
         "--no-video"],
        MOTOR,
        {},
        {},
    ),
    "double-pendulum": Experiment(
        "pendulum-mini",
        10_000,
        ["--env", "gymnasium:InvertedDoublePendulum-v5", "--buffer-size", "10_000",
         "--groups", "5", "--evaluation.interval", "1_000", "--evaluation.episodes", "3",
         "--no-video"],
        MOTOR,
        {},
        {},
    ),
    "reacher": Experiment(
        "pendulum-mini",
        6_000,
        ["--env", "gymnasium:Reacher-v5", "--groups", "5", "--evaluation.interval", "500",
         "--evaluation.episodes", "10", "--no-video"],
        MOTOR,
        {},
        {},
    ),
    "hopper": Experiment(
        "hopper",
        200_000,
        ["--groups", "3", "--gradient-steps", "4", "--no-video"],
        MOTOR,
        {"single": "2059±666", "4 peers": "2123±963", "random advice": "2483±87"},
        {},
    ),
    "walker2d": Experiment(
        "walker2d",
        200_000,
        ["--groups", "3", "--gradient-steps", "4", "--no-video"],
        MOTOR,
        {"single": "1558±489", "4 peers": "2160±346", "random advice": "1970±526"},
        {},
    ),
}  # fmt: skip


def folder_name(arm: str) -> str:
    """Name of an arm's run directory."""
    return "-".join(arm.lower().replace(",", "").split())


def train(experiment: Experiment, arm: str, run_dir: Path, steps: int, seed: int) -> None:
    """One run on one thread, up to so many steps; does nothing that is done already."""
    if (run_dir / "metrics.jsonl").exists():
        rows = read_metrics(run_dir / "metrics.jsonl")
        if rows and rows[-1]["env_steps"] >= steps:
            return
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    words = (
        ["--resume", str(run_dir), "--total-steps", str(steps)]
        if (run_dir / "checkpoints").is_dir()
        else [experiment.preset, "--run-dir", str(run_dir), "--threads", "1",
              "--env.num-threads", "1", "--no-tensorboard",
              "--total-steps", str(steps), "--seed", str(seed),
              *experiment.words(arm)]
    )  # fmt: skip
    program = Path(sys.executable).with_name("socialgrid-train")
    with open(run_dir.with_suffix(".log"), "a", encoding="utf-8") as output:
        subprocess.run([str(program), *words], check=True, stdout=output, stderr=output)
    print(f"{arm}: finished", flush=True)


def evaluations(run_dir: Path) -> tuple[Array, Array]:
    """Steps ``[T]`` and mean evaluation returns ``[T, G]`` of the groups' learners."""
    config = load_config(run_dir)
    rows = read_metrics(run_dir / "metrics.jsonl")
    rows = [row for row in rows if "evaluated_return" in row["agents"]]
    steps = np.array([row["env_steps"] for row in rows])
    returns = np.array([row["agents"]["evaluated_return"] for row in rows], float)
    return steps, returns.reshape(len(rows), config.players.groups, -1).mean(2)


def followed(run_dir: Path) -> tuple[Array, Array] | None:
    """Share of the first and of the last tenth of the steps in which each member was followed.

    Returns:
        ``[n, P]`` each, means over groups; nothing where nobody is asked.
    """
    rows = [row for row in read_metrics(run_dir / "metrics.jsonl") if "members" in row]
    if not rows:
        return None
    config, count = load_config(run_dir), max(1, len(rows) // 10)
    shares = []
    for part in (rows[:count], rows[-count:]):
        each = np.nanmean(np.array([row["members"]["followed"] for row in part], float), 0)
        shares.append(each.reshape(config.players.groups, -1, each.shape[1]).mean(0))
    return shares[0], shares[1]


def tables(experiment: Experiment, runs: Mapping[str, Path]) -> str:
    """Mean evaluation return over training, of every group, and whom learners followed."""
    lines = [
        "Mean evaluation return over training, by group; the last tenth of it; the paper's over a "
        "million steps:",
        "",
    ]
    groups = max(evaluations(run)[1].shape[1] for run in runs.values())
    lines += ["| arm | mean ± deviation | " + " | ".join(f"group {g}" for g in range(groups))
              + " | at the end | paper |"]  # fmt: skip
    lines += ["|---|---|" + "---|" * (groups + 2)]
    for arm, run in runs.items():
        returns = evaluations(run)[1]
        means = returns.mean(0)
        last = returns[-max(1, len(returns) // 10) :].mean(0)
        cells = [f"{value:.1f}" for value in means] + [""] * (groups - len(means))
        lines.append(
            f"| {arm} | {means.mean():.1f} ± {means.std(ddof=1):.1f} | "
            + " | ".join(cells)
            + f" | {last.mean():.1f} ± {last.std(ddof=1):.1f} | "
            + f"{experiment.published.get(arm, '')} |"
        )
    asked = {arm: shares for arm, run in runs.items() if (shares := followed(run)) is not None}
    if not asked:
        return "\n".join(lines)
    lines += ["", "Whom learners followed, in percent of the first and of the last tenth of the "
              "steps:", ""]  # fmt: skip
    lines += ["| arm | learner | members 0, 1, ..., at first | at the end |", "|---|---|---|---|"]
    for arm, shares in asked.items():
        for place, *both in zip(load_config(runs[arm]).roster.slots, *shares, strict=True):
            told = (", ".join(f"{100 * share:.0f}" for share in row) for row in both)
            lines.append(f"| {arm} | {place} | {' | '.join(told)} |")
    return "\n".join(lines)


def unlikely(one: Array, other: Array) -> tuple[float, float]:
    """How far two arms' groups ``[G]`` and ``[H]`` differ.

    Returns:
        Welch's t, and the share of all ways to divide these groups among two arms of these sizes
        that set their means as far apart at least (two-sided, exact: nothing is assumed of how
        groups are spread, and three against three can come to no less than 0.1).
    """
    both, size = np.concatenate((one, other)), len(one)
    spread = one.var(ddof=1) / size + other.var(ddof=1) / len(other)
    apart = one.mean() - other.mean()
    ways = np.array(list(combinations(range(len(both)), size)))
    means = both[ways].mean(1)
    rest = (both.sum() - size * means) / len(other)
    far = np.abs(means - rest) >= abs(apart) - 1e-9 * np.abs(both).max()
    with np.errstate(divide="ignore", invalid="ignore"):  # groups that are all the same
        return float(apart / np.sqrt(spread)), float(far.mean())


def differences(runs: Mapping[str, Path]) -> str:
    """Every arm over those before it: difference of means over training, t and p."""
    means = {arm: evaluations(run)[1].mean(0) for arm, run in runs.items()}
    arms = list(means)
    lines = [
        "Row over column: difference of these means, Welch's t, p of dividing the groups anew "
        "(exact, two-sided):",
        "",
        "| | " + " | ".join(arms[:-1]) + " |",
        "|---|" + "---|" * len(arms[:-1]),
    ]
    for place, arm in enumerate(arms[1:], 1):
        cells = [""] * len(arms[:-1])
        for before in range(place):
            other = means[arms[before]]
            t, p = unlikely(means[arm], other)
            cells[before] = f"{means[arm].mean() - other.mean():+.1f}, t = {t:.1f}, p = {p:.3f}"
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(runs: Mapping[str, Path], path: Path) -> None:
    """One panel an arm, one line a group and their mean."""
    rows = -(-len(runs) // 5)
    columns = -(-len(runs) // rows)
    figure = Figure(figsize=(3.4 * columns + 0.5, 2.9 * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axis, (arm, run) in zip(axes, runs.items(), strict=False):
        steps, returns = evaluations(run)
        axis.plot(steps / 1000, returns, lw=0.8, alpha=0.6)
        axis.plot(steps / 1000, returns.mean(1), "k", lw=2)
        axis.set_title(arm, fontsize=10)
        axis.grid(alpha=0.3)
    for place in range(len(runs), len(axes)):
        axes[place].remove()
        axes[place - columns].tick_params(labelbottom=True)
    figure.supxlabel("thousand steps of each agent")
    figure.supylabel("evaluation return")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder of the runs")
    parser.add_argument("--at-once", type=int, default=1, help="arms trained at a time")
    parser.add_argument("--arms", nargs="+", help="only these")
    parser.add_argument("--steps", type=int, help="of each agent; the experiment's own by default")
    parser.add_argument("--seed", type=int, default=0, help="of all groups of an arm")
    options = parser.parse_args()
    show_anything()
    experiment = EXPERIMENTS[options.experiment]
    known = [*experiment.arms, *experiment.more]
    arms = options.arms or list(experiment.arms)
    unknown = [arm for arm in arms if arm not in known]
    if unknown:
        parser.error(f"no arm {unknown[0]!r}; there are {', '.join(map(repr, known))}")
    folder = options.runs / (options.experiment + (f"-seed{options.seed}" if options.seed else ""))
    runs = {arm: folder / folder_name(arm) for arm in arms}
    steps = options.steps or experiment.steps
    for run in runs.values():
        check_budget(run, steps, longer=True)
    with ThreadPoolExecutor(options.at_once) as pool:
        for done in [
            pool.submit(train, experiment, arm, run, steps, options.seed)
            for arm, run in runs.items()
        ]:
            done.result()
    print(tables(experiment, runs))
    if len(runs) > 1:
        print("\n" + differences(runs))
    picture = folder / f"{options.experiment}.png"
    draw(runs, picture)
    print(picture)


if __name__ == "__main__":
    main()
