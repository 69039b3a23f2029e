"""The synchronous training loop: collect a batch, learn from it, tell, save."""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from socialgrid.algos.options import OnPolicyConfig
from socialgrid.config import TrainConfig, check_imports, from_dict, load_config, run_files, to_dict
from socialgrid.config.course import Course
from socialgrid.config.errors import CheckpointError, UsageError, told
from socialgrid.config.phases import told_of_phase
from socialgrid.measures.episodes import EpisodeMetrics
from socialgrid.models.finite import NonFiniteError
from socialgrid.report.console import Console, make_console
from socialgrid.report.events import Events
from socialgrid.report.metrics_file import MetricsFile
from socialgrid.train import checkpoint, resolved
from socialgrid.train.device import choose_device, prepare_torch
from socialgrid.train.interrupt import PATIENCE, Abandoned, Interrupt
from socialgrid.train.on_policy.learner import (
    build_learner,
    build_rollout,
    check_phases,
    set_options,
)
from socialgrid.train.seeds import REBUILT_WORLDS, derived_seed
from socialgrid.train.worlds import Phase, Worlds, build_worlds, phase_at

if TYPE_CHECKING:
    from socialgrid.train.off_policy.trainer import PeerTrainer
    from socialgrid.train.on_policy.asynchronous import AsyncTrainer

AnyTrainer: TypeAlias = "Trainer | AsyncTrainer | PeerTrainer"

_LONG_UPDATE = 0.4  # seconds; what came before longer ones is kept, to go back to
_LONG_STEP = 10.0  # seconds after which a step of tasks is taken to hang

# What the first step of a rollout needs of the last one before.
_CARRIED = ("obs", "active", "reset", "last_actions", "last_rewards", "visible")


