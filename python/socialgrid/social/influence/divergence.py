"""How far a policy that knows another agent's action is from one that does not.

Everything here works on the last axis, the influenced agent's ``n`` actions, and in log space.
Actions may be ruled out by a logit of minus infinity. Leading axes of weights and indices broadcast
to those of the policies. Numbers are nats.

    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])  # one row for each of k's alternatives
    >>> weights = torch.tensor([0.5, 0.5])               # k's own policy over them
    >>> influence(logits, weights, torch.tensor(0), "kl").item()  # k took the first one
    0.327...
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Divergence = Literal["kl", "jsd", "pmi"]


def marginal(conditional_logits: Tensor, weights: Tensor) -> Tensor:
    """Policy of an agent that does not know which alternative another one took.

    The sum in eq. 1 of Jaques et al. (2019): ``sum_c weights[c] * softmax(logits[c])``.

    Args:
        conditional_logits: float ``[..., C, n]``, the policy given each of C alternatives.
        weights: float ``[..., C]``, probabilities of the alternatives, summing to 1.

    Returns:
        log-probabilities, float ``[..., n]``.

    Raises:
        ValueError: the numbers of alternatives differ.
    """
    if conditional_logits.shape[-2] != weights.shape[-1]:
        raise ValueError(
            f"weights {tuple(weights.shape)}: the last axis must be the alternatives, the last "
            f"but one of conditional_logits {tuple(conditional_logits.shape)}"
        )
    log_p = conditional_logits.log_softmax(-1)
    return (log_p + weights.log()[..., None]).logsumexp(-2)


def divergence(
    kind: Divergence, log_p: Tensor, log_q: Tensor, action: Tensor | None = None
) -> Tensor:
    """How far ``p`` is from ``q``.

    - "kl": ``sum p log(p / q)`` (eq. 1).
    - "jsd": the mean of the divergences of ``p`` and of ``q`` from their mean; at most log 2.
    - "pmi": ``log p(a) - log q(a)`` of one action (eq. 7). It may be negative; only its mean
      over actions drawn from ``p``, which is "kl", may not.

    Args:
        kind: which one.
        log_p: log-probabilities, float ``[..., n]``.
        log_q: log-probabilities, float ``[..., n]``; nowhere minus infinity where ``log_p`` is
            not.
        action: int64 ``[...]``, the action taken, possible under ``q``; only "pmi" reads it.

    Returns:
        float ``[...]``.

    Raises:
        ValueError: there is no such kind, or "pmi" has no action.
    """
    if kind == "kl":
        return _kl(log_p, log_q)
    if kind == "jsd":
        middle = torch.logaddexp(log_p, log_q) - math.log(2.0)
        return 0.5 * (_kl(log_p, middle) + _kl(log_q, middle))
    if kind == "pmi":
        if action is None:
            raise ValueError("pmi compares the probabilities of one action: it needs the action")
        at = action.expand(log_p.shape[:-1])[..., None]
        return (log_p.gather(-1, at) - log_q.expand_as(log_p).gather(-1, at)).squeeze(-1)
    raise ValueError(f"divergence {kind!r}: must be kl, jsd or pmi")


def influence(
    conditional_logits: Tensor,
    weights: Tensor,
    taken: Tensor,
    kind: Divergence,
    other_action: Tensor | None = None,
) -> Tensor:
    """Causal influence of one agent's choice on another agent (one summand of eq. 1 or 2).

    The divergence of the influenced agent's policy, given what the influencer really did, from
    its policy averaged over what the influencer might have done. Weighted by the influencer's
    policy, the expectation is the mutual information of the two choices (eq. 5 and 6), for "kl"
    as for "pmi". The result carries no gradient: it is a reward.

    Args:
        conditional_logits: float ``[..., C, n]``, the influenced agent's policy given each of the
            influencer's C alternatives.
        weights: float ``[..., C]``, the influencer's own policy, summing to 1.
        taken: int64 ``[...]``, the alternative that the influencer took.
        kind: "kl", "jsd" or "pmi".
        other_action: int64 ``[...]``, the influenced agent's action; only "pmi" reads it.

    Returns:
        float ``[...]``.

    Raises:
        ValueError: as of ``marginal`` and ``divergence``.
    """
    with torch.no_grad():
        log_q = marginal(conditional_logits, weights)
        at = taken.expand(conditional_logits.shape[:-2])[..., None, None]
        chosen = torch.take_along_dim(conditional_logits, at, -2).squeeze(-2)
        return divergence(kind, chosen.log_softmax(-1), log_q, other_action)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Kullback-Leibler divergence; actions without probability under p add nothing."""
    terms = log_p.exp() * (log_p - log_q)
    return terms.masked_fill(log_p == -math.inf, 0.0).sum(-1)
