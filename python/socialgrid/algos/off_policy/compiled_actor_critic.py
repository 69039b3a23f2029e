"""Gradient steps of actors and critics on vectors, all of them in one call of compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from socialgrid.algos.off_policy import taking_steps
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import SACConfig, TD3Config
from socialgrid.data.replay import Replay
from socialgrid.models import kernels
from socialgrid.models.trained import Trained

_PARTS = ("critic", "actor", "temperature")


def take_steps(
    policy: str,
    config: SACConfig | TD3Config,
    numbers: Mapping[str, float],
    parts: Mapping[str, Trained],
    replay: Replay,
    batches: Batches,
    noise: Tensor | None,
) -> Steps:
    """Let some agents take gradient steps, up to the first in which somebody's is not finite.

    Args:
        policy: "deterministic", "gaussian", "of-state" or "categorical".
        config: hyper-parameters.
        numbers: those that not all policies have, of "policy_delay", "target_noise",
            "target_noise_clip", "temperature", "target_entropy" and "num_actions".
        parts: "actor", "critic" and, if it is learnt, "temperature".
        replay: what is learnt from, on the CPU.
        batches: who takes steps, on what.
        noise: float32 ``[learners, steps, numbers of a step]`` as the policy takes it; None where
            nothing is drawn.

    Returns:
        means of "critic_loss", "td_error", "actor_loss", "entropy" and "temperature", the last
        three of the steps that the actor took and NaN if it took none.
    """
    assert kernels.KERNELS is not None
    arrays = taking_steps.memory_arrays(replay, batches)
    if noise is not None:
        arrays["noise"] = noise.numpy()
    for name, part in parts.items():
        arrays |= taking_steps.part_arrays(name, part)
    without = {"policy_delay": 1, "target_noise": 0.0, "target_noise_clip": 0.0}
    without |= {"temperature": 0.0, "target_entropy": 0.0, "num_actions": 0}
    learnt = {"critics": config.critics, "learns_temperature": "temperature" in parts}
    common = taking_steps.common_numbers(config, parts["critic"].optimiser)
    failing, who, where, gradient, sums = kernels.KERNELS.learn_actor_critic(
        policy,
        arrays,
        config.hidden,
        common | without | learnt | dict(numbers),
        batches.learners,
        batches.begun,
        kernels.threads(),
    )
    taking_steps.changed(*parts.values())
    done, failed = batches.places.shape[1], None
    if failing >= 0:
        kind = "gradient" if gradient else "loss"
        done, failed = failing, (f"{_PARTS[where]} {kind}", batches.learners[who])
    found = torch.tensor(sums, dtype=torch.float64).view(len(batches.learners), 6).T
    names = ("critic_loss", "td_error", "actor_loss", "entropy", "temperature")
    counts = (done, done, *[found[5]] * 3)
    means = {n: (x / k).float() for n, x, k in zip(names, found, counts, strict=False)}
    return Steps(done, failed, means, taking_steps.errors_of(arrays))
