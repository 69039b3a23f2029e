"""Random numbers for scripted players, by position instead of by history.

Each number is a hash of (seed, agent, environment, call), so it does not depend on how a batch is
split, and the only state to save is the number of calls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea, Flood 2014, fig. 16), elementwise."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_words(
    seed: int, agent: int, env_index: NDArray[np.uint64], call: int, purpose: int
) -> NDArray[np.uint64]:
    """Uniform 64-bit words, uint64 [E], for the environments with these global indices.

    ``purpose`` separates several draws of one player in one call.
    """
    word = np.array([seed & _MASK], dtype=np.uint64)
    for part in (agent, call, purpose):
        word = _mix(word * _GOLDEN + np.uint64(part + 1))
    return _mix(_mix(word + (env_index + np.uint64(1)) * _GOLDEN) + _GOLDEN)


def as_unit(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Doubles in [0, 1) from the words' upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def as_choice(words: NDArray[np.uint64], count: int | NDArray[np.int64]) -> NDArray[np.int32]:
    """Integers in [0, count), int32, from the words' upper 32 bits; one count or one a word."""
    counts = np.asarray(count, dtype=np.uint64)
    return ((words >> np.uint64(32)) * counts >> np.uint64(32)).astype(np.int32)
