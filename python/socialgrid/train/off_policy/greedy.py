"""Episodes of off-policy agents without exploration or advice."""

from __future__ import annotations

import torch
from torch import Tensor

from socialgrid.config import UsageError
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner
from socialgrid.train.off_policy.tasks import Tasks

LONGEST_EPISODE = 100_000  # steps after which an episode is taken to have no end


def greedy_returns(tasks: Tasks, learner: AnyOffPolicyLearner, seed: int | None = None) -> Tensor:
    """Undiscounted returns of one episode in every copy, played without exploration or advice.

    Args:
        tasks: with any number E of copies.
        learner: plays; nothing of it changes.
        seed: of the episodes; ``None``: the next ones of the tasks' streams.

    Returns:
        float64 ``[A, E]``.

    Raises:
        UsageError: an episode does not end.
    """
    actor = learner.actor()
    obs = tasks.reset(seed)
    lead = (tasks.spec.num_agents, tasks.num_envs)
    returns, going = torch.zeros(lead, dtype=torch.float64), torch.ones(lead, dtype=torch.bool)
    begins = torch.ones(lead, dtype=torch.bool)
    for _ in range(LONGEST_EPISODE):
        step = tasks.step(actor(obs, begins))
        returns += torch.where(going & step.in_play, step.reward.double(), 0.0)
        going &= ~step.done
        obs, begins = step.obs, step.done | ~step.in_play
        if not bool(going.any()):
            return returns
    raise UsageError(
        f"an evaluation episode has not ended after {LONGEST_EPISODE} steps: give the task a time "
        "limit, as in --set max_episode_steps=1000"
    )
