"""Networks of an on-policy run in seats of a world."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from socialgrid.config import TrainConfig, UsageError
from socialgrid.models import ViewSpec
from socialgrid.social.roles import HEARING
from socialgrid.train import checkpoint
from socialgrid.train.company import Engagement
from socialgrid.train.on_policy.learner import AnyLearner, learner_of


class Recurrent:
    """Agents of one on-policy run; their memories are its own."""

    def __init__(self, learner: AnyLearner, seats: Sequence[int], hears: Tensor | None) -> None:
        """Give networks seats.

        Args:
            learner: of exactly these agents.
            seats: where they play.
            hears: int64 ``[A, N]``, the seat of whoever stands for each agent of the world they
                learnt in; ``None`` where they hear no actions.
        """
        self.learner, self.seats, self._hears = learner, tuple(seats), hears

    def begin(self, num_envs: int, first_step: int = 0) -> None:
        """See ``Company``."""
        self._memory = self.learner.initial_state(num_envs)
        self._step = first_step

    def act(self, obs: Tensor, reset: Tensor, last: Mapping[str, Tensor], greedy: bool) -> Tensor:
        """See ``Company``."""
        columns = list(self.seats)
        if self._hears is not None:
            last = {name: x[:, self._hears].transpose(0, 1) for name, x in last.items()}
        out = self.learner.act(
            obs[:, columns],
            self._memory,
            reset[:, columns],
            last=last,
            greedy=greedy,
            step=self._step,
        )
        self._step += 1
        self._memory = out.state
        return out.arrived()


def engage(them: Engagement) -> Recurrent:
    """Give a run's agents their seats.

    Raises:
        UsageError: they play together or not at all, or they do not fit into this company.
    """
    run, config, home, slots = them.run, them.config, them.home, them.slots
    networks = config.roster.slots
    for one in config.social:
        if one.of_team and slots != networks:
            raise UsageError(
                f"{run}: its agents {one.of_team} ({one.name}), so all of {list(networks)} must "
                f"play, in this order; here {list(slots)} do"
            )
    hears = None
    hearing = [one.name for one in config.social if one.role == HEARING]
    if hearing:
        if them.world.num_agents != home.num_agents:
            raise UsageError(
                f"{run}: its agents hear what {home.num_agents} agents do "
                f"({', '.join(hearing)}); here are {them.world.num_agents}"
            )
        hears = _ears(slots, them.places, home.num_agents)
    spec = ViewSpec.of(home, slots)
    if spec.atlas is not None:  # numbers of tiles are those of the world that is played
        spec = dataclasses.replace(spec, atlas=np.asarray(them.world.tile_atlas))
    learner = learner_of(_one_rate(config), spec, them.places, them.device)
    if not them.born:
        tensors = learner.tensors()
        weights = _weights(run) if them.weights is None else them.weights
        for position, slot in enumerate(slots):
            there = networks.index(slot)
            tensors = checkpoint.adopted(tensors, position, weights, there, run)
        learner.load_tensors(tensors)
    return Recurrent(learner, them.places, hears)


def _ears(slots: Sequence[int], places: Sequence[int], num_agents: int) -> Tensor:
    """Whom an agent hears in place of whom: mates as mates, others as others, in their order."""
    found = []
    for own_slot, own_place in zip(slots, places, strict=True):
        heard = {own_slot: own_place}
        for slot, place in zip(slots, places, strict=True):
            if slot not in heard:
                heard[slot] = place
        others = iter(place for place in range(num_agents) if place not in heard.values())
        found.append([heard[s] if s in heard else next(others) for s in range(num_agents)])
    return torch.tensor(found)


def _one_rate(config: TrainConfig) -> TrainConfig:
    """Nothing is learnt here: learning rates of single agents do not matter."""
    rate = config.algorithm.learning_rate
    first = rate[0] if isinstance(rate, tuple) else rate
    algorithm = dataclasses.replace(config.algorithm, learning_rate=first)
    return dataclasses.replace(config, algorithm=algorithm)


def _weights(run: Path) -> Mapping[str, Tensor]:
    """Weights of a run's newest checkpoint."""
    stored, complaints = checkpoint.load_weights(run)
    for complaint in complaints:
        print(f"refused a damaged checkpoint: {complaint}", file=sys.stderr)
    return stored.weights
