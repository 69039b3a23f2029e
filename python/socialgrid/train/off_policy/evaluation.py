"""Episodes of agents with replay memories in tasks of their own, without exploration or advice."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from socialgrid.config import TrainConfig
from socialgrid.config.errors import UsageError
from socialgrid.config.evaluation import EvalOptions
from socialgrid.models.task_spec import TaskSpec
from socialgrid.report.evaluation import OF_GROUP, Evaluation, Result, outcomes_of
from socialgrid.train.checkpoint import load_weights
from socialgrid.train.device import choose_device
from socialgrid.train.off_policy.greedy import greedy_returns
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner, build_off_policy_learner
from socialgrid.train.off_policy.make_tasks import make_tasks
from socialgrid.train.seeds import EVALUATED_WORLDS, derived_seed


def evaluate_tasks(run_dir: Path, config: TrainConfig, options: EvalOptions) -> Evaluation:
    """Let agents with replay memories play their own tasks without exploration or advice.

    Raises:
        UsageError: the run's networks do not fit the tasks, or there is no whole checkpoint.
    """
    device, roster = choose_device(options.device), config.roster
    learning = roster.learners()[0] or slice(None)  # the same in every group
    learner: AnyOffPolicyLearner | None = None
    results: list[Result] = []
    outcomes: list[tuple[dict[str, float], ...]] = []
    for seed in options.seeds:
        tasks = make_tasks(config, options.episodes, derived_seed(seed, EVALUATED_WORLDS))
        if learner is None:
            learner = load_off_policy(run_dir, config, tasks.spec, device, *options.steps())
        returns = greedy_returns(tasks, learner)
        tasks.close()
        for agent, name in enumerate(roster.names()):
            group = f" of group {roster.group_of(agent)}" if roster.groups > 1 else ""
            plays = f"{run_dir}#{roster.place_of(agent)}{group}"
            results.append(
                Result("alone", seed, agent, name, plays, tuple(returns[agent].tolist()))
            )
        groups = returns.view(roster.groups, -1, options.episodes)
        by_group = groups[:, learning].mean(1)
        outcomes.append(tuple(_by_group(each) for each in by_group.T.tolist()))
    metric, *each = outcomes_of(outcomes, (0, "kl"))
    independent = tuple(one.training_runs()[0] for one in each)
    return Evaluation(tuple(results), (dataclasses.replace(metric, groups=independent), *each))


def _by_group(returns: Sequence[float]) -> dict[str, float]:
    """Mean return of the learners of each group in an episode, and of all groups, by name."""
    found = {"mean_return": sum(returns) / len(returns)}
    if len(returns) > 1:
        found |= {f"{OF_GROUP}{group}": value for group, value in enumerate(returns)}
    return found


def load_off_policy(
    run_dir: Path,
    config: TrainConfig,
    spec: TaskSpec,
    device: torch.device,
    step: int | None = None,
) -> AnyOffPolicyLearner:
    """The learner of a run's checkpoint, for tasks with the same observations and actions.

    Args:
        run_dir: of the run.
        config: moved to these tasks.
        spec: of the tasks.
        device: where the networks live.
        step: of the checkpoint; the newest one by default.

    Raises:
        UsageError: there is no whole checkpoint, or the networks are of other shapes.
    """
    learner = build_off_policy_learner(config, spec, device, begun=True)
    stored, complaints = load_weights(run_dir, step)
    for complaint in complaints:
        print(f"refused a damaged checkpoint: {complaint}", file=sys.stderr)
    try:
        learner.load_tensors(stored.weights)
        learner.load_meta(stored.state["learner"])
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{run_dir}: its networks do not fit {config.env.game} with these players: {error}"
        ) from None
    return learner
