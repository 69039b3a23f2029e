"""The commands. Nothing heavy is imported before it is needed, so that a missing extra, a bad
option or a bad path costs one line and no waiting."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Sequence

import socialgrid
from socialgrid.commands.ending import CLOSED, complain, mute, show_anything
from socialgrid.config.errors import UsageError, lacking, told

_COMMANDS = {
    "socialgrid-train": "socialgrid.commands.train",
    "socialgrid-eval": "socialgrid.commands.evaluate",
    "socialgrid-play": "socialgrid.commands.play",
    "socialgrid-plot": "socialgrid.commands.plot",
}


def train(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-train PRESET [--options] | --resume RUN | --list``. Returns the exit code."""
    return _run("socialgrid-train", argv)


def evaluate(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-eval RUN... | matrix RUN... | record PRESET | RUN``. Returns the exit code."""
    return _run("socialgrid-eval", argv)


def play(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-play GAME [--options]``. Returns the exit code."""
    return _run("socialgrid-play", argv)


def plot(argv: Sequence[str] | None = None) -> int:
    """``socialgrid-plot [LABEL=]RUN... | arms | table | csv | correlation | groups | ...``.

    Returns the exit code.
    """
    return _run("socialgrid-plot", argv)


def _prepare_torch() -> None:
    """Set what torch reads when it is imported; values set by the user stay.

    Idle threads shall sleep instead of spin: spinning threads that have to share their cores
    with anything else (the simulator's, another run's) slow small networks down by an order of
    magnitude. And cuBLAS needs a fixed workspace to give the same sums every time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _run(prog: str, argv: Sequence[str] | None) -> int:
    """Run a command; what the user or the machine got wrong becomes one line and exit code 2."""
    _prepare_torch()
    # Started with closed outputs (>&-), Python has none, and files would take their numbers.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    show_anything()
    try:
        if (sys.argv[1:] if argv is None else list(argv)) in (["--version"], ["-V"]):
            print(f"{prog} {socialgrid.__version__}")
            return 0
        command = importlib.import_module(_COMMANDS[prog])
        code = int(command.main(prog, list(sys.argv[1:] if argv is None else argv)))
        sys.stdout.flush()
        return code
    except UsageError as error:
        return complain(prog, str(error))
    except KeyboardInterrupt:
        for child in multiprocessing.active_children():  # a stopped one would be waited for
            child.kill()
        complain(prog, "interrupted")
        return 130
    except BrokenPipeError:  # whoever read the output, as head does, has seen enough
        mute()
        return CLOSED
    except OSError as error:
        return complain(prog, told(error))
    except MemoryError as error:
        return complain(prog, f"out of memory: {error}" if str(error) else "out of memory")
    except (UnicodeError, RecursionError) as error:
        return complain(prog, f"{error}")
    except RuntimeError as error:
        if (text := lacking(error)) is None:
            raise
        return complain(prog, text)
