"""Play a run's agents without learning: with their experts, alone, in other worlds."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from socialgrid.models.task_spec import TaskSpec
from socialgrid.players import list_players
from socialgrid.social.coordination import (
    influenced_reward_correlation,
    influential_moments,
    instantaneous_coordination,
    speaker_consistency,
    strongest_pair,
)
from socialgrid.social.metrics import EpisodeMetrics, Interval, confidence_interval
from socialgrid.train import build, checkpoint
from socialgrid.train.build import AnyLearner
from socialgrid.train.config import TrainConfig, group_key, load_preset
from socialgrid.train.errors import UsageError
from socialgrid.train.logger import finite, number
from socialgrid.train.peers import greedy_returns, make_tasks, shares_worlds
from socialgrid.train.session import Session
from socialgrid.train.worlds import Phase, Worlds, can_be_absent, derived_seed

Array = npt.NDArray[Any]

_OF_GROUP = "mean_return_of_group_"
_LONGEST_STRETCH = 128  # steps recorded at a time
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
    """The most probable action instead of a sample; off-policy agents always play so."""
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


@dataclass(frozen=True)
class Outcome:
    """One metric of the group, by seed and episode.

    Attributes:
        metric: its name.
        values: for every seed one number an episode, NaN where an episode has none.
        whole: there is one number a seed only, from all of its episodes together.
        groups: the mean of each of several groups that were trained independently of each other.
    """

    metric: str
    values: tuple[tuple[float, ...], ...]
    whole: bool = False
    groups: tuple[float, ...] = ()

    def over_episodes(self) -> Interval:
        """95% confidence interval over all episodes."""
        return confidence_interval([value for seed in self.values for value in seed])

    def over_seeds(self) -> Interval:
        """95% confidence interval over the means of the seeds."""
        return confidence_interval([confidence_interval(seed).mean for seed in self.values])

    def over_groups(self) -> Interval:
        """95% confidence interval over groups: what another training run would come to."""
        return confidence_interval(self.groups)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        results: returns by condition, seed and agent.
        outcomes: metrics of the group, everybody together.
    """

    results: tuple[Result, ...]
    outcomes: tuple[Outcome, ...]


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
        kinds = kinds if run.advised else list(world.players.kinds)
    elif options.game and options.game != env.game:
        env = dataclasses.replace(env, game=options.game, options=own)
    env = dataclasses.replace(env, options={**env.options, **extra}, double_buffer=False)
    if options.players:
        if run.advised:
            raise UsageError("players: peers are evaluated by themselves, each in its own task")
        kinds = list(options.players)
    elif not run.advised and env.gymnasium_id is None:  # elsewhere nobody else is in the world
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
) -> AnyLearner:
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


@dataclass(frozen=True)
class Played:
    """One episode in each of ``E`` environments, and what was recorded of it.

    Attributes:
        returns: float64 ``[E, N]``.
        outcomes: what became of the group, one mapping an environment (``EpisodeMetrics``).
        actions: int64 ``[T, E, A]``, of the networks; where episodes differ in length, those of
            the next ones follow.
        done: bool ``[T, E]``: an episode ended in step t.
        messages: int64 ``[T, E, A]``; ``None`` where nobody talks.
        rewards: float32 ``[T, E, N]``.
        influence: float32 ``[T, E, A, N]``, of each network on each agent; ``None`` without.
    """

    returns: Array
    outcomes: tuple[dict[str, float], ...]
    actions: Array
    done: Array
    rewards: Array
    messages: Array | None
    influence: Array | None


