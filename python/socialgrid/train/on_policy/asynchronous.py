"""Several actor-learners, each in a process of its own, that learn into the same parameters.

Every worker plays its share of the environments with its own copy of the networks, computes
gradients, and applies them to the parameters and optimisers in shared memory without waiting for
anybody (Mnih et al. 2016; Recht et al. 2011): two workers may write the same number at the same
time, and then one of the two small steps is lost. Nothing is locked, so a worker that is killed in
the middle of a step leaves the others in peace.

``algorithm.synchronous`` puts a barrier in the same place: each worker hands its gradients in and
waits; the main process applies their mean once all are there. Only the main process waits for
others, and it notices when one of them is dead.

The main process starts the workers, replaces dead ones, writes metrics and checkpoints. An
asynchronous run cannot be repeated bit for bit, and a resumed one begins new episodes.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor

from socialgrid._core import usable_cores
from socialgrid.algos.on_policy.a3c import A3C, shareable
from socialgrid.algos.options import A3CConfig
from socialgrid.config import TrainConfig, run_files
from socialgrid.config.course import Course
from socialgrid.config.errors import CheckpointError, UsageError
from socialgrid.config.imports import import_modules
from socialgrid.config.phases import told_of_phase
from socialgrid.models.finite import NonFiniteError
from socialgrid.report.console import Console, make_console
from socialgrid.report.events import Events
from socialgrid.report.metrics_file import MetricsFile
from socialgrid.train import checkpoint
from socialgrid.train.device import prepare_torch
from socialgrid.train.interrupt import Interrupt
from socialgrid.train.on_policy.learner import build_learner, check_phases, set_options
from socialgrid.train.on_policy.trainer import Trainer
from socialgrid.train.seeds import WORKER_ACTIONS, WORKER_WORLDS, derived_seed
from socialgrid.train.worlds import build_worlds, phase_at

_PATIENCE = 3  # a worker that fails so often in a row, without an update, ends the run
_POLL_SECONDS = 0.2  # how soon Ctrl-C is noticed
_FAREWELL_SECONDS = 60.0  # for workers to finish their last update
_FAREWELL_IN_HASTE = 1.2  # after a signal


@dataclass(frozen=True)
class Shared:
    """What all processes see. Every worker writes its own places only, apart from ``learner``.

    Attributes:
        learner: parameters and optimisers.
        versions: int64 ``[W + 1]``, updates applied by each worker; the last counts those of the
            main process and of earlier sessions.
        env_steps, agent_steps, episodes: int64 ``[W + 1]``, likewise.
        gradients: ``[W, A, ...]`` by parameter, for the synchronous mode; otherwise empty.
        stop: bool ``[1]``, no further update is wanted.
        phase: int64 ``[2]``, number of the present phase, and the environment steps at which it
            began; the main process writes it.
    """

    learner: Mapping[str, Tensor]
    versions: Tensor
    env_steps: Tensor
    agent_steps: Tensor
    episodes: Tensor
    gradients: Mapping[str, Tensor]
    stop: Tensor
    phase: Tensor


def share_of(config: TrainConfig, index: int) -> tuple[TrainConfig, int]:
    """One worker's part of a run: its configuration, and the number of its first environment.

    Raises:
        UsageError: the share is too small.
    """
    algorithm = algorithm_of(config)
    workers = algorithm.workers
    each, more = divmod(config.env.num_envs, workers)
    first = index * each + min(index, more)
    threads = max(1, usable_cores() // workers)  # of each; how many workers is no matter of cores
    env = replace(
        config.env,
        num_envs=each + (index < more),
        num_threads=config.env.num_threads or threads,
    )
    run = replace(config.run, device="cpu", threads=config.run.threads or threads)
    alone = replace(algorithm, workers=1)
    return replace(config, env=env, run=run, algorithm=alone), first


def algorithm_of(config: TrainConfig) -> A3CConfig:
    """The algorithm's configuration.

    Raises:
        UsageError: it is not A3C.
    """
    if not isinstance(config.algorithm, A3CConfig):
        raise UsageError(f"algorithm.name: {config.algorithm.name} has no workers, a3c has")
    return config.algorithm


def _build_learner(share: TrainConfig, env: Any, dump_dir: Path | None, *, begun: bool) -> A3C:
    learner = build_learner(share, env, torch.device("cpu"), dump_dir, begun=begun)
    if not isinstance(learner, A3C):
        raise AssertionError("algorithm_of has let another algorithm through")
    return learner


class ActorLearner(Trainer):
    """One worker: collects batches of its share and hands their gradients in.

    Attributes:
        staleness: updates by others between copying the parameters and handing the last
            gradients in.
        dropped: the last gradients were too old.
    """

    learner: A3C

    def __init__(
        self, config: TrainConfig, run_dir: Path, index: int, shared: Shared, life: int
    ) -> None:
        """Make a worker's environments and networks.

        Args:
            config: of the whole run.
            run_dir: of the whole run.
            index: which worker.
            shared: where the parameters live.
            life: environment steps of the run when the worker started: a worker that takes
                another's place plays other episodes.
        """
        self.index, self.life, self.shared = index, life, shared
        share, first = share_of(config, index)
        # Whatever its agents began with is among the shared parameters.
        super().__init__(share, run_dir / f"worker-{index}", first, begun=True)
        seed = config.run.seed
        self.learner.draw_from(derived_seed(seed, WORKER_ACTIONS, index, life))
        # Its parameters are the shared ones; self.learner acts and computes with a copy of them.
        self.centre = _build_learner(share, self.worlds.env, self.learner.dump_dir, begun=True)
        self.centre.join(shared.learner)
        algorithm = algorithm_of(config)
        self.synchronous, self.max_staleness = algorithm.synchronous, algorithm.max_staleness
        self.version = self.staleness = 0
        self.dropped = False

    def _env_seed(self) -> int:
        if self.life == 0:
            return super()._env_seed()
        return derived_seed(self.config.run.seed, WORKER_WORLDS, self.index, self.life, self.builds)

    def catch_up(self) -> None:
        """Copy parameters and counters as they are now, and be in the phase that it is."""
        shared = self.shared
        if self.config.phases:
            index, start = shared.phase.tolist()
            if (index, start) != (self.course.index, self.course.start):
                self.course.go_to(index, start)
                for learner in (self.learner, self.centre):
                    set_options(learner, self.course.config)
        self.version = int(shared.versions.sum())
        self.env_steps, self.episodes = int(shared.env_steps.sum()), int(shared.episodes.sum())
        self.agent_steps = int(shared.agent_steps.sum())
        with torch.no_grad():
            for p, source in zip(
                self.learner.model.parameters(), self.centre.model.parameters(), strict=True
            ):
                p.copy_(source)

    def step(self) -> dict[str, Any]:
        """Collect one batch with the newest parameters and hand its gradients in.

        Returns:
            the row of metrics, with ``worker``, ``steps`` of this batch, ``stepping`` (agents
            with gradients), ``staleness`` and ``dropped``.
        """
        self.catch_up()
        steps, episodes, played = self.env_steps, self.episodes, self.agent_steps
        row = super().step()
        steps, episodes = self.env_steps - steps, self.episodes - episodes
        self.shared.env_steps[self.index] += steps
        self.shared.agent_steps[self.index] += self.agent_steps - played
        self.shared.episodes[self.index] += episodes
        return row | {
            "worker": self.index,
            "steps": steps,
            "stepping": self.learner.stepping,
            "staleness": self.staleness,
            "dropped": self.dropped,
        }

    def follow_phases(self, row: dict[str, Any]) -> None:
        """See ``Trainer``; the main process decides."""

    def learn(self) -> dict[str, Tensor]:
        """Gradients of the batch collected last, to where they belong."""
        learner, shared = self.learner, self.shared
        learner.updates = self.version + 1
        progress = self.env_steps - self.course.start
        metrics = learner.compute_gradients(self.rollout, progress)
        if self.synchronous:
            for name, p in learner.model.named_parameters():
                place = shared.gradients[name][self.index]
                place.zero_() if p.grad is None else place.copy_(p.grad)
            return metrics
        self.staleness = int(shared.versions.sum()) - self.version
        self.dropped = self.staleness > self.max_staleness
        if not self.dropped:
            for p, own in zip(
                self.centre.model.parameters(), learner.model.parameters(), strict=True
            ):
                p.grad = own.grad
            self.centre.updates = learner.updates
            metrics |= self.centre.apply_gradients(progress, learner.stepping)
            shared.versions[self.index] += 1
        return metrics


def run_worker(
    config: TrainConfig,
    run_dir: Path,
    index: int,
    shared: Shared,
    life: int,
    connection: Connection,
) -> None:
    """Body of a worker's process; the arguments are those of ``ActorLearner``.

    It sends ("row", row) after every batch, or ("failed", traceback), or ("non-finite", what,
    update, agent, dump) when it ends for a reason. In the synchronous mode it waits for a word
    after every row.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process sees to it
    _end_with_parent()
    try:
        import_modules(config.run.imports)
        worker = ActorLearner(config, run_dir, index, shared, life)
        worker.start()
        while not bool(shared.stop):
            connection.send(("row", worker.step()))
            if worker.synchronous:
                connection.recv()
    except NonFiniteError as error:
        connection.send(("non-finite", error.what, error.step, error.agent, error.dump))
    except (EOFError, BrokenPipeError):
        return  # nobody is interested any more
    except Exception:
        connection.send(("failed", traceback.format_exc()))
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    """Never outlive the main process, however it ends."""
    parent = mp.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass
