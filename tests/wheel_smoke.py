"""Step every game of an installed wheel, whose core dependencies are all there is."""

import numpy as np

import socialgrid

NUM_ENVS = 8
for game in socialgrid.list_games():
    env = socialgrid.make_vec(game, num_envs=NUM_ENVS, num_threads=2, seed=0)
    obs, _ = env.reset()
    first, changed = obs.copy(), False
    for step in range(50):
        actions = np.tile([step % count for count in env.action_counts], (NUM_ENVS, 1))
        obs, reward, terminated, truncated, _ = env.step(actions)
        changed = changed or bool((obs != first).any())
    assert obs.shape == (NUM_ENVS, env.num_agents, *env.obs_shape)
    assert reward.dtype == np.float32
    assert not (terminated & truncated).any()
    assert changed, f"{game}: 50 steps changed nothing"
    env.close()
print("socialgrid", socialgrid.__version__, "steps", ", ".join(socialgrid.list_games()))
