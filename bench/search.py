"""A random search over settings of a mechanism, several seeds each (Jaques et al. 2019, 10.4).

    python bench/search.py harvest moa-paper --settings 10 --seeds 3 --steps 2_000_000

Learning rate, entropy and, where there is influence, its weight, its curriculum and its divergence
are drawn; all else is the preset's. The same ``--seed`` draws the same settings, more of them with
larger ``--settings``. What is finished is kept, so an interrupted call goes on where it was; runs
of another ``--steps`` are refused. Prints the table of the settings and draws, as
``socialgrid-plot arms`` does, the best ones beside the arms that are given as further runs
(``--beside A3C=RUN ...``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from budget import check_budget
from socialgrid.config import load_preset

Draws = np.random.Generator


def log_uniform(draws: Draws, low: float, high: float) -> str:
    """A number whose logarithm is uniform, with three digits."""
    return f"{np.exp(draws.uniform(np.log(low), np.log(high))):.3g}"


def drawn(seed: int, number: int, influence: bool, steps: int) -> list[str]:
    """The options of one setting, on ranges around those of the paper's tables 1 to 3.

    Args:
        seed: of the search.
        number: of the setting.
        influence: whether there is influence to be rewarded.
        steps: of a run; the curriculum ends within it.
    """
    draws = np.random.default_rng([seed, number])
    words = ["--learning-rate", log_uniform(draws, 4e-4, 3e-3)]
    words += ["--entropy-coef", log_uniform(draws, 1e-4, 1e-2)]
    if influence:
        words += ["--influence-weight", log_uniform(draws, 0.1, 5.0)]
        words += ["--curriculum", f"{draws.uniform(0.1, 1.0) * steps / 1e6:.3g}"]
        words += ["--divergence", str(draws.choice(["kl", "pmi", "jsd"]))]
    return words


def train(args: argparse.Namespace, words: list[str], seed: int, run_dir: Path) -> None:
    """One run on one thread; does nothing that is done already."""
    if (run_dir / "finished").exists():
        return
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    start = (
        ["--resume", str(run_dir)]
        if (run_dir / "checkpoints").is_dir()
        else [args.preset, "--social", args.social, "--run-dir", str(run_dir), "--seed", str(seed),
              "--total-steps", str(args.steps), "--workers", "1", "--num-envs", str(args.envs),
              "--threads", "1", "--num-threads", "1", "--no-tensorboard", "--no-video",
              "--no-curves", *words]
    )  # fmt: skip
    program = str(Path(sys.executable).with_name("socialgrid-train"))
    with open(run_dir.with_suffix(".log"), "w", encoding="utf-8") as output:
        subprocess.run([program, *start], check=True, stdout=output, stderr=output)
    (run_dir / "finished").touch()


def plot(*words: str) -> None:
    """Call socialgrid-plot."""
    program = str(Path(sys.executable).with_name("socialgrid-plot"))
    subprocess.run([program, *words], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", help="as harvest")
    parser.add_argument("social", help="mechanisms or a variant, as moa-paper")
    parser.add_argument("--settings", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3, help="of each setting")
    parser.add_argument("--steps", type=int, default=2_000_000, help="of each run")
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--best", type=int, default=5, help="settings in the picture")
    parser.add_argument("--drop-below", type=float, help="as of socialgrid-plot arms")
    parser.add_argument("--beside", nargs="*", default=[], help="runs of other arms, LABEL=RUN")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--runs", type=Path, default=Path("runs/search"), help="folder of the runs")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time, one thread each")
    args = parser.parse_args()
    config = load_preset(args.preset).choose(social=args.social.split(","))
    influence = any(
        getattr(options, "influence_weight", 0.0) > 0 for options in config.social.options
    )
    folder = args.runs / f"{args.preset}-{args.social}-seed{args.seed}"
    for number in range(args.settings):
        for seed in range(args.seeds):
            check_budget(folder / f"{number}-{seed}", args.steps)
    found: list[tuple[str, Path]] = []
    with ThreadPoolExecutor(args.parallel) as pool:
        jobs = []
        for number in range(args.settings):
            words = drawn(args.seed, number, influence, args.steps)
            for seed in range(args.seeds):
                run_dir = folder / f"{number}-{seed}"
                found.append((" ".join(words).replace("--", ""), run_dir))
                jobs.append(pool.submit(train, args, words, seed, run_dir))
        for job in jobs:
            job.result()
    dropped = [] if args.drop_below is None else ["--drop-below", str(args.drop_below)]
    plot("table", *(f"{setting}={run_dir}" for setting, run_dir in found), *dropped)
    plot(
        "arms", *args.beside, *(f"{args.social}={run_dir}" for _, run_dir in found), *dropped,
        "--best", str(args.best), "--level", "0.995", "--out", str(folder / "best.png"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
