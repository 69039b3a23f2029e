"""What agents of other runs do not see: what was hidden from them where they learnt."""

from __future__ import annotations

import dataclasses

from socialgrid.config import Course, TrainConfig, load_config
from socialgrid.train.worlds import hidden_at, phase_at


def hidden_from(config: TrainConfig, slot: int) -> list[str]:
    """What a run's agent does not see where it learnt last."""
    hide = phase_at(Course(config).configs[-1], 0).options.get("hide") or []
    return hidden_at(hide, 0 if config.advised else slot)


def with_eyes(config: TrainConfig) -> TrainConfig:
    """The configuration of a new run in which agents of others do not see what was hidden from
    them there; as it is where ``env.options.hide`` says what nobody sees, or where all are peers.

    Raises:
        UsageError: one of those runs is none, or has no such agent.
    """
    if config.advised or config.env.gymnasium_id is not None or "hide" in config.env.options:
        return config
    hide: list[list[str]] = []
    for player in config.roster.players:
        hide.append([])
        if player.source is not None:
            run, slot = player.source
            other = load_config(run)
            if other.env.gymnasium_id is None:
                hide[-1] = hidden_from(other, other.roster.network(run, slot))
    if not any(hide):
        return config
    env = dataclasses.replace(config.env, options={**config.env.options, "hide": hide})
    return dataclasses.replace(config, env=env)
