"""What a viewer can see past opaque cells."""

import numpy as np


def visible_cells(opaque, view_offset):
    """Which cells of a view are seen.

    opaque: bool [V, V] (row, col), the viewer looking towards row 0 from the middle column,
    `view_offset` rows from the last. Returns bool [V, V].
    """
    size = len(opaque)
    viewer_row, viewer_col = size - 1 - view_offset, size // 2
    seen = np.zeros((size, size), dtype=bool)
    seen[viewer_row, viewer_col] = True

    def sweep(row, onward):
        """Along one row, first to the right and then to the left, spreading sight `onward`."""
        for side, cols in ((1, range(viewer_col, size)), (-1, range(viewer_col + 1, 0, -1))):
            for col in cols:
                if seen[row, col] and not opaque[row][col]:
                    beside, beyond = col + side, row + onward
                    for r, c in ((row, beside), (beyond, col), (beyond, beside)):
                        if 0 <= r < size and 0 <= c < size:
                            seen[r, c] = True

    for row in range(min(viewer_row + 1, size - 1), 0, -1):
        sweep(row, onward=-1)
    for row in range(viewer_row, size):
        sweep(row, onward=+1)
    return seen
