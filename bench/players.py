"""How fast the scripted players are, beside the worlds that they play in.

    python bench/players.py                      # here, some minutes of one core
    python bench/players.py eba54aa              # another commit too, in turns
    python bench/players.py eba54aa --only cycle
    python bench/players.py --threads 1,2 --wall

A row is one scripted player in a batch: the milliseconds of CPU time (of the clock with ``--wall``)
that it takes to choose for all environments and to take in what a step brought, beside those of the
simulator's own step, in the same play. Whole episodes are played, so that what is done at their
beginnings is in the mean; all other agents but Cleanup's second cleaner act at random.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from checkouts import Checkout, build

# Name: game, options, and whom it is about.
CASES = {
    "goal-cycle expert": ("GoalCycle-v0", {"num_agents": 3}, ["expert"]),
    "goal-cycle trial-and-error": ("GoalCycle-v0", {"num_agents": 3}, ["trial-and-error"]),
    "goal-cycle imperfect": ("GoalCycle-v0", {"num_agents": 3}, ["imperfect"]),
    "maze expert": ("Maze-v0", {"num_agents": 3}, ["expert"]),
    "four-rooms expert": ("FourRooms-v0", {"num_agents": 3}, ["expert"]),
    "cluttered expert": ("Cluttered-v0", {"num_agents": 3}, ["expert"]),
    "empty expert": ("Empty-v0", {"num_agents": 3}, ["expert"]),
    "door-key expert": ("DoorKey-v0", {"num_agents": 3}, ["expert"]),
    "cleanup cleaner": ("Cleanup-v0", {}, ["cleaner"]),
    "cleanup two cleaners": ("Cleanup-v0", {}, ["cleaner", "cleaner"]),
    "cleanup harvester": ("Cleanup-v0", {}, ["harvester"]),
    "harvest greedy": ("Harvest-v0", {}, ["greedy-harvester"]),
    "harvest sustainable": ("Harvest-v0", {}, ["sustainable-harvester"]),
    "switch expert": ("Switch-v0", {}, ["expert"]),
    "box-trapped expert": ("BoxTrapped-v0", {}, ["expert"]),
    "room expert": ("Room-v0", {}, ["expert"]),
    "room adversary": ("Room-v0", {}, ["adversary"]),
    "hallway expert": ("Hallway-v0", {}, ["expert"]),
    "random": ("GoalCycle-v0", {"num_agents": 3}, ["random"]),
}

RUN = """
import json, sys, time
import numpy as np
import socialgrid
from socialgrid.players import Team, make_player
game, options, names, envs, threads, steps, wall = json.loads(sys.argv[1])
clock = time.perf_counter if wall else time.process_time
env = socialgrid.make_vec(game, num_envs=envs, num_threads=threads, seed=1, **options)
team = Team([make_player(name, env, agent, 1) for agent, name in enumerate(names)])
rng = np.random.default_rng(0)
shape = (16, envs, env.num_agents)
actions = rng.integers(0, env.action_counts, shape, dtype=np.int32)
obs, info = env.reset()
spent = {"players": 0.0, "simulator": 0.0}
for i in range(steps):
    row = actions[i % 16]
    begin = clock()
    row[:, team.agents] = team.act(env, obs, info)
    chosen = clock()
    obs, reward, _, _, info = env.step(row)
    stepped = clock()
    team.observe(env, reward, info)
    spent["players"] += clock() - stepped + chosen - begin
    spent["simulator"] += stepped - chosen
print(json.dumps({who: 1e3 * seconds / steps for who, seconds in spent.items()}))
"""


@dataclass(frozen=True)
class Play:
    """How much is played, and how it is measured.

    Attributes:
        envs: environments of the batch.
        steps: of a measurement.
        turns: measurements of each.
        threads: numbers of threads, a row each.
        wall: by the clock, not by CPU time.
    """

    envs: int = 2048
    steps: int = 250
    turns: int = 3
    threads: tuple[int, ...] = (1,)
    wall: bool = False


def measure(checkout: Checkout, case: str, threads: int, play: Play) -> dict[str, float]:
    """Milliseconds a step of a case's players and of the simulator."""
    words = json.dumps([*CASES[case], play.envs, threads, play.steps, play.wall])
    with checkout.start(RUN, words) as process:
        said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{checkout.name} cannot play {case}")
    return dict(json.loads(said))


def compare(checkouts: Sequence[Checkout], cases: Iterable[str], play: Play) -> None:
    """Print the table of the players beside the simulator, in turns."""
    unit = "ms" if play.wall else "CPU ms"
    print(f"{play.envs} environments, {play.steps} steps, {play.turns} turns; {unit} a step\n")
    head = ["players", "threads"]
    for checkout in checkouts:
        head += [f"{checkout.name}: players", "simulator", "of it"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for case, threads in itertools.product(cases, play.threads):
        found: dict[str, list[dict[str, float]]] = {checkout.name: [] for checkout in checkouts}
        for _ in range(play.turns):
            for checkout in checkouts:
                found[checkout.name].append(measure(checkout, case, threads, play))
        row = [case, str(threads)]
        for turns in found.values():
            players, simulator = (
                statistics.median(turn[who] for turn in turns) for who in ("players", "simulator")
            )
            ratio = statistics.median(turn["players"] / turn["simulator"] for turn in turns)
            row += [f"{players:.2f}", f"{simulator:.2f}", f"{ratio:.2f}"]
        print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit", nargs="?", help="what to compare with")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--envs", type=int, default=Play.envs, help="environments (default 2048)")
    parser.add_argument("--steps", type=int, default=Play.steps, help="steps (default 250)")
    parser.add_argument("--turns", type=int, default=Play.turns, help="of each (default 3)")
    parser.add_argument("--threads", default="1", help="numbers of threads (default 1)")
    parser.add_argument("--wall", action="store_true", help="by the clock, not by CPU time")
    args = parser.parse_args()
    checkouts = [build(commit) for commit in ([args.commit, None] if args.commit else [None])]
    print(f"load {os.getloadavg()[0]:.1f}")
    cases = [case for case in CASES if args.only in case]
    threads = tuple(map(int, args.threads.split(",")))
    compare(checkouts, cases, Play(args.envs, args.steps, args.turns, threads, args.wall))


if __name__ == "__main__":
    main()
