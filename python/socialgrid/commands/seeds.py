"""socialgrid-train --seeds: one experiment with several seeds, a process each, some at a time."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from socialgrid._core import usable_cores
from socialgrid.config import TrainConfig, UsageError, group_key, load_config, to_dict
from socialgrid.config.errors import plain_line, told
from socialgrid.config.run_files import CONFIG
from socialgrid.config.spelling import is_option, seeds_in, take

_TRAIN = "import sys; from socialgrid.commands.cli import train; sys.exit(train())"
_TICK = 0.1  # seconds between looks at the processes
_COMPLAINT = "socialgrid-train: "
# Options that runs alike may differ in; those of the first line are told apart otherwise.
_OF_EACH = ("run.seed", "run.run_dir", "run.total_steps", "run.precision")
_SHARED = ("run.threads", "env.num_threads")  # 0: divided between the runs
_MAY_DIFFER = ("run", "env", "logging", "closing", "evaluation")


@dataclass(frozen=True)
class Sweep:
    """Seeds to train, and how many at a time."""

    seeds: tuple[int, ...]
    jobs: int = 1


def take_seeds(words: Sequence[str]) -> tuple[list[str], Sweep | None]:
    """Take ``--seeds 0-4`` and ``--jobs 2`` out of a command line.

    Returns:
        the other words; ``None`` where no seeds are named.

    Raises:
        UsageError: one of them is no such thing, or there is ``--seed`` as well.
    """
    rest, seeds = take(words, "--seeds")
    rest, jobs = take(rest, "--jobs")
    if seeds is None:
        if jobs is not None:
            raise UsageError("--jobs: of which seeds? --seeds 0-4 --jobs 2")
        return rest, None
    if any(word.partition("=")[0] in ("--seed", "--run.seed") for word in rest if is_option(word)):
        raise UsageError("--seed: --seeds names all seeds")
    found: dict[int, None] = {}
    for part in ",".join(seeds).split(","):
        if (own := seeds_in(part)) is None:
            raise UsageError(f"--seeds: {part!r} is no seed and no range; as in 0-4 or 0,1,7")
        found |= dict.fromkeys(own)
    if jobs is not None and (len(jobs) != 1 or not jobs[0].isdecimal() or int(jobs[0]) < 1):
        raise UsageError(f"--jobs: {' '.join(jobs)!r} is not a number of runs at a time")
    return rest, Sweep(tuple(found), 1 if jobs is None else int(jobs[0]))


def train_seeds(
    prog: str, words: Sequence[str], config: TrainConfig, folder: Path, sweep: Sweep
) -> int:
    """Train every seed in ``folder/seedN``; those that are there already go on.

    Those that have gone further than asked are left as they are.
    Each is a process of its own, whose output is in ``folder/seedN.log``. When all are done, prints
    what they came to, mean and interval, and draws their curves.

    Args:
        prog: the command.
        words: of the command line: the preset and its options, without seeds.
        config: what they come to.
        folder: made if needed.
        sweep: which seeds.

    Returns:
        the exit code: 0 where all runs ended well.

    Raises:
        UsageError: the folder cannot be made, or holds runs of another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notes: dict[str, list[int]] = {}
    beyond: set[int] = set()
    for seed in sweep.seeds:
        own = folder / f"seed{seed}"
        if not (own / CONFIG).exists():
            continue
        there = load_config(own)
        wanted = _settled(there, config)
        if not _alike(there, wanted):
            raise UsageError(f"{own}: holds a run with other options; choose another --run-dir")
        said = _kept(there, wanted)
        if steps := _beyond(own, there, config):
            beyond.add(seed)
            goal = config.run.total_steps
            said.append(f"has gone {steps:,} steps already, more than the {goal:,} asked for")
        for note in said:
            notes.setdefault(note, []).append(seed)
    for note, seeds in notes.items():
        print(f"seed {', '.join(map(str, seeds))}: {note}", flush=True)
    print(f"{len(sweep.seeds)} seeds, {sweep.jobs} at a time: {folder}/seed*", flush=True)
    waiting = [seed for seed in sweep.seeds if seed not in beyond]
    work = _Work(list(words), config, folder, waiting, sweep.jobs)
    code = work.to_the_end()
    if work.stopped is not None:
        print(f"stopped; the same command with --run-dir {folder} goes on", flush=True)
    elif code == 0:
        _compare(config, [folder / f"seed{seed}" for seed in sweep.seeds], folder)
    return code


def _settled(there: TrainConfig, wanted: TrainConfig) -> TrainConfig:
    """What is wanted, with what a run settled when it began: its precision, and what agents of
    other runs do not see.
    """
    run, options = replace(wanted.run, precision=there.run.precision), dict(wanted.env.options)
    if any(player.source for player in wanted.roster.players) and "hide" in there.env.options:
        options.setdefault("hide", there.env.options["hide"])
    return replace(wanted, run=run, env=replace(wanted.env, options=options))


def _alike(there: TrainConfig, wanted: TrainConfig) -> bool:
    """Whether a run is what is wanted."""
    return there.players.groups == wanted.players.groups and group_key(there) == group_key(wanted)


