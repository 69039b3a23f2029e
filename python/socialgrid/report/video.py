"""Films of episodes: the whole grid beside what each agent sees."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from socialgrid.config.errors import UsageError
from socialgrid.config.outputs import guard_output
from socialgrid.report.pictures import Image, fit_into, view_image

Array = npt.NDArray[Any]

_CAPTION = 16  # pixels of text under the grid and under each view
_PAD = 6
_NARROWEST = 140  # pixels that a caption under a world has
_TRAIL = 8  # steps that a trail shows where an agent has been
_TRAILS = ((255, 140, 0), (0, 220, 220), (200, 90, 255), (120, 220, 60), (255, 90, 120))
_SMALLEST_MARKED = 12  # pixels of a cell that has room for marks
_STRIP = 84  # pixels of the height of a strip with curves
# The agents' own colours in the games of social dilemmas.
_COLOURS = (
    (60, 60, 255),
    (2, 81, 154),
    (204, 0, 204),
    (216, 30, 54),
    (254, 151, 0),
    (100, 255, 255),
    (99, 99, 255),
    (250, 204, 255),
    (238, 223, 16),
)


Trail = Sequence[tuple[int, int]]


def frame(
    env: Any,
    obs: Any,
    captions: Sequence[str],
    title: str,
    height: int = 416,
    trails: Sequence[Trail] = (),
) -> Image:
    """One picture: the whole grid of environment 0, then every agent's view and caption.

    Args:
        env: the environment batch.
        obs: views ``[E, N, ...]``.
        captions: one line for each agent.
        title: the line under the grid.
        height: pixels of the grid; the views share it, several columns of them if need be.
        trails: where each agent has been lately and is now, (row, col); drawn with its number, and
            with its caption in the same colour, where cells are large enough.

    Returns:
        uint8 ``[height + 16, width, 3]``, both sides even as video codecs want them.
    """
    from PIL import Image as Picture
    from PIL import ImageDraw

    num_agents = len(captions)
    rows, cols = np.asarray(env.render(0, tile_size=1)).shape[:2]
    tile = max(1, min(height // rows, 2 * height // cols))
    grid = np.asarray(env.render(0, tile_size=tile), np.uint8)
    per_column = min(num_agents, 3)
    side = height // per_column - _CAPTION - _PAD
    columns = -(-num_agents // per_column)
    width = grid.shape[1] + columns * (side + _PAD) + _PAD
    canvas = np.full((height + _CAPTION, width + width % 2, 3), 24, np.uint8)
    canvas[: grid.shape[0], : grid.shape[1]] = grid
    marked = bool(trails) and tile >= _SMALLEST_MARKED
    white = (230, 230, 230)
    texts = [(4, height + 2, title, white)]
    for agent in range(num_agents):
        column, row = divmod(agent, per_column)
        left = grid.shape[1] + _PAD + column * (side + _PAD)
        top = row * (height // per_column)
        canvas[top : top + side, left : left + side] = fit_into(
            view_image(env, np.asarray(obs[0, agent])), side, side
        )
        colour = _TRAILS[agent % len(_TRAILS)] if marked else white
        texts.append((left, top + side + 1, captions[agent], colour))
    picture = Picture.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for agent, trail in enumerate(trails if marked else ()):
        _draw_trail(draw, trail, agent, len(trails), tile)
    for left, top, text, colour in texts:
        draw.text((left, top), text, fill=colour)
    return np.asarray(picture, np.uint8)


def go_on(trail: list[tuple[int, int]], place: Sequence[int] | None) -> None:
    """Add where an agent is now; it begins anew after a leap, and is nothing out of play."""
    if place is None or min(place) < 0:
        trail.clear()
        return
    row, col = int(place[0]), int(place[1])
    if trail and abs(trail[-1][0] - row) + abs(trail[-1][1] - col) > 1:
        trail.clear()
    trail[:] = [*trail, (row, col)][-_TRAIL:]


def _draw_trail(draw: Any, trail: Trail, agent: int, num_agents: int, tile: int) -> None:
    """A line where an agent has been, and its number where it is, beside those of the others."""
    if not trail:
        return
    colour = _TRAILS[agent % len(_TRAILS)]
    aside = tile * (0.5 + (agent - (num_agents - 1) / 2) * min(0.16, 0.5 / num_agents))
    points = [(col * tile + aside, row * tile + aside) for row, col in trail]
    if len(points) > 1:
        draw.line(points, fill=colour, width=max(2, tile // 16))
    x, y = points[-1]
    radius = max(5, tile // 9)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    draw.text((x - 3, y - 6), str(agent), fill=(0, 0, 0))


def with_curves(picture: Image, curves: Mapping[str, Array], step: int) -> Image:
    """Put strips below a picture: how numbers of the agents went until now.

    Args:
        picture: uint8 ``[H, W, 3]``.
        curves: by title, float ``[T, N]``; NaN where there is no number.
        step: the present; later values are not shown.

    Returns:
        uint8 ``[H + strips, W, 3]``.
    """
    from PIL import Image as Picture
    from PIL import ImageDraw

    width = picture.shape[1]
    strips = Picture.new("RGB", (width, _STRIP * len(curves)), (24, 24, 24))
    draw = ImageDraw.Draw(strips)
    left, right = 4, width - 5
    for index, (title, values) in enumerate(curves.items()):
        top = index * _STRIP + _CAPTION
        bottom = top + _STRIP - _CAPTION - 4
        known = values[np.isfinite(values)]
        low, high = min(0.0, float(known.min(initial=0))), float(known.max(initial=0))
        draw.text((4, top - _CAPTION), f"{title} ({low:.4g} to {high:.4g})", fill=(230, 230, 230))
        span = (high - low) or 1.0
        scale = (right - left) / max(1, len(values) - 1)
        zero = bottom + low / span * (bottom - top)
        draw.line([(left, zero), (right, zero)], fill=(70, 70, 70))
        for agent in range(values.shape[1]):
            points = [
                (left + t * scale, bottom - (value - low) / span * (bottom - top))
                for t, value in enumerate(values[: step + 1, agent].tolist())
                if math.isfinite(value)
            ]
            if len(points) > 1:
                draw.line(points, fill=_COLOURS[agent % len(_COLOURS)], width=2)
        now = left + step * scale
        draw.line([(now, top), (now, bottom)], fill=(120, 120, 120))
    return np.concatenate([picture, np.asarray(strips, np.uint8)])


def side_by_side(worlds: Sequence[Image], captions: Sequence[str], title: str) -> Image:
    """Worlds of one size in a row, a caption under each and a line of text above."""
    from PIL import Image as Picture
    from PIL import ImageDraw

    height, world_width = worlds[0].shape[:2]
    width = max(world_width, _NARROWEST)
    whole = len(worlds) * (width + _PAD) + _PAD
    canvas = np.full((_CAPTION + height + 2 * _CAPTION, whole + whole % 2, 3), 24, np.uint8)
    canvas = canvas[: len(canvas) - len(canvas) % 2]
    for place, world in enumerate(worlds):
        left = _PAD + place * (width + _PAD)
        canvas[_CAPTION : _CAPTION + height, left : left + world_width] = world
    picture = Picture.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    draw.text((_PAD, 2), title, fill=(230, 230, 230))
    for place, caption in enumerate(captions):
        left = _PAD + place * (width + _PAD)
        draw.text((left, _CAPTION + height + 2), caption, fill=(230, 230, 230))
    return np.asarray(picture, np.uint8)


def write_video(path: Path, frames: Iterator[Image], fps: int = 10) -> Path:
    """Write an MP4, or a GIF where the MP4 encoder is not installed.

    Args:
        path: without a suffix.
        frames: pictures of one size.
        fps: pictures a second.

    Returns:
        the file written.

    Raises:
        UsageError: imageio is not installed.
    """
    if importlib.util.find_spec("imageio") is None:
        raise UsageError('no video: pip install "socialgrid[video]"')
    import imageio.v2 as imageio

    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        target = path.with_suffix(".mp4")
        guard_output(target)
        writer = imageio.get_writer(
            target,
            fps=fps,
            codec="libx264",
            quality=7,
            macro_block_size=2,
            ffmpeg_log_level="error",
        )
    else:
        target = path.with_suffix(".gif")
        guard_output(target)
        writer = imageio.get_writer(target, duration=1000 / fps, loop=0)
    try:
        with writer:
            for picture in frames:
                writer.append_data(picture)
    except BaseException:
        target.unlink(missing_ok=True)  # half a film
        raise
    return target
