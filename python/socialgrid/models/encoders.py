"""From views to features: the convolutions every agent has for itself.

The first convolution's kernel and stride are the tile size, so it is one matrix product over the
pixels of each tile; for observations that are tile numbers it is a table look-up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from socialgrid.models import activation, encoding, kernels, lookup
from socialgrid.models.config import ModelConfig
from socialgrid.models.layers import StackedConv, StackedLinear, by_agent, uniform_parameter
from socialgrid.models.products import products
from socialgrid.models.spec import ViewSpec
from socialgrid.models.triton_kernels import choice
from socialgrid.models.walks import heard
from socialgrid.models.weight_gradients import weight_gradient

PIECE = 1024
_ALL = slice(None)
_READ_AT_ONCE = 8  # numbers of 16 bits


def to_patches(obs: Tensor, spec: ViewSpec) -> Tensor:
    """Pixels grouped by tile: the layout in which networks read and predict views.

    Args:
        obs: ``[..., rows * t, cols * t, 3]`` pixels, any dtype.
        spec: geometry of the view.

    Returns:
        ``[..., rows * cols, t * t * 3]``, the same dtype.
    """
    lead, t = obs.shape[:-3], spec.tile_size
    # Splitting axes, unlike joining them, needs no copy: the only one is the last line.
    grid = obs.view(*lead, spec.rows, t, spec.cols, t, 3).transpose(-4, -3)
    return grid.reshape(*lead, spec.rows * spec.cols, t * t * 3)


def from_patches(patches: Tensor, spec: ViewSpec) -> Tensor:
    """Inverse of ``to_patches``."""
    lead, t = patches.shape[:-2], spec.tile_size
    grid = patches.reshape(-1, spec.rows, spec.cols, t, t, 3).transpose(2, 3)
    return grid.reshape(*lead, spec.rows * t, spec.cols * t, 3)


class TileConv(nn.Module):
    """First convolution (kernel = stride = tile size) and leaky ReLU.

    Reads what ``prepare`` returns: uint8 patches ``[A, N, cells, t * t * 3]`` or tile numbers
    ``[A, N, cells]``, both giving the same ``[A, N, cells, outputs]``. Pixels count 0 to 1.
    """

    atlas: Tensor

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        spec: ViewSpec,
        outputs: int,
        negative_slope: float,
    ) -> None:
        super().__init__()
        inputs = 3 * spec.tile_size**2
        bound = 1.0 / math.sqrt(inputs)
        self.weight = uniform_parameter(generators, (outputs, inputs), bound)
        self.bias = uniform_parameter(generators, (outputs,), bound)
        self.negative_slope = negative_slope
        atlas = torch.zeros((0, inputs), dtype=torch.uint8)
        if spec.atlas is not None:
            atlas = torch.tensor(spec.atlas).reshape(-1, inputs)
        self.register_buffer("atlas", atlas, persistent=False)

    def forward(self, views: Tensor, dtype: torch.dtype, rows: slice = slice(None)) -> Tensor:
        """Features ``[A, N, cells, outputs]`` in ``dtype`` for the agents in ``rows``."""
        scaled = self.weight[rows] / 255.0
        out: Tensor = _TileConvolve.apply(  # type: ignore[no-untyped-call]
            views, self.atlas, scaled, self.bias[rows], self.negative_slope, dtype
        )
        return out


class _TileConvolve(torch.autograd.Function):
    """leaky_relu(patches @ weight + bias); keeps bytes, not floats, for the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        views: Tensor,
        atlas: Tensor,
        weight: Tensor,
        bias: Tensor,
        slope: float,
        dtype: torch.dtype,
    ) -> Tensor:
        weight, bias = weight.to(dtype), bias.to(dtype)
        (agents, count, cells), inputs = views.shape[:3], weight.shape[2]
        if views.dim() == 3:
            tiles = atlas.to(dtype).expand(agents, -1, -1)
            table = F.leaky_relu_(products(tiles, weight, bias), slope)
            numbers = views.flatten(1).int()
            found = [F.embedding(numbers[a], table[a]) for a in range(agents)]
            out = found[0][None] if agents == 1 else torch.stack(found)
        else:
            pixels = _pixels(views, dtype)
            if pixels.shape[2] > inputs:
                weight = F.pad(weight, (0, pixels.shape[2] - inputs))
            if choice.usable(weight):
                out = activation.bend_(products(pixels, weight), bias, slope)
            else:
                out = F.leaky_relu_(products(pixels, weight, bias), slope)
        ctx.save_for_backward(views, atlas, out)
        ctx.slope, ctx.inputs = slope, inputs
        return out.view(agents, count, cells, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        views, atlas, out = ctx.saved_tensors
        grad, d_bias = activation.unbend(grads[0].reshape(out.shape), out, ctx.slope)
        if views.dim() == 3:
            patches = F.embedding(views.flatten(1).int(), _pixels(atlas[None, None], out.dtype)[0])
        else:
            patches = _pixels(views, out.dtype)
        if grad.device.type == "cpu":
            weight = products(grad.mT, patches.mT).float()
        else:
            weight = weight_gradient(grad, patches)[..., : ctx.inputs].contiguous()
        return None, None, weight, d_bias, None, None


def _pixels(views: Tensor, dtype: torch.dtype) -> Tensor:
    """Pixels ``[A, N, cells, K]`` as rows ``[A, N * cells, K]`` of numbers; on accelerators, whose
    fast products read 16 bytes at a time, with zeros behind them up to a multiple of 8.
    """
    rows = views.flatten(1, 2)
    missing = 0 if rows.device.type == "cpu" else -rows.shape[2] % _READ_AT_ONCE
    if not missing:
        return rows.to(dtype)
    wider = rows.new_zeros((*rows.shape[:2], rows.shape[2] + missing), dtype=dtype)
    wider[..., : rows.shape[2]] = rows
    return wider


class CellConv(nn.Module):
    """First convolution over windows of several cells (stride: one cell) and leaky ReLU.

    Reads what ``TileConv`` reads; gives ``[A, N, rows - k + 1, cols - k + 1, outputs]``.
    """

    atlas: Tensor

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        spec: ViewSpec,
        outputs: int,
        kernel: int,
        negative_slope: float,
    ) -> None:
        super().__init__()
        self.spec = spec
        inputs = 3 * spec.tile_size**2
        self.conv = StackedConv(generators, inputs, outputs, kernel, negative_slope)
        atlas = torch.zeros((0, inputs), dtype=torch.uint8)
        if spec.atlas is not None:
            atlas = torch.tensor(spec.atlas).reshape(-1, inputs)
        self.register_buffer("atlas", atlas, persistent=False)

    def forward(self, views: Tensor, dtype: torch.dtype, rows: slice = slice(None)) -> Tensor:
        """Features in ``dtype`` for the agents in ``rows``; pixels count 0 to 1."""
        agents, count = views.shape[:2]
        if views.dim() == 3:
            table = self.atlas.to(dtype) / 255.0
            pixels = F.embedding(views.int(), table)
        else:
            pixels = views.to(dtype) / 255.0
        image = pixels.view(agents, count, self.spec.rows, self.spec.cols, -1)
        out: Tensor = self.conv(image, rows)
        return out


