"""From a configuration to the learner of an on-policy run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from socialgrid.algos.on_policy.recurrent_learner import RecurrentLearner
from socialgrid.algos.options import OnPolicyConfig
from socialgrid.config import Course, TrainConfig, UsageError, load_config
from socialgrid.data.exchange import pins
from socialgrid.data.rollout import Rollout
from socialgrid.lookup import find_code
from socialgrid.models import ViewSpec
from socialgrid.social.roles import AUXILIARY, HEARING, INFLUENCE
from socialgrid.train import checkpoint
from socialgrid.train.device import threads_of
from socialgrid.train.worlds import Worlds, phase_at, worlds_to_play

AnyLearner = RecurrentLearner[Any]


def build_learner(
    config: TrainConfig,
    env: Any,
    device: torch.device,
    dump_dir: Path | None = None,
    *,
    begun: bool = False,
) -> AnyLearner:
    """Make the learner of all agents that have networks, with the weights they begin with.

    Args:
        config: of the run.
        env: one of its simulators.
        device: where networks live and updates happen.
        dump_dir: where to write a batch that made something non-finite.
        begun: the run has weights of its own; those of other runs are not looked at.

    Raises:
        UsageError: the network does not fit the views, the social mechanisms do not fit the
            agents, weights do not fit the network, or nothing can be learnt in this world.
    """
    roster, slots = config.roster, config.roster.slots
    try:
        spec = ViewSpec.of(env, slots)
    except ValueError as error:
        raise UsageError(str(error)) from None
    learner = learner_of(config, spec, slots, device, dump_dir)
    for position, slot in enumerate(slots):
        source = roster.players[slot].source
        if source is not None and not begun:
            _adopt(learner, position, *source)
    learner.set_learning(roster.trained)
    try:
        learner.meet(env, [player.kind for player in roster.players])
    except ValueError as error:
        raise UsageError(f"algorithm.{error}") from None
    return learner


def learner_of(
    config: TrainConfig,
    spec: ViewSpec,
    agent_ids: Sequence[int],
    device: torch.device,
    dump_dir: Path | None = None,
) -> AnyLearner:
    """Make the on-policy learner of the agents of ``spec``, newly born.

    Raises:
        UsageError: the network or the social mechanisms do not fit.
    """
    common: dict[str, Any] = {
        "seed": config.run.seed,
        "device": device,
        "agent_ids": agent_ids,
        "social": (*config.aux, *config.social),
        "dump_dir": dump_dir,
        "precision": config.run.precision,
    }
    try:
        assert isinstance(config.algorithm, OnPolicyConfig), "of this regime"
        make = find_code(config.algorithm.learner)
        learner: AnyLearner = make(spec, config.network, config.algorithm, **common)
        learner.workers.threads = threads_of(config.run)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return learner


def set_options(learner: AnyLearner, config: TrainConfig) -> None:
    """Let a learner go on with the numbers of a phase.

    Raises:
        ValueError: the number of learning rates is not that of its agents.
    """
    learner.set_options(config.algorithm, (*config.aux, *config.social))


def check_phases(learner: AnyLearner, course: Course) -> None:
    """Try on what is to come in a run: the numbers of all phases, those of the first one last, and
    a world of each, and of each step of the schedules.

    Raises:
        UsageError: some do not fit the agents or the game.
    """
    for config in course.configs[::-1]:
        if course.name is not None:
            try:
                set_options(learner, config)
            except ValueError as error:
                raise UsageError(str(error)) from None
        schedules = (config.schedule.solo(), *config.schedule.game_options().values())
        starts = {start for schedule in schedules for start in schedule.starts}
        if len(starts) > 1 or course.name is not None:  # otherwise it is the world that there is
            for start in sorted(starts):
                _check_world(learner, config, start)


def _check_world(learner: AnyLearner, config: TrainConfig, episodes: int) -> None:
    """Make a world as it will be after some episodes.

    Raises:
        UsageError: the game refuses, or agents would see or do other things there.
    """
    options = phase_at(config, episodes).options
    worlds = worlds_to_play(config, options, config.run.seed, 1, num_threads=1)
    try:
        fits = sees_alike(learner, worlds.env)
    finally:
        worlds.close()
    if not fits:
        asked = ", ".join(f"{name} {value}" for name, value in options.items())
        raise UsageError(
            f"{config.env.game} with {asked}: its agents would see or do other things than in the "
            "run's first world; networks fit only where views and actions are the same"
        )


def sees_alike(learner: AnyLearner, env: Any) -> bool:
    """Whether a learner's agents see and do in a world what they do in their own, with the same
    numbers for the same tiles.
    """
    own = learner.model.spec
    there = ViewSpec.of(env, own.slots)
    same = own.atlas is None or np.array_equal(own.atlas, np.asarray(env.tile_atlas))
    return same and own == there


def build_rollout(
    num_steps: int, slots: Sequence[int], worlds: Worlds, learner: AnyLearner
) -> Rollout:
    """Allocate the storage of one batch of ``num_steps`` steps of all environments."""
    env = worlds.env
    return Rollout(
        num_steps,
        worlds.num_envs,
        env.num_agents,
        env.obs_shape,
        state_size=learner.state_size,
        agents=slots,
        obs_dtype=env.obs_dtype.name,
        events=len(env.event_names),
        columns=learner.hearing.columns,
        further=tuple(learner.model.further),
        pin=pins(learner.device),
        device=learner.device,
    )


def _adopt(learner: AnyLearner, position: int, run: Path, slot: int | None) -> None:
    """Give one agent of a learner the networks of an agent of another run."""
    config = load_config(run)
    slots = config.roster.slots
    slot = config.roster.network(run, slot)
    place = learner.hearing.slots[position]
    roles = {one.role for one in (*config.social, *learner.social)}
    if place != slot and roles & {HEARING, INFLUENCE}:
        raise UsageError(
            f"{run}: its agent {slot} cannot play as agent {place}: whom it hears, leads or models "
            f"goes by place; give it place {slot}"
        )
    stored, _ = checkpoint.load_weights(run)
    own, there = learner.tensors(), slots.index(slot)
    # What only helps to learn begins anew where the other run had nothing of it.
    helping = [one.name for one in learner.social if one.role == AUXILIARY]
    newborn = tuple(f"model/branches.{name}." for name in helping if name not in config.aux)
    learner.load_tensors(checkpoint.adopted(own, position, stored.weights, there, run, newborn))
