"""Agents of a run that goes on, as they are now, in worlds where nothing is learnt from.

They play with copies of their networks, in worlds and with draws whose seeds are those of
``socialgrid-eval --seeds 0``: training goes on as if nobody had looked, and a run that is resumed
finds what it would have found. What a row says of a step is what ``socialgrid-eval`` finds in a
checkpoint of that step.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from socialgrid.config import TrainConfig, UsageError
from socialgrid.config.evaluation import EvalOptions, evaluation_config
from socialgrid.config.sections import TRAINING, world_name
from socialgrid.report.console import number
from socialgrid.train.cast import Present
from socialgrid.train.meeting import check_seats, evaluate_seats
from socialgrid.train.run import Run, Saved

_RETURNS = ("learners_return", "learners_return_alone", "others_return")


class Visits:
    """Where and how often a run's agents are evaluated while they learn."""

    def __init__(self, config: TrainConfig, run_dir: Path, device: str, learner: Saved) -> None:
        """Find the worlds, and let the agents take their seats there.

        Args:
            config: of the run.
            run_dir: where it lies, or will.
            device: where the copies compute.
            learner: whose agents they are.

        Raises:
            UsageError: there is no such world, or the run's agents do not fit into its company.
        """
        self._config, self._run_dir = config, run_dir
        self._interval = config.evaluation.interval
        self._worlds: list[tuple[str, EvalOptions, TrainConfig]] = []
        for world in config.evaluation.worlds if self._interval else ():
            options = EvalOptions(
                episodes=config.evaluation.episodes,
                seeds=(0,),
                world="" if world == TRAINING else world,
                device=device,
            )
            moved = evaluation_config(config, options, {})
            weights = {name: tensor.cpu() for name, tensor in learner.tensors().items()}
            try:
                check_seats(run_dir, Present(config, weights), moved)
            except UsageError as error:
                raise UsageError(f"evaluation.worlds: {world_name(world)}: {error}") from None
            self._worlds.append((world_name(world), options, moved))

    def due(self, run: Run, before: int) -> bool:
        """Whether it is time between two rows of a run, the last one of ``before`` steps."""
        if run.ranks.rank or not self._worlds:
            return False
        return run.env_steps // self._interval > before // self._interval

    def follow(self, run: Run) -> dict[str, Any]:
        """Evaluate a run at its present step; what fails ends it after this row.

        Returns:
            what the row says of it: ``evaluations``, or nothing.
        """
        start = time.perf_counter()
        try:
            found = self.found(run.learner.tensors())
        except UsageError as error:
            run.problem = error  # what was learnt is saved first
            return {}
        run.say(told_of_visits(found, run.env_steps, time.perf_counter() - start))
        return {"evaluations": found}

    def found(self, weights: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
        """Play everywhere.

        Args:
            weights: tensors of the learner; they are copied.

        Returns:
            by world the number of ``episodes``, and of the learners' mean return, of that of a
            learner alone, and of the others', as far as there are any, ``[mean, low, high]``: the
            95% interval over the episodes.

        Raises:
            UsageError: the game refuses, or networks do not fit.
        """
        everywhere = {}
        for name, options, moved in self._worlds:
            evaluation = evaluate_seats(self._run_dir, self._config, moved, options, {}, weights)
            outcomes = {one.metric: one.over_episodes() for one in evaluation.outcomes}
            everywhere[name] = {
                "episodes": options.episodes,
                **{name: list(outcomes[name]) for name in _RETURNS if name in outcomes},
            }
        return everywhere


def told_of_visits(found: Mapping[str, Mapping[str, Any]], env_steps: int, seconds: float) -> str:
    """What there is to say of an evaluation in one line, with what it cost."""
    parts = []
    for world, one in found.items():
        each = [
            f"{number(one[name][0])}{what}"
            for name, what in zip(_RETURNS, ("", " alone", " of others"), strict=True)
            if name in one
        ]
        parts.append(f"{world} {', '.join(each)}")
    return f"evaluated at step {env_steps:,} ({seconds:.1f} s): {'; '.join(parts)}"
