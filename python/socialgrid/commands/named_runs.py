"""Runs that a command line names, and where pictures of them go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from socialgrid.commands.words import split_words
from socialgrid.config.errors import UsageError
from socialgrid.config.run_files import user_path
from socialgrid.report.runs import RunCurves


def take_runs(command: str, words: Sequence[str]) -> tuple[list[RunCurves], list[str]]:
    """The runs that are named, and the options after them; help needs no run.

    Raises:
        UsageError: none is named, or one is no run.
    """
    names, rest = split_words(words)
    if not names and not {"-h", "--help"} & set(rest):
        raise UsageError(f"which runs? socialgrid-plot {command} [LABEL=]RUN... [--options]")
    return RunCurves.all_named(names), rest


def picture_of(runs: Sequence[RunCurves], out: str, name: str) -> Path:
    """The file that was asked for, or else ``name`` in the first run's directory."""
    return user_path(out) if out else runs[0].run_dir / name
