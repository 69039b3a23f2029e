"""Seeds for purposes of their own, all mixed from a run's seed."""

from __future__ import annotations

import numpy as np

# What a seed is for. Those of different kinds of runs and commands may have the same number.
REBUILT_WORLDS = 1  # by how often the worlds of an on-policy run were made anew
EVALUATED_WORLDS = 2
FILM = 3
PREDICTIONS = 4
EVALUATED_DRAWS = 7
WORKER_WORLDS = 6  # by worker, the environment steps at which it began, how often made anew
CLOSING_WORLDS = 5
EVALUATIONS = 5  # of an off-policy run that goes on, by their number
ADVISERS = 6  # scripted ones, by group and place


def derived_seed(*words: int) -> int:
    """A seed of 63 bits for a purpose of its own, mixed from a run's seed and what it is for."""
    mixed = np.random.SeedSequence(list(words)).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
