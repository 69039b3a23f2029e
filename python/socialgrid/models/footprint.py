"""Bytes that networks take on an accelerator, by their sizes.

What is counted is what autograd keeps of a view until the way back, and the largest copies that
layers make in passing (windows of convolutions, gates of a memory). A view is one of one agent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from socialgrid.models import dense_convolutions
from socialgrid.models.decoder import Decoder
from socialgrid.models.encoders import CellConv, Encoder, TileConv
from socialgrid.models.layers import StackedConv, StackedLinear
from socialgrid.models.recurrent import StackedLSTM

_SINGLE, _LONG = 4, 8  # bytes of float32 and of int64
_TABLES = 4  # as made, as looked up in, its gradient, and the last piece of each tile
_SORTED = 2 * _SINGLE + 2 * _LONG  # of a cell, sorted by tile: keys and places
_PIECE = 256  # cells that are added at a time (look_ups.PIECE, which needs Triton)


@dataclass(frozen=True)
class Footprint:
    """Bytes of a view, and of all together.

    Attributes:
        kept: of a view, until the way back.
        passing: of a view, copies that come and go, the largest of any layer; of a whole network,
            what they take beyond what has been given back until then.
        forward: the same where nothing is learnt.
        tables: of all agents, the largest of what the first layer makes of every tile there is and
            of the matrices that stand for convolutions.
    """

    kept: int
    passing: int
    forward: int
    tables: int = 0


def held_by(*tensors: Tensor) -> int:
    """Bytes of some tensors."""
    return sum(x.numel() * x.element_size() for x in tensors)


def footprint_of(network: nn.Module, views: int, dtype: torch.dtype = torch.float32) -> Footprint:
    """What a network makes of a view.

    Args:
        network: stacked.
        views: of an agent, that are computed together.
        dtype: what it computes in.
    """
    width = dtype.itemsize
    each = {module: _of(module, views, width) for module in network.modules()}
    found, kept = list(each.values()), sum(one.kept for one in each.values())
    # On the way back encoders come last: what is kept for all others is free by then.
    passing = max(
        one.passing - (kept - one.kept if isinstance(module, Encoder) else 0)
        for module, one in each.items()
    )
    return Footprint(
        kept,
        max(0, passing),
        max(one.forward for one in found),
        max(one.tables for one in found),
    )


def _of(module: nn.Module, views: int, width: int) -> Footprint:
    if isinstance(module, StackedLinear):
        return Footprint(module.weight.shape[1] * width, 0, 0)
    if isinstance(module, StackedLSTM):
        inputs, hidden = module.weight_ih.shape[2], module.hidden
        # What it reads; gates, the cell and its sigmoid in float32, the output.
        kept = inputs * width + hidden * (6 * _SINGLE + width)
        return Footprint(kept, 8 * hidden * width, 8 * hidden * width)
    if isinstance(module, Encoder):
        return _of_encoder(module, views, width)
    if isinstance(module, Decoder):
        return _of_decoder(module, views, width)
    return Footprint(0, 0, 0)


@dataclass(frozen=True)
class _Conv:
    """A convolution between a larger and a smaller image; numbers of a view."""

    large: int
    small: int
    windows_of_large: int
    windows_of_small: int
    matrix: int  # of all agents; 0: windows are copied

    @staticmethod
    def of(weight: Tensor, rows: int, cols: int, views: int) -> _Conv:
        """Of a weight ``[A, O, k, k, C]`` and the larger image's cells."""
        agents, outputs, kernel, _, inputs = weight.shape
        cells, fewer = rows * cols, (rows - kernel + 1) * (cols - kernel + 1)
        large, small, taps = cells * inputs, fewer * outputs, kernel**2
        sides = views, rows, cols, kernel
        down = dense_convolutions.worthwhile(*sides, cells * outputs)
        up = dense_convolutions.worthwhile(*sides, fewer * inputs)
        return _Conv(
            large,
            small,
            0 if down else fewer * taps * inputs,
            0 if up else cells * taps * outputs,
            agents * large * small if down or up else 0,
        )


