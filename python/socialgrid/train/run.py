"""The loop that every run has: act and learn, tell, save, and go on from what was saved."""

from __future__ import annotations

import copy
import multiprocessing
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from socialgrid.algos.ranks import ALONE, LostRankError, Ranks
from socialgrid.config import CheckpointError, Course, TrainConfig, UsageError
from socialgrid.config.phases import told_of_phase
from socialgrid.config.run_files import RunLock
from socialgrid.report.console import Console, make_console
from socialgrid.report.events import Events
from socialgrid.report.metrics_file import MetricsFile
from socialgrid.train import checkpoint
from socialgrid.train.device import prepare_torch, threads_of
from socialgrid.train.eyes import with_eyes
from socialgrid.train.interrupt import PATIENCE, Abandoned, Interrupt
from socialgrid.train.precision import settled

Array = npt.NDArray[Any]

_LONG_UPDATE = 0.4  # seconds; what came before longer ones is kept, to go back to
_LONG_STEP = 10.0  # seconds after which a step is taken to hang


class Saved(Protocol):
    """Of a learner, what a run saves."""

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, optimisers, what random numbers come from."""
        ...

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``."""
        ...

    def meta(self) -> dict[str, Any]:
        """JSON values."""
        ...

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Inverse of ``meta``."""
        ...


class Unheard:
    """Where a rank writes that does not lead: nobody reads it."""

    num_bytes = 0

    def write(self, row: Mapping[str, Any]) -> None:
        """See ``MetricsFile`` and ``Events``."""

    def sync(self) -> None:
        """See ``MetricsFile``."""

    def update(self, row: Mapping[str, Any], total_steps: int) -> None:
        """See ``Console``."""

    def say(self, text: str) -> None:
        """See ``Console``."""

    def close(self) -> None:
        """See all of them."""


class Run(ABC):
    """A training run: rows of metrics one after the other, until it is over or a signal comes.

    Whoever trains says how a row comes about (``step``) and which arrays it goes on from
    (``arrays``, ``load_arrays``); counters, checkpoints, files and signals are seen to here.

    Attributes:
        config: the resolved configuration, its precision too, and what agents of other runs see.
        run_dir: where everything of the run goes.
        names: what the agents are called in tables and curves.
        slots: places of those with networks.
        course: where the run is in its phases.
        learner: of all agents with networks.
        update, env_steps, episodes: counters.
        agent_steps: steps in play of all agents, added up.
        seconds: time spent, earlier sessions of a resumed run included.
        begun: whether it has checkpoints; then its weights are there, and not those of other runs.
        lock: of the run's directory, while it is trained.
        identity: of the configuration, which checkpoints name.
        ranks: the processes that train it together; what it leaves behind, rank 0 writes.
        interrupt: signals that came while it trains.
        problem: what keeps the run from going on after this row.
        memory: what it takes of an accelerator's memory, in words.
    """

    learner: Saved
    goes_back = False  # whether its state is small enough to copy it before long updates
    lock: RunLock | None = None
    identity = ""
    memory = ""

    def __init__(
        self,
        config: TrainConfig,
        run_dir: Path,
        *,
        begun: bool | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Set torch up; nothing is written yet.

        Args:
            config: the resolved configuration.
            run_dir: where everything of the run goes.
            begun: see the attributes; looked up by default.
            ranks: see the attributes.

        Raises:
            UsageError: somebody who is to play does not exist, or the precision is not here.
        """
        self.run_dir, self.ranks = run_dir, ranks
        self.begun = bool(checkpoint.found(run_dir / "checkpoints")) if begun is None else begun
        config = settled(config, begun=self.begun)
        self.config = config = config if self.begun else with_eyes(config)
        prepare_torch(config.run)
        self.names, self.slots = config.roster.names(), config.roster.slots
        self.course = Course(config)
        self.update = self.env_steps = self.agent_steps = self.episodes = 0
        self.seconds = 0.0
        self._clock: dict[str, float] = {}
        self._clock_total: float | None = None  # seconds of the last row
        self._metrics_bytes = 0
        self._saved_step = self._earlier_step = -1
        self._earlier: checkpoint.Checkpoint | None = None
        self._console: Console | None = None
        self._agreed: int | None = None
        self.interrupt = Interrupt()
        self.problem: UsageError | None = None

    # -- what a run does --------------------------------------------------------------------

    @property
    def progress(self) -> int:
        """How much of ``run.total_steps`` is done."""
        return self.env_steps

    @property
    def threads(self) -> int:
        """Threads in each process that computes."""
        return threads_of(self.config.run)

    @property
    def anew(self) -> str | None:
        """What has to be told when it is resumed of what cannot go on as it was."""
        return None

    def goal(self) -> int:
        """Environment steps at which the run is over at the latest."""
        return self.course.goal()

    def over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.course.over(self.progress)

    @abstractmethod
    def begin(self) -> None:
        """Start the first episodes, unless the run goes on from a checkpoint."""

    @abstractmethod
    def step(self) -> dict[str, Any] | None:
        """Act and learn for a while.

        Returns:
            the row of metrics; ``None`` where a signal came before there was one.

        Raises:
            NonFiniteError: a reward or anything in the learner is not finite.
        """

    def enter_phase(self) -> None:  # noqa: B027 (not all have phases)
        """Go on with the numbers of the phase that the run is in."""

    def finish(self) -> dict[str, Any] | None:
        """See to what is still under way when the run ends.

        Returns:
            a last row of metrics, if there is more to tell.
        """
        return None

    def close(self) -> None:  # noqa: B027 (most have nothing)
        """Let go of what was needed for training only, however it ended."""

    # -- state ------------------------------------------------------------------------------

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """What training goes on from beside the learner; it may go on writing to them."""

    @abstractmethod
    def load_arrays(self, arrays: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """Inverse of ``arrays`` and ``counters``, after counters and learner have been restored.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: they are not of this run.
        """

    def counters(self) -> dict[str, Any]:
        """JSON values that it goes on from beside those that all runs have."""
        return {}

    def capture(self, metrics_bytes: int) -> checkpoint.Checkpoint:
        """The state between two rows; its arrays are those that training goes on writing to.

        Args:
            metrics_bytes: length of the metrics so far.
        """
        state = {
            "update": self.update,
            "env_steps": self.env_steps,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "seconds": self.seconds,
            "metrics_bytes": metrics_bytes,
            "phases": self.course.get_state(),
            "learner": self.learner.meta(),
            **self.counters(),
        }
        return checkpoint.Checkpoint(self.learner.tensors(), self.arrays(), state)

    def restore(self, stored: checkpoint.Checkpoint) -> None:
        """Take over everything from a checkpoint.

        Raises:
            CheckpointError: it does not fit this run.
        """
        state = stored.state
        try:
            self.update, self.env_steps = int(state["update"]), int(state["env_steps"])
            self.agent_steps, self.episodes = int(state["agent_steps"]), int(state["episodes"])
            self.seconds = float(state["seconds"])
            self._metrics_bytes = int(state["metrics_bytes"])
            if self.config.phases:
                self.course.set_state(state["phases"])
                self.enter_phase()
            self.learner.load_tensors(stored.weights)
            self.learner.load_meta(state["learner"])
            self.load_arrays(stored.arrays, state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint does not fit this run: {error}") from None
        self._saved_step = self.env_steps

    def save(self, metrics: MetricsFile | Unheard) -> Path:
        """Write a checkpoint of the state between two rows."""
        metrics.sync()
        return self._write(self.capture(metrics.num_bytes), self.env_steps)

    def _write(self, state: checkpoint.Checkpoint, step: int) -> Path:
        path, keep = self.run_dir / "checkpoints", self.config.run.keep_checkpoints
        if self.ranks.rank == 0:
            path = checkpoint.save(path, step, state, keep, self.identity)
        self._saved_step = step
        return path

    # -- the whole run ----------------------------------------------------------------------

    def train(self, console: Console | None = None) -> int:
        """Run until the wanted number of steps, or until interrupted.

        Returns:
            0, or 128 plus the number of the signal that stopped it (130 for Ctrl-C).

        Raises:
            NonFiniteError: a reward or anything in the learner is not finite.
            LostRankError: another process of the run is gone; where there was time, a checkpoint of
                what was before is written.
        """
        try:
            return self._train(console)
        finally:
            if self.lock is not None:
                self.lock.release()

    def _train(self, given: Console | None) -> int:
        self.begin()
        run, logging = self.config.run, self.config.logging
        nobody, leads = Unheard(), self.ranks.rank == 0
        path, log_dir = self.run_dir / "metrics.jsonl", self.run_dir / "tensorboard"
        metrics = MetricsFile(path, self._metrics_bytes) if leads else nobody
        events = Events(log_dir, self.config, self.env_steps) if leads else nobody
        console: Console = nobody
        if leads:
            console = given or make_console(self.names, logging.console_seconds)
        self._console = console
        interrupt = self.interrupt = Interrupt()
        saved_at, torn, self._agreed = time.monotonic(), False, None

        def tell(row: dict[str, Any]) -> None:
            metrics.write(row)
            events.write(row)
            interrupt.telling(partial(console.update, row, self.goal()))
            if doubt := self.course.doubt(row):
                self.say(doubt)
            if "phase_ended" in row:
                self.say(told_of_phase(row["phase_ended"]))

        try:
            with interrupt.watching(console):
                while not self.over() and self._stopped_by() is None:
                    self._earlier = self._to_go_back_to(metrics)
                    try:
                        row = self._interruptible_step()
                    except Abandoned:
                        torn = True
                        self.ranks.tell("stopped by a signal", interrupt.signal)
                        if (lost := self.ranks.missing()) is not None:  # hence the signal
                            raise lost from None
                        self._give_up()
                        break
                    if row is None:
                        continue
                    tell(row)
                    # The first one is written at once: from then on something is kept.
                    due = time.monotonic() - saved_at >= run.checkpoint_minutes * 60
                    due = self._agree(due)
                    wanted = due or self._saved_step < 0 or self.problem is not None
                    # A checkpoint may be ahead of its row, and of the step of the next one.
                    if wanted and self.env_steps != self._saved_step:
                        self.save(metrics)
                        saved_at = time.monotonic()
                    if self.problem is not None:
                        raise self.problem
                last = self.finish()
                if last is not None:
                    tell(last)
                if self.env_steps != self._saved_step and not torn:
                    self.save(metrics)
                if not torn:
                    self.ranks.close()
        except LostRankError:
            self._give_up()
            raise
        finally:
            self.close()
            events.close()
            metrics.close()
            console.close()
        number = interrupt.signal if self._agreed is None else self._agreed
        return 0 if number is None else 128 + number

    def _stopped_by(self) -> int | None:
        """The signal that ends the run; of several ranks all give the same answer."""
        return self.interrupt.signal if self.ranks.size == 1 else self._agreed

    def _agree(self, due: bool) -> bool:
        """Let all ranks know of signals; whether a checkpoint is due, the first one decides."""
        if self.ranks.size > 1:
            told = self.ranks.gather((self.interrupt.signal, due, self._clock_total))
            self._agreed = next((number for number, *_ in told if number is not None), None)
            _, due, self._clock_total = told[0]
        return due

    def say(self, words: str) -> None:
        """Tell something on the console of the run."""
        if self._console is not None:
            self.interrupt.telling(partial(self._console.say, words))

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._clock[what] = self._clock.get(what, 0.0) + time.perf_counter() - start

    def _interruptible_step(self) -> dict[str, Any] | None:
        """One row; given up after a signal where that loses nothing, or where it hangs."""
        if self._earlier is None and self.goes_back:
            return self.step()
        with self.interrupt.giving_up(PATIENCE if self._earlier is not None else _LONG_STEP):
            return self.step()

    def _to_go_back_to(self, metrics: MetricsFile | Unheard) -> checkpoint.Checkpoint | None:
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

    def _give_up(self) -> None:
        """Leave an update unfinished, with a checkpoint of what was before it if there is one."""
        earlier = self._earlier
        for child in multiprocessing.active_children():  # one of them may be what hangs
            child.kill()
        words = "the last checkpoint stays"
        if earlier is not None:
            if self._saved_step < self._earlier_step:
                self._write(earlier, self._earlier_step)
            words = f"the checkpoint is of step {self._saved_step:,}"
        self.say(f"stopped inside an update; {words}")


def named(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Those arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def tensors_named(arrays: Mapping[str, Array], prefix: str) -> dict[str, Tensor]:
    """The same as tensors of their own."""
    return {name: torch.from_numpy(x.copy()) for name, x in named(arrays, prefix).items()}
