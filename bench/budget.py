"""How long a run in a folder was to be, for programs that keep what is finished there."""

from __future__ import annotations

from pathlib import Path

from socialgrid.config import load_config


def check_budget(run_dir: Path, steps: int, *, longer: bool = False) -> None:
    """Refuse to put a run of another length into a table.

    Args:
        run_dir: where the run is, if it has begun.
        steps: that it is to have.
        longer: a shorter one can be gone on with.

    Raises:
        SystemExit: it was given another number of steps.
    """
    if not (run_dir / "config.json").exists():
        return
    given = load_config(run_dir).run.total_steps
    if given > steps or (given < steps and not longer):
        raise SystemExit(
            f"{run_dir} is a run of {given:,} steps, not of {steps:,}: remove it, or give another "
            "folder with --runs"
        )
