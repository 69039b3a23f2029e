"""Layers that see views, as compiled kernels are told of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from socialgrid.models.encoders import CellConv, Encoder
from socialgrid.models.encoding import Layer, layers_of


@dataclass(frozen=True)
class Seeing:
    """How an encoder is put together.

    Attributes:
        of_cells: whether the first layer is of single cells.
        layers: all of them.
        parameters: weight and bias of each in turn.
    """

    of_cells: bool
    layers: list[Layer]
    parameters: list[nn.Parameter]


def seeing(encoder: Encoder) -> Seeing | None:
    """How an encoder is put together; None where no layer is of windows of several cells."""
    first, convs, spec = encoder.first, list(encoder.convs), encoder.spec
    layers: list[Layer] = []
    modules: list[nn.Module] = [first, *convs, *encoder.project]
    if isinstance(first, CellConv):
        convs = [first.conv, *convs]
        modules = [*convs, *encoder.project]
    elif convs:
        outputs, inputs = first.weight.shape[1:]
        layers.append((1, 1, inputs, outputs, 1, first.negative_slope, False))
    else:
        return None
    layers += layers_of(spec.rows, spec.cols, convs, encoder.project)
    own = [getattr(one, name) for one in modules for name in ("weight", "bias")]
    return Seeing(not isinstance(first, CellConv), layers, own)
