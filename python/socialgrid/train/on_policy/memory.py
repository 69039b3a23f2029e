"""What an on-policy run takes of an accelerator's memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from socialgrid.algos.options import MinibatchConfig, OnPolicyConfig
from socialgrid.config import TrainConfig
from socialgrid.models.captured import repeated
from socialgrid.models.footprint import footprint_of, held_by
from socialgrid.models.recall import piece_length
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.train.memory import Need, fit
from socialgrid.train.on_policy.learner import AnyLearner

_NUM_ENVS, _SEQUENCES = "env.num_envs", "algorithm.minibatch_sequences"
_SINGLE, _LONG = 4, 8  # bytes of float32 and of int64
_DECISION = _LONG + 3 * _SINGLE  # choice, log-probability, advantage, target
_FLAGS = 16  # bytes of a step: resets, ends, who was in play
_LOSS = 10  # numbers that losses keep for each possible action


def fit_on_policy(learner: AnyLearner, env: Any, config: TrainConfig, num_envs: int) -> str:
    """See whether a run fits, and say what it takes; see ``train.memory.fit``.

    Args:
        learner: of the run.
        env: one of its simulators.
        config: of the run.
        num_envs: environments of this process.

    Raises:
        UsageError: it does not fit.
    """
    options = {_NUM_ENVS: config.env.num_envs}
    if isinstance(config.algorithm, MinibatchConfig):
        options[_SEQUENCES] = config.algorithm.minibatch_sequences

    def supposing(others: Mapping[str, int]) -> Need:
        share = others.get(_NUM_ENVS, config.env.num_envs) / config.env.num_envs
        algorithm = learner.config
        if _SEQUENCES in others:
            algorithm = dataclasses.replace(algorithm, minibatch_sequences=others[_SEQUENCES])
        envs = max(1, int(num_envs * share))
        return need_on_policy(learner, algorithm, env, envs, config.env.rollout_steps)

    return fit(supposing, options, learner.device)


def need_on_policy(
    learner: AnyLearner, config: OnPolicyConfig, env: Any, num_envs: int, num_steps: int
) -> Need:
    """Bytes on the device.

    Args:
        learner: what learns.
        config: its options.
        env: a simulator: what agents see.
        num_envs, num_steps: of a batch.
    """
    network, agents = learner.model, learner.num_agents
    steps = num_envs * num_steps  # of an agent
    decisions, state = len(network.heads), _SINGLE * learner.state_size
    tokens = 2 * learner.hearing.columns
    seen = env.obs_dtype.itemsize
    for size in env.obs_shape:
        seen *= size
    # As it was recorded, and as it is learnt from; what everybody did is there once for all.
    of_world = env.num_agents * (2 * _LONG + _SINGLE)
    batch = 2 * (state + tokens) + decisions * (2 * _DECISION) + seen + _FLAGS + env.num_agents
    experience = steps * (agents * batch + of_world)
    # While a batch arrives: views of everybody in the world, and those learnt from as layers read
    # them, before they lie where they stay.
    arriving = num_envs * (num_steps + 1) * seen * (env.num_agents + agents)

    of_agent = _views_of_gradient(learner, config, num_envs, num_steps)
    view = footprint_of(network, of_agent, network.dtype)
    loss = decisions * (_LOSS * network.spec.num_actions * _SINGLE + 2 * _DECISION)
    drawn = seen + tokens + 2 * _LONG + _FLAGS + loss
    views = agents * of_agent
    gradient = view.tables + views * (view.kept + view.passing + drawn)
    block = min(num_steps, max(1, piece_length(network, agents, num_envs))) * num_envs
    again = footprint_of(network, block, network.dtype)
    refresh = again.tables + agents * block * (max(again.forward, 2 * _recalled(network)) + seen)
    judging = 3 * agents * steps * sum(_recalled(one) for one in network.branches.values())

    # Phases that a card repeats share what they keep; it is there from the first gradient step on,
    # while what comes after it is done for the first time, and not yet in the same memory, and
    # while batches arrive.
    repeats = repeated(learner.device) and isinstance(config, MinibatchConfig)
    parameters = held_by(*network.parameters())
    copies = 3 if isinstance(config, MinibatchConfig) else 0  # to go back to
    return Need(
        networks=(2 + copies) * parameters,
        optimiser=2 * parameters,
        experience=experience,
        update=max(gradient + repeats * (refresh + arriving), refresh, judging, arriving),
    )


def _views_of_gradient(
    learner: AnyLearner, config: OnPolicyConfig, num_envs: int, num_steps: int
) -> int:
    """Views of an agent that a gradient is computed from at once."""
    sequences, length = num_envs, num_steps
    if isinstance(config, MinibatchConfig):
        sequences, length = config.minibatch_sequences, min(config.sequence_length, num_steps)
    at_once = max(1, piece_length(learner.model, learner.num_agents, length))
    return min(sequences, at_once) * length


def _recalled(module: nn.Module) -> int:
    """Bytes of a step that memories take to go through many steps without gradient."""
    found = [one for one in module.modules() if isinstance(one, StackedLSTM)]
    return sum(_SINGLE * (6 * one.hidden + one.weight_ih.shape[2]) for one in found)
