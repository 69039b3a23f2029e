"""socialgrid-train: new runs, runs that go on, and what there is to run."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import itertools
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from socialgrid.commands.allocation import keep_freed_memory
from socialgrid.commands.ending import CLOSED, complain, mute
from socialgrid.commands.seeds import take_seeds, train_seeds
from socialgrid.commands.together import in_ranks
from socialgrid.commands.words import need_extras, take_imports
from socialgrid.config import (
    Preset,
    TrainConfig,
    check_imports,
    from_dict,
    load_config,
    load_preset,
    preset_names,
)
from socialgrid.config.errors import UsageError, closest, plain_line, told
from socialgrid.config.imports import import_modules
from socialgrid.config.launch import Place, check_launch, place_in
from socialgrid.config.phases import described
from socialgrid.config.run_files import runs_in, user_path
from socialgrid.config.spelling import is_option
from socialgrid.config.words import combination, parse, parse_train

if TYPE_CHECKING:
    from socialgrid.algos.ranks import Ranks

_A_WORD = 10.0  # seconds that whoever speaks for a machine has to say what is wrong
_USAGE = (
    "socialgrid-train PRESET [--options] [--import MODULE] | "
    "--resume RUN [--total-steps N] [--import MODULE] | --list"
)
_SEEDS = """\
Several seeds, each a process, two at a time, in DIR/seed0, DIR/seed1, ...; the same command again
goes on with those that are not done:
  socialgrid-train PRESET [--options] --seeds 0-4 --jobs 2 --run-dir DIR
"""
_TOGETHER = """\
One run in several processes, on one machine or more, each with as many of the environments, for
PPO, A3C and behaviour cloning:
  torchrun --nproc-per-node N --no-python socialgrid-train PRESET [--options] | --resume RUN
