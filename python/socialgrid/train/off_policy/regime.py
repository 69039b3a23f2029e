"""What is done with off-policy runs: see ``socialgrid.train.regime``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from socialgrid.algos.ranks import Ranks
from socialgrid.config import TrainConfig, UsageError
from socialgrid.config.evaluation import EvalOptions
from socialgrid.report.evaluation import Evaluation
from socialgrid.train.meeting import evaluate_seats
from socialgrid.train.off_policy.company import engage
from socialgrid.train.off_policy.evaluation import evaluate_tasks
from socialgrid.train.off_policy.film import frames
from socialgrid.train.off_policy.make_tasks import shares_worlds
from socialgrid.train.off_policy.trainer import OffPolicyTrainer
from socialgrid.train.run import Run

__all__ = ["engage", "evaluate", "frames", "trainer"]


def trainer(config: TrainConfig, run_dir: Path, ranks: Ranks, begun: bool | None) -> Run:
    """Each agent with tasks of its own, or all of them in shared worlds."""
    assert ranks.size == 1, "config.launch refuses more"
    return OffPolicyTrainer(config, run_dir)


def evaluate(
    run_dir: Path,
    run: TrainConfig,
    config: TrainConfig,
    options: EvalOptions,
    extra: Mapping[str, Any],
) -> Evaluation:
    """Agents play tasks of their own, unless they share worlds here or did so in training."""
    if shares_worlds(run) or shares_worlds(config):
        return evaluate_seats(run_dir, run, config, options, extra)
    if config.players != run.players:
        raise UsageError(f"players: in {config.env.game} every agent has a task of its own")
    return evaluate_tasks(run_dir, config, options)
