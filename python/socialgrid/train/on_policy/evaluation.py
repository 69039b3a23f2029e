"""Episodes without learning: agents of one run or of several, scripted players, alone or together.

Networks of any kind may sit in a world (``cast``); what recurrent ones say and how they influence
each other is recorded where they are at home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.measures.coordination import (
    influenced_reward_correlation,
    influential_moments,
    instantaneous_coordination,
    speaker_consistency,
    strongest_pair,
)
from socialgrid.measures.episodes import EpisodeMetrics
from socialgrid.social.roles import AUXILIARY
from socialgrid.train.company import (
    Company,
)
from socialgrid.train.on_policy.learner import AnyLearner
from socialgrid.train.on_policy.session import Session
from socialgrid.train.worlds import Worlds

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
        symbols: number of different messages.
    """

    returns: Array
    outcomes: tuple[dict[str, float], ...]
    actions: Array
    done: Array
    rewards: Array
    messages: Array | None
    influence: Array | None
    listening: float | None = None
    symbols: int = 0


def play_episodes(
    worlds: Worlds,
    learner: AnyLearner | None,
    slots: Sequence[int],
    greedy: bool,
    company: Sequence[Company] = (),
    stretch: int = 128,
    first_step: int = 0,
) -> Played:
    """Play one episode in every environment, all of them at once; see ``Session``.

    Steps are recorded ``stretch`` at a time, or all where influence is measured.
    """
    env, num_envs = worlds.env, worlds.num_envs
    # Influence is measured over whole episodes; otherwise long ones shall not fill the memory.
    whole_episodes = learner is not None and any(one.role != AUXILIARY for one in learner.social)
    stretches = 1 if whole_episodes else -(-env.max_steps // stretch)
    length = -(-env.max_steps // stretches)
    session = Session(
        worlds, learner, slots, length, greedy=greedy, company=company, first_step=first_step
    )
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
        for row, index in enumerate(np.argwhere(done)[:, 1].tolist()):
            outcomes.setdefault(index, {name: float(x[row]) for name, x in finished.items()})
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
        max((heads.choices for heads in learner.model.further.values()), default=0)
        if learner
        else 0,
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