class SynchronousRun(ABC):
    """A training run that alternates between acting and learning in one process.

    Attributes:
        config: the resolved configuration.
        run_dir: where everything of the run goes.
        names: what the agents are called in tables and curves.
        update, env_steps, episodes: counters.
        seconds: time spent, earlier sessions of a resumed run included.
        begun: whether it has checkpoints; then its weights are there, and not those of other runs.
        exact: whether a resumed run is what it would have been without the break.
        lock: of the run's directory, while it is trained.
        identity: of the configuration, which checkpoints name.
        interrupt: signals that came while it trains.
        problem: what keeps the run from going on after this row.
    """

    names: list[str]
    exact = True
    goes_back = False  # whether its state is small enough to copy it before long updates
    lock: run_files.RunLock | None = None
    identity = ""

    def __init__(self, config: TrainConfig, run_dir: Path, *, begun: bool | None = None) -> None:
        """Set torch up; nothing is written yet.

        Args:
            config: the resolved configuration.
            run_dir: where everything of the run goes.
            begun: see the attributes; looked up by default.

        Raises:
            UsageError: this machine does not have the device.
        """
        self.config, self.run_dir = config, run_dir
        self.begun = bool(checkpoint.found(run_dir / "checkpoints")) if begun is None else begun
        prepare_torch(config.run)
        self.device = choose_device(config.run.device)
        if self.device.type == "cuda":  # a resumed run must be the same run
            torch.backends.cudnn.benchmark = False
            torch.use_deterministic_algorithms(True, warn_only=True)
        self.update = self.env_steps = self.episodes = 0
        self.seconds = 0.0
        self._clock: dict[str, float] = {}
        self._metrics_bytes = 0
        self._saved_step = self._earlier_step = -1
        self._clock_total: float | None = None  # seconds of the last row
        self.interrupt = Interrupt()
        self.problem: UsageError | None = None

    @property
    def progress(self) -> int:
        """How much of ``run.total_steps`` is done."""
        return self.env_steps

    @abstractmethod
    def begin(self) -> None:
        """Start the first episodes, unless the run goes on from a checkpoint."""

    @abstractmethod
    def step(self) -> dict[str, Any]:
        """Act and learn for a while.

        Returns:
            the row of metrics.

        Raises:
            NonFiniteError: a reward or anything in the learner is not finite.
        """

    @abstractmethod
    def capture(self, metrics_bytes: int) -> checkpoint.Checkpoint:
        """The state between two rows; its arrays are those that training goes on writing to.

        Args:
            metrics_bytes: length of the metrics so far.
        """

    def save(self, metrics: MetricsFile) -> Path:
        """Write a checkpoint of the state between two rows."""
        metrics.sync()
        return self._write(self.capture(metrics.num_bytes), self.env_steps)

    def _write(self, state: checkpoint.Checkpoint, step: int) -> Path:
        path = checkpoint.save(
            self.run_dir / "checkpoints",
            step,
            state,
            self.config.run.keep_checkpoints,
            self.identity,
        )
        self._saved_step = step
        return path

    @abstractmethod
    def restore(self, stored: checkpoint.Checkpoint) -> None:
        """Take over everything from a checkpoint.

        Raises:
            CheckpointError: it does not fit this run.
        """

    def goal(self) -> int:
        """Environment steps at which the run is over at the latest."""
        return self.config.run.total_steps

    def over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.progress >= self.goal()

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._clock[what] = self._clock.get(what, 0.0) + time.perf_counter() - start

    def train(self, console: Console | None = None) -> int:
        """Run until the wanted number of steps, or until interrupted.

        Returns:
            0, or 128 plus the number of the signal that stopped it (130 for Ctrl-C).
        """
        try:
            return self._train(console)
        finally:
            if self.lock is not None:
                self.lock.release()

    def _train(self, given: Console | None) -> int:
        self.begin()
        run = self.config.run
        metrics = MetricsFile(self.run_dir / "metrics.jsonl", self._metrics_bytes)
        logging = self.config.logging
        events = Events(
            self.run_dir / "tensorboard", self.names, logging.tensorboard, self.env_steps
        )
        console = given or make_console(self.names, logging.console_seconds)
        interrupt = self.interrupt = Interrupt()
        saved_at = time.monotonic()
        torn = False
        try:
            with interrupt.watching(console):
                while not self.over() and interrupt.signal is None:
                    earlier = self._to_go_back_to(metrics)
                    try:
                        row = self._interruptible_step(earlier)
                    except Abandoned:
                        torn = True
                        self._give_up(earlier, console)
                        break
                    metrics.write(row)
                    events.write(row)
                    interrupt.telling(partial(console.update, row, self.goal()))
                    if "phase_ended" in row:
                        words = told_of_phase(row["phase_ended"])
                        interrupt.telling(partial(console.say, words))
                    # The first one is written at once: from then on something is kept.
                    due = time.monotonic() - saved_at >= run.checkpoint_minutes * 60
                    if due or self._saved_step < 0 or self.problem is not None:
                        self.save(metrics)
                        saved_at = time.monotonic()
                    if self.problem is not None:
                        raise self.problem
                if self.env_steps != self._saved_step and not torn:
                    self.save(metrics)
        finally:
            events.close()
            metrics.close()
            console.close()
        return 0 if interrupt.signal is None else 128 + interrupt.signal

    def _interruptible_step(self, earlier: checkpoint.Checkpoint | None) -> dict[str, Any]:
        """One row; given up after a signal where that loses nothing, or where it hangs."""
        if earlier is None and self.goes_back:
            return self.step()
        with self.interrupt.giving_up(PATIENCE if earlier is not None else _LONG_STEP):
            return self.step()

    def _to_go_back_to(self, metrics: MetricsFile) -> checkpoint.Checkpoint | None:
        """A copy of the state before an update that is likely to take long."""
        last = self._clock_total
        if not self.goes_back or (last is not None and last < _LONG_UPDATE):
            return None
        state = self.capture(metrics.num_bytes)
        self._earlier_step = self.env_steps
        return checkpoint.Checkpoint(
            {name: tensor.detach().clone() for name, tensor in state.weights.items()},
            {name: np.array(array) for name, array in state.arrays.items()},
            copy.deepcopy(dict(state.state)),
        )

    def _give_up(self, earlier: checkpoint.Checkpoint | None, console: Console) -> None:
        """Leave an update unfinished, with a checkpoint of what was before it if there is one."""
        for child in multiprocessing.active_children():  # one of them may be what hangs
            child.kill()
        words = "the last checkpoint stays"
        if earlier is not None:
            if self._saved_step != self._earlier_step:
                self._write(earlier, self._earlier_step)
            words = f"the checkpoint is of step {self._earlier_step:,}"
        self.interrupt.telling(lambda: console.say(f"stopped inside an update; {words}"))


