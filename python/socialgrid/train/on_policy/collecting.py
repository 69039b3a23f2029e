"""Playing one batch after the other: the learner chooses, the simulator steps."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from socialgrid import _core
from socialgrid.algos.learner import ActOutput
from socialgrid.algos.untouched import untouched
from socialgrid.data.rollout import Rollout
from socialgrid.train.on_policy.learner import AnyLearner
from socialgrid.train.worlds import Part, Worlds

Array = npt.NDArray[Any]

Given = tuple[int, int]  # an address, and the distance of steps


@dataclass(frozen=True)
class _Acting:
    """One half's actions of a step, which may be on their way."""

    half: int
    step: int
    out: ActOutput


class Collector:
    """Plays in the environments of a run, and fills a rollout.

    Where nothing in Python has a part in a step, a whole batch is one call of the core, in which
    environments go their ways without waiting for each other; otherwise it goes step by step. The
    numbers are the same. Where such a call ends with an error, or by a signal, nobody has moved.

    Attributes:
        memory: of the agents of each half, float32 ``[E, A, S]``; empty before ``start``.
        seconds: what the last batch took, by name.
    """

    def __init__(
        self, learner: AnyLearner, worlds: Worlds, rollout: Rollout, first_env: int
    ) -> None:
        """Nobody plays yet.

        Args:
            learner: of the agents that the rollout is of.
            worlds: where they play.
            rollout: of all environments.
            first_env: index of the first environment among those of the run.
        """
        self.learner, self.worlds, self.rollout = learner, worlds, rollout
        self.memory: list[Tensor] = []
        self.seconds: dict[str, float] = {}
        self._first_env = first_env
        self._acting: _Acting | None = None
        self._rows = [slice(half[0].rows.start, half[-1].rows.stop) for half in worlds.halves]
        self._parts = [rollout.part(rows.start, rows.stop - rows.start) for rows in self._rows]
        self._slots: list[list[list[_core.BoundOut]]] = []  # by half and step

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
        self.seconds = {}
        steps = range(first_step, first_step + self.rollout.num_steps)
        compiled = self._alone()
        if compiled is not None:
            self.play_at_once(compiled, steps)
        else:
            self.play_by_steps(steps)

    def _alone(self) -> _core.Acting | None:
        """What acts where Python has a part in no step, neither of learners nor of players."""
        learner, rollout, parts = self.learner, self.rollout, self.worlds.parts
        agents = rollout.agents
        apart = {later - sooner for sooner, later in itertools.pairwise(agents)}
        if len(apart) > 1 or min(apart, default=1) < 1 or len(agents) != learner.num_agents:
            return None
        recording = untouched(rollout, Rollout, "record", "take", "finish_step", "keep_last_views")
        if not recording or not untouched(self.worlds, Worlds, "send", "recv"):
            return None
        if any(part.minds() is None for part in parts):
            return None
        return learner.acts_alone(rollout.obs[0])

    def play_at_once(self, acting: _core.Acting, steps: range) -> None:
        """Play a batch in which ``acting`` chooses.

        Raises:
            ValueError: numbers to draw by or memories are not as the learner's own are.
        """
        before, memory = self.worlds.get_state(), self.memory
        try:
            self._play_all(acting, steps)
        except BaseException:  # of a signal, too
            self.memory = memory
            self.worlds.set_state(before)
            raise

    def _play_all(self, acting: _core.Acting, steps: range) -> None:
        """Play everywhere; some have moved and others not if this fails."""
        start = time.perf_counter()
        threads = self.learner.workers.count(self.learner.device)
        state = (self.rollout.num_learners, self.rollout.state.shape[-1])
        for own, x in zip(self._parts, self.memory, strict=True):
            _check("memory", x, (own.num_envs, *state))
        memory = [x.clone(memory_format=torch.contiguous_format) for x in self.memory]
        ends = []
        share = np.zeros(2)
        for half, first in enumerate(self._rows):
            for part in self.worlds.halves[half]:
                rows = slice(part.rows.start - first.start, part.rows.stop - first.start)
                own = self._parts[half].part(rows.start, part.env.num_envs)
                when, views, *seconds = self._collect(
                    acting, part, own, memory[half][rows], steps, threads
                )
                ends.append((when + np.array([0, part.first]), views))
                share += seconds
        self.memory = memory
        self._keep_last_views(ends)
        took = time.perf_counter() - start
        share /= share.sum()
        self.seconds = {"act": took * float(share[0]), "simulate": took * float(share[1])}

    def _collect(
        self,
        acting: _core.Acting,
        part: Part,
        own: Rollout,
        memory: Tensor,
        steps: range,
        threads: int,
    ) -> tuple[Array, Array, float, float]:
        """Play in some environments; see ``_core.collect``."""
        first = self._first_env + part.first
        drawn = self.learner.draw(steps, range(first, first + own.num_envs))
        for name, x in drawn.items():
            _check(f"uniform numbers of {name}", x, (len(steps), own.num_learners, own.num_envs))
        drawn = {name: x.contiguous() for name, x in drawn.items()}
        views = own.obs.element_size()
        written = [
            (own.obs.data_ptr(), own.obs.stride(0) * views),
            *map(_given, (own.reward, own.terminated, own.truncated, own.done, own.active)),
            *map(_given, (own.reset, own.last_actions, own.visible, own.events, own.taken)),
            *map(_given, (own.last_rewards, own.state, own.tokens)),
        ]
        decided = [
            [*map(_given, (made.choice, made.log_prob, made.value, drawn.get(name)))]
            for name, made in own.decisions.items()
        ]
        final = own.slot(0)["final_obs"].data_ptr()
        players = part.minds() or []
        while True:
            found = _core.collect(
                acting,
                part.env._core,
                self.rollout.agents,
                [player.calls for player in players],
                self.learner.heard_alone() or [],
                own.num_steps,
                written,
                decided,
                memory.data_ptr(),
                memory.shape[-1],
                final,
                threads,
            )
            if found is not None:
                break
            for player in players:
                player.make_room(part.env)
        for player in players:
            player.went_on(own.num_steps)
        part.info = {"active": own.active[-1].numpy(), "done": own.done[-1].numpy()}
        return found

    def _keep_last_views(self, ends: list[tuple[Array, Array]]) -> None:
        """Keep those of all parts, in the order in which they are found step by step."""
        rollout = self.rollout
        when, last = ends[0]
        if len(ends) > 1:  # otherwise they are in order
            when = np.concatenate([when for when, _ in ends])
            order = np.lexsort((when[:, 1], when[:, 0]))
            when = when[order]
            last = np.concatenate([views for _, views in ends])[order]
        if len(when):
            views = torch.from_numpy(last)
            shape = (len(when), rollout.num_agents, *rollout.obs_shape)
            rollout.keep_last_views(
                torch.from_numpy(when), views.view(rollout.obs.dtype).view(shape)
            )

    def play_by_steps(self, steps: range) -> None:
        """Play a batch with Python between steps; a failure ends steps that are under way."""
        self._acting = None
        try:
            self._play_steps(steps)
        except BaseException:  # of a signal, too
            self._acting = None
            self.worlds.give_up()
            raise

    def _play_steps(self, steps: range) -> None:
        if not self._slots:
            self._slots = [
                [self.worlds.bind(half, part.slot(t)) for t in range(len(steps))]
                for half, part in enumerate(self._parts)
            ]
        drawn = []
        for rows in self._rows:
            with self._timed("act"):
                envs = range(self._first_env + rows.start, self._first_env + rows.stop)
                drawn.append(self.learner.draw(steps, envs))
        halves = range(len(self._parts))
        for half in halves:
            self._act(half, 0, drawn[half])
        for t in range(len(steps)):
            for half in halves:
                if t + 1 == len(steps) or (self._acting and self._acting.half == half):
                    self._settle()
                with self._timed("simulate"):
                    self.worlds.recv(half)
                self._parts[half].finish_step(t)
                if t + 1 < len(steps):
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

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - start


def _given(x: Tensor | None) -> Given:
    return (0, 0) if x is None else (x.data_ptr(), x.stride(0))


def _check(what: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse what the core would read as something else."""
    if tuple(x.shape) != shape or x.dtype != torch.float32 or x.device.type != "cpu":
        raise ValueError(
            f"acting: {what} {x.dtype} {tuple(x.shape)} on {x.device}, expected {torch.float32} "
            f"{shape} on cpu"
        )
