"""What an off-policy run takes of an accelerator's memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

from socialgrid.algos.off_policy.mixed import MixedLearner
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.algos.off_policy.options import RecurrentDQNConfig
from socialgrid.models.footprint import footprint_of, held_by
from socialgrid.train.memory import Need, fit
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner

_BATCH = "algorithm.batch_size"
_SINGLE = 4  # bytes of float32
_PRIORITY = 8  # bytes of a transition
_REST = 6  # bytes of a transition: its reward, and how it ended
_TWICE = 2  # ReLUs of advising networks are kept beside what they are of
_NUMBERS = 24  # float32 numbers of a sample: rewards, values, targets, errors


def fit_off_policy(learner: AnyOffPolicyLearner, adviser: object = None) -> str:
    """See whether a run fits, and say what it takes; see ``train.memory.fit``.

    Args:
        learner: of the run, its replay memory reserved.
        adviser: of the run; what it trains and remembers counts if it tells of them, see
            ``need_of_adviser``.

    Raises:
        UsageError: it does not fit.
    """
    parts = learner.parts if isinstance(learner, MixedLearner) else (learner,)
    asked = parts[0].config.batch_size

    def supposing(others: Mapping[str, int]) -> Need:
        needs = [
            need_off_policy(part, others.get(_BATCH, part.config.batch_size)) for part in parts
        ]
        return Need.added([*needs, need_of_adviser(adviser)])

    return fit(supposing, {_BATCH: asked}, learner.device)


def need_of_adviser(adviser: object) -> Need:
    """Bytes on the device of networks that learn to advise, their memory and a gradient step; of
    ``trained``, ``replay`` and ``config.batch_size`` of an adviser that has them.
    """
    trained, replay = getattr(adviser, "trained", None), getattr(adviser, "replay", None)
    if trained is None or replay is None:
        return Need(0, 0, 0, 0)
    blocks = [held_by(part.flat.block) for part in trained.values()]
    moving = [part.target_flat for part in trained.values() if part.target_flat is not part.flat]
    kept = held_by(*replay.kept.values())
    batch = adviser.config.batch_size  # type: ignore[attr-defined]
    agents, capacity = replay.kept["obs"].shape[:2]
    views = [footprint_of(part.network, batch) for part in trained.values()]
    sample = 2 * kept // (agents * capacity) + max(_TWICE * one.kept for one in views)
    return Need(
        networks=3 * sum(blocks) + held_by(*(flat.block for flat in moving)),
        optimiser=2 * sum(blocks),
        experience=kept if replay.kept_on.type != "cpu" else 0,
        update=agents * batch * sample,
    )


def need_off_policy(learner: OffPolicyLearner, batch_size: int) -> Need:
    """Bytes on the device.

    Args:
        learner: of one algorithm.
        batch_size: what it draws for a gradient step of each agent.
    """
    task, trained = learner.task, learner.trained.values()
    blocks = [held_by(part.flat.block) for part in trained]
    moving = [part.target_flat for part in trained if part.target_flat is not part.flat]
    seen = math.prod(task.obs_shape) * task.kept_dtype.itemsize
    sample = 2 * seen + math.prod(task.action_shape) * task.action_dtype.itemsize + _REST
    length = 1
    if isinstance(learner.config, RecurrentDQNConfig):
        length = learner.config.burn_in + learner.config.sequence_length + 1
    views = [footprint_of(part.network, batch_size * length) for part in trained]
    computed = sum(one.kept for one in views) + max(one.passing for one in views)
    tables = sum(one.tables for one in views)
    samples = learner.num_agents * batch_size * length
    priority = _PRIORITY if learner.config.prioritised else 0
    kept = learner.num_agents * learner.config.buffer_size * (sample + priority)
    return Need(
        networks=3 * sum(blocks) + held_by(*(flat.block for flat in moving)),
        optimiser=2 * sum(blocks),
        experience=kept if learner.replay.kept_on == learner.device else 0,
        update=tables + samples * (2 * sample + computed + _NUMBERS * _SINGLE),
        remembers=True,
    )