class Trainer(SynchronousRun):
    """One training run.

    Attributes:
        config: the resolved configuration.
        run_dir: where everything of the run goes.
        learner: the learner of all agents with networks.
        update, env_steps, episodes: counters.
        agent_steps: steps in play of all agents, added up.
        seconds: time spent, earlier sessions of a resumed run included.
    """

    goes_back = True

    def __init__(
        self,
        config: TrainConfig,
        run_dir: Path,
        first_env: int = 0,
        *,
        begun: bool | None = None,
    ) -> None:
        """Make everything that training needs; nothing is written yet.

        Args:
            config: the resolved configuration.
            run_dir: where everything of the run goes.
            first_env: index of the first environment's random streams.
            begun: see ``SynchronousRun``.

        Raises:
            UsageError: an option does not fit the game, the players or the machine.
        """
        super().__init__(config, run_dir, begun=begun)
        self.first_env = first_env
        roster = config.roster
        self.players, self.slots, self.names = roster.players, roster.slots, roster.names()
        self.builds = 0
        self.course = Course(config)
        self.phase = phase_at(self.course.config, 0)
        self.worlds = self._build_worlds()
        self.learner = build_learner(
            config, self.worlds.env, self.device, run_dir / "dumps", begun=self.begun
        )
        check_phases(self.learner, self.course)
        self.rollout = build_rollout(
            config.env.rollout_steps, self.slots, self.worlds, self.learner
        )
        self._parts = self._split_rollout()
        self._memory: list[Tensor] = []
        self.agent_steps = 0
        # Of the episodes that go on: returns, and whether the agent was in play in them.
        self._returns = np.zeros((config.env.num_envs, len(self.players)), np.float64)
        self._played = np.zeros(self._returns.shape, np.bool_)
        self._episodes = EpisodeMetrics(
            config.env.num_envs, len(self.players), self.worlds.env.event_names
        )

    def goal(self) -> int:
        """See ``SynchronousRun``."""
        return self.course.goal()

    def over(self) -> bool:
        """See ``SynchronousRun``."""
        return self.course.over(self.env_steps)

    # -- state ------------------------------------------------------------------------------

    def _env_seed(self) -> int:
        """Seed of the environments; every change of phase takes another one."""
        seed = self.config.run.seed
        return seed if self.builds == 0 else derived_seed(seed, REBUILT_WORLDS, self.builds)

    def _build_worlds(self) -> Worlds:
        return build_worlds(self.config, self.phase, self._env_seed(), first_env=self.first_env)

    def _split_rollout(self) -> list[Any]:
        """Views of the storage, one for each half of the batch."""
        parts = []
        for half in self.worlds.halves:
            first, last = half[0].rows.start, half[-1].rows.stop
            parts.append(self.rollout.part(first, last - first))
        return parts

    def begin(self) -> None:
        """See ``SynchronousRun``."""
        if not self._memory:
            self.start()

    def start(self) -> None:
        """Begin new episodes in all environments."""
        first = self.worlds.reset()
        self.rollout.begin(
            torch.from_numpy(first.obs),
            torch.from_numpy(first.active),
            torch.from_numpy(first.last_actions),
            torch.from_numpy(first.visible),
        )
        self._memory = [self.learner.initial_state(part.num_envs) for part in self._parts]
        self.learner.load_carried({})
        self._returns[:] = 0
        self._played[:] = False
        self._episodes = EpisodeMetrics(*self._returns.shape, self.worlds.env.event_names)

    def follow_schedule(self) -> bool:
        """Rebuild the environments when the schedules ask for other ones."""
        phase = phase_at(self.course.config, self.episodes)
        if phase == self.phase:
            return False
        self.phase = phase
        self.builds += 1
        self.worlds.close()
        self.worlds = self._build_worlds()
        self._parts = self._split_rollout()
        self.start()
        return True

    def capture(self, metrics_bytes: int) -> checkpoint.Checkpoint:
        """See ``SynchronousRun``."""
        rollout = self.rollout
        arrays = {f"worlds/{name}": array for name, array in self.worlds.get_state().items()}
        arrays |= {f"rollout/{name}": getattr(rollout, name)[0].numpy() for name in _CARRIED}
        arrays |= {f"episodes/{name}": sums for name, sums in self._episodes.get_state().items()}
        arrays |= {f"carried/{name}": x.numpy() for name, x in self.learner.carried().items()}
        arrays["returns"], arrays["played"] = self._returns, self._played
        for half, memory in enumerate(self._memory):
            arrays[f"memory/{half}"] = memory.cpu().numpy()
        state = {
            "update": self.update,
            "env_steps": self.env_steps,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "builds": self.builds,
            "seconds": self.seconds,
            "metrics_bytes": metrics_bytes,
            "num_solo": self.phase.num_solo,
            "options": dict(self.phase.options),
            "phases": self.course.get_state(),
            "learner": self.learner.meta(),
        }
        return checkpoint.Checkpoint(self.learner.tensors(), arrays, state)

    def restore(self, stored: checkpoint.Checkpoint) -> None:
        """Take over everything from a checkpoint.

        Raises:
            CheckpointError: it does not fit this run.
        """
        state, arrays = stored.state, stored.arrays
        try:
            self.update, self.env_steps = int(state["update"]), int(state["env_steps"])
            # Older checkpoints say nothing of who was in play: everybody, then.
            everybody = self.env_steps * len(self.players)
            self.agent_steps = int(state.get("agent_steps", everybody))
            self.episodes, self.builds = int(state["episodes"]), int(state["builds"])
            self.seconds = float(state["seconds"])
            self._metrics_bytes = int(state["metrics_bytes"])
            if self.config.phases:
                self.course.set_state(state["phases"])
                set_options(self.learner, self.course.config)
            phase = Phase(dict(state["options"]), int(state["num_solo"]))
            if phase != self.phase or self.builds:
                self.worlds.close()
                self.phase = phase
                self.worlds = self._build_worlds()
                self._parts = self._split_rollout()
            self.worlds.set_state(_named(arrays, "worlds/"))
            self.learner.load_tensors(stored.weights)
            self.learner.load_meta(state["learner"])
            rollout = self.rollout
            carried = {
                name: _tensor_like(arrays[f"rollout/{name}"], getattr(rollout, name)[0])
                for name in _CARRIED
            }
            reset = carried.pop("reset")
            rollout.begin(**carried)
            rollout.reset[0].copy_(reset)
            self._memory = [
                _tensor_like(arrays[f"memory/{half}"], self.learner.initial_state(part.num_envs))
                for half, part in enumerate(self._parts)
            ]
            self._returns[:] = arrays["returns"]
            self._played[:] = arrays.get("played", True)
            self._episodes.set_state(_named(arrays, "episodes/"))
            self.learner.load_carried(
                {name: torch.from_numpy(x.copy()) for name, x in _named(arrays, "carried/").items()}
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint does not fit this run: {error}") from None
        self._saved_step = self.env_steps

    # -- one update -------------------------------------------------------------------------

    def collect(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Play one batch.

        Returns:
            returns ``[N]`` of the episodes that ended, in environments with everybody and in
            solo ones; NaN of agents that were never in play in them.
        """
        finished: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        steps, halves = self.rollout.num_steps, range(len(self._parts))
        for half in halves:
            self._act(half, 0)
        for t in range(steps):
            for half in halves:
                with self._timed("simulate"):
                    self.worlds.recv(half)
                part = self._parts[half]
                part.finish_step(t)
                self._count(half, t, finished)
                if t + 1 < steps:
                    self._act(half, t + 1)
        return finished

    def _act(self, half: int, t: int) -> None:
        """Choose one half's actions of step ``t`` and start the step."""
        part = self._parts[half]
        with self._timed("act"):
            obs, reset = part.inputs(t)
            out = self.learner.act(obs, self._memory[half], reset, last=part.last(t))
            part.record(t, out)
            self._memory[half] = out.state
            rows = slice(self.worlds.halves[half][0].rows.start,
                         self.worlds.halves[half][-1].rows.stop)  # fmt: skip
            self.worlds.actions[rows, self.slots] = out.action.cpu().numpy()
        with self._timed("simulate"):
            self.worlds.send(half, self.worlds.actions, part.slot(t))
        part.take(t, torch.from_numpy(self.worlds.actions[rows]))

    def _count(
        self, half: int, t: int, finished: tuple[list[np.ndarray], list[np.ndarray]]
    ) -> None:
        part = self._parts[half]
        for world in self.worlds.halves[half]:
            first = world.first - self.worlds.halves[half][0].first
            rows = slice(first, first + world.env.num_envs)
            returns = self._returns[world.rows]
            played = self._played[world.rows]
            returns += part.reward[t, rows].numpy()
            played |= part.active[t, rows].numpy()
            done = part.done[t, rows].numpy()
            if done.any():
                finished[world.solo].extend(np.where(played[done], returns[done], np.nan))
                returns[done] = 0
                played[done] = False

    def step(self) -> dict[str, Any]:
        """Collect one batch, in the worlds the schedules ask for, and learn from it.

        See ``SynchronousRun``.
        """
        self.follow_schedule()
        start = time.perf_counter()
        self._clock = {}
        together, solo = self.collect()
        outcomes = self._outcomes()
        self._check_rewards()
        with self._timed("update"):
            learnt = self.learn()
        played = int(self.rollout.active[:-1].sum())
        self.rollout.carry_over()
        self.update += 1
        self.agent_steps += played
        steps = self.rollout.num_steps * self.rollout.num_envs
        self.env_steps += steps
        self.episodes += len(together) + len(solo)
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self._clock_total = seconds
        num_agents = len(self.players)
        row: dict[str, Any] = {
            "update": self.update,
            "env_steps": self.env_steps,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "episodes_finished": len(together),
            "solo_episodes_finished": len(solo),
            "seconds": self.seconds,
            "env_steps_per_second": steps / seconds,
            "agent_steps_per_second": played / seconds,
            "return": _mean_returns(together, num_agents),
            "return_std": _std_returns(together, num_agents),
            "time": {**self._clock, "other": seconds - sum(self._clock.values())},
            "options": {name: self.phase.options[name] for name in self.config.schedule.options},
            "learner": {
                name: _per_slot(values, self.slots, num_agents) for name, values in learnt.items()
            },
        }
        if outcomes is not None:
            row["episode"] = outcomes
        if pairs := self.learner.pairs():
            row["pairs"] = {
                name: _per_pair(table, self.slots, num_agents) for name, table in pairs.items()
            }
        self.follow_phases(row)
        if self.phase.num_solo:
            row["solo_return"] = [
                None if slot in self.worlds.absent else value
                for slot, value in enumerate(_mean_returns(solo, num_agents))
            ]
        return row

    def follow_phases(self, row: dict[str, Any]) -> None:
        """Note in a row which phase it belongs to, and enter the next one when that is over."""
        if self.course.follow(row):
            set_options(self.learner, self.course.config)

    def learn(self) -> dict[str, Tensor]:
        """Learn from the batch collected last; returns the learner's metrics."""
        return self.learner.update(self.rollout, progress=self.env_steps - self.course.start)

    def _outcomes(self) -> dict[str, float | None] | None:
        """Means of what became of the group, over the episodes with everybody that ended.

        Returns:
            as ``EpisodeMetrics`` names them, or ``None`` where one agent plays by itself a game
            that counts no events.
        """
        rollout = self.rollout
        done = rollout.done.numpy()
        finished = self._episodes.update(
            rollout.reward.numpy(), done, rollout.events.numpy(), rollout.active[:-1].numpy()
        )
        if len(self.players) == 1 and not self.worlds.env.event_names:
            return None
        solo = self.worlds.solo[np.argwhere(done)[:, 1]]
        return mean_outcomes([one for one, alone in zip(finished, solo, strict=True) if not alone])

    def _check_rewards(self) -> None:
        """Stop on a reward that is not finite, with the batch on the disk."""
        finite = torch.isfinite(self.rollout.reward)
        if bool(finite.all()):
            return
        agent = int((~finite).nonzero()[0, -1])
        dump = self.run_dir / "dumps" / f"update-{self.update + 1}-rewards.safetensors"
        dump.parent.mkdir(parents=True, exist_ok=True)
        save_file({"obs": self.rollout.obs, "reward": self.rollout.reward}, dump)
        raise NonFiniteError("reward", self.update + 1, agent, dump)


def make_trainer(config: TrainConfig, run_dir: Path) -> AnyTrainer:
    """The trainer that a configuration asks for: on-policy in one process or with several
    actor-learners, or off-policy.

    Raises:
        UsageError: an option does not fit the game, the players or the machine.
    """
    if config.off_policy:
        from socialgrid.train.off_policy import trainer as peers  # noqa: PLC0415 (it imports this)

        return peers.PeerTrainer(config, run_dir)
    if isinstance(config.algorithm, OnPolicyConfig) and config.algorithm.workers > 1:
        from socialgrid.train.on_policy import asynchronous  # noqa: PLC0415 (it imports this)

        return asynchronous.AsyncTrainer(config, run_dir)
    return Trainer(config, run_dir)


def create_run(config: TrainConfig, run_dir: Path, *, fresh: bool = False) -> AnyTrainer:
    """Prepare a new run in a directory that is its own until it ends.

    Args:
        config: the resolved configuration.
        run_dir: where everything of the run goes; made if needed, and removed again where the
            run cannot be prepared.
        fresh: make a directory that was not there; where there is one of that name, a number is
            added to the name.

    Raises:
        UsageError: a bad option, the directory holds a run already, or it cannot be written.
    """
    lock = run_files.claim(run_dir, fresh=fresh)
    try:
        trainer = make_trainer(config, lock.run_dir)
        data = to_dict(config)
        trainer.identity = run_files.identity_of(data)
        run_files.write_config(lock.run_dir, data, trainer.identity)
        resolved.record(lock.run_dir, _resolve(trainer), begin=True)
    except OSError as error:
        lock.undo()
        raise UsageError(told(error, lock.run_dir)) from None
    except BaseException:
        lock.undo()
        raise
    trainer.lock = lock
    return trainer


def resume_run(
    run_dir: Path, total_steps: int | None = None, imports: Sequence[str] = ()
) -> tuple[AnyTrainer, list[str]]:
    """Prepare to go on with a run from its newest whole checkpoint.

    Args:
        run_dir: the run.
        total_steps: a new goal; the old one when absent.
        imports: modules that the run's record may name, as ``gymnasium:MODULE:ID`` does.

    Returns:
        the trainer, and what has to be told the user about what cannot go on as it was.

    Raises:
        UsageError: not a run, another process trains it, its checkpoints are gone, or none of
            them is whole; or its tasks need code that nobody allowed.
    """
    # A directory that is no run stays as it is.
    check_imports(load_config(run_dir), run_dir, imports)
    lock = run_files.RunLock(run_dir)
    try:
        trainer, messages = _resume(run_dir, total_steps, imports)
    except OSError as error:
        raise UsageError(told(error, run_dir)) from None
    finally:
        if sys.exc_info()[0] is not None:
            lock.release()
    trainer.lock = lock
    return trainer, messages


def _resume(
    run_dir: Path, total_steps: int | None, imports: Sequence[str]
) -> tuple[AnyTrainer, list[str]]:
    config, (_, identity) = load_config(run_dir), run_files.read_config(run_dir)
    check_imports(config, run_dir, imports)  # another process may have changed it
    if total_steps is not None:
        data = to_dict(config)
        data["run"]["total_steps"] = total_steps
        for phase in list(data["phases"].values())[-1:]:
            phase["steps"] = 0  # the last one lasts as long as the run does
        config = from_dict(data)
    folder = run_dir / "checkpoints"
    messages: list[str] = []
    if not checkpoint.found(folder):
        _refuse_lost(run_dir)
        trainer = make_trainer(config, run_dir)
        messages.append("no checkpoint yet: starting from the beginning")
    else:
        path, stored, complaints = checkpoint.load_newest(folder, identity)
        trainer = make_trainer(config, run_dir)
        try:
            checkpoint.check_counters(stored.state)
            checkpoint.check_alike(stored.weights, trainer.learner.tensors())
            trainer.restore(stored)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except Exception as error:  # whatever hostile numbers lead to
            raise CheckpointError(
                f"{path}: does not fit this run: {type(error).__name__}: {error}"
            ) from None
        messages += [f"refused a damaged checkpoint: {complaint}" for complaint in complaints]
        if complaints:
            checkpoint.set_aside(folder, path)
            messages.append(f"going on from the one before: {path}")
        if isinstance(trainer, SynchronousRun) and not trainer.exact:
            messages.append(f"{config.env.game} cannot be saved: new episodes begin here")
    trainer.identity = identity
    run_files.write_config(run_dir, to_dict(config), identity)
    messages += resolved.record(run_dir, _resolve(trainer), begin=not trainer.env_steps)
    return trainer, messages


def _resolve(trainer: AnyTrainer) -> dict[str, Any]:
    shares = getattr(trainer, "shares", None)  # workers have threads of their own
    threads = shares[0][0].run.threads if shares else torch.get_num_threads()
    return resolved.resolve(trainer.config, threads)


def _refuse_lost(run_dir: Path) -> None:
    """Refuse to begin anew over the metrics of a run that had checkpoints.

    The first one follows the first row, so that a run killed before it has a row at most.
    """
    path = run_dir / run_files.METRICS
    if not path.exists():
        return
    with os.fdopen(run_files.open_regular(path), "rb") as file:
        rows = file.read(1 << 20).count(b"\n")
    if rows > 1:
        raise UsageError(
            f"{run_dir}: its checkpoints are gone; what it measured is still in {path}: move that "
            "file away to begin anew with --resume"
        )


def mean_outcomes(episodes: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Mean of each metric over the episodes that have a number for it; None if none has."""
    means: dict[str, float | None] = {}
    for name in dict.fromkeys(name for episode in episodes for name in episode):
        numbers = [episode[name] for episode in episodes if math.isfinite(episode[name])]
        means[name] = float(np.mean(numbers)) if numbers else None
    return means


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Those arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _tensor_like(array: np.ndarray, like: Tensor) -> Tensor:
    tensor = torch.from_numpy(array.copy())
    if tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise ValueError(
            f"{tuple(tensor.shape)} {tensor.dtype} where {tuple(like.shape)} {like.dtype} belongs"
        )
    return tensor.to(like.device)


def _mean_returns(returns: list[np.ndarray], num_agents: int) -> list[float | None]:
    return [float(np.mean(own)) if len(own) else None for own in _known(returns, num_agents)]


def _std_returns(returns: list[np.ndarray], num_agents: int) -> list[float | None]:
    return [float(np.std(own)) if len(own) else None for own in _known(returns, num_agents)]


def _known(returns: list[np.ndarray], num_agents: int) -> list[np.ndarray]:
    """Each agent's returns, of the episodes in which it was in play."""
    if not returns:
        return [np.zeros(0)] * num_agents
    return [own[~np.isnan(own)] for own in np.array(returns).T]


def _per_pair(table: Tensor, slots: tuple[int, ...], num_agents: int) -> list[list[float | None]]:
    """Spread a learner's table ``[A, N]`` over all agents ``[N][N]``; None where there is no
    number, nor anything that an agent could do to itself.
    """
    spread: list[list[float | None]] = [[None] * num_agents for _ in range(num_agents)]
    for slot, values in zip(slots, table.tolist(), strict=True):
        spread[slot] = [
            value if other != slot and math.isfinite(value) else None
            for other, value in enumerate(values)
        ]
    return spread


def _per_slot(values: Tensor, slots: tuple[int, ...], num_agents: int) -> list[float | None]:
    """Spread a learner's metrics ``[A]`` over all agents; None where there is no number."""
    spread: list[float | None] = [None] * num_agents
    for slot, value in zip(slots, values.tolist(), strict=True):
        spread[slot] = value if math.isfinite(value) else None
    return spread
