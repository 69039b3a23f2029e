"""Runs that go on: one loop, checkpoints, worlds, and who plays where nobody learns.

What this room offers is imported on use: most of it needs torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socialgrid.train.cast import Seat, companies, eyes_of, seats_of
    from socialgrid.train.checkpoint import Checkpoint, load_newest, load_weights
    from socialgrid.train.company import Company, Engagement
    from socialgrid.train.device import choose_device, prepare_torch
    from socialgrid.train.meeting import evaluate_seats, play_seats
    from socialgrid.train.off_policy.evaluation import load_off_policy
    from socialgrid.train.off_policy.film import task_frames
    from socialgrid.train.off_policy.greedy import greedy_returns
    from socialgrid.train.off_policy.learner import build_off_policy_learner
    from socialgrid.train.off_policy.make_tasks import make_tasks, shares_worlds
    from socialgrid.train.off_policy.tasks import OwnGames, SharedWorlds, Tasks, TaskStep
    from socialgrid.train.off_policy.trainer import OffPolicyTrainer
    from socialgrid.train.on_policy.asynchronous import AsyncTrainer
    from socialgrid.train.on_policy.evaluation import Played, play_episodes
    from socialgrid.train.on_policy.film import episode_frames
    from socialgrid.train.on_policy.learner import build_learner, learner_of
    from socialgrid.train.on_policy.rows import mean_outcomes, merged
    from socialgrid.train.on_policy.trainer import Trainer
    from socialgrid.train.on_policy.worker import ActorLearner, run_worker, share_of
    from socialgrid.train.regime import Regime, regime_of
    from socialgrid.train.run import Run
    from socialgrid.train.seeds import derived_seed
    from socialgrid.train.start import create_run, make_trainer, resume_run
    from socialgrid.train.worlds import Phase, Worlds, build_worlds, phase_at

_WHERE = {
    "cast": ("Seat", "companies", "eyes_of", "seats_of"),
    "checkpoint": ("Checkpoint", "load_newest", "load_weights"),
    "company": ("Company", "Engagement"),
    "device": ("choose_device", "prepare_torch"),
    "meeting": ("evaluate_seats", "play_seats"),
    "off_policy.evaluation": ("load_off_policy",),
    "off_policy.film": ("task_frames",),
    "off_policy.greedy": ("greedy_returns",),
    "off_policy.learner": ("build_off_policy_learner",),
    "off_policy.make_tasks": ("make_tasks", "shares_worlds"),
    "off_policy.tasks": ("OwnGames", "SharedWorlds", "TaskStep", "Tasks"),
    "off_policy.trainer": ("OffPolicyTrainer",),
    "on_policy.asynchronous": ("AsyncTrainer",),
    "on_policy.evaluation": ("Played", "play_episodes"),
    "on_policy.film": ("episode_frames",),
    "on_policy.learner": ("build_learner", "learner_of"),
    "on_policy.rows": ("mean_outcomes", "merged"),
    "on_policy.trainer": ("Trainer",),
    "on_policy.worker": ("ActorLearner", "run_worker", "share_of"),
    "regime": ("Regime", "regime_of"),
    "run": ("Run",),
    "seeds": ("derived_seed",),
    "start": ("create_run", "make_trainer", "resume_run"),
    "worlds": ("Phase", "Worlds", "build_worlds", "phase_at"),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "ActorLearner",
    "AsyncTrainer",
    "Checkpoint",
    "Company",
    "Engagement",
    "OffPolicyTrainer",
    "OwnGames",
    "Phase",
    "Played",
    "Regime",
    "Run",
    "Seat",
    "SharedWorlds",
    "TaskStep",
    "Tasks",
    "Trainer",
    "Worlds",
    "build_learner",
    "build_off_policy_learner",
    "build_worlds",
    "choose_device",
    "companies",
    "create_run",
    "derived_seed",
    "episode_frames",
    "evaluate_seats",
    "eyes_of",
    "greedy_returns",
    "learner_of",
    "load_newest",
    "load_off_policy",
    "load_weights",
    "make_tasks",
    "make_trainer",
    "mean_outcomes",
    "merged",
    "phase_at",
    "play_episodes",
    "play_seats",
    "prepare_torch",
    "regime_of",
    "resume_run",
    "run_worker",
    "seats_of",
    "share_of",
    "shares_worlds",
    "task_frames",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
