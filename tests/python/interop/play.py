"""Random play of rows, whatever way the next episode begins."""

import numpy as np
from gymnasium.vector import AutoresetMode


def play(envs, steps, seed=1):
    """Reset and step, and reset what has ended where nothing else does.

    Yields:
        what every reset and step returned.
    """
    rng = np.random.default_rng(seed)
    base = envs.unwrapped
    agents = base.simulator.num_agents
    over = np.zeros(base.num_envs, bool)
    yield envs.reset(seed=seed)
    for _ in range(steps):
        result = envs.step(rng.integers(base.single_action_space.n, size=base.num_envs))
        yield result
        over |= np.asarray(result[2]) | np.asarray(result[3])
        ended = np.repeat(over.reshape(-1, agents).all(axis=1), agents)
        if ended.any():
            over &= ~ended
            if base.autoreset_mode is AutoresetMode.DISABLED:
                yield envs.reset(options={"reset_mask": ended})
