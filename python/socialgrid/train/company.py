"""Networks of a run that play in a world, whatever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from socialgrid.config import TrainConfig


class Company(Protocol):
    """Networks of a run in their seats.

    Attributes:
        seats: where they play.
    """

    seats: tuple[int, ...]

    def begin(self, num_envs: int, first_step: int = 0) -> None:
        """Forget everything: new episodes begin in so many worlds.

        Args:
            num_envs: worlds.
            first_step: number of the first step: where it is another, samples are, too.
        """
        ...

    def act(self, obs: Tensor, reset: Tensor, last: Mapping[str, Tensor], greedy: bool) -> Tensor:
        """Choose actions.

        Args:
            obs: of everybody, ``[E, N, *obs_shape]``.
            reset: bool ``[E, N]``.
            last: what everybody did and got before, ``Rollout.last``.
            greedy: the most probable actions instead of samples.

        Returns:
            integers ``[E, A]``, in the order of the seats.
        """
        ...


@dataclass(frozen=True)
class Engagement:
    """Networks of one run that are asked to play in a world.

    Attributes:
        run: whose they are.
        config: its configuration.
        slots: which of its agents.
        places: seats that they are to take, in the same order.
        born: as they were before they learnt anything.
        weights: tensors of the run's learner; ``None``: those of its newest checkpoint.
        home: a world like the one that they learnt in.
        world: the ``VecEnv`` that they will play in.
        device: where networks live.
    """

    run: Path
    config: TrainConfig
    slots: tuple[int, ...]
    places: tuple[int, ...]
    born: bool
    weights: Mapping[str, Tensor] | None
    home: Any
    world: Any
    device: torch.device
