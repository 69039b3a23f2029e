"""A map of one's own, a layout put into one environment, and a scripted expert on it.

python examples/own_map.py
"""

from dataclasses import replace

import socialgrid
from socialgrid.players import make_player

# Agents start on P where there is one; digits are the tiles of the cycle, in order.
MAP = [
    "###########",
    "#P...#...0#",
    "#....#....#",
    "#....#....#",
    "#.......2.#",
    "#....#....#",
    "#1...#...P#",
    "###########",
]


def main(steps: int = 60) -> float:
    """Play the expert on the map; its return."""
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=1, num_agents=2, map=MAP, seed=0)
    obs, info = env.reset()

    # Readable state goes both ways: look at the environment, change it, put it back.
    layout = replace(env.get_layout(0), agent_pos=[(1, 1), (6, 9)], agent_dir=[0, 2])
    env.set_layout(0, layout)
    obs = env.observe()
    print(layout)

    expert = make_player("expert", env, agent=0)
    other = make_player("random", env, agent=1, seed=1)
    total = 0.0
    for _ in range(steps):
        actions = [[expert.act(env, obs, info)[0], other.act(env, obs, info)[0]]]
        obs, reward, _, _, info = env.step(actions)
        expert.observe(env, reward, info)
        other.observe(env, reward, info)
        total += float(reward[0, 0])
    print(f"the expert's return after {steps} steps: {total:+.1f}")
    return total


if __name__ == "__main__":
    main()