def play_episodes(
    worlds: Worlds, learner: AnyLearner, slots: Sequence[int], greedy: bool
) -> Played:
    """Play one episode in every environment, all of them at once."""
    env, num_envs = worlds.env, worlds.num_envs
    # Influence is measured over whole episodes; otherwise long ones shall not fill the memory.
    stretches = 1 if learner.social.mechanisms else -(-env.max_steps // _LONGEST_STRETCH)
    session = Session(worlds, learner, slots, -(-env.max_steps // stretches), greedy=greedy)
    metrics = EpisodeMetrics(num_envs, env.num_agents, env.event_names)
    returns = np.zeros((num_envs, env.num_agents))
    outcomes: dict[int, dict[str, float]] = {}
    recorded: dict[str, list[Array]] = {}
    while len(outcomes) < num_envs:
        rollout = session.play()
        reward, done = rollout.reward.numpy(), rollout.done.numpy()
        finished = metrics.update(reward, done, rollout.events.numpy(), rollout.active[:-1].numpy())
        first = (np.cumsum(done, 0) - done == 0) & [e not in outcomes for e in range(num_envs)]
        returns += (reward * first[..., None]).sum(0, dtype=np.float64)
        for index, outcome in zip(np.argwhere(done)[:, 1].tolist(), finished, strict=True):
            outcomes.setdefault(index, outcome)
        for name, tensor in (
            ("actions", rollout.action),
            ("done", rollout.done),
            ("rewards", rollout.reward),
            ("messages", rollout.message if rollout.message.numel() else None),
            ("influence", learner.influence(rollout) if stretches == 1 else None),
        ):
            if tensor is not None:
                recorded.setdefault(name, []).append(tensor.cpu().numpy().copy())
    whole = {name: np.concatenate(parts) for name, parts in recorded.items()}
    return Played(
        returns,
        tuple(outcomes[index] for index in range(num_envs)),
        whole["actions"],
        whole["done"],
        whole["rewards"],
        whole.get("messages"),
        whole.get("influence"),
    )


def coordination(played: Played, num_actions: int, vocabulary: int) -> dict[str, float]:
    """How messages and actions hang together (Jaques et al. 2019, section 5.1).

    Args:
        played: episodes of networks that talk, or influence each other.
        num_actions: number of actions.
        vocabulary: number of symbols.

    Returns:
        mean speaker consistency; the largest mutual information of any two agents between symbol
        and next action, and between action and next action: over all steps, and over those in
        which the first one's influence is at least its mean; an agent's mean influence on the
        others in a step; how being influenced and being rewarded go together.
    """
    found: dict[str, float] = {}
    moments = None
    if played.influence is not None:
        moments = influential_moments(played.influence.sum(-1))
    if played.messages is not None:
        consistency = speaker_consistency(
            played.messages, played.actions, num_symbols=vocabulary, num_actions=num_actions
        )
        found["speaker_consistency"] = float(consistency.mean())
    if played.actions.shape[-1] < 2:
        return found
    for kind, signals, count in (
        ("symbol", played.messages, vocabulary),
        ("action", played.actions, num_actions),
    ):
        if signals is None:
            continue
        for title, chosen in (("", None), ("_influential", moments)):
            if title and chosen is None:
                continue
            pairs = instantaneous_coordination(
                signals,
                played.actions,
                played.done,
                num_signals=count,
                num_actions=num_actions,
                moments=chosen,
            )
            found[f"coordination_{kind}_action{title}"] = strongest_pair(pairs)
    if played.influence is not None:
        found["influence"] = float(played.influence.sum(-1).mean())
        found["influenced_reward_correlation"] = influenced_reward_correlation(
            played.influence.sum(-2), played.rewards, played.done
        )
    return found


def evaluate(run_dir: Path, options: EvalOptions, extra: Mapping[str, Any]) -> Evaluation:
    """Evaluate the newest checkpoint of a run.

    Raises:
        UsageError: not a run, a bad world, or no whole checkpoint.
    """
    run = build.load_config(run_dir)
    config = evaluation_config(run, options, extra)
    if config.off_policy:
        return _evaluate_off_policy(run_dir, config, options)
    players = build.parse_players(config)
    slots = build.learner_slots(players)
    device = build.choose_device(options.device)
    phase = build.phase_at(config, players, 0)
    learner: AnyLearner | None = None
    results: list[Result] = []
    outcomes: list[tuple[dict[str, float], ...]] = []
    moments: list[dict[str, float]] = []
    conditions: list[tuple[str, tuple[int, ...]]] = [("together", tuple(range(len(players))))]
    if len(players) > 1 and can_be_absent(config.env.game):
        conditions += [("alone", (slot,)) for slot in slots]
    for seed in options.seeds:
        for condition, present in conditions:
            worlds = _worlds(
                config, players, phase, episodes=options.episodes, seed=seed, present=present
            )
            if learner is None:
                learner = load_learner(run_dir, run, config, worlds.env, device)
            played = play_episodes(worlds, learner, slots, options.greedy)
            worlds.close()
            results += [
                Result(condition, seed, slot, config.players.kinds[slot],
                       tuple(float(value) for value in played.returns[:, slot]))
                for slot in present
            ]  # fmt: skip
            if condition == "together":
                outcomes.append(played.outcomes)
                if config.social.mechanisms:
                    moments.append(
                        coordination(played, worlds.env.num_actions, config.social.vocabulary)
                    )
    if len(players) == 1 and not worlds.env.event_names:
        outcomes.clear()  # its return says it all
    return Evaluation(
        tuple(results),
        _outcomes(outcomes) + _outcomes([[one] for one in moments], whole=True),
    )


def _evaluate_off_policy(run_dir: Path, config: TrainConfig, options: EvalOptions) -> Evaluation:
    """Let agents with replay memories play without exploration or advice.

    Raises:
        UsageError: the run's networks do not fit the tasks, or there is no whole checkpoint.
    """
    device, names = build.choose_device(options.device), build.peer_names(config)
    players = build.parse_players(config)
    learning = [
        agent
        for agent, slot in enumerate(build.learner_slots(players))
        if players[slot].kind == "learner"
    ] or slice(None)
    learner: build.AnyOffPolicyLearner | None = None
    condition = "together" if shares_worlds(config) and len(config.players.kinds) > 1 else "alone"
    results: list[Result] = []
    outcomes: list[tuple[dict[str, float], ...]] = []
    for seed in options.seeds:
        tasks = make_tasks(config, options.episodes, derived_seed(seed, 2))
        if learner is None:
            learner = _load_off_policy(run_dir, config, tasks.spec, device)
        returns = greedy_returns(tasks, learner)
        tasks.close()
        results += [
            Result(condition, seed, agent, name, tuple(returns[agent].tolist()))
            for agent, name in enumerate(names)
        ]
        groups = returns.view(config.peers.groups, -1, options.episodes)
        by_group = groups[:, learning].mean(1)
        outcomes.append(tuple(_by_group(each) for each in by_group.T.tolist()))
    metric, *each = _outcomes(outcomes)
    means = tuple(one.over_seeds().mean for one in each)
    return Evaluation(tuple(results), (dataclasses.replace(metric, groups=means), *each))


def _by_group(returns: Sequence[float]) -> dict[str, float]:
    """Mean return of the learners of each group in an episode, and of all groups, by name."""
    found = {"mean_return": sum(returns) / len(returns)}
    if len(returns) > 1:
        found |= {f"{_OF_GROUP}{group}": value for group, value in enumerate(returns)}
    return found


def _load_off_policy(
    run_dir: Path, config: TrainConfig, spec: TaskSpec, device: torch.device
) -> build.AnyOffPolicyLearner:
    """The learner of a run's newest checkpoint, for tasks with the same observations and actions.

    Raises:
        UsageError: there is no whole checkpoint, or the networks are of other shapes.
    """
    players = [dataclasses.replace(one, source=None) for one in build.parse_players(config)]
    learner = build.build_off_policy_learner(config, players, spec, device)
    _, stored, complaints = checkpoint.load_newest(run_dir / "checkpoints")
    for complaint in complaints:
        print(f"refused a damaged checkpoint: {complaint}", file=sys.stderr)
    try:
        learner.load_tensors(stored.weights)
        learner.load_meta(stored.state["learner"])
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{run_dir}: its networks do not fit {config.env.game} with these players: {error}"
        ) from None
    return learner


def _outcomes(
    seeds: Sequence[Sequence[Mapping[str, float]]], *, whole: bool = False
) -> tuple[Outcome, ...]:
    """Turn metrics by seed and episode into metrics by name."""
    names = dict.fromkeys(name for episodes in seeds for one in episodes for name in one)
    return tuple(
        Outcome(
            name,
            tuple(tuple(one.get(name, math.nan) for one in episodes) for episodes in seeds),
            whole,
        )
        for name in names
    )


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
            obs_mode=config.obs_mode,
            absent=absent,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{config.env.game}: {error}") from None


def report(evaluation: Evaluation) -> str:
    """Tables: one line a condition, agent and seed; then one line a metric of the group."""
    lines = [f"{'condition':<10} {'agent':<28} {'seed':>5} {'mean':>8} {'std':>8} {'best':>8}"]
    for result in evaluation.results:
        values = np.asarray(result.returns)
        lines.append(
            f"{result.condition:<10} {f'{result.agent} {result.kind}':<28.28} {result.seed:>5} "
            f"{number(float(values.mean())):>8} {number(float(values.std())):>8} "
            f"{number(float(values.max())):>8}"
        )
    if evaluation.outcomes:
        first = evaluation.outcomes[0]
        lines.append(
            f"{'group, 95% confidence':<40} {'mean':>9}  "
            f"{f'over {sum(map(len, first.values))} episodes':<22} "
            f"{f'over {len(first.values)} seeds':<22}"
            + (f" over {len(first.groups)} groups" if first.groups else "")
        )
        lines[-1] = lines[-1].rstrip()
    for outcome in evaluation.outcomes:
        seeds, episodes = outcome.over_seeds(), outcome.over_episodes()
        lines.append(
            f"{outcome.metric.replace('_', ' '):<40} {_fine(episodes.mean):>9}  "
            f"{'-' if outcome.whole else bounds(episodes):<22} {bounds(seeds):<22} "
            f"{bounds(outcome.over_groups()) if outcome.groups else ''}".rstrip()
        )
    return "\n".join(lines)


def bounds(interval: Interval) -> str:
    """``[low, high]``; a dash where there are none."""
    if not math.isfinite(interval.low):
        return "-"
    return f"[{_fine(interval.low)}, {_fine(interval.high)}]"


def _fine(value: float) -> str:
    """Three decimals; small numbers with an exponent."""
    return f"{value:.2e}" if 0 < abs(value) < 0.005 else number(value, 3)


def report_groups(evaluations: Sequence[tuple[Path, Evaluation]]) -> str:
    """A table over runs that differ in nothing but the seed: the mean of their means.

    Groups that were trained side by side in a run count as one run each.

    Returns:
        one line a group of runs and metric; empty where no two runs are alike.
    """
    groups: dict[str, list[tuple[Path, Evaluation]]] = {}
    for run_dir, evaluation in evaluations:
        key = group_key(build.load_config(run_dir))
        groups.setdefault(key, []).append((run_dir, evaluation))
    lines: list[str] = []
    for members in groups.values():
        if len(members) < 2:
            continue
        by_name: dict[str, list[float]] = {}
        for _, evaluation in members:
            for outcome in evaluation.outcomes:
                if not outcome.metric.startswith(_OF_GROUP):
                    means = outcome.groups or (outcome.over_seeds().mean,)
                    by_name.setdefault(outcome.metric, []).extend(means)
        seeds = max((len(each) for each in by_name.values()), default=0)
        title = f"{len(members)} runs" + (f" of {seeds} groups" if seeds > len(members) else "")
        names = ", ".join(run_dir.name for run_dir, _ in members)
        lines.append(f"{title}, 95% confidence: {names}")
        for metric, each in by_name.items():
            interval = confidence_interval(each)
            lines.append(
                f"{metric.replace('_', ' '):<40} {_fine(interval.mean):>9}  {bounds(interval)}"
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
    evaluation: Evaluation,
) -> None:  # fmt: skip
    """Write results as JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    data = {
        "run": str(run_dir),
        "options": dataclasses.asdict(options),
        "set": dict(extra),
        "results": [dataclasses.asdict(result) for result in evaluation.results],
        "group": {
            outcome.metric: {
                "over_episodes": None if outcome.whole else outcome.over_episodes()._asdict(),
                "over_seeds": outcome.over_seeds()._asdict(),
                "by_seed": outcome.values,
                "over_groups": outcome.over_groups()._asdict() if outcome.groups else None,
            }
            for outcome in evaluation.outcomes
        },
    }
    try:
        path.write_text(json.dumps(finite(data), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
