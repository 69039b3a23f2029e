"""Memory habits of the process that matter for training on a CPU."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next tensor instead of returning it.

    By default glibc hands large blocks back to the system at once, and every new tensor pays for
    fresh pages, in a training step up to a tenth of the time. This concerns the whole process,
    so it is for programs, not for libraries, to call, and before they start threads. The process
    keeps its peak of memory.

    Returns:
        whether anything was changed; False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(_TRIM_THRESHOLD, -1)
    kept &= mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    # One heap for all threads: those of further threads are returned whatever the threshold.
    kept &= mallopt(_ARENA_MAX, 1)
    return bool(kept)
