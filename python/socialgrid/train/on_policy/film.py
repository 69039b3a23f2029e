"""Frames of an episode of an on-policy run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from socialgrid.report.pictures import Image
from socialgrid.report.video import frame, go_on, with_curves
from socialgrid.train.on_policy.learner import AnyLearner
from socialgrid.train.on_policy.session import Session
from socialgrid.train.seeds import FILM, derived_seed
from socialgrid.train.worlds import Worlds, phase_at, worlds_to_play

if TYPE_CHECKING:
    from socialgrid.train.on_policy.asynchronous import AsyncTrainer
    from socialgrid.train.on_policy.trainer import Trainer

Array = npt.NDArray[Any]


def frames(run: Trainer | AsyncTrainer) -> Iterator[Image]:
    """Play one episode of a run with everybody and the present weights, in the phase that it is in,
    and draw it.
    """
    config = run.course.config
    options = phase_at(config, run.episodes).options
    seed = derived_seed(config.run.seed, FILM)
    worlds = worlds_to_play(config, options, seed, 1, num_threads=1)
    try:
        yield from episode_frames(
            worlds, run.learner, run.slots, run.names, config.logging.video_frames
        )
    finally:
        worlds.close()


def episode_frames(
    worlds: Worlds,
    learner: AnyLearner,
    slots: Sequence[int],
    names: Sequence[str],
    max_frames: int = 300,
) -> Iterator[Image]:
    """Play one episode in a batch of one environment and draw it.

    The episode is played first, since what the agents' influence was is known only then, and
    played again with the same actions while it is drawn.

    Args:
        worlds: one environment.
        learner: the networks.
        slots: the agents they play.
        names: one for each agent.
        max_frames: of a longer episode, only every second, third, ... step is drawn.
    """
    env = worlds.env
    session = Session(worlds, learner, slots, env.max_steps)
    beginning = env.get_state()
    rollout = session.play()
    length = int(rollout.done[:, 0].long().argmax()) + 1
    returns = np.cumsum(rollout.reward[:length, 0].numpy(), 0, dtype=np.float64)
    returns = np.concatenate([np.zeros((1, len(names))), returns[:-1]])
    curves: dict[str, Array] = {}
    influence = learner.influence(rollout)
    if influence is not None:
        curves["influence on the others"] = np.full((length, len(names)), np.nan)
        curves["influence on the others"][:, list(slots)] = influence[:length, 0].sum(-1).numpy()
    if env.event_names:
        curves["return so far"] = returns
    stride = -(-length // max_frames)
    env.set_state(beginning)
    trails: list[list[tuple[int, int]]] = [[] for _ in names]
    for step in range(length):
        for trail, place in zip(trails, env.get_layout(0).agent_pos, strict=True):
            go_on(trail, place)
        if step % stride == 0:
            captions = [f"{name} {value:.1f}"
                        for name, value in zip(names, returns[step], strict=True)]  # fmt: skip
            shown = trails if len(names) > 1 else ()
            picture = frame(env, rollout.obs[step].numpy(), captions, f"step {step}", trails=shown)
            yield with_curves(picture, curves, step) if curves else picture
        env.step(rollout.taken[step].numpy())
