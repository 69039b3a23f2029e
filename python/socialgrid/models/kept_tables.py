"""Tables of tiles that acting looks up on cards, made anew only when weights have changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from socialgrid.models.encoders import Encoder

# ruff: noqa: PLC0415 (Triton is imported where kernels are used)


class KeptTables:
    """What every tile adds at every place of a window, in memory that stays, for one encoder.

    Who changes weights has to tell: by PyTorch's operations, which count versions, or where a graph
    does it by ``FlatParameters.changed``.
    """

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        """There are none yet; tables are of ``dtype``."""
        self._encoder, self._dtype = encoder, dtype
        self._tables: dict[int, Tensor] = {}  # by cells along the window
        self._of: dict[int, object] = {}  # which weights they are of

    @torch.no_grad()
    def bring(self, count: int) -> None:
        """Have the table for so many views of an agent be that of the present weights. It is not
        part of a phase; a phase that looks it up comes after it.
        """
        window = self._window(count)
        if not window:
            return
        from socialgrid.models.triton_kernels import look_ups

        layers = self._encoder.layers_of_tables(window)
        weights = [layers.weight, *(layers.cell or ())]
        of = tuple((x.data_ptr(), x._version) for x in weights)
        if self._of.get(window) == of:
            return
        table = look_ups.table_of(layers).to(self._dtype)
        if window in self._tables:
            self._tables[window].copy_(table)
        else:
            self._tables[window] = table.contiguous()
        self._of[window] = of

    @contextlib.contextmanager
    def looked_up(self, count: int) -> Iterator[None]:
        """Inside, the encoder looks up what has been brought; it is for acting alone, where weights
        stay as they are.
        """
        self._encoder.kept_table = self._tables.get(self._window(count))
        try:
            yield
        finally:
            self._encoder.kept_table = None

    def _window(self, count: int) -> int:
        return self._encoder.window_of_tables(count) if len(self._encoder.first.atlas) else 0
