"""Films of episodes: the whole grid beside what each agent sees."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from socialgrid.algos.ppo import PPO
from socialgrid.train.errors import UsageError
from socialgrid.train.pictures import Image, fit_into, view_image
from socialgrid.train.worlds import Worlds

_CAPTION = 16  # pixels of text under the grid and under each view
_PAD = 6


def frame(env: Any, obs: Any, captions: Sequence[str], title: str, height: int = 416) -> Image:
    """One picture: the whole grid of environment 0, then every agent's view and caption.

    Args:
        env: the environment batch.
        obs: views ``[E, N, ...]``.
        captions: one line for each agent.
        title: the line under the grid.
        height: pixels of the grid; the views share it, several columns of them if need be.

    Returns:
        uint8 ``[height + 16, width, 3]``, both sides even as video codecs want them.
    """
    from PIL import Image as Picture
    from PIL import ImageDraw

    num_agents = len(captions)
    rows, cols = np.asarray(env.render(0, tile_size=1)).shape[:2]
    tile = max(1, height // max(rows, cols))
    grid = np.asarray(env.render(0, tile_size=tile), np.uint8)
    per_column = min(num_agents, 3)
    side = height // per_column - _CAPTION - _PAD
    columns = -(-num_agents // per_column)
    width = grid.shape[1] + columns * (side + _PAD) + _PAD
    canvas = np.full((height + _CAPTION, width + width % 2, 3), 24, np.uint8)
    canvas[: grid.shape[0], : grid.shape[1]] = grid
    texts = [(4, height + 2, title)]
    for agent in range(num_agents):
        column, row = divmod(agent, per_column)
        left = grid.shape[1] + _PAD + column * (side + _PAD)
        top = row * (height // per_column)
        canvas[top : top + side, left : left + side] = fit_into(
            view_image(env, np.asarray(obs[0, agent])), side, side
        )
        texts.append((left, top + side + 1, captions[agent]))
    picture = Picture.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for left, top, text in texts:
        draw.text((left, top), text, fill=(230, 230, 230))
    return np.asarray(picture, np.uint8)


def episode_frames(
    worlds: Worlds, learner: PPO, slots: Sequence[int], names: Sequence[str]
) -> Iterator[Image]:
    """Play one episode in a batch of one environment and draw every step."""
    obs, active = worlds.reset()
    num_agents = len(names)
    returns = np.zeros(num_agents)
    memory = learner.initial_state(1)
    columns = list(slots)
    reset = np.ones((1, num_agents), bool)
    slot: dict[str, Any] = {
        "obs": np.zeros_like(obs),
        "reward": np.zeros((1, num_agents), np.float32),
        "done": np.zeros(1, bool),
        "active": np.zeros((1, num_agents), bool),
    }
    for step in range(worlds.env.max_steps):
        captions = [f"{name} {value:.1f}" for name, value in zip(names, returns, strict=True)]
        yield frame(worlds.env, obs, captions, f"step {step}")
        out = learner.act(
            torch.from_numpy(np.ascontiguousarray(obs[:, columns])),
            memory,
            torch.from_numpy(np.ascontiguousarray((reset | ~active)[:, columns])),
        )
        memory = out.state
        worlds.actions[:, columns] = out.action.cpu().numpy()
        worlds.send(0, worlds.actions, slot)
        worlds.recv(0)
        returns += slot["reward"][0]
        if slot["done"][0]:
            return
        obs, active = slot["obs"], slot["active"]
        reset = np.zeros((1, num_agents), bool)


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
        writer = imageio.get_writer(target, duration=1000 / fps, loop=0)
    with writer:
        for picture in frames:
            writer.append_data(picture)
    return target
