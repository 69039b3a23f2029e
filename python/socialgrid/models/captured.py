"""Work that an accelerator repeats by itself, without the host starting every operation.

A phase (acting, a gradient step) is a function without arguments. It reads and writes tensors that
stay where they are, in other words parameters and buffers; it neither waits for the device, nor
copies from the host but out of ``pinned`` buffers, nor chooses by values, nor makes tensors whose
size hangs on values. Numbers of Python in it are baked in, so what changes from call to call is a
tensor. What no graph can hold, a message to other processes, is done ``apart``. Such a function can
be called as it is, or be CUDA graphs: that is all the difference.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor

from socialgrid.data.exchange import pins

T = TypeVar("T")


class Recording(Protocol):
    """What was started while it was made."""

    def cut(self, work: Callable[[], None]) -> None:
        """Have something done by the host here, every time."""
        ...

    def repeat(self) -> None:
        """Do it again, once everything started before is done."""
        ...


class Engine(Protocol):
    """What records and repeats on one kind of device."""

    def recording(self, device: torch.device) -> AbstractContextManager[Recording]:
        """Record what is started inside, without doing it."""
        ...

    def mark(self, device: torch.device) -> Callable[[], None]:
        """What returns when everything started so far is done, whatever is started later."""
        ...


class _Pool:
    """Memory that graphs share; it ends with the last of them, and its handle with it."""

    def __init__(self) -> None:
        self.handle: Any = torch.cuda.graph_pool_handle()
        self.graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()


class _Graphs:
    """CUDA graphs, one after the other, with work of the host in between."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._steps: list[Callable[[], None]] = []

    def begin(self) -> None:
        self._graph: Any = torch.cuda.CUDAGraph()
        # Threads that take no part (nccl has one that asks for events) do not spoil it.
        self._way = torch.cuda.graph(
            self._graph, self._pool.handle, capture_error_mode="thread_local"
        )
        self._way.__enter__()

    def end(self) -> None:
        self._way.__exit__(None, None, None)
        self._pool.graphs.add(self._graph)
        self._steps.append(self._graph.replay)

    def cut(self, work: Callable[[], None]) -> None:
        """See ``Recording``."""
        self.end()
        self._steps.append(work)
        self.begin()

    def repeat(self) -> None:
        """See ``Recording``."""
        for step in self._steps:
            step()


