"""Two peers on an environment of one's own, which Gymnasium knows by ``own_env:Harbour-v0``.

python examples/own_env.py [steps]

The command line trains on it as well, wherever Python finds this file:
PYTHONPATH=examples socialgrid-train pendulum-mini --env gymnasium:own_env:Harbour-v0 --social peers
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from socialgrid.commands.cli import train


class Harbour(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """Bring a boat to rest at the origin by pushing it in two directions."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1.0, 1.0, 2)
        self.speed = np.zeros(2)
        return np.concatenate([self.place, self.speed]), {}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        self.speed = 0.8 * self.speed + 0.1 * action
        self.place = self.place + self.speed
        reward = -float(np.linalg.norm(self.place))
        return np.concatenate([self.place, self.speed]), reward, False, False, {}


# A time limit makes episodes: they are truncated, not terminated, and values bootstrap there.
if "Harbour-v0" not in gymnasium.registry:
    gymnasium.register("Harbour-v0", entry_point="own_env:Harbour", max_episode_steps=40)


def main(steps: int = 2400) -> list[list[float]]:
    """Train for a number of steps of each peer; both peers' returns in every evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        options = (
            f"--env gymnasium:own_env:Harbour-v0 --social peers --peers 2 --total-steps {steps} "
            "--batch-size 64 --gradient-steps 4 --learning-starts 200 --rollout-steps 100 "
            "--evaluation.interval 400 --run.threads 1 --no-tensorboard --no-curves --no-video "
            f"--run-dir {folder}"
        )
        if train(["pendulum-mini", *options.split()]) != 0:
            return []
        lines = (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        row["agents"]["evaluated_return"] for row in rows if "evaluated_return" in row["agents"]
    ]


if __name__ == "__main__":
    for number, returns in enumerate(main(*map(int, sys.argv[1:])), 1):
        print(f"evaluation {number}: " + "  ".join(f"{x:+.2f}" for x in returns))
