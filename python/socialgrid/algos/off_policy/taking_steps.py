"""Gradient steps as compiled kernels are given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.options import OffPolicyConfig
from socialgrid.data.replay import Replay
from socialgrid.models.adam import StackedAdam
from socialgrid.models.trained import Trained


@dataclass(frozen=True)
class Batches:
    """What some agents learn from.

    Attributes:
        learners: who takes steps.
        begun: gradient steps of each of them before.
        places: int64 ``[learners, steps, B]``, where transitions lie in the memory.
        weight: their importance, float32 ``[learners, steps, B]``; None: all 1.
    """

    learners: Sequence[int]
    begun: Sequence[int]
    places: Tensor
    weight: Tensor | None = None


@dataclass(frozen=True)
class Steps:
    """What gradient steps came to.

    Attributes:
        done: how many everybody took.
        failed: what stopped being finite in the step after them, and of whom; None: nothing did.
        means: numbers by name, float32 ``[learners]`` each, means over the steps.
        errors: absolute temporal differences, float32 ``[learners, steps, B]``; empty where
            transitions have no weights.
    """

    done: int
    failed: tuple[str, int] | None
    means: Mapping[str, Tensor]
    errors: Tensor


def memory_arrays(replay: Replay, batches: Batches) -> dict[str, Any]:
    """What kernels learn from; see ``drawn_arrays``."""
    found = {name: x for name, x in replay.arrays.items() if name != "truncated"}
    if found["obs"].dtype != np.float32:
        for name, given in (("obs", "views"), ("next_obs", "next_views")):
            found[given] = found.pop(name).view(np.uint8)
    return found | drawn_arrays(batches)


def drawn_arrays(batches: Batches) -> dict[str, Any]:
    """What was drawn, and "errors" where there are weights to be written again."""
    found: dict[str, Any] = {"places": batches.places.contiguous().numpy()}
    if batches.weight is not None:
        weight = batches.weight.contiguous()
        found |= {"weight": weight.numpy(), "errors": torch.empty_like(weight).numpy()}
    return found


def errors_of(arrays: Mapping[str, Any]) -> Tensor:
    """Temporal differences that kernels have written; empty where they were not wanted."""
    return torch.from_numpy(arrays["errors"]) if "errors" in arrays else torch.empty(0)


def part_arrays(name: str, part: Trained) -> dict[str, Any]:
    """What kernels train of a network."""
    optimiser = part.optimiser
    found = {"values": part.flat.block, "steps": optimiser.steps, "rate": optimiser.rate}
    found |= {"first": optimiser.first["block"], "second": optimiser.second["block"]}
    if part.target is not part.network:
        found["target"] = part.target_flat.block
    return {f"{name}/{key}": x.detach().numpy() for key, x in found.items()}


def changed(*parts: Trained) -> None:
    """To be called when kernels have changed networks: their parameters count as changed."""
    for part in parts:
        part.flat.changed()
        part.target_flat.changed()


def common_numbers(config: OffPolicyConfig, optimiser: StackedAdam) -> dict[str, float]:
    """What all learners learn by; all their optimisers have the numbers of this one."""
    beta1, beta2 = optimiser.betas
    found = {"gamma": config.gamma, "tau": config.tau, "eps": optimiser.eps}
    found |= {"beta1": beta1, "beta2": beta2, "max_norm": config.max_grad_norm or 0.0}
    return found | {"target_interval": config.target_interval}
