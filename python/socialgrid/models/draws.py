"""Random numbers of agents that nothing can disturb.

A number is a function of its agent's key and of where it is used: environment, step, what it is for
and place (Philox4x32-10, Salmon et al. 2011). So it is the same on every device, and whoever else
is drawn for, in whichever order, and in how many parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from socialgrid import _core


class Which(TypedDict, total=False):
    """Which numbers are drawn, as ``AgentDraws.words`` says."""

    kind: int
    places: int
    agents: Sequence[int] | None


class AgentDraws:
    """Random numbers of ``A`` agents.

    Attributes:
        keys: int64 ``[A]``, all that tells the agents' numbers apart.
    """

    def __init__(self, seed: int, agent_ids: Sequence[int], purpose: int = 1) -> None:
        """Make the keys; other seeds, ids and purposes have unrelated ones.

        Args:
            seed: of the run, at least 0.
            agent_ids: at least 0.
            purpose: of these numbers; initial weights have 0.
        """
        words = [
            np.random.SeedSequence((seed, agent, purpose)).generate_state(1, np.uint64)
            for agent in agent_ids
        ]
        self.keys = torch.from_numpy(np.array(words, np.uint64).reshape(-1).view(np.int64))

    def words(
        self,
        step: int | Sequence[int],
        envs: range,
        *,
        kind: int = 0,
        places: int = 1,
        agents: Sequence[int] | None = None,
    ) -> Tensor:
        """Numbers from 0 to 2^32 - 1, int64 ``[A, len(envs), places]``.

        Args:
            step: any number from 0 to 2^64 - 1, say of the environments' steps; one for all or
                one for each agent that is drawn for.
            envs: global indices of environments that follow each other.
            kind: what the numbers are for, 0 to 65,535.
            places: numbers for each environment, at most 262,144.
            agents: rows of those to draw for; all by default.

        Raises:
            ValueError: a number is out of these ranges.
        """
        if envs.step != 1:
            raise ValueError(f"environments {envs}: must follow each other")
        keys = self.keys if agents is None else self.keys[list(agents)]
        steps = np.array([step] * len(keys) if isinstance(step, int) else step, np.uint64)
        drawn = _core.keyed_words(
            keys.numpy().view(np.uint64), envs.start, len(envs), steps, kind, places
        )
        return torch.from_numpy(drawn.astype(np.int64))

    def uniform(self, step: int | Sequence[int], envs: range, **which: Unpack[Which]) -> Tensor:
        """Multiples of 2^-24 in [0, 1), float32 ``[A, len(envs), places]`` on the CPU; see
        ``words``.
        """
        words = self.words(step, envs, **which)
        return (words >> 8).float() * 2.0**-24

    def integers(
        self, limit: int, step: int | Sequence[int], envs: range, **which: Unpack[Which]
    ) -> Tensor:
        """Integers in [0, limit), int64 ``[A, len(envs), places]`` on the CPU, for limits from 1
        to 2^31: none is likelier than another by more than limit / 2^32. See ``words``.
        """
        if not 1 <= limit <= 2**31:
            raise ValueError(f"limit {limit}: must be 1 to 2^31")
        words = self.words(step, envs, **which)
        return words * limit >> 32

    def normal(self, step: int | Sequence[int], envs: range, **which: Unpack[Which]) -> Tensor:
        """Standard normal numbers, float32 ``[A, len(envs), places]`` on the CPU, each made of two
        ``words`` (Box & Muller 1958), so of at most 131,072 places; none is beyond 6.8.
        """
        which["places"] = 2 * which.get("places", 1)
        words = self.words(step, envs, **which).double()
        first, second = words[..., ::2] + 0.5, words[..., 1::2] + 0.5
        radius = (-2.0 * (first * 2.0**-32).log()).sqrt()
        found: Tensor = radius * (second * (2.0 * math.pi * 2.0**-32)).cos()
        return found.float()