def _kept(there: TrainConfig, wanted: TrainConfig) -> list[str]:
    """What was asked for that a run which goes on does not take."""
    old, new = to_dict(there), to_dict(wanted)
    options = [
        option
        for section in _MAY_DIFFER
        for name, value in new[section].items()
        if (option := f"{section}.{name}") not in _OF_EACH
        and value != old[section][name]
        and (value or option not in _SHARED)
    ]
    if not options:
        return []
    return [f"goes on with the {', '.join(options)} that it was begun with"]


def _beyond(own: Path, there: TrainConfig, wanted: TrainConfig) -> int:
    """Steps of a run that has gone further than it is to go now; 0 for others."""
    from socialgrid.report import RunCurves

    goal = wanted.run.total_steps
    if goal < there.run.total_steps:
        with contextlib.suppress(UsageError):  # nothing measured yet
            steps = int(RunCurves(own).steps[-1])
            return steps if steps > goal else 0
    return 0


@dataclass
class _Work:
    """Processes under way and seeds that wait for one."""

    words: list[str]
    config: TrainConfig
    folder: Path
    waiting: list[int]
    jobs: int
    going: dict[int, tuple[subprocess.Popen[bytes], float, int]] = field(default_factory=dict)
    stopped: int | None = None

    def to_the_end(self) -> int:
        """Run everything; the first exit code that is not 0, or that of the signal that came."""
        code = 0
        with self._catching():
            try:
                while self.going or (self.waiting and self.stopped is None):
                    while self.waiting and len(self.going) < self.jobs and self.stopped is None:
                        self._begin(self.waiting.pop(0))
                    time.sleep(_TICK)
                    for seed in list(self.going):
                        own = self._look(seed)
                        code = code or own
            finally:
                for process, *_ in self.going.values():
                    process.kill()
        return code if self.stopped is None else 128 + self.stopped

    def _begin(self, seed: int) -> None:
        own = self.folder / f"seed{seed}"
        run = self.config.run
        if (own / CONFIG).exists():
            words = ["--resume", str(own), "--total-steps", str(run.total_steps)]
            words += [word for name in run.imports for word in ("--import", name)]
        else:
            words = [*self.words, "--run.seed", str(seed), "--run.run-dir", str(own)]
            threads = str(max(1, usable_cores() // self.jobs))
            words += [] if run.threads else ["--run.threads", threads]
            words += [] if self.config.env.num_threads else ["--env.num-threads", threads]
        with open(f"{own}.log", "ab") as log:
            before = log.tell()
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _TRAIN, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.going[seed] = (process, time.monotonic(), before)

    def _look(self, seed: int) -> int:
        """The exit code of a seed's process, said when it ends; 0 while it goes on."""
        process, begun, before = self.going[seed]
        if (code := process.poll()) is None:
            return 0
        del self.going[seed]
        own = self.folder / f"seed{seed}"
        if code == 0:
            print(f"seed {seed}: done in {time.monotonic() - begun:,.0f} s", flush=True)
        elif self.stopped is not None and code in (-signal.SIGTERM, 128 + signal.SIGTERM):
            print(f"seed {seed}: stopped", flush=True)
        else:
            said = _reason(Path(f"{own}.log"), before)
            print(plain_line(f"seed {seed}: exit code {code}: {said}"), flush=True)
        return code if code >= 0 else 128 - code

    @contextmanager
    def _catching(self) -> Iterator[None]:
        """Pass signals on: runs write checkpoints and end; the second one ends them at once."""

        def catch(number: int, frame: FrameType | None) -> None:
            self.stopped = number
            for process, *_ in self.going.values():
                with contextlib.suppress(OSError):
                    process.send_signal(signal.SIGTERM)

        numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform != "win32":
            numbers.append(signal.SIGHUP)
        kept = {n: signal.getsignal(n) for n in numbers}
        for n in numbers:
            if kept[n] is not signal.SIG_IGN:
                signal.signal(n, catch)
        try:
            yield
        finally:
            for n, before in kept.items():
                signal.signal(n, before)


def _reason(log: Path, before: int) -> str:
    """Why a run ended, as its log says behind so many bytes.

    Where another command trains the same seed, its progress is there as well: what complaints
    begin with tells them from it.
    """
    try:
        lines = log.read_bytes()[before:].decode("utf-8", "replace").splitlines()
    except OSError as error:
        return told(error, log)
    lines = [line for line in lines if line.strip()]
    complaints = [line for line in lines if line.startswith(_COMPLAINT)]
    crashed = any(line.startswith("Traceback") for line in lines)
    found = lines if crashed or not complaints else complaints
    return found[-1] if found else "nothing was said"


def _compare(config: TrainConfig, runs: Sequence[Path], folder: Path) -> None:
    """Say and draw what all seeds came to; where that cannot be, why."""
    from socialgrid.report import RunCurves, comparison_table, draw_curves, trials_of

    try:
        found = [RunCurves(run) for run in runs]
        name, trials = trials_of(found, "")
        print(f"\n{comparison_table(name, trials)}\n")
        if config.logging.curves:
            print(draw_curves(found, folder / "curves.png"))
    except UsageError as error:
        print(error)
