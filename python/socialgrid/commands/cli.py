"""The commands. Nothing heavy is imported before it is needed, so that a missing extra, a bad
option or a bad path costs one line and no waiting."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import multiprocessing
import os
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socialgrid.config import Preset, TrainConfig, check_imports, load_preset, preset_names
from socialgrid.config.errors import UsageError, lacking, plain_line, told
from socialgrid.config.phases import described
from socialgrid.config.run_files import user_path
from socialgrid.config.words import combination, parse, parse_train, read_pairs

_CLOSED = 141  # exit code where nobody reads the output any more: 128 and SIGPIPE's number
_TRAIN_MODULES = ("torch", "tyro", "rich", "tensorboard", "safetensors")


@dataclass(frozen=True)
class GroupsOptions:
    """Where to draw returns over group size."""

    out: str = ""
    """The picture; group-sizes.png in the first run's directory by default."""


@dataclass(frozen=True)
class PlotOptions:
    """What to draw."""

    out: str = ""
    """The picture; curves.png in the (first) run's directory by default."""
    reference: str = ""
    """Collective returns, or those of evaluations, to draw beside: a CSV file (steps, then one
    column a curve) or a JSON file ({"label": level} or {"label":
    [[steps, value], ...]})."""
    predictions: bool = False
    """Also draw predictions.png: views, and the views the network expects after each action."""
    peers: bool = False
    """Also draw peers.png of each run: who followed whom, trust, agent values. A run by itself
    always gets it where there was advice."""
    seed: int = 0
    """Seed of the episode whose views are drawn."""


