"""One update of two runs from the same weights and experience, compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from tests.python.algos.tiny import copy_rollout

Outcome = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]
"""Metrics and the learner's tensors after an update."""


def updates(first: Any, second: Any) -> tuple[Outcome, Outcome]:
    """Let two trainers, newly made, learn from what the first one plays."""
    off_policy = first.config.regime.name == "off-policy"
    first.begin()
    second.begin()
    if off_policy:
        first.step()
        second.learner.load_memory({k: x.clone() for k, x in first.learner.memory().items()})
    else:
        first.follow_schedule()
        second.follow_schedule()
        first.collect()
        copy_rollout(first.rollout, second.rollout)
        second.learner.load_carried({k: x.clone() for k, x in first.learner.carried().items()})
    before = {k: x.clone() for k, x in first.learner.tensors().items()}
    second.learner.load_tensors(before)
    second.learner.load_meta(first.learner.meta())

    def outcome(trainer: Any) -> Outcome:
        metrics = trainer.learner.update(1) if off_policy else trainer.learn()
        after = {k: x.clone() for k, x in trainer.learner.tensors().items()}
        return {k: x.cpu() for k, x in metrics.items()}, after

    return outcome(first), outcome(second)


def disagreements(
    first: Outcome, second: Outcome, *, floor: float, least: float
) -> Iterator[tuple[float, str]]:
    """How far what was learnt is apart, relative to what the first one learnt.

    Args:
        first, second: of ``updates``.
        floor: share of the largest gradient below which a parameter's counts as that large.
        least: size below which numbers count as that large.

    Yields:
        a relative difference, and of what.
    """
    (metrics, want), (others, got) = first, second
    assert metrics.keys() == others.keys()
    assert want.keys() == got.keys()
    # After one step Adam's first moment is the gradient.
    moments = {k: x.double() for k, x in want.items() if "optimiser/" in k and "first/" in k}
    assert moments
    small = floor * max(float(x.norm()) for x in moments.values()) + 1e-12
    for name, tensor in want.items():
        if not tensor.is_floating_point():
            assert torch.equal(tensor, got[name]), name
        elif name in moments:
            a, b = moments[name], got[name].double()
            assert torch.isfinite(a).all(), name
            assert torch.isfinite(b).all(), name
            yield float((a - b).norm()) / max(float(a.norm()), small), name
    for name, values in metrics.items():
        if name == "kl_final":  # after Adam's first step, whose signs hang on rounding
            continue
        pairs = zip(values.flatten().tolist(), others[name].flatten().tolist(), strict=True)
        for a, b in pairs:
            if math.isfinite(a) or math.isfinite(b):
                yield abs(a - b) / max(abs(a), abs(b), least), name