class _Worker:
    """The main process's view of one worker."""

    process: Any
    connection: Connection
    failures: int = 0
    words: str = ""


class AsyncTrainer:
    """One training run with several workers; used as ``Trainer`` is.

    Attributes:
        config: the resolved configuration.
        run_dir: where everything of the run goes.
        learner: the learner whose parameters all workers share.
        update, env_steps, episodes: counters.
        agent_steps: steps in play of all agents, added up.
        seconds: time spent, earlier sessions of a resumed run included.
        restarted: workers that had to be replaced.
        lock: of the run's directory, while it is trained.
        identity: of the configuration, which checkpoints name.
    """

    lock: run_files.RunLock | None = None
    identity = ""
    worker_body: Callable[..., None] = staticmethod(run_worker)

    def __init__(self, config: TrainConfig, run_dir: Path) -> None:
        """Make the learner; workers start in ``train``, and nothing is written yet.

        Raises:
            UsageError: an option does not fit the game, the players or the machine.
        """
        self.config, self.run_dir = config, run_dir
        algorithm = algorithm_of(config)
        self.num_workers, self.synchronous = algorithm.workers, algorithm.synchronous
        if config.run.device not in ("auto", "cpu"):
            raise UsageError(
                f"run.device: {config.run.device} is for one learner; algorithm.workers "
                f"{self.num_workers} compute on the cpu"
            )
        prepare_torch(config.run)
        begun = bool(checkpoint.found(run_dir / "checkpoints"))
        roster = config.roster
        self.players, self.slots, self.names = roster.players, roster.slots, roster.names()
        self.course = Course(config)
        self.phase = phase_at(self.course.config, 0)
        self.shares = [share_of(config, index) for index in range(self.num_workers)]
        share = self.shares[0][0]
        worlds = build_worlds(share, self.phase, config.run.seed)
        self.learner = _build_learner(share, worlds.env, run_dir / "dumps", begun=begun)
        worlds.close()
        check_phases(self.learner, self.course)
        self.update = self.env_steps = self.agent_steps = self.episodes = self.restarted = 0
        self.seconds = 0.0
        self.shared = self._share()
        self.workers: list[_Worker] = []
        self._round: dict[int, list[dict[str, Any]]] = {}
        self._metrics_bytes = 0
        self._saved_step = -1

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
        stop = shareable(torch.zeros(1, dtype=torch.bool))
        learner = self.learner.share_memory()
        phase = shareable(torch.zeros(2, dtype=torch.int64))
        counts = counters(), counters(), counters(), counters()
        return Shared(learner, *counts, gradients, stop, phase)

    def _enter_phase(self) -> None:
        """Go on with the numbers of the phase that the run is in, and let workers know."""
        self.shared.phase[:] = torch.tensor([self.course.index, self.course.start])
        set_options(self.learner, self.course.config)

    # -- state ------------------------------------------------------------------------------

    def save(self, metrics: MetricsFile) -> Path:
        """Write a checkpoint: parameters, optimisers, counters; workers go on meanwhile."""
        metrics.sync()
        self._read_counters()
        self.learner.updates = self.update
        state = {
            "update": self.update,
            "env_steps": self.env_steps,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "builds": 0,
            "seconds": self.seconds,
            "metrics_bytes": metrics.num_bytes,
            "num_solo": self.phase.num_solo,
            "options": dict(self.phase.options),
            "phases": self.course.get_state(),
            "learner": self.learner.meta(),
        }
        path = checkpoint.save(
            self.run_dir / "checkpoints",
            self.env_steps,
            checkpoint.Checkpoint(self.learner.tensors(), {}, state),
            self.config.run.keep_checkpoints,
            self.identity,
        )
        self._saved_step = self.env_steps
        return path

    def restore(self, stored: checkpoint.Checkpoint) -> None:
        """Take over parameters, optimisers and counters; episodes begin anew.

        Raises:
            CheckpointError: it does not fit this run.
        """
        state, shared = stored.state, self.shared
        try:
            self.learner.load_tensors(stored.weights)
            self.learner.load_meta(state["learner"])
            shared.versions[-1] = int(state["update"])
            shared.env_steps[-1] = int(state["env_steps"])
            everybody = int(state["env_steps"]) * len(self.players)
            shared.agent_steps[-1] = int(state.get("agent_steps", everybody))
            shared.episodes[-1] = int(state["episodes"])
            self.seconds = float(state["seconds"])
            self._metrics_bytes = int(state["metrics_bytes"])
            if self.config.phases:
                self.course.set_state(state["phases"])
                self._enter_phase()
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint does not fit this run: {error}") from None
        self._read_counters()
        self._saved_step = self.env_steps

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

    def _replace(self, index: int, console: Console) -> None:
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
            console.say(f"worker {index} failed:\n{old.words.rstrip()}")
            why = f"failed: {old.words.strip().splitlines()[-1]}"
        failures = old.failures + 1
        if failures == _PATIENCE:
            raise ChildProcessError(f"worker {index} {why}, {failures} times without an update")
        console.say(f"worker {index} {why}; another one takes its place")
        self.restarted += 1
        if self.synchronous:
            self._round.pop(index, None)  # its place for gradients is the new one's now
        self.workers[index] = self._start(index)
        self.workers[index].failures = failures

    def _listen(self, console: Console, *, replacing: bool) -> None:
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
                self._replace(index, console)
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
        progress = float(shared.env_steps.sum()) - self.course.start
        metrics = learner.apply_gradients(progress, agents)
        shared.versions[-1] += 1
        for (row,) in self._round.values():
            for name, values in metrics.items():
                row["learner"][name] = [None] * len(self.players)
                for slot, value in zip(self.slots, values.tolist(), strict=True):
                    row["learner"][name][slot] = value if math.isfinite(value) else None

    def _let_go(self) -> None:
        """Let workers that wait at the barrier go on."""
        for worker in self.workers:
            with contextlib.suppress(OSError):
                worker.connection.send(None)

    def _stop(self, console: Console, patience: float) -> None:
        """Let every worker finish its update; kill those that take longer than so many seconds."""
        self.shared.stop[0] = True
        self._let_go()
        deadline = time.monotonic() + patience
        while any(not worker.connection.closed for worker in self.workers):
            if time.monotonic() > deadline:
                if patience == _FAREWELL_SECONDS:  # in haste it is no wonder
                    with contextlib.suppress(OSError):
                        console.say("a worker does not end by itself")
                break
            self._listen(console, replacing=False)
        self._kill()

    def _kill(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.connection.close()
        self.workers.clear()

    # -- the whole run ----------------------------------------------------------------------

    def train(self, console: Console | None = None) -> int:
        """Run until the wanted number of steps, or until interrupted.

        Returns:
            0, or 128 plus the number of the signal that stopped it (130 for Ctrl-C).

        Raises:
            NonFiniteError: a worker met a number that is not finite; no checkpoint is written.
            ChildProcessError: a worker fails again and again.
        """
        try:
            return self._train(console)
        finally:
            if self.lock is not None:
                self.lock.release()

    def _train(self, given: Console | None) -> int:
        run, logging = self.config.run, self.config.logging
        metrics = MetricsFile(self.run_dir / "metrics.jsonl", self._metrics_bytes)
        events = Events(
            self.run_dir / "tensorboard", self.names, logging.tensorboard, self.env_steps
        )
        console = given or make_console(self.names, logging.console_seconds)
        interrupt = Interrupt()
        saved_at = self._row_at = time.monotonic()
        self._row_steps, self._row_updates = self.env_steps, self.update
        self._row_played = self.agent_steps

        def tell() -> None:
            row = self._row()
            if self.course.follow(row):
                self._enter_phase()
            metrics.write(row)
            events.write(row)
            interrupt.telling(lambda: console.update(row, self.course.goal()))
            if "phase_ended" in row:
                interrupt.telling(lambda: console.say(told_of_phase(row["phase_ended"])))

        try:
            with interrupt.watching(console):
                self.shared.stop[0] = False
                if self.env_steps:
                    interrupt.telling(lambda: console.say("workers begin new episodes"))
                if not self.course.over(self.env_steps):
                    self.workers = [self._start(index) for index in range(self.num_workers)]
                while not self.course.over(self.env_steps) and interrupt.signal is None:
                    self._listen(console, replacing=True)
                    if self._complete():
                        if self.synchronous:
                            self._apply()
                        tell()
                        if self.synchronous and not self.course.over(self.env_steps):
                            self._let_go()
                    due = time.monotonic() - saved_at >= run.checkpoint_minutes * 60
                    if due or (self._saved_step < 0 and metrics.num_bytes):
                        if self.env_steps != self._saved_step:
                            self.save(metrics)
                        saved_at = time.monotonic()
                self._stop(
                    console,
                    _FAREWELL_SECONDS if interrupt.signal is None else _FAREWELL_IN_HASTE,
                )
                if self._round and not self.synchronous:
                    tell()
                self._read_counters()
                if self.env_steps != self._saved_step:
                    self.save(metrics)
        finally:
            self._kill()
            events.close()
            metrics.close()
            console.close()
        return 0 if interrupt.signal is None else 128 + interrupt.signal

    def _complete(self) -> bool:
        """Whether it is time for a row: as many batches as there are workers have come in."""
        if self.synchronous:
            return len(self._round) == self.num_workers
        return sum(map(len, self._round.values())) >= self.num_workers

    def _row(self) -> dict[str, Any]:
        """One row of metrics for all batches that have come in since the last one."""
        rows = [row for rows in self._round.values() for row in rows]
        self._round.clear()
        self._read_counters()
        now = time.monotonic()
        seconds = max(now - self._row_at, 1e-9)
        self.seconds += seconds
        steps, updates = self.env_steps - self._row_steps, self.update - self._row_updates
        played = self.agent_steps - self._row_played
        self._row_at, self._row_steps, self._row_updates = now, self.env_steps, self.update
        self._row_played = self.agent_steps
        return merged(rows) | {
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
        }


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


_COUNTS = ("episodes_finished", "solo_episodes_finished")
_OWN = ("worker", "steps", "stepping", "staleness", "dropped")


def merged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of several workers as one: counts add up, numbers of episodes are means over episodes,
    everything else over workers; what a worker has no number for (None) does not count.
    """
    finished = [float(sum(row[name] for name in _COUNTS)) for row in rows]
    row: dict[str, Any] = {}
    for name in rows[0]:
        values = [r[name] for r in rows]
        if name in _COUNTS:
            row[name] = sum(values)
        elif name not in _OWN:
            equal = name in ("learner", "pairs", "time") or not any(finished)
            row[name] = _mean(values, [1.0] * len(rows) if equal else finished)
    return row


def _mean(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """Weighted mean of numbers, lists or tables of them, element by element."""
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    if not known:
        return None
    first = known[0][0]
    if isinstance(first, Mapping):
        names = dict.fromkeys(name for v, _ in known for name in v)
        return {
            name: _mean([v.get(name) for v, _ in known], [w for _, w in known]) for name in names
        }
    if isinstance(first, list):
        parts = zip(*(v for v, _ in known), strict=True)
        return [_mean(part, [w for _, w in known]) for part in parts]
    if isinstance(first, bool | str):
        return known[-1][0]
    total = sum(w for _, w in known)
    if total == 0:
        return first
    return sum(v * w for v, w in known) / total
