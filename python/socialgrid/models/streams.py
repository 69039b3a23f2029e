"""Random streams of agents."""

from __future__ import annotations

import numpy as np
import torch


def agent_generator(seed: int, agent_id: int, purpose: int = 0) -> torch.Generator:
    """Random stream of one agent; other agents, seeds and purposes have unrelated ones."""
    words = np.random.SeedSequence((seed, agent_id, purpose)).generate_state(2, np.uint32)
    generator = torch.Generator()
    generator.manual_seed(int(words[0]) << 32 | int(words[1]))
    return generator
