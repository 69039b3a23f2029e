"""Pictures in a plain text terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

HOME, CLEAR, CLEAR_BELOW = "\x1b[H", "\x1b[2J", "\x1b[J"  # escape codes
_UPPER_HALF = "\u2580"


def half_blocks(image: NDArray[np.uint8]) -> list[str]:
    """Draw an image with one character for two pixels, one above the other.

    Args:
        image: uint8 ``[H, W, 3]``.

    Returns:
        lines with 24-bit colour escapes.
    """
    if image.shape[0] % 2:
        image = np.concatenate([image, np.zeros_like(image[:1])])
    lines = []
    for upper, lower in zip(image[0::2], image[1::2], strict=True):
        cells = []
        last = None
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            colours = (*top, *bottom)
            if colours != last:
                cells.append(
                    f"\x1b[38;2;{top[0]};{top[1]};{top[2]};48;2;{bottom[0]};{bottom[1]};{bottom[2]}m"
                )
                last = colours
            cells.append(_UPPER_HALF)
        lines.append("".join(cells) + "\x1b[0m")
    return lines


def redraw(stream: TextIO, lines: Iterable[str], *, anew: bool = False) -> None:
    """Write lines over those that were drawn before.

    Where the stream's encoding has no half blocks, spaces show the lower one of every two pixels.

    Args:
        stream: a terminal.
        lines: of text or of ``half_blocks``.
        anew: clear the terminal first.
    """
    text = "".join(f"{line}\x1b[K\n" for line in lines)
    try:
        _UPPER_HALF.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.replace(_UPPER_HALF, " ")
    stream.write((CLEAR if anew else "") + HOME + text + CLEAR_BELOW)
    stream.flush()


class Screen:
    """Draws one picture over the other on standard output, at most so many a second.

    Args:
        frames_per_second: of the pictures; ``show`` waits for its turn.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._interval = 1 / frames_per_second
        self._due: float | None = None  # None: nothing has been drawn yet

    def tile_size(self, rows: int, columns: int, largest: int) -> int:
        """Pixels a tile with which a grid of ``rows`` x ``columns`` fits, at least 1."""
        width, height = shutil.get_terminal_size((80, 40))
        return max(1, min(width // columns, 2 * (height - 1) // rows, largest))

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Draw uint8 [H, W, 3], a character for two pixels."""
        if self._due is not None:
            time.sleep(min(max(self._due - time.monotonic(), 0), self._interval))
        redraw(sys.stdout, half_blocks(picture), anew=self._due is None)
        self._due = time.monotonic() + self._interval
