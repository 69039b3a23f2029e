"""Record what one agent sees and does, for others to imitate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from socialgrid.config import Course, TrainConfig, UsageError, load_config, parse_player
from socialgrid.config.errors import about
from socialgrid.config.evaluation import RecordOptions
from socialgrid.data.trajectories import FORMAT, Trajectories
from socialgrid.models.spec import hidden_from
from socialgrid.train.cast import Seat, companies, options_seen, seats_of
from socialgrid.train.device import choose_device
from socialgrid.train.on_policy.session import Session
from socialgrid.train.seeds import EVALUATED_DRAWS, EVALUATED_WORLDS, derived_seed
from socialgrid.train.worlds import Phase, Worlds

_STRETCH = 128  # steps at a time


def record(
    config: TrainConfig, run_dir: Path | None, options: RecordOptions, extra: Mapping[str, Any]
) -> Trajectories:
    """Play and record.

    Args:
        config: of a preset or a run: its world, that of the last phase, and its players.
        run_dir: of the run; ``None`` for a preset.
        options: whom, and for how long.
        extra: game options given on the command line.

    Raises:
        UsageError: a bad world or player, or an agent that is not there.
    """
    seats = _seats(config, run_dir, options.players)
    agent = _whom(seats, options.agent)
    world = Course(config).configs[-1]
    settings = options_seen(seats, world.env.options, extra)
    mode = config.obs_mode if options.obs_mode == "auto" else options.obs_mode
    mode = mode if mode in ("rgb", "tiles") else "rgb"
    count = min(options.worlds, options.episodes)
    world_seed = derived_seed(options.seed, EVALUATED_WORLDS)
    try:
        worlds = Worlds(
            config.env.game,
            count,
            [seat.scripted for seat in seats],
            Phase(settings, 0),
            seed=world_seed,
            num_threads=config.env.num_threads,
            obs_mode=mode,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(about(config.env.game, error)) from None
    try:
        env = worlds.env
        company = companies(seats, env, choose_device(options.device))
        own = derived_seed(options.seed, EVALUATED_DRAWS) >> 1
        session = Session(
            worlds, None, (), _STRETCH, greedy=options.greedy, company=company, first_step=own
        )
        steps = -(-options.episodes // count) * env.max_steps
        parts: dict[str, list[np.ndarray]] = {}
        for first in range(0, steps, _STRETCH):
            rollout = session.play()
            kept = slice(0, min(_STRETCH, steps - first))
            active = rollout.active[:-1, :, agent]
            terminated = rollout.terminated[..., agent] & active
            truncated = rollout.truncated[..., agent] & active
            after = rollout.obs[1:, :, agent].numpy().copy()
            after[tuple(rollout.final_index.T.numpy())] = rollout.final_obs[:, agent].numpy()
            for name, x in (
                ("obs", rollout.obs[:-1, :, agent]),
                ("action", rollout.taken[..., agent].to(torch.int16)),
                ("reward", rollout.reward[..., agent]),
                ("active", active),
                ("reset", rollout.reset[:-1, :, agent]),
                ("done", rollout.done),
                ("terminated", terminated),
                ("truncated", truncated),
            ):
                parts.setdefault(name, []).append(x[kept].numpy().copy())
            ended = (terminated | truncated)[kept].numpy()
            parts.setdefault("last_obs", []).append(after[kept][ended])
        actions = env.action_names[: env.action_counts[agent]]
        told = {
            "format": FORMAT,
            "game": env.game,
            "options": env.config,
            "hidden": hidden_from(env, agent),
            "obs_mode": env.obs_mode,
            "actions": list(actions),
            "player": seats[agent].plays,
            "agent": agent,
            "players": [seat.plays for seat in seats],
            "seed": options.seed,
            "world_seed": world_seed,
        }
        atlas = np.asarray(env.tile_atlas) if env.obs_mode == "tiles" else np.zeros((0, 1, 1, 3))
        whole: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        return Trajectories(**whole, atlas=atlas.astype(np.uint8), about=told)
    finally:
        worlds.close()


def _seats(config: TrainConfig, run_dir: Path | None, kinds: Sequence[str]) -> tuple[Seat, ...]:
    """Who plays.

    Raises:
        UsageError: somebody does not exist.
    """
    if run_dir is not None and not kinds:
        return seats_of(run_dir, config, config.players.kinds)
    if not kinds:
        kinds = [kind for kind in config.players.kinds if not parse_player(kind).learns]
    if not kinds:
        raise UsageError("players: nobody but learners in this preset; --players says who plays")
    named = [parse_player(kind) for kind in kinds]
    own = [player for player in named if player.scripted is None and player.source is None]
    if run_dir is not None and own:
        return seats_of(run_dir, config, kinds)
    if own:
        raise UsageError(f"player {own[0].kind!r}: of which run? checkpoint:RUN or learner:RUN")
    seats = []
    for kind, player in zip(kinds, named, strict=True):
        if player.source is None:
            seats.append(Seat(kind))
        else:
            source, slot = player.source
            seats.append(Seat(kind, source, load_config(source).roster.network(source, slot)))
    return tuple(seats)


def _whom(seats: Sequence[Seat], agent: int | None) -> int:
    if agent is not None:
        if not 0 <= agent < len(seats):
            raise UsageError(f"agent: {agent} is out of range, 0 to {len(seats) - 1}")
        return agent
    scripted = [place for place, seat in enumerate(seats) if seat.scripted is not None]
    return scripted[0] if scripted else 0
