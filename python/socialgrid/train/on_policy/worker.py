"""One of several actor-learners: collects batches of its share and hands their gradients in."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor

from socialgrid._core import usable_cores
from socialgrid.algos.on_policy.a3c import A3C
from socialgrid.algos.options import A3CConfig
from socialgrid.config import TrainConfig, UsageError
from socialgrid.config.imports import import_modules
from socialgrid.models.finite import NonFiniteError
from socialgrid.train.on_policy.learner import build_learner, set_options
from socialgrid.train.on_policy.trainer import Trainer
from socialgrid.train.seeds import WORKER_WORLDS, derived_seed
from socialgrid.train.worlds import Phase, num_solo_envs


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
        hold: bool ``[1]``, nobody is to begin a batch until let go.
        phase: int64 ``[2]``, number of the present phase, and the environment steps at which it
            began; the main process writes it.
        round: int64 ``[3]``, environment steps, steps in play and episodes as the present round of
            the synchronous mode began; the main process writes it.
    """

    learner: Mapping[str, Tensor]
    versions: Tensor
    env_steps: Tensor
    agent_steps: Tensor
    episodes: Tensor
    gradients: Mapping[str, Tensor]
    stop: Tensor
    hold: Tensor
    phase: Tensor
    round: Tensor


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
    run = replace(config.run, device="cpu", threads=1)
    alone = replace(algorithm, workers=1, shards=1)
    # The main process evaluates.
    unseen = replace(config.evaluation, interval=0)
    return replace(config, env=env, run=run, algorithm=alone, evaluation=unseen), first


def algorithm_of(config: TrainConfig) -> A3CConfig:
    """The algorithm's configuration.

    Raises:
        UsageError: it is not A3C.
    """
    if not isinstance(config.algorithm, A3CConfig):
        raise UsageError(f"algorithm.name: {config.algorithm.name} has no workers, a3c has")
    return config.algorithm


def build_shared_learner(
    share: TrainConfig, env: Any, dump_dir: Path | None, *, begun: bool
) -> A3C:
    """The learner of a share, which several processes can have in common."""
    learner = build_learner(share, env, torch.device("cpu"), dump_dir, begun=begun)
    if not isinstance(learner, A3C):
        raise AssertionError("algorithm_of has let another algorithm through")
    return learner


class ActorLearner(Trainer):
    """One worker: collects batches of its share and hands their gradients in.

    Attributes:
        own_steps: that it has played in each of its environments.
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
        self.own_steps = 0
        # Whatever its agents began with is among the shared parameters.
        super().__init__(share, run_dir / f"worker-{index}", first, begun=True)
        # Its parameters are the shared ones; self.learner acts and computes with a copy of them.
        self.centre = build_shared_learner(
            self.config, self.worlds.env, self.learner.dump_dir, begun=True
        )
        if config.phases:  # before it joins: its rates are everybody's from then on
            set_options(self.centre, self.course.config)
        self.centre.join(shared.learner)
        algorithm = algorithm_of(config)
        self.synchronous, self.max_staleness = algorithm.synchronous, algorithm.max_staleness
        self.version = self.staleness = 0
        self.dropped = False

    def _phase_now(self) -> Phase:
        """See ``Trainer``; as many solo environments as make those of all workers the share of the
        whole run that the schedule asks for.
        """
        phase, first = super()._phase_now(), self.first_env
        solo = self.course.config.schedule.solo().at(self.episodes)
        before, after = (num_solo_envs(solo, end) for end in (first, first + self.num_envs))
        return replace(phase, num_solo=after - before)

    def _env_seed(self) -> int:
        if self.life == 0:
            return super()._env_seed()
        return derived_seed(self.config.run.seed, WORKER_WORLDS, self.index, self.life, self.builds)

    def catch_up(self) -> None:
        """Copy parameters and counters as they are now, and be in the phase that it is.

        Counters are those with which a round began where workers wait for each other: some may
        have handed in what they did in it.
        """
        shared = self.shared
        if self.config.phases:
            index, start = shared.phase.tolist()
            if (index, start) != (self.course.index, self.course.start):
                self.course.go_to(index, start)
                for learner in (self.learner, self.centre):
                    set_options(learner, self.course.config)
        self.version = int(shared.versions.sum())
        now = [x.sum() for x in (shared.env_steps, shared.agent_steps, shared.episodes)]
        self.env_steps, self.agent_steps, self.episodes = (
            int(x) for x in (shared.round if self.synchronous else now)
        )
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
        self.own_steps += self.rollout.num_steps
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

    def played_before(self) -> int:
        """See ``Trainer``. Whoever had its environments before has played fewer steps in each
        than the whole run had in all when this worker began.
        """
        return self.life + self.own_steps

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
    after every row; where it is to hold, it sends ("held",) and waits for one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process sees to it
    _end_with_parent()
    try:
        import_modules(config.run.imports)
        worker = ActorLearner(config, run_dir, index, shared, life)
        worker.start()
        while not bool(shared.stop):
            if bool(shared.hold):
                connection.send(("held",))
                connection.recv()
                continue
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
