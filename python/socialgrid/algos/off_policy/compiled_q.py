"""Gradient steps of deep Q-networks on vectors, all of them in one call of compiled kernels."""

from __future__ import annotations

import torch

from socialgrid.algos.off_policy import taking_steps
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import DQNConfig
from socialgrid.data.replay import Replay
from socialgrid.models import kernels
from socialgrid.models.trained import Trained


def take_steps(
    part: Trained, config: DQNConfig, num_actions: int, replay: Replay, batches: Batches
) -> Steps:
    """Let some agents take gradient steps, up to the first in which somebody's is not finite.

    Args:
        part: the network, a perceptron, with optimiser and target.
        config: hyper-parameters.
        num_actions: the network's outputs.
        replay: what is learnt from, on the CPU.
        batches: who takes steps, on what.
    """
    assert kernels.KERNELS is not None
    arrays = taking_steps.memory_arrays(replay, batches) | taking_steps.part_arrays("q", part)
    failing, who, gradient, sums = kernels.KERNELS.learn_q(
        arrays,
        config.hidden,
        taking_steps.common_numbers(config) | {"double": config.double, "num_actions": num_actions},
        batches.learners,
        batches.begun,
        kernels.threads(),
    )
    taking_steps.changed(part)
    done, failed = batches.places.shape[1], None
    if failing >= 0:
        what = "q gradient" if gradient else "q loss"
        done, failed = failing, (what, batches.learners[who])
    found = torch.tensor(sums, dtype=torch.float64).view(len(batches.learners), 2)
    loss, error = (found / done).float().T
    return Steps(done, failed, {"loss": loss, "td_error": error}, taking_steps.errors_of(arrays))
