"""Several actor-learners, each in a process of its own, that learn into the same parameters.

Every worker plays its share of the environments with its own copy of the networks, computes
gradients, and applies them to the parameters and optimisers in shared memory without waiting for
anybody (Mnih et al. 2016; Recht et al. 2011): two workers may write the same number at the same
time, and then one of the two small steps is lost. Nothing is locked, so a worker that is killed in
the middle of a step leaves the others in peace.

``algorithm.synchronous`` puts a barrier in the same place: each worker hands its gradients in and
waits; the main process applies their mean once all are there. Only the main process waits for
others, and it notices when one of them is dead.

The main process starts the workers, replaces dead ones, writes metrics and checkpoints. While it
evaluates, workers wait, each at the end of its batch: what a row says is of the row's step. An
asynchronous run cannot be repeated bit for bit, and goes past its goal by what workers have under
way when the main process sees it reached; a resumed one begins new episodes.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor

from socialgrid.algos.on_policy.a3c import A3C, shareable
from socialgrid.config import TrainConfig, UsageError
from socialgrid.models.finite import NonFiniteError
from socialgrid.train.checkpoint import Checkpoint
from socialgrid.train.on_policy.learner import check_phases, set_options
from socialgrid.train.on_policy.rows import merged
from socialgrid.train.on_policy.visits import Visits
from socialgrid.train.on_policy.worker import (
    Shared,
    algorithm_of,
    build_shared_learner,
    run_worker,
    share_of,
)
from socialgrid.train.rows import Numbers
from socialgrid.train.run import Array, Run
from socialgrid.train.worlds import build_worlds, phase_at

_PATIENCE = 3  # a worker that fails so often in a row, without an update, ends the run
_POLL_SECONDS = 0.2  # how soon Ctrl-C is noticed
_FAREWELL_SECONDS = 60.0  # for workers to finish their last update
_FAREWELL_IN_HASTE = 1.2  # after a signal


@dataclass
class _Worker:
    """The main process's view of one worker."""

    process: Any
    connection: Connection
    failures: int = 0
    words: str = ""
    held: bool = False


