"""What a run does by how its agents learn; which kind that is, is asked here and nowhere else."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from socialgrid.algos.ranks import Ranks
from socialgrid.config import TrainConfig
from socialgrid.config.evaluation import EvalOptions
from socialgrid.report.evaluation import Evaluation
from socialgrid.report.pictures import Image
from socialgrid.train.company import Company, Engagement
from socialgrid.train.run import Run


class Regime(Protocol):
    """The verbs of a kind of learning: a module ``regime`` in a wing.

    What it allows stands in ``socialgrid.config.regimes``.
    """

    def trainer(self, config: TrainConfig, run_dir: Path, ranks: Ranks, begun: bool | None) -> Run:
        """Make everything that training needs; nothing is written yet.

        Args:
            config: of the run.
            run_dir: where everything of the run goes.
            ranks: the processes that train it together; ``config.launch`` says how many can.
            begun: whether it has checkpoints; ``None``: to be looked up.

        Raises:
            UsageError: an option does not fit the game, the players or the machine.
        """
        ...

    def engage(self, them: Engagement) -> Company:
        """Give agents of a run seats in a world.

        Raises:
            UsageError: they do not fit.
        """
        ...

    def evaluate(
        self,
        run_dir: Path,
        run: TrainConfig,
        config: TrainConfig,
        options: EvalOptions,
        extra: Mapping[str, Any],
    ) -> Evaluation:
        """Let a run's newest checkpoint play without learning.

        Args:
            run_dir: of the run.
            run: its configuration.
            config: the same, moved to where it is evaluated.
            options: what to evaluate in.
            extra: game options given on the command line.

        Raises:
            UsageError: a bad world or player, agents that do not fit, or no whole checkpoint.
        """
        ...

    def frames(self, run: Any) -> Iterator[Image]:
        """Play one episode of a run with the present weights, and draw it.

        Raises:
            UsageError: the task cannot be drawn here.
        """
        ...


def regime_of(config: TrainConfig) -> Regime:
    """What is done with runs of such a configuration."""
    wing = config.regime.name.replace("-", "_")
    return cast("Regime", importlib.import_module(f"socialgrid.train.{wing}.regime"))
