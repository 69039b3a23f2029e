"""Gradient steps of actors and critics on vectors, all of them in one call of compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from socialgrid.algos.off_policy.compiled_learner import Steps
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
    drawn: Tensor,
    noise: Tensor | None,
    learners: Sequence[int],
    begun: Sequence[int],
) -> Steps:
    """Let some agents take gradient steps, up to the first in which somebody's is not finite.

    Args:
        policy: "deterministic", "gaussian", "of-state" or "categorical".
        config: hyper-parameters.
        numbers: those that are not common to all policies, see below.
        parts: "actor", "critic" and, if it is learnt, "temperature".
        replay: what is learnt from, on the CPU.
        drawn: int64 ``[A, steps, B]``, places in it.
        noise: float32 ``[learners, steps, numbers of a step]`` as the policy takes it; None where
            nothing is drawn.
        learners: who takes steps.
        begun: gradient steps of each of them before.

    Returns:
        means of "critic_loss", "td_error", "actor_loss", "entropy" and "temperature", the last
        three of the steps that the actor took and NaN if it took none.
    """
    assert kernels.KERNELS is not None
    learners, own = list(learners), drawn[list(learners)]
    arrays = {name: replay.kept[name] for name in ("action", "reward", "terminated")}
    arrays |= {name: replay.kept[name].flatten(2) for name in ("obs", "next_obs")}
    arrays |= {"places": own} if noise is None else {"places": own, "noise": noise}
    for name, part in parts.items():
        arrays |= _arrays_of(name, part)
    optimiser = parts["critic"].optimiser
    beta1, beta2 = optimiser.betas
    common: dict[str, Any] = {"gamma": config.gamma, "tau": config.tau, "eps": optimiser.eps}
    common |= {"beta1": beta1, "beta2": beta2, "max_norm": config.max_grad_norm or 0.0}
    common |= {"critics": config.critics, "target_interval": config.target_interval}
    others = {"policy_delay": 1, "target_noise": 0.0, "target_noise_clip": 0.0, "num_actions": 0}
    others |= {"learns_temperature": "temperature" in parts}
    others |= {"temperature": 0.0, "target_entropy": 0.0}
    failing, who, where, gradient, sums = kernels.KERNELS.learn_actor_critic(
        policy,
        {name: x.detach().numpy() for name, x in arrays.items()},
        config.hidden,
        others | common | dict(numbers),
        learners,
        begun,
        kernels.threads(),
    )
    for part in parts.values():
        part.flat.changed()
        part.target_flat.changed()
    done, failed = drawn.shape[1], None
    if failing >= 0:
        kind = "gradient" if gradient else "loss"
        done, failed = failing, (f"{_PARTS[where]} {kind}", learners[who])
    found = torch.tensor(sums, dtype=torch.float64).view(len(learners), 6).T
    names = ("critic_loss", "td_error", "actor_loss", "entropy", "temperature")
    counts = (done, done, *[found[5]] * 3)
    means = {n: (x / k).float() for n, x, k in zip(names, found, counts, strict=False)}
    return Steps(done, failed, means)


def _arrays_of(name: str, part: Trained) -> dict[str, Tensor]:
    optimiser = part.optimiser
    found = {"values": part.flat.block, "steps": optimiser.steps, "rate": optimiser.rate}
    found |= {"first": optimiser.first["block"], "second": optimiser.second["block"]}
    if part.target is not part.network:
        found["target"] = part.target_flat.block
    return {f"{name}/{key}": x for key, x in found.items()}
