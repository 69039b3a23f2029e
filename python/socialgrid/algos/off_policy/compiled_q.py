"""Gradient steps of deep Q-networks in calls of compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from socialgrid.algos.off_policy import taking_steps
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import DQNConfig
from socialgrid.data.replay import Replay
from socialgrid.models import kernels
from socialgrid.models.encoders import Encoder
from socialgrid.models.mlp import StackedMLP, Torso
from socialgrid.models.q_network import QNetwork
from socialgrid.models.seeing import Seeing, seeing
from socialgrid.models.trained import Trained


def readable(network: nn.Module, obs: Tensor) -> bool:
    """Whether kernels know such a network, and what is kept for it to see."""
    if type(network) is not QNetwork or len(network.heads) != 1:
        return False
    torso, head = network.torso, network.heads[0]
    if type(torso) is not Torso or type(head) is not StackedMLP:
        return False
    own: list[Any] = [x for layer in head.layers for x in (layer.weight, layer.bias)]
    return _reads(torso, obs, own, network)


def _reads(torso: Torso, obs: Tensor, behind: list[Any], network: nn.Module) -> bool:
    """Whether kernels know what sees, and all parameters lie in the order in which they take them:
    those that see first.
    """
    if torso.encoder is None:
        return obs.dtype == torch.float32 and _same([*network.parameters()], behind)
    sees = seeing_of(torso)
    numbered = torso.encoder.spec.atlas is not None
    kinds = (torch.uint8, torch.int16) if numbered else (torch.uint8,)
    if sees is None or obs.dtype not in kinds:
        return False
    return _same([*network.parameters()], [*sees.parameters, *behind])


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(x is y for x, y in zip(one, other, strict=True))


def seeing_of(torso: Torso) -> Seeing | None:
    """How a torso sees views; None: not as kernels know it, or vectors."""
    encoder = torso.encoder
    return seeing(encoder) if type(encoder) is Encoder else None


def views_of(torso: Any, obs: Tensor) -> tuple[Any, dict[str, Any]]:
    """What sees views like ``obs``, and arrays, as kernels are told; nothing of vectors."""
    sees = seeing_of(torso)
    if torso.encoder is None or sees is None:
        return None, {}
    spec, atlas = torso.encoder.spec, torso.encoder.first.atlas
    arrays: dict[str, Any] = {}
    width = 0
    if spec.atlas is not None:
        width = obs.element_size()
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
    views, arrays = views_of(part.network.torso, replay.kept["obs"])
    arrays |= taking_steps.memory_arrays(replay, batches) | taking_steps.part_arrays("q", part)
    found = kernels.KERNELS.learn_q(
        arrays,
        config.hidden,
        taking_steps.common_numbers(config) | {"double": config.double, "num_actions": num_actions},
        batches.learners,
        batches.begun,
        views,
        kernels.threads(),
    )
    return None if found is None else told(found, part, batches, arrays)


def told(
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
