"""Files that a user asked for: pictures, tables, recordings. Never over a run's own record."""

from __future__ import annotations

from pathlib import Path

from socialgrid.config.errors import UsageError, told
from socialgrid.config.run_files import CONFIG, METRICS, refuse_link, write_whole


def guard_output(path: Path) -> None:
    """Refuse to write a picture or a table over what a run has recorded, or through a link in a
    run; elsewhere links are the user's.

    Raises:
        UsageError: it is one of these.
    """
    if (path.parent / CONFIG).exists():
        refuse_link(path)
        if path.name in (CONFIG, METRICS):
            raise UsageError(f"{path}: that is the run's own record; give another name")


def write_output(path: Path, data: bytes) -> None:
    """Write what a user asked for: in one piece, but into what is no file of its own, a pipe or
    what their link points to, as it is.

    Raises:
        UsageError: it is a run's own record or a link in a run (see ``guard_output``), or the
            system refuses.
    """
    try:
        guard_output(path)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(data)
        else:
            write_whole(path, data)
    except OSError as error:
        raise UsageError(told(error, path)) from None
