"""Playing one batch after the other: the learner chooses, the simulator steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.algos.learner import ActOutput
from socialgrid.data.rollout import Rollout
from socialgrid.train.on_policy.learner import AnyLearner
from socialgrid.train.worlds import Worlds

Timed = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class _Acting:
    """One half's actions of a step, which may be on their way."""

    half: int
    step: int
    out: ActOutput


class Collector:
    """Plays in the environments of a run, and fills a rollout.

    Attributes:
        memory: of the agents of each half, float32 ``[E, A, S]``; empty before ``start``.
    """

    def __init__(
        self,
        learner: AnyLearner,
        worlds: Worlds,
        rollout: Rollout,
        first_env: int,
        timed: Timed,
    ) -> None:
        """Nobody plays yet.

        Args:
            learner: of the agents that the rollout is of.
            worlds: where they play.
            rollout: of all environments.
            first_env: index of the first environment among those of the run.
            timed: what counts time under a name.
        """
        self.learner, self.worlds, self.rollout = learner, worlds, rollout
        self.memory: list[Tensor] = []
        self._first_env, self._timed = first_env, timed
        self._acting: _Acting | None = None
        self._rows = [slice(half[0].rows.start, half[-1].rows.stop) for half in worlds.halves]
        self._parts = [rollout.part(rows.start, rows.stop - rows.start) for rows in self._rows]
        self._slots = [
            [worlds.bind(half, part.slot(t)) for t in range(rollout.num_steps)]
            for half, part in enumerate(self._parts)
        ]

    def start(self) -> None:
        """Begin new episodes in all environments."""
        first = self.worlds.reset()
        self.rollout.begin(
            torch.from_numpy(first.obs),
            torch.from_numpy(first.active),
            torch.from_numpy(first.last_actions),
            torch.from_numpy(first.visible),
        )
        self.memory = self.new_memory()

    def new_memory(self) -> list[Tensor]:
        """That of new episodes."""
        return [self.learner.initial_state(part.num_envs) for part in self._parts]

    def play(self, first_step: int) -> None:
        """Play one batch.

        Args:
            first_step: number of its first step among those of the environments; actions are
                drawn by it.
        """
        count = self.rollout.num_steps
        steps = range(first_step, first_step + count)
        drawn = []
        for rows in self._rows:
            with self._timed("act"):
                envs = range(self._first_env + rows.start, self._first_env + rows.stop)
                drawn.append(self.learner.draw(steps, envs))
        halves = range(len(self._parts))
        for half in halves:
            self._act(half, 0, drawn[half])
        for t in range(count):
            for half in halves:
                if t + 1 == count or (self._acting and self._acting.half == half):
                    self._settle()
                with self._timed("simulate"):
                    self.worlds.recv(half)
                self._parts[half].finish_step(t)
                if t + 1 < count:
                    self._act(half, t + 1, drawn[half])

    def _act(self, half: int, t: int, drawn: Mapping[str, Tensor]) -> None:
        """Choose one half's actions of step ``t`` and start the step.

        An accelerator is given this to do before the other half's actions are waited for, so that
        it has work meanwhile; these actions then wait for the next call.
        """
        part, rows = self._parts[half], self._rows[half]
        with self._timed("act"):
            obs, reset = part.inputs(t)
            out = self.learner.act(
                *(obs, self.memory[half], reset),
                last=part.last(t),
                first_env=self._first_env + rows.start,
                uniform={name: x[t] for name, x in drawn.items()},
            )
            self.memory[half] = out.state
        self._settle()
        self._acting = _Acting(half, t, out)
        if out.arriving is None:
            self._settle()

    def _settle(self) -> None:
        """Start the step of the half whose actions have been chosen, if there is one."""
        acting, self._acting = self._acting, None
        if acting is None:
            return
        half, t, worlds = acting.half, acting.step, self.worlds
        part, rows = self._parts[half], self._rows[half]
        with self._timed("act"):
            worlds.actions[rows, self.rollout.agents] = part.record(t, acting.out).numpy()
        with self._timed("simulate"):
            worlds.send(half, worlds.actions, self._slots[half][t])
        part.take(t, torch.from_numpy(worlds.actions[rows]))
