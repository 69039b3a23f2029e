"""Memory that begins at a multiple of 64 bytes, as all that is handed out does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES = 64


def aligned_rows(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of C-contiguous [n, ...] whose rows each begin at 64 bytes and lie in one piece."""
    first = array[0]
    stride = -(-first.nbytes // _BYTES) * _BYTES
    room = np.empty(len(array) * stride + _BYTES, np.uint8)
    begin = -room.ctypes.data % _BYTES
    rows: NDArray[Any] = np.ndarray(array.shape, array.dtype, room, begin, (stride, *first.strides))
    rows[...] = array
    return rows
