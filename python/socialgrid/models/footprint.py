"""Bytes that networks take on an accelerator, by their sizes.

What is counted is what autograd keeps of a view until the way back, and the largest copies that
layers make in passing (windows of convolutions, gates of a memory). A view is one of one agent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from socialgrid.models.decoder import Decoder
from socialgrid.models.encoders import CellConv, Encoder, TileConv
from socialgrid.models.layers import StackedConv, StackedLinear
from socialgrid.models.recurrent import StackedLSTM

_SINGLE, _LONG = 4, 8  # bytes of float32 and of int64


@dataclass(frozen=True)
class Footprint:
    """Bytes of a view, and of all together.

    Attributes:
        kept: of a view, until the way back.
        passing: of a view, copies that come and go, the largest of any layer.
        forward: the same where nothing is learnt.
        tables: of all agents, what the first layer makes of every tile there is.
    """

    kept: int
    passing: int
    forward: int
    tables: int = 0


def held_by(*tensors: Tensor) -> int:
    """Bytes of some tensors."""
    return sum(x.numel() * x.element_size() for x in tensors)


def footprint(network: nn.Module, dtype: torch.dtype = torch.float32) -> Footprint:
    """What a network makes of a view.

    Args:
        network: stacked.
        dtype: what it computes in.
    """
    width = dtype.itemsize
    found = [_of(module, width) for module in network.modules()]
    return Footprint(
        sum(one.kept for one in found),
        max(one.passing for one in found),
        max(one.forward for one in found),
        sum(one.tables for one in found),
    )


def _of(module: nn.Module, width: int) -> Footprint:
    if isinstance(module, StackedLinear):
        return Footprint(module.weight.shape[1] * width, 0, 0)
    if isinstance(module, StackedLSTM):
        inputs, hidden = module.weight_ih.shape[2], module.hidden
        # What it reads; gates, the cell and its sigmoid in float32, the output.
        kept = inputs * width + hidden * (6 * _SINGLE + width)
        return Footprint(kept, 8 * hidden * width, 8 * hidden * width)
    if isinstance(module, Encoder):
        return _of_encoder(module, width)
    if isinstance(module, Decoder):
        return _of_decoder(module, width)
    return Footprint(0, 0, 0)


def _of_encoder(encoder: Encoder, width: int) -> Footprint:
    spec, kept = encoder.spec, 0
    forward, back = list[int](), list[int]()
    cells, pixels = spec.rows * spec.cols, 3 * spec.tile_size**2
    convs = [one for one in encoder.convs if isinstance(one, StackedConv)]
    rows, cols = spec.rows, spec.cols
    if isinstance(encoder.first, CellConv):
        kept += cells * pixels * width
        convs = [encoder.first.conv, *convs]
    else:
        outputs = encoder.first.weight.shape[1]
        kept += cells * outputs * width
        of_pixels = cells * pixels * width
        forward.append(cells * outputs * width + (0 if len(encoder.first.atlas) else of_pixels))
        back.append(cells * outputs * width + of_pixels)
    for i, conv in enumerate(convs):
        outputs, kernel, _, inputs = conv.weight.shape[1:]
        before = rows * cols
        rows, cols = rows - kernel + 1, cols - kernel + 1
        made = rows * cols * outputs
        kept += made * width
        forward.append((rows * cols * kernel**2 * inputs + made) * width)
        if i or not isinstance(encoder.first, CellConv):  # nobody learns views
            back.append((before * kernel**2 * outputs + made) * width)
    tiles, agents = len(encoder.first.atlas), len(next(encoder.parameters()))
    by_tile = pixels
    if isinstance(encoder.first, TileConv):
        by_tile += agents * encoder.first.weight.shape[1]
    tables = tiles * (pixels + by_tile * width)
    return Footprint(kept, max(forward + back), max(forward), tables)


def _of_decoder(decoder: Decoder, width: int) -> Footprint:
    kept, passing = 0, []
    rows, cols = decoder.rows, decoder.cols
    convs = [one for one in decoder.convs if hasattr(one, "weight")]
    for conv in convs:
        weight = conv.weight
        assert isinstance(weight, Tensor)
        inputs, kernel, _, outputs = weight.shape[1:]
        before = rows * cols
        rows, cols = rows + kernel - 1, cols + kernel - 1
        kept += rows * cols * outputs * width
        windows = max(rows * cols * inputs, before * outputs) * kernel**2
        passing.append((windows + rows * cols * outputs) * width)
    cells, pixels = rows * cols, decoder.weight.shape[2]
    # What is compared with, as bytes and by number; what is left of the error.
    kept += cells * (pixels * (1 + width) + _LONG)
    passing.append(4 * cells * pixels * width)
    return Footprint(kept, max(passing), 0)  # only where something is learnt
