"""Gradient steps of deep Q-networks on vectors, all of them in one call of compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from socialgrid.algos.off_policy.compiled_learner import Steps
from socialgrid.algos.options import DQNConfig
from socialgrid.data.replay import Replay
from socialgrid.models import kernels
from socialgrid.models.trained import Trained


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
    loss, error = torch.tensor(sums).view(len(learners), 2).T / drawn.shape[1]
    return Steps(done, failed, {"loss": loss, "td_error": error})