def train(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-train PRESET [--options] | --resume RUN | --list``. Returns the exit code."""
    return _run("socialgrid-train", _train, argv)


def evaluate(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-eval RUN... | matrix RUN... [--options]``. Returns the exit code."""
    return _run("socialgrid-eval", _evaluate, argv)


def play(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-play GAME [--options]``. Returns the exit code."""
    return _run("socialgrid-play", _play, argv)


def plot(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-plot [LABEL=]RUN... | groups [LABEL=]RUN... | schelling [--options]``.

    Returns the exit code.
    """
    return _run("socialgrid-plot", _plot, argv)


def _prepare_torch() -> None:
    """Set what torch reads when it is imported; values set by the user stay.

    Idle threads shall sleep instead of spin: spinning threads that have to share their cores
    with anything else (the simulator's, another run's) slow small networks down by an order of
    magnitude. And cuBLAS needs a fixed workspace to give the same sums every time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _run(prog: str, command: Callable[[str, list[str]], int], argv: Sequence[str] | None) -> int:
    """Run a command; what the user or the machine got wrong becomes one line and exit code 2."""
    _prepare_torch()
    # Started with closed outputs (>&-), Python has none, and files would take their numbers.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):  # whatever a name holds, the console can show it
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command(prog, list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _complain(prog, str(error))
    except KeyboardInterrupt:
        for child in multiprocessing.active_children():  # a stopped one would be waited for
            child.kill()
        _complain(prog, "interrupted")
        return 130
    except BrokenPipeError:  # whoever read the output, as head does, has seen enough
        _mute()
        return _CLOSED
    except OSError as error:
        return _complain(prog, told(error))
    except MemoryError as error:
        return _complain(prog, f"out of memory: {error}" if str(error) else "out of memory")
    except (UnicodeError, RecursionError) as error:
        return _complain(prog, f"{error}")
    except RuntimeError as error:
        if (text := lacking(error)) is None:
            raise
        return _complain(prog, text)


def _complain(prog: str, text: str) -> int:
    """Print one line and return the exit code for it."""
    with contextlib.suppress(OSError):
        print(plain_line(f"{prog}: {text}"), file=sys.stderr)
    return 2


def _mute() -> None:
    """Let nothing more be written where nobody reads, not even when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _need_extras() -> None:
    missing = [name for name in _TRAIN_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f'{", ".join(missing)} missing; pip install "socialgrid[train]" brings what is needed'
        )


def _split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Positional words in front, and the options after them."""
    count = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:count]), list(words[count:])


def _take_pairs(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take ``--set key=value ...`` out of a command line."""
    rest: list[str] = []
    pairs: list[str] = []
    taking = False
    for word in words:
        if word.startswith("-"):
            taking = word == "--set" or word.startswith("--set=")
            if taking:
                pairs += [word.removeprefix("--set=")] if "=" in word else []
                continue
        (pairs if taking else rest).append(word)
    return rest, dict(read_pairs(pairs, "set"))


def _join_lists(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Split the values of list options at commas."""
    out: list[str] = []
    current = ""
    for word in words:
        if word.startswith("--"):
            current, equals, value = word.partition("=")
            out.append(current if current[2:] in names and equals else word)
            if current[2:] in names and equals:
                out += value.split(",")
        elif current[2:] in names:
            out += [part for part in word.split(",") if part]
        else:
            out.append(word)
    return out


# -- socialgrid-train -------------------------------------------------------------------------

_TRAIN_USAGE = (
    "socialgrid-train PRESET [--options] | "
    "--resume RUN [--total-steps N] [--import MODULE] | --list"
)


def _take_imports(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--import NAME`` out of a command line: modules that it allows a record to name.

    Raises:
        UsageError: no name follows.
    """
    rest: list[str] = []
    names: list[str] = []
    wanted = False
    for word in words:
        option, equals, value = word.partition("=")
        if wanted and not word.startswith("-"):
            names.append(word)
            wanted = False
        elif option == "--import" and not wanted:
            names += [value] if equals else []
            wanted = not equals
        else:
            rest.append(word)
    if wanted or "" in names:
        raise UsageError("--import: which module? --import MODULE")
    return rest, names


def _train(prog: str, words: list[str]) -> int:
    if words in (["--list"], ["-l"]):
        return _list_presets()
    if not words:
        raise UsageError(f"which preset? {_TRAIN_USAGE}")
    _need_extras()
    from socialgrid.models.allocation import keep_freed_memory

    keep_freed_memory()
    if words[0] == "--resume" or words[0].startswith("--resume="):
        return _resume(prog, words)
    if words[0] in ("-h", "--help"):
        print(f"usage: {_TRAIN_USAGE}\n")
        parse_train(["--help"], Preset("", "", TrainConfig()), f"{prog} PRESET")
    if words[0].startswith("-"):
        raise UsageError(f"{words[0]}: the preset comes first: {_TRAIN_USAGE}")
    preset = load_preset(words[0])
    if {"-h", "--help"} & set(words[1:]):
        print(_about(preset))
    rest, imports = _take_imports(words[1:])
    config = parse_train(rest, preset, f"{prog} {words[0]}")
    if words[0].endswith(".json"):  # a record, too
        check_imports(config, words[0], [*imports, *_games(rest)])
    note = combination(rest, preset, config)
    if note:
        print(note, flush=True)
    from socialgrid.train.on_policy.trainer import create_run

    if config.run.run_dir:
        return _finish(create_run(config, user_path(config.run.run_dir)))
    return _finish(create_run(config, _run_name(preset.name, config), fresh=True))


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
                f"{'':<28} reproduces {preset.reproduces}; {count} deviations: "
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
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{preset}-seed{config.run.seed}-{stamp}"


def _resume(prog: str, words: list[str]) -> int:
    first, equals, value = words[0].partition("=")
    rest = [value, *words[1:]] if equals else words[1:]
    if not rest or rest[0].startswith("-"):
        raise UsageError(f"{first}: which run? {_TRAIN_USAGE}")
    words, imports = _take_imports(rest[1:])
    options = parse(ResumeOptions, words, f"{prog} --resume RUN")
    from socialgrid.train.on_policy.trainer import resume_run

    trainer, messages = resume_run(user_path(rest[0]), options.total_steps, imports)
    for message in messages:
        print(plain_line(f"{prog}: {message}"), file=sys.stderr)
    goal = trainer.config.run.total_steps
    if trainer.env_steps >= goal:
        print(f"nothing left to do: step {trainer.env_steps:,} of {goal:,}; --total-steps moves it")
    elif trainer.env_steps:
        print(f"going on from step {trainer.env_steps:,} of {goal:,}, update {trainer.update:,}")
    return _finish(trainer)


@dataclass(frozen=True)
class ResumeOptions:
    """What may change when a run goes on."""

    total_steps: int | None = None
    """A new goal in environment steps."""

    def __post_init__(self) -> None:
        if self.total_steps is not None and self.total_steps < 1:
            raise UsageError(f"total-steps: {self.total_steps} is out of range")


def _finish(trainer: Any) -> int:
    from socialgrid.algos.learner import NonFiniteError
    from socialgrid.report.summary import leave_pictures, summary

    print(f"run directory: {trainer.run_dir}", flush=True)
    try:
        code = int(trainer.train())
    except NonFiniteError as error:
        _complain("socialgrid-train", f"stopped, no checkpoint written: {error}")
        return 1
    except OSError as error:
        _complain("socialgrid-train", f"stopped, the last checkpoint stays: {told(error)}")
        return 1
    try:
        try:
            print(summary(trainer))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            where = trainer.run_dir / "metrics.jsonl"
            raise UsageError(f"{where}: damaged, no summary: {error!r}") from None
        if code == 0:
            for line in leave_pictures(trainer):
                print(line)
        sys.stdout.flush()
    except OSError:  # the run itself is whole
        _mute()
        return code or _CLOSED
    return code


# -- socialgrid-eval --------------------------------------------------------------------------


def _evaluate(prog: str, words: list[str]) -> int:
    _need_extras()
    if words[:1] == ["matrix"]:
        return _evaluate_matrix(prog, words[1:])
    runs, rest = _split_words(words)
    rest, extra = _take_pairs(rest)
    rest, imports = _take_imports(rest)
    from socialgrid.commands import evaluate as evaluation
    from socialgrid.report import evaluation as reports

    options = parse(
        evaluation.EvalOptions, _join_lists(rest, ("seeds", "players")), f"{prog} RUN..."
    )
    if not runs:
        raise UsageError("which run? socialgrid-eval RUN... | matrix RUN... [--options]")
    found = []
    for name in map(user_path, runs):
        results = evaluation.evaluate(name, options, extra, imports)
        found.append((name, results))
        print(f"{name}\n{reports.report(results)}")
        if not (options.json and len(runs) > 1):
            default = reports.results_path(name, options, extra)
            path = user_path(options.json) if options.json else default
            reports.write_json(path, reports.results(name, options, extra, results))
            print(f"written to {path}")
    together = reports.report_runs(found)
    if together:
        print(together)
    if options.json and len(runs) > 1:
        each = [reports.results(name, options, extra, one) for name, one in found]
        across = reports.results_of_runs(found)
        reports.write_json(user_path(options.json), {"runs": each, "over_runs": across})
        print(f"written to {options.json}")
    return 0


def _evaluate_matrix(prog: str, words: list[str]) -> int:
    runs, rest = _split_words(words)
    rest, extra = _take_pairs(rest)
    from socialgrid.commands import matrix

    options = parse(
        matrix.MatrixOptions, _join_lists(rest, ("seeds", "players")), f"{prog} matrix RUN..."
    )
    found = matrix.play_matrix([user_path(name) for name in runs], options, extra)
    print(matrix.report(found))
    for path in matrix.leave(found, options, extra):
        print(f"written to {path}")
    return 0


# -- socialgrid-play --------------------------------------------------------------------------


def _play(prog: str, words: list[str]) -> int:
    _need_extras()
    games, rest = _split_words(words)
    rest, extra = _take_pairs(rest)
    from socialgrid.commands.play import PlayOptions
    from socialgrid.commands.play import play as play_game

    options = parse(PlayOptions, _join_lists(rest, ("players",)), f"{prog} GAME")
    if len(games) != 1:
        import socialgrid

        raise UsageError(f"which game? One of {', '.join(socialgrid.list_games())}")
    play_game(games[0], options, extra, sys.stdin, sys.stdout)
    return 0


# -- socialgrid-plot --------------------------------------------------------------------------


def _plot(prog: str, words: list[str]) -> int:
    _need_extras()
    if words[:1] == ["schelling"]:
        from socialgrid.commands import schelling

        return schelling.main(words[1:])
    if words[:1] == ["groups"]:
        return _plot_groups(prog, words[1:])
    names, rest = _split_words(words)
    options = parse(PlotOptions, rest, f"{prog} [LABEL=]RUN...")
    if not names:
        raise UsageError("which run? socialgrid-plot [LABEL=]RUN... [--options]")
    from socialgrid.report import curves as plotting

    plotting.need_matplotlib()
    runs = [plotting.RunCurves.named(name) for name in names]
    references = plotting.read_references(user_path(options.reference)) if options.reference else []
    out = user_path(options.out) if options.out else runs[0].run_dir / "curves.png"
    print(plotting.draw_curves(runs, out, references))
    if options.predictions:
        from socialgrid.commands.predictions import draw_predictions

        for run in runs:
            print(draw_predictions(run.run_dir, options.seed))
    from socialgrid.report.arms import draw_peers

    for run in runs:
        if options.peers or (len(runs) == 1 and run.advised()):
            print(draw_peers(run, run.run_dir / "peers.png"))
    return 0


def _plot_groups(prog: str, words: list[str]) -> int:
    names, rest = _split_words(words)
    options = parse(GroupsOptions, rest, f"{prog} groups [LABEL=]RUN...")
    if not names:
        raise UsageError("which runs? socialgrid-plot groups [LABEL=]RUN... [--out FILE]")
    from socialgrid.report import arms as peer_plots
    from socialgrid.report.curves import RunCurves

    runs = [RunCurves.named(name) for name in names]
    found = peer_plots.group_sizes(runs)
    out = user_path(options.out) if options.out else runs[0].run_dir / "group-sizes.png"
    print(peer_plots.report_group_sizes(found))
    print(peer_plots.draw_group_sizes(found, out))
    return 0