N is a power of two that divides the shards (--algorithm.shards). On CPUs it gives the bits that one
process gives, whatever N; a run goes on with the same N or another one, on machines that all have
its directory."""


def main(prog: str, words: list[str]) -> int:
    """``socialgrid-train PRESET [--options] | --resume RUN | --list``. Returns the exit code.

    A launcher's processes train one run together (``config.launch``); those of a machine find the
    same words wrong, and one of them says so.
    """
    place = place_in(os.environ)
    if place.rank:
        mute()
    try:
        return _command(prog, words, place)
    except UsageError:
        if place.speaks:
            raise
        time.sleep(_A_WORD)  # launchers end all others with the first that ends
        return 2


def _command(prog: str, words: list[str], place: Place) -> int:
    if words in (["--list"], ["-l"]):
        return _list_presets()
    if not words:
        raise UsageError(f"which preset? {_USAGE}")
    need_extras()
    keep_freed_memory()
    if words[0] == "--resume" or words[0].startswith("--resume="):
        return _resume(prog, words, place)
    if words[0] in ("-h", "--help"):
        print(f"usage: {_USAGE}\n\n{_SEEDS}\n{_TOGETHER}\n")
        parse_train(["--help"], Preset("", "", TrainConfig()), f"{prog} PRESET")
    if words[0].startswith("-"):
        raise UsageError(f"{words[0]}: the preset comes first: {_USAGE}")
    rest, sweep = take_seeds(words[1:])
    rest, imports = take_imports(rest)
    modules = import_modules(imports)
    preset = load_preset(words[0])
    if {"-h", "--help"} & set(rest):
        print(_about(preset))
    config = parse_train(rest, preset, f"{prog} {words[0]}")
    named = dict.fromkeys([*config.run.imports, *modules])
    config = from_dict({"run": {"imports": list(named)}}, config)
    if words[0].endswith(".json"):  # a record, too
        check_imports(config, words[0], [*imports, *_games(rest)])
    note = combination(rest, preset, config)
    check_launch(config, place.size)
    if note:
        print(note, flush=True)
    chosen = config.run.run_dir
    if sweep:
        if place.size > 1:
            raise UsageError("--seeds: each is a process of its own; start it without torchrun")
        folder = user_path(chosen) if chosen else Path("runs") / f"{preset.name}-seeds-{_stamp()}"
        return train_seeds(prog, take_seeds(words)[0], config, folder, sweep)
    run_dir = user_path(chosen) if chosen else _run_name(preset.name, config)

    def work(ranks: Ranks) -> int:
        from socialgrid.train.start import create_run

        return _finish(create_run(config, run_dir, fresh=not chosen, ranks=ranks))

    return in_ranks(prog, config, place, work)


def _games(words: Sequence[str]) -> list[str]:
    """Games named on a command line."""
    options = ("--env", "--env.game", "--game")
    pairs = [word.partition("=") for word in words]
    named = [value for option, equals, value in pairs if equals and option in options]
    return named + [b for a, b in itertools.pairwise(words) if a in options]


def _list_presets() -> int:
    for name in preset_names():
        preset = load_preset(name)
        print(f"{name:<28} {preset.description}")
        if preset.variants():
            print(f"{'':<28} own options for: {', '.join(preset.variants())}")
        if preset.reproduces:
            count = len(preset.deviations())
            print(
                f"{'':<28} reproduces {preset.reproduces}; {count} deviation{'s'[: count != 1]}: "
                f"socialgrid-train {name} --help"
            )
    return 0


def _about(preset: Preset) -> str:
    """What a preset is, what it reproduces, and where it is not as published."""
    lines = [preset.description]
    if preset.reproduces:
        lines += ["", f"Reproduces {preset.reproduces}. Not as published there:"]
        for name, reason in preset.deviations().items():
            lines += textwrap.wrap(
                f"{name}: {reason}", 100, initial_indent="  ", subsequent_indent="      "
            )
        if not preset.deviations():
            lines.append("  nothing")
    if preset.config.phases:
        lines += ["", "Phases, one after another; --phases.NAME.OPTION VALUE changes them:"]
        for name, phase in preset.config.phases.items():
            lines += textwrap.wrap(
                f"{name}: {described(phase)}", 100, initial_indent="  ", subsequent_indent="      "
            )
    return "\n".join(lines) + "\n"


def _run_name(preset: str, config: TrainConfig) -> Path:
    return Path("runs") / f"{preset}-seed{config.run.seed}-{_stamp()}"


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")


def _resume(prog: str, words: list[str], place: Place) -> int:
    first, equals, value = words[0].partition("=")
    rest = [value, *words[1:]] if equals else words[1:]
    if not rest or rest[0].startswith("-"):
        raise UsageError(f"{first}: which run? {_USAGE}")
    words, imports = take_imports(rest[1:])
    import_modules(imports)
    for option in [word.partition("=")[0] for word in words if is_option(word)]:
        if option != "--help" and not closest(option.replace("_", "-"), ["--total-steps"]):
            raise UsageError(f"{option}: a run keeps what it was begun with, but for --total-steps")
    options = parse(ResumeOptions, words, f"{prog} --resume RUN")
    run_dir = user_path(rest[0])
    if (runs := runs_in(run_dir)) != [run_dir]:
        raise UsageError(
            f"{run_dir}: holds {', '.join(run.name for run in runs)}: resume one of them; all that "
            f"--seeds began go on with the same command and --run-dir {run_dir}"
        )
    config = load_config(run_dir)
    check_imports(config, run_dir, imports)  # at once, without waiting for torch
    check_launch(config, place.size)

    def work(ranks: Ranks) -> int:
        from socialgrid.train.start import resume_run

        trainer, messages = resume_run(run_dir, options.total_steps, imports, ranks)
        for message in messages:
            print(plain_line(f"{prog}: {message}"), file=sys.stderr)
        goal, step = trainer.config.run.total_steps, trainer.env_steps
        if step >= goal:
            print(f"nothing left to do: step {step:,} of {goal:,}; --total-steps moves it")
        elif step:
            print(f"going on from step {step:,} of {goal:,}, update {trainer.update:,}")
        return _finish(trainer)

    return in_ranks(prog, config, place, work)


@dataclass(frozen=True)
class ResumeOptions:
    """What may change when a run goes on."""

    total_steps: int | None = None
    """A new goal in environment steps, no less than what is done."""

    def __post_init__(self) -> None:
        if self.total_steps is not None and self.total_steps < 1:
            raise UsageError(f"total-steps: {self.total_steps} is out of range")


def _finish(trainer: Any) -> int:
    from socialgrid.algos.ranks import LostRankError
    from socialgrid.commands.pictures import leave_pictures
    from socialgrid.models.finite import NonFiniteError
    from socialgrid.report.summary import summarise

    print(f"run directory: {trainer.run_dir}", flush=True)
    if trainer.memory:
        print(trainer.memory, flush=True)
    try:
        code = int(trainer.train())
    except NonFiniteError as error:
        _complain(trainer, f"stopped, no checkpoint written: {error}")
        return 1
    except OSError as error:
        _complain(trainer, f"stopped, the last checkpoint stays: {told(error)}")
        return 1
    except LostRankError as lost:
        if lost.tells:
            again = f"socialgrid-train --resume {trainer.run_dir}"
            complain(
                "socialgrid-train",
                f"{lost}: stopped; {again} goes on from the last checkpoint, in as many processes "
                "or in others",
            )
        return 1 if lost.signal is None else 128 + lost.signal
    if trainer.ranks.rank:
        return code
    try:
        try:
            print(summarise(trainer))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            where = trainer.run_dir / "metrics.jsonl"
            raise UsageError(f"{where}: damaged, no summary: {error!r}") from None
        if code == 0:
            for line in leave_pictures(trainer):
                print(line)
        sys.stdout.flush()
    except OSError:  # the run itself is whole
        mute()
        return code or CLOSED
    return code


def _complain(trainer: Any, text: str) -> None:
    """Print why a run stopped, unless another of its processes has done so."""
    if trainer.ranks.tell(text):
        complain("socialgrid-train", text)
