"""Gradient steps of deep Q-networks on vectors, all of them in one call of compiled kernels.

What they compute is in ``DQN`` step by step; results differ by rounding. Each agent does all it has
to do for a step while its numbers are in the cache, and agents are shared among threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.algos.options import DQNConfig
from socialgrid.data.replay import Replay
from socialgrid.models import kernels
from socialgrid.models.trained import Trained


@dataclass(frozen=True)
class Steps:
    """What gradient steps came to.

    Attributes:
        done: how many everybody took.
        failed: what stopped being finite in the step after them, and of whom; None: nothing did.
        sums: float32 ``[2, learners]``, losses and absolute temporal differences, added up.
    """

    done: int
    failed: tuple[str, int] | None
    sums: Tensor


def usable(replay: Replay, part: Trained) -> bool:
    """Whether kernels can work on these vectors and this network, and are wanted."""
    perceptron = all(name.startswith("heads.0.") for name, _ in part.network.named_parameters())
    return perceptron and kernels.usable(replay.kept["obs"], part.flat.block)


def take_steps(
    part: Trained,
    config: DQNConfig,
    sizes: Sequence[int],
    replay: Replay,
    drawn: Tensor,
    learners: Sequence[int],
    begun: Sequence[int],
) -> Steps:
    """Let some agents take gradient steps, up to the first in which somebody's is not finite.

    Args:
        part: the network, a perceptron, with optimiser and target.
        config: hyper-parameters.
        sizes: numbers in a row of the network before and after each layer.
        replay: what is learnt from, on the CPU.
        drawn: int64 ``[A, steps, B]``, places in it.
        learners: who takes steps.
        begun: gradient steps of each of them before.
    """
    assert kernels.KERNELS is not None
    if not learners:
        return Steps(drawn.shape[1], None, torch.zeros(2, 0))
    optimiser, kept, drawn = part.optimiser, replay.kept, drawn.contiguous()
    stored = (kept[name] for name in ("obs", "next_obs", "action", "reward", "terminated"))
    learnt = part.flat.block, part.target_flat.block
    moments = optimiser.first["block"], optimiser.second["block"]
    steps, rates = optimiser.steps.tolist(), optimiser.rate.tolist()
    failing, who, gradient, sums = kernels.KERNELS.learn_q(
        kernels.addresses(*stored, drawn, *learnt, *moments),
        (
            *(replay.capacity, learnt[0].shape[1], drawn.shape[2], drawn.shape[1]),
            *(config.target_interval, config.double, *sizes),
        ),
        (config.gamma, config.tau, *optimiser.betas, optimiser.eps, config.max_grad_norm or 0.0),
        [
            (agent, before, steps[agent], rates[agent])
            for agent, before in zip(learners, begun, strict=True)
        ],
        kernels.threads(),
    )
    done = drawn.shape[1] if failing < 0 else failing
    optimiser.steps[list(learners)] += done
    part.flat.changed()
    part.target_flat.changed()
    failed = None if failing < 0 else ("q gradient" if gradient else "q loss", learners[who])
    return Steps(done, failed, torch.tensor(sums).T)
