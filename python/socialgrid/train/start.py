"""A run made from a configuration, begun in a directory of its own, or gone on with."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from socialgrid.algos.ranks import ALONE, Ranks
from socialgrid.config import (
    CheckpointError,
    TrainConfig,
    UsageError,
    check_imports,
    from_dict,
    load_config,
    run_files,
    to_dict,
)
from socialgrid.config.errors import told
from socialgrid.train import checkpoint, resolved
from socialgrid.train.device import choose_device
from socialgrid.train.precision import foreign
from socialgrid.train.regime import regime_of
from socialgrid.train.run import Run

_NOTHING: tuple[TrainConfig, Path, checkpoint.Checkpoint | None] = (TrainConfig(), Path(), None)


def make_trainer(
    config: TrainConfig, run_dir: Path, ranks: Ranks = ALONE, *, begun: bool | None = None
) -> Run:
    """The run that a configuration asks for; nothing is written yet.

    Args:
        config: of the run.
        run_dir: where everything of the run goes.
        ranks: the processes that train it together.
        begun: whether it has checkpoints; looked up by default.

    Raises:
        UsageError: an option does not fit the game, the players or the machine, or another one of
            the ranks is a different machine.
        LostRankError: another one is gone.
    """
    trainer = regime_of(config).trainer(config, run_dir, ranks, begun)
    if ranks.size > 1:
        run = trainer.config.run
        found = ranks.gather(f"{run.precision} on {choose_device(run.device).type}")
        if len(set(found)) > 1:
            raise UsageError(
                f"the ranks would compute in {', '.join(found)}: --precision and --device must "
                "name what all machines have"
            )
    return trainer


def _follow(ranks: Ranks) -> Run:
    """A rank's part in a run that rank 0 has prepared, or goes on with."""
    config, run_dir, stored = ranks.hear(_NOTHING)
    trainer = make_trainer(config, run_dir, ranks, begun=stored is not None)
    if stored is not None:
        trainer.restore(stored)
    return trainer


def create_run(
    config: TrainConfig, run_dir: Path, *, fresh: bool = False, ranks: Ranks = ALONE
) -> Run:
    """Prepare a new run in a directory that is its own until it ends.

    Args:
        config: the resolved configuration.
        run_dir: where everything of the run goes; made if needed, and removed again where the
            run cannot be prepared.
        fresh: make a directory that was not there; where there is one of that name, a number is
            added to the name.
        ranks: the processes that train it together; the directory is that of rank 0.

    Raises:
        UsageError: a bad option, the directory holds a run already, or it cannot be written.
        LostRankError: another rank is gone.
    """
    if ranks.rank:
        return _follow(ranks)
    lock = run_files.claim(run_dir, fresh=fresh)
    try:
        ranks.hear((config, lock.run_dir, None))
        trainer = make_trainer(config, lock.run_dir, ranks)
        data = to_dict(trainer.config)
        trainer.identity = run_files.identity_of(data)
        run_files.write_config(lock.run_dir, data, trainer.identity)
        now = resolved.resolve(trainer.config, trainer.threads, ranks.size)
        resolved.record(lock.run_dir, now, begin=True)
    except OSError as error:
        lock.undo()
        raise UsageError(told(error, lock.run_dir)) from None
    except BaseException:
        lock.undo()
        raise
    trainer.lock = lock
    return trainer


def resume_run(
    run_dir: Path,
    total_steps: int | None = None,
    imports: Sequence[str] = (),
    ranks: Ranks = ALONE,
) -> tuple[Run, list[str]]:
    """Prepare to go on with a run from its newest whole checkpoint.

    Args:
        run_dir: the run.
        total_steps: a new goal; the old one when absent. It may be lower than the old one, but no
            lower than what is done.
        imports: modules that the run's record may name, as ``gymnasium:MODULE:ID`` does.
        ranks: the processes that train it together, however many did before; rank 0 alone looks
            into the directory.

    Returns:
        the trainer, and what has to be told the user about what cannot go on as it was.

    Raises:
        UsageError: not a run, another process trains it, its checkpoints are gone, or none of
            them is whole; or its tasks need code that nobody allowed; or it has done more than the
            new goal. Nothing has been written.
        LostRankError: another rank is gone.
    """
    if ranks.rank:
        return _follow(ranks), []
    # A directory that is no run stays as it is.
    check_imports(load_config(run_dir), run_dir, imports)
    lock = run_files.RunLock(run_dir)
    try:
        trainer, messages = _resume(run_dir, total_steps, imports, ranks)
    except OSError as error:
        raise UsageError(told(error, run_dir)) from None
    finally:
        if sys.exc_info()[0] is not None:
            lock.release()
    trainer.lock = lock
    return trainer, messages


def _resume(
    run_dir: Path, total_steps: int | None, imports: Sequence[str], ranks: Ranks
) -> tuple[Run, list[str]]:
    config, (_, identity) = load_config(run_dir), run_files.read_config(run_dir)
    check_imports(config, run_dir, imports)  # another process may have changed it
    before = config.run.total_steps
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
        ranks.hear((config, run_dir, None))
        trainer = make_trainer(config, run_dir, ranks)
        messages.append("no checkpoint yet: starting from the beginning")
    else:
        path, stored, complaints = checkpoint.load_newest(folder, identity)
        ranks.hear((config, run_dir, stored))
        trainer = make_trainer(config, run_dir, ranks)
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
        _refuse_less(config.run.total_steps, before, trainer.progress, run_dir)
        messages += [f"refused a damaged checkpoint: {complaint}" for complaint in complaints]
        if complaints:
            checkpoint.set_aside(folder, path)
            messages.append(f"going on from the one before: {path}")
        if trainer.anew:
            messages.append(trainer.anew)
    trainer.identity = identity
    run_files.write_config(run_dir, to_dict(trainer.config), identity)
    messages += [said] if (said := foreign(trainer.config)) else []
    now = resolved.resolve(trainer.config, trainer.threads, ranks.size)
    messages += resolved.record(run_dir, now, begin=not trainer.env_steps)
    return trainer, messages


def _refuse_less(goal: int, before: int, done: int, run_dir: Path) -> None:
    """Refuse to write down a goal that the run has left behind already.

    A run may end some steps behind the goal that it had; that one may be named again.
    """
    if goal < min(before, done):
        raise UsageError(
            f"total-steps: {goal:,} is less than the {done:,} steps that {run_dir} has done; leave "
            "it out to keep the old goal, or name a later one"
        )


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
