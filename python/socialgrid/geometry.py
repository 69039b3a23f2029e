"""Pure functions on grids: shortest ways and lines of sight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from socialgrid import _core


def action_distances(passable: NDArray[np.bool_], targets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fewest actions (turn left, turn right, forward) that take an agent into a target cell.

    Args:
        passable: bool [N, H, W], cells an agent may walk over; the target need not be one.
        targets: int [N, 2], (row, col) of one target per grid.

    Returns:
        int32 [N, 4, H, W] by direction (0 right, 1 down, 2 left, 3 up), row and column; -1 where
        there is no way. On the target itself: leaving and entering it again.

    Raises:
        ValueError: shapes do not agree, or a target is outside its grid.
        TypeError: cells that are no booleans, or targets that are no integers.
    """
    return _core.action_distances(_flags(passable, "passable"), _integers(targets, "targets"))


def occlusion(opaque: NDArray[np.bool_], view_offset: int) -> NDArray[np.bool_]:
    """The cells of square views that are visible past opaque ones.

    Args:
        opaque: bool [N, V, V], V odd from 3 to 31; row 0 is farthest ahead of the viewer.
        view_offset: rows behind the viewer, who is at row ``V - 1 - view_offset``, column
            ``V // 2``.

    Returns:
        bool [N, V, V], True where the viewer sees the cell.

    Raises:
        ValueError: the shape or the offset is not one of a view.
        TypeError: cells that are no booleans, or an offset that is no integer.
    """
    return _core.occlusion(_flags(opaque, "opaque"), _integers(view_offset, "view_offset").item())


def _flags(values: Any, name: str) -> NDArray[np.bool_]:
    array = np.ascontiguousarray(values)
    if array.dtype != np.bool_:
        raise TypeError(f"{name} must be booleans, not {array.dtype}")
    return array


def _integers(values: Any, name: str) -> NDArray[np.int64]:
    """Integers of any kind as int64; what is beyond is at its end, outside of every grid."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(2**63 - 1))
    return np.asarray(array, dtype=np.int64, order="C")
