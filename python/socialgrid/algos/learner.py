"""What every learner offers, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from socialgrid.data.rollout import Recorded, Rollout
from socialgrid.models.hearing import Hearing


@dataclass
class ActOutput(Recorded):
    """Actions of one step and all a rollout has to remember of it.

    Attributes:
        state: float32 ``[E, A, S]``, memory after the step. Pass it to the next ``act``; resets
            are applied there, not here.
    """

    state: Tensor = field(kw_only=True)


class Learner(Protocol):
    """Independent learners of ``A`` agents behind one interface.

    Every tensor that leaves a learner has the agent axis last (``[E, A]``, ``[T, E, A]``) or is
    per agent (``[A]``); checkpoint tensors have it first, all of them, so one agent's part is
    ``tensor[a]`` of each.
    """

    num_agents: int
    state_size: int
    device: torch.device
    hearing: Hearing

    def initial_state(self, num_envs: int) -> Tensor:
        """Zero memory, float32 ``[E, A, S]``."""
        ...

    def act(
        self,
        obs: Tensor,
        state: Tensor,
        reset: Tensor,
        *,
        last: Mapping[str, Tensor] | None = None,
        greedy: bool = False,
        step: int | None = None,
        first_env: int = 0,
        uniform: Mapping[str, Tensor] | None = None,
    ) -> ActOutput:
        """Choose actions.

        What is drawn depends on the agent, the step and the environment alone: neither on the
        other agents, nor on which environments a call is about.

        Args:
            obs: ``[E, A, *obs_shape]`` as the simulator wrote it, on any device.
            state: float32 ``[E, A, S]`` of the previous step.
            reset: bool ``[E, A]``; memory is zeroed before the step where True.
            last: what everybody did and got before, ``Rollout.last``; needed where agents hear of
                it; ``[A, E, N]`` each where every agent hears others.
            greedy: the most probable action instead of a sample (draws no random numbers).
            step: number of this step among those of the environments; by default the learner
                counts the calls itself.
            first_env: index of the first environment among those of the run.
            uniform: what ``draw`` gave for this step, ``[A, E]`` each; drawn here by default.
        """
        ...

    def draw(self, steps: range, envs: range) -> dict[str, Tensor]:
        """Numbers in [0, 1) by which decisions are made, float32 ``[T, A, E]`` by their names, on
        the CPU.

        Args:
            steps: numbers of steps among those of the environments.
            envs: the environments among those of the run.
        """
        ...

    def update(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """Learn from one batch.

        Args:
            rollout: the batch.
            progress: environment steps done before it, for what changes while training goes on.

        Returns:
            metrics by name, each float32 ``[A]`` (NaN for agents that do not learn).

        Raises:
            NonFiniteError: nothing was learnt from the batch that caused it.
        """
        ...

    def set_learning(self, mask: Sequence[bool]) -> None:
        """Choose which agents learn from now on; the others stay exactly as they are."""
        ...

    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """Change learning rates: one for all agents or one for each."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything a continuation needs, flat, CPU, contiguous, every one ``[A, ...]``.

        Names begin with ``model/`` or ``optimiser/``, or are ``learning`` or ``key``.
        """
        ...

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype differs. Nothing has
                changed then.
        """
        ...

    def carried(self) -> dict[str, Tensor]:
        """What mechanisms remember from one batch to the next, CPU tensors ``[E, ...]`` by name."""
        ...

    def load_carried(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``carried``; an empty mapping forgets everything."""
        ...

    def meta(self) -> dict[str, Any]:
        """JSON-able counters: what ``tensors`` cannot hold."""
        ...

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Inverse of ``meta``."""
        ...
