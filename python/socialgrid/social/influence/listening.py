"""The value of listening: how much of what one agent does depends on what another one does.

Influence is measured against the influencer's own policy: it is nothing where the influencer always
does the same, however closely it is watched. The value of listening leaves that policy out. Where
it is nothing, nobody listens, and no weight of influence can bring it about.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def listening(conditional_logits: Tensor) -> Tensor:
    """How far a policy that knows one alternative is from the mean of those given all others.

    ``KL(p(. | c) || 1 / (C - 1) sum_{c' != c} p(. | c'))`` for every alternative ``c``.

        >>> logits = torch.tensor([[0.0, 9.0], [0.0, 0.0], [0.0, 0.0]])  # listens to the first only
        >>> [round(x, 2) for x in listening(logits).tolist()]
        [0.69, 0.14, 0.14]

    Args:
        conditional_logits: float ``[..., C, n]``, the policy of ``n`` actions given each of the C
            alternatives of another agent.

    Returns:
        float ``[..., C]``, nats; 0 where there is a single alternative.
    """
    count = conditional_logits.shape[-2]
    if count < 2:
        return conditional_logits.new_zeros(conditional_logits.shape[:-1])
    log_p = conditional_logits.log_softmax(-1)
    p = log_p.exp()
    nothing = torch.zeros_like(p[..., :1, :])
    # Sums of the ones before and of those behind: taking one away from the sum of all would leave
    # little but rounding where that one is nearly all.
    before = torch.cat((nothing, p[..., :-1, :].cumsum(-2)), -2)
    behind = torch.cat((p[..., 1:, :].flip(-2).cumsum(-2).flip(-2), nothing), -2)
    tiny = torch.finfo(p.dtype).tiny
    log_others = ((before + behind) / (count - 1)).clamp(min=tiny).log()
    terms = p * (log_p - log_others)
    return terms.masked_fill(log_p == -math.inf, 0.0).sum(-1)


class Listening:
    """The value of listening of all pairs of agents, over the steps of a batch."""

    def __init__(
        self, agents: int, world: int, alternatives: int, device: torch.device | str = "cpu"
    ) -> None:
        """Nobody has been listened to yet.

        Args:
            agents: A, the learner's.
            world: N, all of the world.
            alternatives: C, what an agent may do, at most.
            device: where the policies are.
        """
        shape = (agents, world, alternatives)
        self.sums = torch.zeros(shape, dtype=torch.float64, device=device)
        self.counts = torch.zeros(shape[:2], dtype=torch.int64, device=device)

    def add(self, agent: int, slot: int, conditional_logits: Tensor, counts: Tensor) -> None:
        """Take steps of one pair in.

        Args:
            agent: of the learner, whose alternatives they are.
            slot: of the world, who may listen.
            conditional_logits: float ``[M, C, n]``, what it would do.
            counts: bool ``[M]``: the steps that count.
        """
        found = (listening(conditional_logits) * counts[:, None]).sum(0, dtype=torch.float64)
        self.told(agent, slot, len(found), counts).add_(found)

    def told(self, agent: int, slot: int, possible: int, counts: Tensor) -> Tensor:
        """Sums of a pair's ``possible`` first alternatives, for somebody else to add up the steps
        that count.
        """
        self.counts[agent, slot] += counts.sum()
        return self.sums[agent, slot, :possible]


def value_of_listening(sums: Tensor, counts: Tensor) -> Tensor:
    """The value of listening: of an agent's alternatives, that one's which tells most.

    Each alternative's is a mean over the steps that counted, whether it was taken or not.

    Args:
        sums: ``Listening.sums``, of which some may be added up.
        counts: ``Listening.counts``, likewise.

    Returns:
        float32 ``[A, N]`` on the CPU, of agent ``a`` of the learner for agent ``n`` of the world;
        NaN for pairs that were never together.
    """
    return (sums.amax(-1) / counts).float()