class Encoder(nn.Module):
    """Convolutions and fully connected layers (Ndousse et al. 2021, appendix 7.7).

    Attributes:
        kept_table: what cards look up in the place of a table made of the weights, see
            ``kept_tables``.
    """

    kept_table: Tensor | None = None

    def __init__(
        self, generators: Sequence[torch.Generator], spec: ViewSpec, config: ModelConfig
    ) -> None:
        """Build for one view geometry.

        Raises:
            ValueError: the view is too small for the convolutions.
        """
        super().__init__()
        shrink = config.first_kernel - 1 + (config.kernel - 1) * (len(config.channels) - 1)
        self.rows, self.cols = spec.rows - shrink, spec.cols - shrink
        if min(self.rows, self.cols) < 1:
            raise ValueError(
                f"a view of {spec.rows}x{spec.cols} cells is too small for "
                f"{len(config.channels)} convolutions with kernels {config.first_kernel} and "
                f"{config.kernel}; give fewer channels or smaller kernels"
            )
        self.spec = spec
        slope = config.negative_slope
        self.first: TileConv | CellConv
        if config.first_kernel == 1:
            self.first = TileConv(generators, spec, config.channels[0], slope)
        else:
            self.first = CellConv(generators, spec, config.channels[0], config.first_kernel, slope)
        self.first_shape = tuple(n - config.first_kernel + 1 for n in (spec.rows, spec.cols))
        self.convs = nn.ModuleList(
            StackedConv(generators, inputs, outputs, config.kernel, slope)
            for inputs, outputs in pairwise(config.channels)
        )
        self.flat = self.rows * self.cols * config.channels[-1]
        self.project = nn.ModuleList(
            StackedLinear(generators, inputs, outputs, tanh=True)
            for inputs, outputs in pairwise((self.flat, *config.features))
        )

    def prepare(self, obs: Tensor) -> Tensor:
        """Observations ``[..., *obs_shape]`` in the layout ``forward`` reads, still integers."""
        if self.spec.atlas is not None:
            return obs.flatten(-2)
        return to_patches(obs, self.spec)

    def pixels(self, views: Tensor) -> Tensor:
        """uint8 patches ``[..., cells, t * t * 3]`` of prepared views of either kind."""
        if self.spec.atlas is None:
            return views
        atlas = self.first.atlas
        # Rows are copied whole, which indexing does number by number.
        return atlas.index_select(0, views.flatten().long()).view(*views.shape, atlas.shape[1])

    def forward(self, views: Tensor, dtype: torch.dtype) -> Tensor:
        """Prepared views ``[A, N, ...]`` to features ``[A, N, features]``."""
        if self._by_look_up(views, dtype):
            seen = lookup.see(views.flatten(0, 1))
            if seen is not None:
                return encoding.encode(seen, len(views), self._layers(_ALL), self._chain())
        if views.device.type == "cpu" and views.shape[1] > PIECE and not torch.is_grad_enabled():
            # Nothing is kept, so pieces that fit the cache are faster than everything at once.
            starts = range(0, views.shape[1], PIECE)
            return torch.cat([self(views[:, i : i + PIECE], dtype) for i in starts], 1)
        return self.features(self.convolved(views, dtype))

    def convolved(self, views: Tensor, dtype: torch.dtype) -> Tensor:
        """Output of the last convolution, ``[A, N, rows * cols * channels]``."""
        flat = []
        for rows, part in by_agent(views):
            seen = lookup.see(part[0]) if self._by_look_up(part, dtype) else None
            flat.append(self._convolve(part, dtype, rows, seen))
        return flat[0] if len(flat) == 1 else torch.cat(flat)

    def features(self, convolved: Tensor) -> Tensor:
        """The fully connected layers: ``[A, N, features]``."""
        x = convolved
        for layer in self.project:
            x = layer(x)
        return x

    def _convolve(
        self, views: Tensor, dtype: torch.dtype, rows: slice, seen: lookup.Seen | None
    ) -> Tensor:
        agents = views.shape[0]
        first, convs = self.first, list(self.convs)
        later = convs if isinstance(first, CellConv) else convs[1:]
        layers = self._of_all_tiles(views, rows) if seen is None else None
        if seen is not None:
            x, convs = lookup.convolve(seen, self._layers(rows)), later
        elif layers is not None:
            from socialgrid.models.triton_kernels import look_ups  # noqa: PLC0415 (needs Triton)

            alone = isinstance(first, TileConv) and layers.cell is None
            table = None if self.kept_table is None else self.kept_table[rows]
            x = look_ups.convolve(views, layers, dtype, table)
            convs = convs if alone else later
        else:
            x = self.first(views, dtype, rows)
            x = x.view(agents, views.shape[1], *self.first_shape, -1)
        for conv in convs:
            x = conv(x, rows)
        flat: Tensor = x.reshape(agents, x.shape[1], self.flat)
        return flat

    def _of_all_tiles(self, views: Tensor, rows: slice) -> lookup.Layers | None:
        """What a table of all tiles stands for where kernels on cards look it up."""
        window = self.window_of_tables(views.shape[1]) if views.dim() == 3 else 0
        return self.layers_of_tables(window, rows) if window else None

    def layers_of_tables(self, window: int, rows: slice = _ALL) -> lookup.Layers:
        """What a table with so many cells along its window stands for."""
        if isinstance(self.first, CellConv) or window > 1:
            return self._layers(rows)
        first, shape = self.first, (self.spec.rows, self.spec.cols)
        weight, bias = first.weight[rows, :, None, None], first.bias[rows]
        return lookup.Layers(None, weight, bias, first.negative_slope, shape, first.atlas)

    def window_of_tables(self, count: int) -> int:
        """Cells along the window of tables of all tiles for so many views of an agent: 1 where they
        have fewer windows of the next layer than there are tiles; 0: there are none.
        """
        first = self.first
        if not choice.usable(next(self.parameters())) or heard(self):
            return 0
        if isinstance(first, CellConv) or len(self.convs) > 0:
            conv = first.conv if isinstance(first, CellConv) else self.convs[0]
            assert isinstance(conv, StackedConv)
            kernel = conv.weight.shape[2]
            windows = (self.spec.rows - kernel + 1) * (self.spec.cols - kernel + 1)
            if count * windows >= len(first.atlas):
                return kernel
        return 0 if isinstance(first, CellConv) else 1

    def _by_look_up(self, views: Tensor, dtype: torch.dtype) -> bool:
        """Whether the first convolution over several cells may be a table of tiles."""
        if views.device.type != "cpu" or dtype != torch.float32 or not kernels.usable():
            return False
        if heard(self):
            return False
        over_cells = isinstance(self.first, CellConv) or len(self.convs) > 0
        return over_cells and views.shape[1] > 0

    def _layers(self, rows: slice) -> lookup.Layers:
        """What a table stands for: the first layer, and the next where it is of single cells."""
        first, shape = self.first, (self.spec.rows, self.spec.cols)
        conv = first.conv if isinstance(first, CellConv) else self.convs[0]
        assert isinstance(conv, StackedConv)
        cell = None
        if isinstance(first, TileConv):
            cell = first.weight[rows], first.bias[rows]
        weight, bias, slope = conv.weight[rows], conv.bias[rows], conv.negative_slope
        return lookup.Layers(cell, weight, bias, slope, shape, first.atlas)

    def _chain(self) -> encoding.Chain:
        """All layers after those."""
        first = self.first.conv if isinstance(self.first, CellConv) else self.convs[0]
        convs = self.convs[0 if isinstance(self.first, CellConv) else 1 :]
        assert isinstance(first, StackedConv)
        edge = first.weight.shape[2] - 1
        shape = self.spec.rows - edge, self.spec.cols - edge
        weights = [x for one in (*convs, *self.project) for x in (one.weight, one.bias)]
        return encoding.Chain(encoding.layers_of(*shape, convs, self.project), weights)