class CudaGraphs:
    """CUDA graphs, all those of a device in one pool of memory.

    PyTorch lets graphs share a pool that are never repeated at once, and in the order in which they
    were captured: a later one may use the memory of whatever the earlier ones had given back by
    then, their intermediate results. Here all are repeated in one stream, so never at once; and
    since nothing in the pool is read once its phase is over (``Captured`` has results copied to
    memory outside of it), the order does not matter either.
    """

    def __init__(self) -> None:
        """There are none yet."""
        self._pools: dict[int, _Pool] = {}
        self._spoilt: list[_Graphs] = []

    @contextlib.contextmanager
    def recording(self, device: torch.device) -> Iterator[Recording]:
        """See ``Engine``."""
        with torch.cuda.device(device):
            number, stream = torch.cuda.current_device(), torch.cuda.current_stream()
            # What is freed while a graph is recorded may spoil it, and a pool whose last graph is
            # freed must not be taken.
            gc.collect()
            if number not in self._pools or not self._pools[number].graphs:
                self._pools[number] = _Pool()
            made = _Graphs(self._pools[number])
            collects = gc.isenabled()
            gc.disable()
            try:
                made.begin()
                yield made
                made.end()
            except BaseException as error:
                self._leave(number, made)
                if isinstance(error, RuntimeError):
                    error.add_note(
                        "It was being recorded as a CUDA graph; SOCIALGRID_GRAPHS=off does without."
                    )
                raise
            finally:
                torch.cuda.set_stream(stream)  # PyTorch does not go back from what failed
                if collects:
                    gc.enable()

    def _leave(self, number: int, made: _Graphs) -> None:
        """Have PyTorch no longer take what failed to be recorded: it would neither give memory back
        to the device nor the pool to another graph, and it may still ask the graph.

        There is no public way: ``CUDAGraph.capture_end`` throws before it tells the allocator,
        ``reset`` leaves it as it is, and ``torch.cuda.use_mem_pool`` tells it only where it has
        itself begun, which is refused for a pool that is being recorded to. What it calls at its
        end is called here, where there is such a thing.
        """
        pool = self._pools.pop(number)
        with contextlib.suppress(RuntimeError):  # it says once more that it is spoilt
            made.end()
        leave = getattr(torch._C, "_cuda_endAllocateToPool", None)
        if leave is not None:
            with contextlib.suppress(RuntimeError):  # nothing is recorded there any more
                leave(number, pool.handle)
        self._spoilt.append(made)

    def mark(self, device: torch.device) -> Callable[[], None]:
        """See ``Engine``."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        done: Callable[[], None] = event.synchronize
        return done


ENGINES: dict[str, Engine] = {"cuda": CudaGraphs()}
"""By type of device; on others a phase is called every time."""

_recordings: list[Recording] = []  # under way: one at most


def repeated(device: torch.device) -> bool:
    """Whether a device repeats phases by itself, and keeps memory for them."""
    return device.type in ENGINES and os.environ.get("SOCIALGRID_GRAPHS") != "off"


class Captured(Generic[T]):
    """A phase of work on a device.

    The first call runs it, which makes libraries and kernels ready; the second records and repeats,
    later ones repeat. ``SOCIALGRID_GRAPHS=off`` in the environment, and devices without an engine,
    run it every time: the same operations, started one by one.

    Results of a repetition are the same tensors as before: use or copy them before the next.
    Nothing else that was made in a phase may be read after it.
    """

    def __init__(self, function: Callable[[], T], device: torch.device) -> None:
        """Nothing is run yet.

        Args:
            function: the phase; it returns tensors, or mappings, sequences and data classes of
                them, or nothing.
            device: where it computes.
        """
        self._function, self._device = function, device
        self._engine = ENGINES[device.type] if repeated(device) else None
        self._found: tuple[T] | None = None  # of the first call, which repetitions fill again
        self._recording: Recording | None = None

    def __call__(self) -> T:
        """Do the work; what it makes is in the tensors returned when the device is done."""
        if self._engine is None:
            return self._function()
        if self._found is None:
            found = self._function()
            for x in _tensors(found):
                # What gradients go through stays on the stream that it was made on.
                assert not x.requires_grad, "a phase returned what has a gradient"
            self._found = (found,)
        elif self._recording is None:
            self._recording = self._record(self._engine, *self._found)
            self._recording.repeat()
        else:
            self._recording.repeat()
        return self._found[0]

    def _record(self, engine: Engine, found: T) -> Recording:
        with engine.recording(self._device) as made:
            _recordings.append(made)
            try:
                pairs = zip(_tensors(found), _tensors(self._function()), strict=True)
                with torch.no_grad():
                    for kept, x in pairs:
                        if (kept.data_ptr(), kept.shape) != (x.data_ptr(), x.shape):
                            kept.copy_(x)
            finally:
                _recordings.pop()
        return made

    def forget(self) -> None:
        """Record anew at the next call but one: something that was baked in has changed."""
        self._found = self._recording = None


def apart(work: Callable[[], None]) -> None:
    """Do what no graph can hold in the middle of a phase, by the host, between two graphs.

    Args:
        work: reads what has been made before and writes to tensors that are there already; not
            called while the phase is recorded. In it the host waits for what it has to.
    """
    if _recordings:
        _recordings[-1].cut(work)
    else:
        work()


def _tensors(found: object) -> Iterator[Tensor]:
    """All that a phase returns.

    Raises:
        TypeError: it is something else, which no repetition would fill.
    """
    if isinstance(found, Tensor):
        yield found
        return
    parts: Sequence[object]
    if isinstance(found, Mapping):
        parts = [*found.values()]
    elif isinstance(found, Sequence):
        parts = found
    elif dataclasses.is_dataclass(found):
        parts = [getattr(found, field.name) for field in dataclasses.fields(found)]
    elif found is None:
        parts = ()
    else:
        raise TypeError(f"a phase returned {type(found).__name__}; it may return tensors")
    for part in parts:
        yield from _tensors(part)


def pinned(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros ``shape`` on the CPU, from and to which a device copies while the host goes on."""
    return torch.zeros(tuple(shape), dtype=dtype, pin_memory=pins(device))


def mark(device: torch.device) -> Callable[[], None]:
    """What returns when everything that a device was given until now is done, copies to ``pinned``
    included; what is given to it later need not be.
    """
    engine = ENGINES.get(device.type)
    return engine.mark(device) if engine is not None else _at_once


def _at_once() -> None:
    pass
