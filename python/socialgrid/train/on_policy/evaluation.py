"""Episodes without learning: agents of one run or of several, scripted players, alone or together.

Networks of any kind may sit in a world (``cast``); what recurrent ones say and how they influence
each other is recorded where they are at home.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config import TrainConfig
from socialgrid.config.errors import UsageError, about
from socialgrid.config.evaluation import EvalOptions
from socialgrid.measures.coordination import (
    influenced_reward_correlation,
    influential_moments,
    instantaneous_coordination,
    speaker_consistency,
    strongest_pair,
)
from socialgrid.measures.episodes import EpisodeMetrics
from socialgrid.report.evaluation import Evaluation, Outcome, Result, outcomes_of
from socialgrid.train.cast import (
    Company,
    Recurrent,
    Seat,
    at_home,
    companies,
    eyes_of,
    seats_of,
)
from socialgrid.train.device import choose_device
from socialgrid.train.on_policy.learner import AnyLearner
from socialgrid.train.on_policy.session import Session
from socialgrid.train.seeds import EVALUATED_WORLDS, derived_seed
from socialgrid.train.worlds import Phase, Worlds, can_be_absent, phase_at

Array = npt.NDArray[Any]


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
    stretch: int = 128,
) -> Played:
    """Play one episode in every environment, all of them at once; see ``Session``.

    Steps are recorded ``stretch`` at a time, or all where influence is measured.
    """
    env, num_envs = worlds.env, worlds.num_envs
    # Influence is measured over whole episodes; otherwise long ones shall not fill the memory.
    whole_episodes = learner is not None and bool(learner.social.mechanisms)
    stretches = 1 if whole_episodes else -(-env.max_steps // stretch)
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
        further = [made.choice for name, made in rollout.decisions.items() if name != "action"]
        said = further[0] if further else None
        for name, tensor in (
            ("actions", rollout.action),
            ("done", rollout.done),
            ("rewards", rollout.reward),
            ("messages", said),
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
    device = choose_device(options.device)
    phase = phase_at(config, 0)
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
    own = run.roster.players
    return [
        place
        for place, seat in enumerate(seats)
        if seat.run == run_dir and not seat.born and own[seat.slot].learns
    ]


def evaluate_seats(
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
        (*own_returns, *outcomes_of(episodes, limits), *outcomes_of(moments, limits, whole=True)),
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
            seed=derived_seed(seed, EVALUATED_WORLDS),
            num_threads=config.env.num_threads,
            obs_mode=config.obs_mode,
            absent=absent,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(about(config.env.game, error)) from None
