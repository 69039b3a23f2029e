"""Reproducible random play, for tests that compare whole trajectories."""

import hashlib

import numpy as np

import socialgrid


def make(game, config, num_envs=13, num_threads=1, **options):
    return socialgrid.make_vec(
        game, num_envs=num_envs, num_threads=num_threads, **{"seed": 5, **options}, **config
    )


def random_actions(env, steps, seed=0):
    """int32 [steps, E, A]. Moves are frequent, so that agents get somewhere."""
    rng = np.random.default_rng(seed)
    shape = (steps, env.num_envs, env.num_agents)
    actions = np.stack(
        [rng.integers(0, count, shape[:2], dtype=np.int32) for count in env.action_counts], axis=2
    )
    forward = min(2, env.num_actions - 1)
    return np.where(rng.random(shape) < 0.5, np.int32(forward), actions)


def flat(results):
    """Every array of a step's or a reset's results, by name."""
    *arrays, info = results
    names = ("obs", "reward", "terminated", "truncated")
    return dict(zip(names, arrays, strict=False)) | info


def digest_of_play(env, actions):
    """Hash of everything that steps return."""
    digest = hashlib.sha256()
    for step in actions:
        for name, array in sorted(flat(env.step(step)).items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
