"""Play a run's agents without learning: with their experts, alone, in other worlds."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from socialgrid.config import TrainConfig, check_imports, load_config, load_preset
from socialgrid.config.errors import UsageError, about
from socialgrid.measures.coordination import (
    influenced_reward_correlation,
    influential_moments,
    instantaneous_coordination,
    speaker_consistency,
    strongest_pair,
)
from socialgrid.measures.episodes import EpisodeMetrics, bounds_of
from socialgrid.measures.intervals import (
    UNBOUNDED,
    Bounds,
    Interval,
    confidence_interval,
    interval_over_runs,
)
from socialgrid.models.task_spec import TaskSpec
from socialgrid.train import build
from socialgrid.train.build import AnyLearner
from socialgrid.train.cast import (
    Company,
    Recurrent,
    Seat,
    at_home,
    companies,
    eyes_of,
    seats_of,
)
from socialgrid.train.off_policy.trainer import greedy_returns, make_tasks, shares_worlds
from socialgrid.train.on_policy.session import Session
from socialgrid.train.worlds import Phase, Worlds, can_be_absent, derived_seed

Array = npt.NDArray[Any]

OF_GROUP = "mean_return_of_group_"
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
    """Another game; scripted players that it does not have must be replaced by ``players``."""
    players: tuple[str, ...] = ()
    """Who plays instead: "learner" stands for the agents that learnt in the run, in their order;
    checkpoint:OTHER for the first that learnt in another run, checkpoint:OTHER#K for its agent K;
    novice for an untrained network; anything else is a scripted player."""
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
        kind: who played in it, as the user calls it.
        plays: who that is: a scripted player, or an agent of a run as RUN#K.
        returns: of every episode.
    """

    condition: str
    seed: int
    agent: int
    kind: str
    plays: str
    returns: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """One metric, by seed of the environments and episode.

    Attributes:
        metric: its name.
        values: for every seed of the environments one number an episode, NaN where an episode has
            none.
        whole: there is one number a seed only, from all of its episodes together.
        groups: the numbers of each of several groups that were trained independently of each
            other: training runs of their own.
        bounds: what values are possible.
    """

    metric: str
    values: tuple[tuple[float, ...], ...]
    whole: bool = False
    groups: tuple[tuple[float, ...], ...] = ()
    bounds: Bounds = UNBOUNDED

    def over_episodes(self) -> Interval:
        """95% confidence interval over evaluation episodes, whatever seed they have.

        What more episodes of these networks would come to. Where there is one number a seed, it
        ranges over sets of so many episodes.
        """
        return confidence_interval([x for seed in self.values for x in seed], bounds=self.bounds)

    def training_runs(self) -> tuple[tuple[float, ...], ...]:
        """The numbers of each independent training run: its groups, or the run itself."""
        return self.groups or (tuple(x for seed in self.values for x in seed),)

    def over_groups(self) -> Interval:
        """95% confidence interval over groups: what another training run would come to."""
        return interval_over_runs(self.groups, bounds=self.bounds)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        results: returns by condition, seed and agent.
        outcomes: returns of learners and of others, and metrics of the group.
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
    schedule = dataclasses.replace(run.schedule, solo_fraction="0", options={})
    players = dataclasses.replace(run.players, kinds=tuple(kinds))
    return dataclasses.replace(run, env=env, players=players, schedule=schedule)


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
        listening: largest value of listening of any pair of agents; ``None`` without.
    """

    returns: Array
    outcomes: tuple[dict[str, float], ...]
    actions: Array
    done: Array
    rewards: Array
    messages: Array | None
    influence: Array | None
    listening: float | None = None


def play_episodes(
    worlds: Worlds,
    learner: AnyLearner | None,
    slots: Sequence[int],
    greedy: bool,
    company: Sequence[Company] = (),
) -> Played:
    """Play one episode in every environment, all of them at once; see ``Session``."""
    env, num_envs = worlds.env, worlds.num_envs
    # Influence is measured over whole episodes; otherwise long ones shall not fill the memory.
    whole_episodes = learner is not None and bool(learner.social.mechanisms)
    stretches = 1 if whole_episodes else -(-env.max_steps // _LONGEST_STRETCH)
    length = -(-env.max_steps // stretches)
    session = Session(worlds, learner, slots, length, greedy=greedy, company=company)
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
            ("influence", learner.influence(rollout) if learner and stretches == 1 else None),
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
        _listening(learner) if "influence" in whole and learner else None,
    )


def _listening(learner: AnyLearner) -> float:
    """Largest value of listening of the pairs whose influence was measured last."""
    return float(learner.pairs()["value_of_listening"].nan_to_num(0.0).max())


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
        others in a step; the value of listening of the pair where it is largest; how being
        influenced and being rewarded go together.
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
        if played.listening is not None:
            found["value_of_listening"] = played.listening
        found["influenced_reward_correlation"] = influenced_reward_correlation(
            played.influence.sum(-2), played.rewards, played.done
        )
    return found


def evaluate(
    run_dir: Path, options: EvalOptions, extra: Mapping[str, Any], imports: Sequence[str] = ()
) -> Evaluation:
    """Evaluate the newest checkpoint of a run.

    Args:
        run_dir: of the run.
        options: what to evaluate in.
        extra: game options given on the command line.
        imports: modules that the run's record may name.

    Raises:
        UsageError: not a run, a bad world or player, agents that do not fit, no whole checkpoint,
            or tasks whose code nobody allowed.
    """
    run = load_config(run_dir)
    config = evaluation_config(run, options, extra)
    check_imports(config, run_dir, [*imports, options.game])
    if config.off_policy and not (shares_worlds(run) or shares_worlds(config)):
        if config.players != run.players:
            raise UsageError(f"players: in {config.env.game} every agent has a task of its own")
        return _evaluate_off_policy(run_dir, config, options)
    return _evaluate_seats(run_dir, run, config, options, extra)


def play_seats(
    config: TrainConfig,
    seats: Sequence[Seat],
    options: EvalOptions,
    conditions: Sequence[tuple[str, tuple[int, ...]]],
    *,
    recorded: bool = False,
    hide: bool = True,
) -> Iterator[tuple[int, str, Played, Any]]:
    """Let players meet in a world, in every condition with every seed.

    Args:
        config: the world.
        seats: who plays.
        options: episodes, seeds, greedy and device.
        conditions: names, and the seats that are present.
        recorded: all networks are one run's at home, and what they say and how they influence
            each other is wanted.
        hide: agents do not see what was hidden from them where they learnt.

    Yields:
        seed, condition, what was played, and the simulator (closed).

    Raises:
        UsageError: the game refuses, or networks do not fit.
    """
    device = build.choose_device(options.device)
    phase = build.phase_at(config, build.parse_players(config), 0)
    if hide:
        rest = {name: value for name, value in phase.options.items() if name != "hide"}
        hidden = eyes_of(seats, phase.options)
        phase = Phase({**rest, "hide": hidden} if any(hidden) else rest, phase.num_solo)
    group: list[Company] = []
    for seed in options.seeds:
        for condition, present in conditions:
            worlds = _worlds(
                config, seats, phase, episodes=options.episodes, seed=seed, present=present
            )
            try:
                group = group or companies(seats, worlds.env, device)
                first = group[0]
                if recorded and isinstance(first, Recurrent):
                    played = play_episodes(worlds, first.learner, first.seats, options.greedy)
                else:
                    played = play_episodes(worlds, None, (), options.greedy, group)
            finally:
                worlds.close()
            yield seed, condition, played, worlds.env


def learning_seats(seats: Sequence[Seat], run_dir: Path, run: TrainConfig) -> list[int]:
    """Seats of a run's own agents that learnt there.

    All others are scripted, frozen, untrained, or of other runs.
    """
    own = build.parse_players(run)
    return [
        place
        for place, seat in enumerate(seats)
        if seat.run == run_dir and not seat.born and own[seat.slot].kind == "learner"
    ]


def _evaluate_seats(
    run_dir: Path,
    run: TrainConfig,
    config: TrainConfig,
    options: EvalOptions,
    extra: Mapping[str, Any],
) -> Evaluation:
    """Let a run's agents meet scripted players and other runs' agents in a world."""
    seats = seats_of(run_dir, run, config.players.kinds)
    home = at_home(seats, run_dir, run)
    everybody = tuple(range(len(seats)))
    networks = [place for place in everybody if seats[place].run is not None]
    learners = learning_seats(seats, run_dir, run)
    others = [place for place in everybody if place not in learners]
    conditions: list[tuple[str, tuple[int, ...]]] = [("together", everybody)]
    if len(seats) > 1 and can_be_absent(config.env.game):
        conditions += [(f"alone {place}", (place,)) for place in networks]
    results: list[Result] = []
    returns: dict[str, dict[int, list[Array]]] = {}
    episodes: list[tuple[dict[str, float], ...]] = []
    moments: list[tuple[dict[str, float], ...]] = []
    env: Any = None
    for seed, condition, played, env in play_seats(
        config, seats, options, conditions, recorded=home, hide="hide" not in extra
    ):
        name, _, alone = condition.partition(" ")
        for place in [int(alone)] if alone else everybody:
            seat, own = seats[place], played.returns[:, place]
            results.append(Result(name, seed, place, seat.kind, seat.plays, tuple(own.tolist())))
            if alone and place in learners:
                by_seed = returns.setdefault("learners_return_alone", {})
                by_seed.setdefault(seed, []).append(own)
        if alone:
            continue
        for metric, places in (("learners_return", learners), ("others_return", others)):
            if places:
                own = played.returns[:, places].mean(1)
                returns.setdefault(metric, {}).setdefault(seed, []).append(own)
        episodes.append(played.outcomes)
        if home and config.social.mechanisms:
            moments.append((coordination(played, env.num_actions, config.social.vocabulary),))
    if len(seats) == 1 and not env.event_names:
        episodes.clear()  # its return says it all
    own_returns = [
        Outcome(metric, tuple(tuple(np.mean(each, 0).tolist()) for each in by_seed.values()))
        for metric, by_seed in returns.items()
    ]
    limits = (env.max_steps, config.social.divergence)
    return Evaluation(
        tuple(results),
        (*own_returns, *_outcomes(episodes, limits), *_outcomes(moments, limits, whole=True)),
    )


def _evaluate_off_policy(run_dir: Path, config: TrainConfig, options: EvalOptions) -> Evaluation:
    """Let agents with replay memories play their own tasks without exploration or advice.

    Raises:
        UsageError: the run's networks do not fit the tasks, or there is no whole checkpoint.
    """
    device, names = build.choose_device(options.device), build.peer_names(config)
    players = build.parse_players(config)
    slots = build.learner_slots(players)
    learning = [
        agent for agent, slot in enumerate(slots) if players[slot].kind == "learner"
    ] or slice(None)
    learner: build.AnyOffPolicyLearner | None = None
    results: list[Result] = []
    outcomes: list[tuple[dict[str, float], ...]] = []
    for seed in options.seeds:
        tasks = make_tasks(config, options.episodes, derived_seed(seed, 2))
        if learner is None:
            learner = _load_off_policy(run_dir, config, tasks.spec, device)
        returns = greedy_returns(tasks, learner)
        tasks.close()
        for agent, name in enumerate(names):
            group = f" of group {agent // len(slots)}" if config.peers.groups > 1 else ""
            plays = f"{run_dir}#{slots[agent % len(slots)]}{group}"
            results.append(
                Result("alone", seed, agent, name, plays, tuple(returns[agent].tolist()))
            )
        groups = returns.view(config.peers.groups, -1, options.episodes)
        by_group = groups[:, learning].mean(1)
        outcomes.append(tuple(_by_group(each) for each in by_group.T.tolist()))
    metric, *each = _outcomes(outcomes, (0, "kl"))
    independent = tuple(one.training_runs()[0] for one in each)
    return Evaluation(tuple(results), (dataclasses.replace(metric, groups=independent), *each))


def _by_group(returns: Sequence[float]) -> dict[str, float]:
    """Mean return of the learners of each group in an episode, and of all groups, by name."""
    found = {"mean_return": sum(returns) / len(returns)}
    if len(returns) > 1:
        found |= {f"{OF_GROUP}{group}": value for group, value in enumerate(returns)}
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
    stored, complaints = build.load_weights(run_dir)
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
    seeds: Sequence[Sequence[Mapping[str, float]]],
    limits: tuple[int, str],
    *,
    whole: bool = False,
) -> tuple[Outcome, ...]:
    """Turn metrics by seed and episode into metrics by name; ``limits`` as of ``bounds_of``."""
    names = dict.fromkeys(name for episodes in seeds for one in episodes for name in one)
    return tuple(
        Outcome(
            name,
            tuple(tuple(one.get(name, math.nan) for one in episodes) for episodes in seeds),
            whole,
            bounds=bounds_of(name, *limits),
        )
        for name in names
    )


def _worlds(
    config: TrainConfig,
    seats: Sequence[Seat],
    phase: Phase,
    *,
    episodes: int,
    seed: int,
    present: Sequence[int],
) -> Worlds:
    absent = [place for place in range(len(seats)) if place not in present]
    try:
        return Worlds(
            config.env.game,
            episodes,
            [seat.scripted for seat in seats],
            dataclasses.replace(phase, num_solo=episodes if absent else 0),
            seed=derived_seed(seed, 2),
            num_threads=config.env.num_threads,
            obs_mode=config.obs_mode,
            absent=absent,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(about(config.env.game, error)) from None
