"""What is done with on-policy runs: see ``socialgrid.train.regime``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from socialgrid.algos.options import OnPolicyConfig
from socialgrid.algos.ranks import Ranks
from socialgrid.config import TrainConfig
from socialgrid.config.evaluation import EvalOptions
from socialgrid.report.evaluation import Evaluation
from socialgrid.train.meeting import evaluate_seats
from socialgrid.train.on_policy.asynchronous import AsyncTrainer
from socialgrid.train.on_policy.company import engage
from socialgrid.train.on_policy.film import frames
from socialgrid.train.on_policy.trainer import Trainer
from socialgrid.train.run import Run

__all__ = ["engage", "evaluate", "frames", "trainer"]


def trainer(config: TrainConfig, run_dir: Path, ranks: Ranks, begun: bool | None) -> Run:
    """In one process or in ranks, or with several actor-learners."""
    assert isinstance(config.algorithm, OnPolicyConfig), "of this regime"
    if config.algorithm.workers > 1:
        return AsyncTrainer(config, run_dir)
    return Trainer(config, run_dir, begun=begun, ranks=ranks)


def evaluate(
    run_dir: Path,
    run: TrainConfig,
    config: TrainConfig,
    options: EvalOptions,
    extra: Mapping[str, Any],
) -> Evaluation:
    """Agents meet others in a world, or are alone there."""
    return evaluate_seats(run_dir, run, config, options, extra)
