"""Work that an accelerator repeats by itself, without the host starting every operation.

A phase (acting, a gradient step) is a function without arguments. It reads and writes tensors that
stay where they are, in other words parameters and buffers; it neither waits for the device, nor
copies from the host but out of ``pinned`` buffers, nor chooses by values, nor makes tensors whose
size hangs on values. Numbers of Python in it are baked in, so what changes from call to call is a
tensor. Such a function can be called as it is, or be one CUDA graph: that is all the difference.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Engine(Protocol):
    """What records and repeats on one kind of device."""

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Record what a function starts, without doing it.

        Returns:
            its results, which every repetition fills, and what repeats.
        """
        ...

    def wait(self, device: torch.device) -> None:
        """Return when everything started so far is done."""
        ...


class CudaGraphs:
    """CUDA graphs, each with memory of its own."""

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """See ``Engine``."""
        graph = torch.cuda.CUDAGraph()
        gc.collect()  # what is freed while a graph is recorded may spoil it
        collects = gc.isenabled()
        gc.disable()
        try:
            with torch.cuda.graph(graph):
                found = function()
        except RuntimeError as error:
            error.add_note(
                "It was being recorded as a CUDA graph; SOCIALGRID_GRAPHS=off does without."
            )
            raise
        finally:
            if collects:
                gc.enable()
        return found, graph.replay

    def wait(self, device: torch.device) -> None:
        """See ``Engine``."""
        torch.cuda.current_stream(device).synchronize()


ENGINES: dict[str, Engine] = {"cuda": CudaGraphs()}
"""By type of device; on others a phase is called every time."""


def repeated(device: torch.device) -> bool:
    """Whether a device repeats phases by itself, and keeps memory for each."""
    return device.type in ENGINES and os.environ.get("SOCIALGRID_GRAPHS") != "off"


class Captured(Generic[T]):
    """A phase of work on a device.

    The first call runs it, which makes libraries and kernels ready; the second records and repeats,
    later ones repeat. ``SOCIALGRID_GRAPHS=off`` in the environment, and devices without an engine,
    run it every time: the same operations, started one by one.

    Results of a repetition are the same tensors as before: use or copy them before the next.
    """

    def __init__(self, function: Callable[[], T], device: torch.device) -> None:
        """Nothing is run yet.

        Args:
            function: the phase.
            device: where it computes.
        """
        self._function = function
        self._engine = ENGINES[device.type] if repeated(device) else None
        self._warm = False
        self._recorded: tuple[T, Callable[[], None]] | None = None

    def __call__(self) -> T:
        """Do the work; what it makes is in the tensors returned when the device is done."""
        if self._engine is None or not self._warm:
            self._warm = True
            return self._function()
        if self._recorded is None:
            self._recorded = self._engine.record(self._function)
        found, repeat = self._recorded
        repeat()
        return found

    def forget(self) -> None:
        """Record anew at the next call but one: something that was baked in has changed."""
        self._warm, self._recorded = False, None


def pinned(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros ``shape`` on the CPU, from and to which a device copies while the host goes on."""
    return torch.zeros(tuple(shape), dtype=dtype, pin_memory=device.type in ENGINES)


def wait_for(device: torch.device) -> None:
    """Return when everything that a device was given is done, copies to ``pinned`` included."""
    engine = ENGINES.get(device.type)
    if engine is not None:
        engine.wait(device)
