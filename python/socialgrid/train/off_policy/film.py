"""Frames of an episode of an off-policy run, without exploration or advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.off_policy.off_policy_learner import Actor
from socialgrid.report.pictures import Image
from socialgrid.report.video import frame, side_by_side
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner
from socialgrid.train.off_policy.make_tasks import make_tasks
from socialgrid.train.off_policy.tasks import OwnGames, SharedWorlds, Tasks
from socialgrid.train.off_policy.trainer import OffPolicyTrainer
from socialgrid.train.seeds import FILM, derived_seed

_MOST_WORLDS = 4  # side by side
_WORLD = 252  # pixels of the height of a world among others


def frames(run: OffPolicyTrainer) -> Iterator[Image]:
    """Play one episode of a run with the present weights, and draw it."""
    tasks = make_tasks(run.config, 1, derived_seed(run.config.run.seed, FILM))
    try:
        yield from task_frames(tasks, run.learner, run.names, run.config.logging.video_frames)
    finally:
        tasks.close()


def task_frames(
    tasks: Tasks, learner: AnyOffPolicyLearner, names: Sequence[str], max_frames: int = 300
) -> Iterator[Image]:
    """Play one episode of off-policy agents, without exploration or advice, and draw it.

    Args:
        tasks: one copy for each agent. Where every agent has a world of its own, those of the
            first few are shown; of Gymnasium's environments the first agent's.
        learner: plays.
        names: one for each agent.
        max_frames: of a longer episode, only every second, third, ... step is drawn; of
            Gymnasium's environments the beginning.

    Raises:
        UsageError: the task cannot be drawn here.
    """
    actor = learner.actor()
    begins = torch.ones((learner.num_agents, 1), dtype=torch.bool)
    if isinstance(tasks, OwnGames):
        yield from _own_worlds(tasks, actor, begins, names, max_frames)
    elif isinstance(tasks, SharedWorlds):
        yield from _shared_world(tasks, actor, begins, names, max_frames)
    else:
        drawable: Any = tasks  # Gymnasium may not be installed where nobody asks for it
        first = [begins]

        def policy(obs: Tensor) -> Tensor:
            return actor(obs, first.pop() if first else torch.zeros_like(begins))

        yield from drawable.frames(policy, 0, max_frames)


def _own_worlds(
    tasks: OwnGames, actor: Actor, begins: Tensor, names: Sequence[str], max_frames: int
) -> Iterator[Image]:
    """The worlds of the first agents side by side; those whose episode has ended stand still."""
    shown, env = min(len(names), _MOST_WORLDS), tasks.env
    obs = tasks.reset()
    rows, cols = np.asarray(env.render(0, tile_size=1)).shape[:2]
    tile = max(1, min(_WORLD // rows, 2 * _WORLD // cols))
    stride, step = -(-env.max_steps // max_frames), 0
    worlds = [np.asarray(env.render(agent, tile_size=tile), np.uint8) for agent in range(shown)]
    returns, going = np.zeros(shown), np.ones(shown, np.bool_)
    while going.any():
        if step % stride == 0:
            captions = [f"{name} {value:.1f}"
                        for name, value in zip(names, returns, strict=False)]  # fmt: skip
            yield side_by_side(worlds, captions, f"step {step}")
        result = tasks.step(actor(obs, begins))
        returns += np.where(going, result.reward[:shown, 0].numpy(), 0.0)
        going &= ~result.done[:shown, 0].numpy()
        for agent in np.flatnonzero(going).tolist():
            worlds[agent] = np.asarray(env.render(agent, tile_size=tile), np.uint8)
        obs, begins, step = result.obs, result.done | ~result.in_play, step + 1


def _shared_world(
    tasks: SharedWorlds, actor: Actor, begins: Tensor, names: Sequence[str], max_frames: int
) -> Iterator[Image]:
    """The world that the agents meet in, and what each of its players sees."""
    part = tasks.worlds.parts[0]
    env, kinds = part.env, list(tasks.worlds.kinds)
    players = [kind or "" for kind in kinds]
    for slot, name in zip(tasks.slots, names, strict=True):
        players[slot] = name
    stride, step, over = -(-env.max_steps // max_frames), 0, False
    obs = tasks.reset()
    while not over:
        if step % stride == 0:
            yield frame(env, env.observe(), players, f"step {step}")
        result = tasks.step(actor(obs, begins))
        over = bool(result.done.any())
        obs, begins, step = result.obs, result.done | ~result.in_play, step + 1
