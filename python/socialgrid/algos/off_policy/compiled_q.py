"""Gradient steps of deep Q-networks in calls of compiled kernels."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from socialgrid.algos.off_policy import taking_steps
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import DQNConfig, RecurrentDQNConfig
from socialgrid.data.replay import Replay
from socialgrid.data.sequence_replay import SequenceReplay
from socialgrid.models import kernels
from socialgrid.models.encoders import Encoder
from socialgrid.models.mlp import StackedMLP, Torso
from socialgrid.models.q_network import QNetwork, RecurrentQNetwork
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.models.seeing import Seeing, seeing
from socialgrid.models.trained import Trained


def readable(network: nn.Module, kept: torch.dtype) -> bool:
    """Whether kernels know such a network, and observations of the type in which they are kept: all
    parameters lie in the order in which they take them, those that see first.
    """
    memory: list[Any] = []
    if type(network) is QNetwork and len(network.heads) == 1:
        head: nn.Module = network.heads[0]
    elif type(network) is RecurrentQNetwork and type(network.lstm) is StackedLSTM:
        lstm, head = network.lstm, network.head
        memory = [lstm.weight_ih, lstm.weight_hh, lstm.bias_ih, lstm.bias_hh]
    else:
        return False
    torso = network.torso
    if type(torso) is not Torso or type(head) is not StackedMLP:
        return False
    wanted: list[Any] = [*memory, *(x for one in head.layers for x in (one.weight, one.bias))]
    if torso.encoder is not None:
        sees, numbered = seeing_of(torso), torso.encoder.spec.atlas is not None
        if sees is None or kept not in (torch.uint8, *([torch.int16] if numbered else [])):
            return False
        wanted = [*sees.parameters, *wanted]
    elif kept != torch.float32:
        return False
    own = [*network.parameters()]
    return len(own) == len(wanted) and all(map(operator.is_, own, wanted))


def seeing_of(torso: Torso) -> Seeing | None:
    """How a torso sees views; None: not as kernels know it, or vectors."""
    encoder = torso.encoder
    return seeing(encoder) if type(encoder) is Encoder else None


def views_of(torso: Any, kept: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """What sees views of the type in which they are kept, and arrays, as kernels are told; nothing
    of vectors.
    """
    sees = seeing_of(torso)
    if torso.encoder is None or sees is None:
        return None, {}
    spec, atlas = torso.encoder.spec, torso.encoder.first.atlas
    arrays: dict[str, Any] = {}
    width = 0
    if spec.atlas is not None:
        width = kept.itemsize
        arrays["atlas"] = np.ascontiguousarray(atlas.numpy())
    return ((spec.rows, spec.cols, spec.tile_size, width), sees.of_cells, sees.layers), arrays


def take_steps(
    part: Trained, config: DQNConfig, num_actions: int, replay: Replay, batches: Batches
) -> Steps | None:
    """Let some agents take gradient steps, up to the first in which somebody's is not finite.

    Args:
        part: the network, as ``readable`` knows it, with optimiser and target.
        config: hyper-parameters.
        num_actions: the network's outputs.
        replay: what is learnt from, on the CPU.
        batches: who takes steps, on what; of views a single step.

    Returns:
        None where views show too many different tiles; then nothing has changed.

    Raises:
        IndexError: a view shows a tile that there is not.
        ValueError: an action is none.
    """
    assert kernels.KERNELS is not None
    views, arrays = views_of(part.network.torso, replay.kept["obs"].dtype)
    arrays |= taking_steps.memory_arrays(replay, batches) | taking_steps.part_arrays("q", part)
    found = kernels.KERNELS.learn_q(
        arrays,
        config.hidden,
        _numbers(part, config) | {"num_actions": num_actions},
        batches.learners,
        batches.begun,
        views,
        kernels.threads(),
    )
    return None if found is None else _told(found, part, batches, arrays)


def take_recurrent_step(
    part: Trained,
    config: RecurrentDQNConfig,
    num_actions: int,
    replay: SequenceReplay,
    batches: Batches,
) -> Steps | None:
    """Let some agents with a memory take a gradient step, or none; see ``take_steps``."""
    assert kernels.KERNELS is not None
    network: Any = part.network
    views, arrays = views_of(network.torso, replay.obs_dtype)
    arrays |= replay.arrays() | taking_steps.drawn_arrays(batches)
    arrays |= taking_steps.part_arrays("q", part)
    numbers = taking_steps.common_numbers(config, part.optimiser) | {
        "double": config.double,
        "num_actions": num_actions,
        "memory": network.memory,
        "stride": replay.stride,
        "burn_in": config.burn_in,
        "sequence_length": config.sequence_length,
        "priority_mix": config.priority_mix,
    }
    found = kernels.KERNELS.learn_recurrent_q(
        *(arrays, config.hidden, numbers, batches.learners, batches.begun),
        *(views, kernels.threads()),
    )
    return None if found is None else _told(found, part, batches, arrays)


def _told(
    found: tuple[int, int, bool, list[list[float]]],
    part: Trained,
    batches: Batches,
    arrays: dict[str, Any],
) -> Steps:
    """What kernels tell of steps."""
    failing, who, gradient, sums = found
    taking_steps.changed(part)
    done, failed = batches.places.shape[1], None
    if failing >= 0:
        what = "q gradient" if gradient else "q loss"
        done, failed = failing, (what, batches.learners[who])
    numbers = torch.tensor(sums, dtype=torch.float64).view(len(batches.learners), 2)
    loss, error = (numbers / done).float().T
    return Steps(done, failed, {"loss": loss, "td_error": error}, taking_steps.errors_of(arrays))


def updating(
    part: Trained,
    config: DQNConfig,
    replay: Replay,
    batches: Batches,
    keys: Tensor,
    counts: Mapping[str, int],
) -> dict[str, Any]:
    """What kernels need to take updates between steps.

    Args:
        part, config, replay: see ``take_steps``.
        batches: who takes steps, with room for the places of an update.
        keys: what each of them draws those by, int64 ``[learners]``.
        counts: by name, see GivenUpdates in cpp/bindings/given_updates.hpp.
    """
    arrays = taking_steps.memory_arrays(replay, batches) | taking_steps.part_arrays("q", part)
    arrays["keys"] = keys.numpy().view(np.uint64)
    when = {"interval": config.train_interval, "starts": config.learning_starts}
    return {
        "arrays": arrays,
        "numbers": {**_numbers(part, config), **when, **counts},
        "learners": batches.learners,
        "begun": batches.begun,
    }


def _numbers(part: Trained, config: DQNConfig) -> dict[str, float]:
    return taking_steps.common_numbers(config, part.optimiser) | {"double": config.double}
