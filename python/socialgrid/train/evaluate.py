"""Play a run's agents without learning: with their experts, alone, in other worlds."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from socialgrid.algos.ppo import PPO
from socialgrid.players import list_players
from socialgrid.train import build, checkpoint
from socialgrid.train.config import TrainConfig, load_preset
from socialgrid.train.errors import UsageError
from socialgrid.train.logger import number
from socialgrid.train.worlds import Phase, Worlds, derived_seed

_VIEW_OPTIONS = ("view_size", "view_offset", "tile_size", "see_through_walls")


@dataclass(frozen=True)
class EvalOptions:
    """What to evaluate in."""

    episodes: int = 20
    """Episodes for each seed and condition."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the environments; never those of training."""
    world: str = ""
    """Another world: the env section and the players of this preset (four-goals, maze, ...)."""
    game: str = ""
    """Another game; its scripted players are that game's experts."""
    players: tuple[str, ...] = ()
    """Who plays instead; "learner" stands for the run's networks in their order."""
    greedy: bool = False
    """The most probable action instead of a sample."""
    device: str = "cpu"
    """Where the networks compute."""
    json: str = ""
    """Where the results go; RUN/eval-WORLD-....json by default."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UsageError(f"episodes: {self.episodes} is out of range, must be at least 1")
        if not self.seeds:
            raise UsageError("seeds: at least one is needed")
        if self.world and self.game:
            raise UsageError("world and game: give one of them")


@dataclass(frozen=True)
class Result:
    """Returns of one condition.

    Attributes:
        condition: "together", or "alone" for one agent by itself.
        seed: of the environments.
        agent: slot.
        kind: who played in it.
        returns: of every episode.
    """

    condition: str
    seed: int
    agent: int
    kind: str
    returns: tuple[float, ...]


def evaluation_config(
    run: TrainConfig, options: EvalOptions, extra: Mapping[str, Any]
) -> TrainConfig:
    """The configuration of a run, moved to the world that ``options`` name.

    Args:
        run: configuration of the training run.
        options: world, game and players.
        extra: game options given on the command line.

    Raises:
        UsageError: the players do not match the run's networks.
    """
    env, kinds = run.env, list(run.players.kinds)
    own = {name: env.options[name] for name in _VIEW_OPTIONS if name in env.options}
    if options.world:
        world = load_preset(options.world).config
        env = dataclasses.replace(env, game=world.env.game, options={**own, **world.env.options})
        kinds = list(world.players.kinds)
    elif options.game and options.game != env.game:
        env = dataclasses.replace(env, game=options.game, options=own)
    env = dataclasses.replace(env, options={**env.options, **extra}, double_buffer=False)
    if options.players:
        kinds = list(options.players)
    else:
        known = list_players(env.game)
        kinds = [
            "expert"
            if build.parse_player(kind).scripted and kind.partition(":")[0] not in known
            else kind
            for kind in kinds
        ]
    schedule = dataclasses.replace(run.schedule, solo_fraction="0", options={})
    players = dataclasses.replace(run.players, kinds=tuple(kinds))
    return dataclasses.replace(run, env=env, players=players, schedule=schedule)


def load_learner(
    run_dir: Path, run: TrainConfig, config: TrainConfig, env: Any, device: torch.device
) -> PPO:
    """Networks of a run for the slots of ``config`` that are played by networks, in order.

    Raises:
        UsageError: there are not as many networks, or they do not fit this world's views.
    """
    trained = build.learner_slots(build.parse_players(run))
    players = build.parse_players(config)
    slots = build.learner_slots(players)
    if len(slots) > len(trained):
        raise UsageError(f"players: {len(slots)} learners, {run_dir} has {len(trained)}")
    bare = tuple(dataclasses.replace(player, source=None) for player in players)
    learner = build.build_learner(config, bare, env, device)
    _, stored, complaints = checkpoint.load_newest(run_dir / "checkpoints")
    for complaint in complaints:
        print(f"refused a damaged checkpoint: {complaint}", file=sys.stderr)
    tensors = learner.tensors()
    for position in range(len(slots)):
        tensors = build.adopted(tensors, position, stored.weights, position, run_dir)
    learner.load_tensors(tensors)
    return learner


def play_episodes(
    worlds: Worlds, learner: PPO, slots: Sequence[int], greedy: bool
) -> npt.NDArray[np.float64]:
    """Play one episode in every environment.

    Returns:
        returns, float64 ``[E, N]``.
    """
    num_envs, num_agents = worlds.num_envs, worlds.env.num_agents
    returns = np.zeros((num_envs, num_agents))
    open_rows = np.ones(num_envs, bool)
    obs, active = worlds.reset()
    reset = np.ones((num_envs, num_agents), bool)
    memory = learner.initial_state(num_envs)
    columns = list(slots)
    shape, dtype = obs.shape, obs.dtype
    slot: dict[str, npt.NDArray[Any]] = {
        "obs": np.zeros(shape, dtype),
        "reward": np.zeros((num_envs, num_agents), np.float32),
        "done": np.zeros(num_envs, bool),
        "active": np.zeros((num_envs, num_agents), bool),
    }
    while open_rows.any():
        reset |= ~active
        out = learner.act(
            torch.from_numpy(np.ascontiguousarray(obs[:, columns])),
            memory,
            torch.from_numpy(np.ascontiguousarray(reset[:, columns])),
            greedy=greedy,
        )
        memory = out.state
        worlds.actions[:, columns] = out.action.cpu().numpy()
        worlds.send(0, worlds.actions, slot)
        worlds.recv(0)
        returns[open_rows] += slot["reward"][open_rows]
        open_rows &= ~slot["done"]
        obs, active = slot["obs"], slot["active"]
        reset = np.broadcast_to(slot["done"][:, None], active.shape).copy()
    return returns


def evaluate(run_dir: Path, options: EvalOptions, extra: Mapping[str, Any]) -> list[Result]:
    """Evaluate the newest checkpoint of a run.

    Raises:
        UsageError: not a run, a bad world, or no whole checkpoint.
    """
    run = build.load_config(run_dir)
    config = evaluation_config(run, options, extra)
    players = build.parse_players(config)
    slots = build.learner_slots(players)
    device = build.choose_device(options.device)
    phase = build.phase_at(config, players, 0)
    learner: PPO | None = None
    results: list[Result] = []
    conditions: list[tuple[str, tuple[int, ...]]] = [("together", tuple(range(len(players))))]
    if len(players) > 1:
        conditions += [("alone", (slot,)) for slot in slots]
    for seed in options.seeds:
        for condition, present in conditions:
            worlds = _worlds(
                config, players, phase, episodes=options.episodes, seed=seed, present=present
            )
            if learner is None:
                learner = load_learner(run_dir, run, config, worlds.env, device)
            returns = play_episodes(worlds, learner, slots, options.greedy)
            worlds.close()
            results += [
                Result(condition, seed, slot, config.players.kinds[slot],
                       tuple(float(value) for value in returns[:, slot]))
                for slot in present
            ]  # fmt: skip
    return results


def _worlds(
    config: TrainConfig,
    players: Sequence[build.PlayerSpec],
    phase: Phase,
    *,
    episodes: int,
    seed: int,
    present: Sequence[int],
) -> Worlds:
    absent = [slot for slot in range(len(players)) if slot not in present]
    try:
        return Worlds(
            config.env.game,
            episodes,
            [player.scripted for player in players],
            dataclasses.replace(phase, num_solo=episodes if absent else 0),
            seed=derived_seed(seed, 2),
            num_threads=config.env.num_threads,
            obs_mode=config.env.obs_mode,
            absent=absent,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{config.env.game}: {error}") from None


def report(results: Sequence[Result]) -> str:
    """A table: one line a condition, agent and seed."""
    lines = [f"{'condition':<10} {'agent':<28} {'seed':>5} {'mean':>8} {'std':>8} {'best':>8}"]
    for result in results:
        values = np.asarray(result.returns)
        lines.append(
            f"{result.condition:<10} {f'{result.agent} {result.kind}':<28.28} {result.seed:>5} "
            f"{number(float(values.mean())):>8} {number(float(values.std())):>8} "
            f"{number(float(values.max())):>8}"
        )
    return "\n".join(lines)


def results_path(run_dir: Path, options: EvalOptions, extra: Mapping[str, Any]) -> Path:
    """Where results go by default: a file for each world, ``eval-four-goals.json`` and so on."""
    parts = [options.world or options.game or "training-world"]
    parts += [f"{name}={value}" for name, value in sorted(extra.items())]
    parts += ["+".join(options.players)] if options.players else []
    parts += ["greedy"] if options.greedy else []
    name = re.sub(r"[^A-Za-z0-9._=+-]+", "_", "-".join(parts))[:120]
    return run_dir / f"eval-{name}.json"


def write_results(
    path: Path, run_dir: Path, options: EvalOptions, extra: Mapping[str, Any],
    results: Sequence[Result],
) -> None:  # fmt: skip
    """Write results as JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    data = {
        "run": str(run_dir),
        "options": dataclasses.asdict(options),
        "set": dict(extra),
        "results": [dataclasses.asdict(result) for result in results],
    }
    try:
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
