"""Views and grids as images, scaled without blur."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def view_image(env: Any, view: npt.NDArray[Any]) -> Image:
    """One agent's observation as uint8 ``[H, W, 3]``, whatever the observation mode."""
    if env.obs_mode == "rgb":
        return np.asarray(view, np.uint8)
    tiles = np.asarray(env.tile_atlas, np.uint8)[view]
    rows, cols, tile = tiles.shape[:3]
    pixels: Image = tiles.transpose(0, 2, 1, 3, 4).reshape(rows * tile, cols * tile, 3)
    return pixels


def enlarge(image: Image, factor: int) -> Image:
    """Repeat every pixel ``factor`` times in both directions."""
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def fit_into(image: Image, height: int, width: int) -> Image:
    """Enlarge by the largest whole factor that fits, centred on black."""
    factor = max(1, min(height // image.shape[0], width // image.shape[1]))
    image = enlarge(image, factor)[:height, :width]
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out
