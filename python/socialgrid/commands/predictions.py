"""Predicted next views for each action, as in fig. 2 of Ndousse et al. (2021)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from socialgrid.config import Course, load_config
from socialgrid.config.errors import UsageError
from socialgrid.report.figures import new_figure, save_figure
from socialgrid.report.pictures import view_image
from socialgrid.social.options import PredictionOptions
from socialgrid.train.cast import companies, seats_of
from socialgrid.train.on_policy.company import Recurrent
from socialgrid.train.on_policy.learner import AnyLearner
from socialgrid.train.on_policy.session import Session
from socialgrid.train.seeds import PREDICTIONS, derived_seed
from socialgrid.train.worlds import Worlds, phase_at, worlds_to_play

_FORESEEN = 3  # actions whose outcomes are drawn: the first ones, which turn and walk


@dataclass(frozen=True)
class Moment:
    """One step of one agent.

    Attributes:
        step: of the episode.
        view: what it saw, uint8 ``[H, W, 3]``.
        predicted: the next view it expected after each of the first actions, by the action's name,
            the same kind.
        action: the name of the action it took.
        next_view: what it saw then.
        company: another agent was in sight, before or after.
    """

    step: int
    view: npt.NDArray[np.uint8]
    predicted: dict[str, npt.NDArray[np.uint8]]
    action: str
    next_view: npt.NDArray[np.uint8]
    company: bool


def watch(run_dir: Path, seed: int) -> tuple[int, list[Moment]]:
    """Play one episode and ask the first learner for its expectations at every step.

    Returns:
        the learner's slot and the moments.

    Raises:
        UsageError: not a run, or one without the prediction loss.
    """
    run = load_config(run_dir)
    if PredictionOptions.name not in run.aux:
        aux = ", ".join(run.aux.names) or "none"
        raise UsageError(f"{run_dir}: trained with aux {aux}; predicted views need prediction")
    last = Course(run).configs[-1]
    schedule = dataclasses.replace(last.schedule, solo_fraction="0", options={})
    config = dataclasses.replace(last, schedule=schedule)
    options = phase_at(config, 0).options
    seed = derived_seed(seed, PREDICTIONS)
    worlds = worlds_to_play(config, options, seed, 1, num_threads=1)
    seats = seats_of(run_dir, run, run.players.kinds)
    company = companies(seats, worlds.env, torch.device("cpu"))[0]
    assert isinstance(company, Recurrent), "learners with a prediction loss remember"
    watched = run.roster.network(run_dir, None)
    moments = _episode(worlds, company.learner, company.seats, watched)
    worlds.close()
    return watched, moments


def _episode(
    worlds: Worlds, learner: AnyLearner, slots: tuple[int, ...], watched: int
) -> list[Moment]:
    env, place = worlds.env, slots.index(watched)
    rollout = Session(worlds, learner, slots, env.max_steps - 1).play()
    names = [name.replace("_", " ") for name in env.action_names]
    moments: list[Moment] = []
    for step in range(rollout.num_steps):
        if rollout.done[step, 0] or not rollout.active[step, 0, watched]:
            break
        views, reset = rollout.inputs(step)
        heard = rollout.tokens[step]
        pixels = learner.predict_views(views, rollout.state[step], reset, heard)[0, place]
        images = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        moments.append(
            Moment(
                step,
                view_image(env, rollout.obs[step, 0, watched].numpy()).copy(),
                dict(zip(names[:_FORESEEN], images, strict=False)),
                names[int(rollout.action[step, 0, place])],
                view_image(env, rollout.obs[step + 1, 0, watched].numpy()).copy(),
                bool(rollout.visible[step : step + 2, 0, watched].any()),
            )
        )
    return moments


def draw_predictions(run_dir: Path, seed: int = 0, rows: int = 6) -> Path:
    """Draw views, what the agent expects after each turn or step, and what came.

    Args:
        run_dir: a run with the prediction loss.
        seed: of the episode.
        rows: how many moments; those with another agent in sight come first.

    Returns:
        ``predictions.png`` in the run directory.

    Raises:
        UsageError: not a run, one without the prediction loss, or matplotlib is missing.
    """
    agent, moments = watch(run_dir, seed)
    if not moments:
        raise UsageError(f"{run_dir}: the agent never came into play")
    social = [moment for moment in moments if moment.company] or moments
    chosen = [
        social[i]
        for i in np.unique(np.linspace(0, len(social) - 1, min(rows, len(social))).astype(int))
    ]
    figure = new_figure(8, 1.7 * len(chosen) + 0.5)
    figure.suptitle(f"{run_dir.name}: views of agent {agent} and what it expects next", fontsize=9)
    for row, moment in enumerate(chosen):
        pictures = [(f"step {moment.step}: view", moment.view)]
        pictures += [(f"predicted: {name}", image) for name, image in moment.predicted.items()]
        pictures.append((f"came ({moment.action})", moment.next_view))
        for column, (title, image) in enumerate(pictures):
            axes = figure.add_subplot(len(chosen), 5, row * 5 + column + 1)
            axes.imshow(image, interpolation="nearest")
            axes.set_title(title, fontsize=7)
            axes.set_axis_off()
    return save_figure(figure, run_dir / "predictions.png")