class AsyncTrainer(Run):
    """One training run with several workers, whose rows a step gathers.

    Attributes:
        shares: of each worker, its configuration and the number of its first environment.
        shared: what all processes see.
        workers: those at work; none before the first step.
        restarted: workers that had to be replaced.
        visits: evaluates.
    """

    learner: A3C
    worker_body: Callable[..., None] = staticmethod(run_worker)

    def __init__(self, config: TrainConfig, run_dir: Path) -> None:
        """Make the learner; workers start with the first step, and nothing is written yet.

        Raises:
            UsageError: an option does not fit the game, the players or the machine.
        """
        algorithm = algorithm_of(config)
        self.num_workers, self.synchronous = algorithm.workers, algorithm.synchronous
        if config.run.device not in ("auto", "cpu"):
            raise UsageError(
                f"run.device: {config.run.device} is for one learner; algorithm.workers "
                f"{self.num_workers} compute on the cpu"
            )
        super().__init__(config, run_dir)
        config = self.config
        self.phase = phase_at(self.course.config, 0)
        self.shares = [share_of(config, index) for index in range(self.num_workers)]
        share = self.shares[0][0]
        worlds = build_worlds(share, self.phase, config.run.seed)
        dump_dir = run_dir / "dumps"
        self.learner = build_shared_learner(share, worlds.env, dump_dir, begun=self.begun)
        worlds.close()
        check_phases(self.learner, self.course)
        self.visits = Visits(config, run_dir, "cpu", self.learner)
        self.restarted = 0
        self.shared = self._share()
        self.workers: list[_Worker] = []
        self._round: dict[int, list[dict[str, Any]]] = {}
        self._held = False  # workers wait for a word

    def _share(self) -> Shared:
        count = self.num_workers

        def counters() -> Tensor:
            return shareable(torch.zeros(count + 1, dtype=torch.int64))

        gradients = {}
        if self.synchronous:
            gradients = {
                name: shareable(torch.zeros(count, *p.shape))
                for name, p in self.learner.model.named_parameters()
            }
        stop, hold = (shareable(torch.zeros(1, dtype=torch.bool)) for _ in range(2))
        learner = self.learner.share_memory()
        phase = shareable(torch.zeros(2, dtype=torch.int64))
        counts = counters(), counters(), counters(), counters()
        begun = shareable(torch.zeros(3, dtype=torch.int64))
        return Shared(learner, *counts, gradients, stop, hold, phase, begun)

    @property
    def threads(self) -> int:
        """See ``Run``; workers have threads of their own."""
        return self.shares[0][0].run.threads

    def enter_phase(self) -> None:
        """See ``Run``; workers are let know."""
        self.shared.phase[:] = torch.tensor([self.course.index, self.course.start])
        set_options(self.learner, self.course.config)

    # -- state ------------------------------------------------------------------------------

    def capture(self, metrics_bytes: int) -> Checkpoint:
        """See ``Run``: parameters, optimisers, counters; workers go on meanwhile."""
        self._read_counters()
        self.learner.updates = self.update
        return super().capture(metrics_bytes)

    def arrays(self) -> dict[str, Array]:
        """See ``Run``; a resumed run begins new episodes."""
        return {}

    def load_arrays(self, arrays: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """See ``Run``."""
        shared = self.shared
        shared.versions[-1], shared.env_steps[-1] = self.update, self.env_steps
        shared.agent_steps[-1], shared.episodes[-1] = self.agent_steps, self.episodes

    def _read_counters(self) -> None:
        shared = self.shared
        self.update = int(shared.versions.sum())
        self.env_steps, self.episodes = int(shared.env_steps.sum()), int(shared.episodes.sum())
        self.agent_steps = int(shared.agent_steps.sum())

    # -- workers ----------------------------------------------------------------------------

    def _start(self, index: int) -> _Worker:
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=type(self).worker_body,
            args=(self.config, self.run_dir, index, self.shared, self.env_steps, theirs),
            name=f"socialgrid-worker-{index}",
            daemon=True,
        )
        with without_interrupts():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, index: int) -> None:
        """Tell of a worker's death and put another in its place.

        Raises:
            ChildProcessError: it was the third in a row that died without an update.
        """
        old = self.workers[index]
        old.process.join()
        old.connection.close()
        code = old.process.exitcode
        why = f"died of signal {-code}" if code < 0 else f"ended with exit code {code}"
        if old.words:
            self.say(f"worker {index} failed:\n{old.words.rstrip()}")
            why = f"failed: {old.words.strip().splitlines()[-1]}"
        failures = old.failures + 1
        if failures == _PATIENCE:
            raise ChildProcessError(f"worker {index} {why}, {failures} times without an update")
        self.say(f"worker {index} {why}; another one takes its place")
        self.restarted += 1
        if self.synchronous:
            self._round.pop(index, None)  # its place for gradients is the new one's now
        self.workers[index] = self._start(index)
        self.workers[index].failures = failures

    def _listen(self, *, replacing: bool) -> None:
        """Wait a moment for rows and deaths of workers, and see to them."""
        owners: dict[Any, int] = {}
        for index, worker in enumerate(self.workers):
            if worker.process.is_alive() or replacing or not worker.connection.closed:
                owners[worker.process.sentinel] = owners[worker.connection] = index
        for index in {owners[ready] for ready in wait(list(owners), _POLL_SECONDS)}:
            worker = self.workers[index]
            dead = not worker.process.is_alive()
            self._read(index)
            if dead and replacing:
                self._replace(index)
            elif dead:
                worker.connection.close()

    def _read(self, index: int) -> None:
        """Take everything a worker has sent.

        Raises:
            NonFiniteError: the worker met one.
        """
        worker = self.workers[index]
        try:
            while worker.connection.poll():
                kind, *content = worker.connection.recv()
                if kind == "row":
                    worker.failures = 0
                    self._round.setdefault(index, []).append(content[0])
                elif kind == "held":
                    worker.held = True
                elif kind == "failed":
                    worker.words = content[0]
                else:
                    raise NonFiniteError(*content)
        except (EOFError, OSError):
            return  # it died; its process tells

    def _apply(self) -> None:
        """Apply the mean of all workers' gradients, weighted by their environments."""
        learner, shared = self.learner, self.shared
        weights = torch.zeros(self.num_workers, learner.num_agents)
        for index, (row,) in self._round.items():
            weights[index, row["stepping"]] = float(self.shares[index][0].env.num_envs)
        agents = [a for a in range(learner.num_agents) if bool(weights[:, a].any())]
        weights /= weights.sum(0).clamp(min=1)
        for name, p in learner.model.named_parameters():
            p.grad = torch.einsum("wa,wa...->a...", weights, shared.gradients[name])
        learner.updates = int(shared.versions.sum()) + 1
        progress = float(shared.round[0]) - self.course.start  # as one process counts it
        metrics = learner.apply_gradients(progress, agents)
        shared.versions[-1] += 1
        numbers = Numbers(len(self.names), self.slots)
        for name, values in metrics.items():
            numbers.log(name, values)
        for (row,) in self._round.values():
            row["agents"] |= numbers.by_kind()["agents"]

    def _hold(self) -> None:
        """Wait until all workers wait at the end of their batches, or a signal comes."""
        if self.synchronous:
            return  # they do, at the barrier
        self.shared.hold[0] = self._held = True
        while self.interrupt.signal is None and not all(one.held for one in self.workers):
            self._listen(replacing=True)

    def _begin_round(self) -> None:
        """Say from which counters workers go on that wait for each other."""
        counts = self.env_steps, self.agent_steps, self.episodes
        self.shared.round[:] = torch.tensor(counts)

    def _let_go(self) -> None:
        """Let workers that wait go on."""
        self._begin_round()
        self.shared.hold[0] = self._held = False
        for worker in self.workers:
            worker.held = False
            with contextlib.suppress(OSError):
                worker.connection.send(None)

    def _stop(self, patience: float) -> None:
        """Let every worker finish its update; kill those that take longer than so many seconds."""
        self.shared.stop[0] = True
        self._let_go()
        deadline = time.monotonic() + patience
        while any(not worker.connection.closed for worker in self.workers):
            if time.monotonic() > deadline:
                if patience == _FAREWELL_SECONDS:  # in haste it is no wonder
                    with contextlib.suppress(OSError):
                        self.say("a worker does not end by itself")
                break
            self._listen(replacing=False)
        self._kill()

    def _kill(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.connection.close()
        self.workers.clear()

    # -- one row ----------------------------------------------------------------------------

    def begin(self) -> None:
        """See ``Run``; workers begin with the first step."""

    def step(self) -> dict[str, Any] | None:
        """Gather batches of as many workers as there are. See ``Run``.

        Raises:
            NonFiniteError: a worker met a number that is not finite.
            ChildProcessError: a worker fails again and again.
        """
        if not self.workers:
            self._start_all()
        if self._held:
            self._let_go()
        while not self._complete():
            if self.interrupt.signal is not None:
                return None
            self._listen(replacing=True)
        if self.synchronous:
            self._apply()
        self._held = self.synchronous
        self._read_counters()
        if self.visits.due(self, self._row_steps):
            self._hold()
        return self._row()

    def finish(self) -> dict[str, Any] | None:
        """See ``Run``; every worker finishes its update, if it does so in time."""
        in_haste = self.interrupt.signal is not None
        self._stop(_FAREWELL_IN_HASTE if in_haste else _FAREWELL_SECONDS)
        row = self._row() if self._round and not self.synchronous else None
        self._read_counters()
        return row

    def close(self) -> None:
        """See ``Run``."""
        self._kill()

    def _start_all(self) -> None:
        self.shared.stop[0] = False
        if self.env_steps:
            self.say("workers begin new episodes")
        self._row_at = time.monotonic()
        self._row_steps, self._row_updates = self.env_steps, self.update
        self._row_played = self.agent_steps
        self._begin_round()
        self.workers = [self._start(index) for index in range(self.num_workers)]

    def _complete(self) -> bool:
        """Whether it is time for a row: as many batches as there are workers have come in."""
        if self.synchronous:
            return len(self._round) == self.num_workers
        return sum(map(len, self._round.values())) >= self.num_workers

    def _row(self) -> dict[str, Any]:
        """One row of metrics for all batches that have come in since the last one.

        After a signal nothing is evaluated any more.
        """
        rows = [row for rows in self._round.values() for row in rows]
        self._round.clear()
        self._read_counters()
        due = self.visits.due(self, self._row_steps) and self.interrupt.signal is None
        visited = self.visits.follow(self) if due else {}
        now = time.monotonic()
        seconds = max(now - self._row_at, 1e-9)
        self.seconds += seconds
        steps, updates = self.env_steps - self._row_steps, self.update - self._row_updates
        played = self.agent_steps - self._row_played
        self._row_at, self._row_steps, self._row_updates = now, self.env_steps, self.update
        self._row_played = self.agent_steps
        row = merged(rows) | {
            "update": self.update,
            "env_steps": self.env_steps,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "seconds": self.seconds,
            "env_steps_per_second": steps / seconds,
            "agent_steps_per_second": played / seconds,
            "updates_per_second": updates / seconds,
            "staleness_mean": sum(row["staleness"] for row in rows) / len(rows),
            "staleness_max": max(row["staleness"] for row in rows),
            "gradients_dropped": sum(row["dropped"] for row in rows),
            "workers_restarted": self.restarted,
            **visited,
        }
        if self.course.follow(row):
            self.enter_phase()
        return row


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Whoever starts the tracker lets SIGINT through again, so that must have happened before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