def _of_encoder(encoder: Encoder, views: int, width: int) -> Footprint:
    spec, kept = encoder.spec, 0
    forward, back = list[int](), list[int]()
    cells, pixels = spec.rows * spec.cols, 3 * spec.tile_size**2
    convs = [one for one in encoder.convs if isinstance(one, StackedConv)]
    rows, cols = spec.rows, spec.cols
    tiles, agents = len(encoder.first.atlas), len(next(encoder.parameters()))
    window = encoder.window_of_tables(views) if tiles else 0
    alone = isinstance(encoder.first, TileConv) and window < 2  # no table does for the next layer
    if isinstance(encoder.first, CellConv):
        kept += 0 if window else cells * pixels * width
        convs = [encoder.first.conv, *convs]
    elif alone:
        outputs = encoder.first.weight.shape[1]
        kept += cells * outputs * width
        of_pixels = cells * (-(-pixels // 8) * 8) * width  # with zeros, see encoders
        forward.append(cells * outputs * width + (0 if tiles else of_pixels))
        back.append(cells * outputs * width + (0 if window else of_pixels))
    matrices = [0]
    for i, conv in enumerate(convs):
        one = _Conv.of(conv.weight, rows, cols, views)
        edge = conv.weight.shape[2] - 1
        rows, cols = rows - edge, cols - edge
        kept += one.small * width
        if i == 0 and window and not alone:  # by tables
            back.append(2 * one.small * width)
            continue
        forward.append((one.windows_of_large + one.small) * width)
        back.append((one.windows_of_large + 2 * one.small) * width)
        if i or not isinstance(encoder.first, CellConv):  # nobody learns views
            back.append((one.windows_of_small + one.small + one.large) * width)
        matrices.append(one.matrix * width)
    if window:
        looked = _of_look_up(encoder, agents, window)
        back.append(back[0] + looked.passing)
        return Footprint(kept, max(forward + back), max(forward, default=0), looked.tables)
    by_tile = pixels
    if isinstance(encoder.first, TileConv):
        by_tile += agents * encoder.first.weight.shape[1]
    tables = max(tiles * (pixels + by_tile * width), *matrices)
    return Footprint(kept, max(forward + back), max(forward), tables)


def _of_look_up(encoder: Encoder, agents: int, window: int) -> Footprint:
    """Of tables of what every tile adds at every place of a window, which cards look up: there and
    back, in float32 whatever is looked up in, with sums of pieces of each tile's cells.
    """
    tiles, first = len(encoder.first.atlas), encoder.first
    weight = first.conv.weight if isinstance(first, CellConv) else first.weight
    if isinstance(first, TileConv) and window > 1:
        (weight, *_) = encoder.convs[0].parameters()
    outputs, inputs = weight.shape[1], weight.shape[-1]
    table, cells = agents * tiles * window**2 * outputs, encoder.spec.rows * encoder.spec.cols
    of_piece = window * window * outputs * _SINGLE
    return Footprint(
        0,
        cells * (_SORTED + -(-of_piece // _PIECE)),
        0,
        _TABLES * table * _SINGLE + 2 * agents * tiles * inputs * _SINGLE,
    )


def _of_decoder(decoder: Decoder, views: int, width: int) -> Footprint:
    kept, passing = 0, []
    rows, cols = decoder.rows, decoder.cols
    matrices = [0]
    for conv in decoder.convs:
        weight = conv.weight
        assert isinstance(weight, Tensor)
        edge = weight.shape[2] - 1
        rows, cols = rows + edge, cols + edge
        one = _Conv.of(weight, rows, cols, views)
        kept += one.large * width
        windows = max(one.windows_of_small, one.windows_of_large)
        passing.append((windows + one.small + one.large) * width)
        matrices.append(one.matrix * width)
    cells, pixels = rows * cols, decoder.weight.shape[2]
    # What is compared with, as bytes and by number; what is left of the error.
    kept += cells * (pixels * (1 + width) + _LONG)
    passing.append(4 * cells * pixels * width)
    return Footprint(kept, max(passing), 0, max(matrices))  # nothing forward: only what is learnt
