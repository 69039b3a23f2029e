"""A second device that computes on the CPU: what an accelerator would refuse, and what it costs.

Tensors on it are told from those of the CPU, and the two must not meet but where CUDA lets them.
Every operation counts as a launch, everything that makes the host wait for the device as a wait
(reading values, copies back, copies of memory that is not pinned, sizes that hang on values),
everything that goes there as a copy.

    with Pretend() as device:
        x = torch.ones(3, device=DEVICE)
        float(x.sum())
    assert (device.launches, device.waits) == (2, 1)

Phases (``models/captured.py``) are recorded and repeated on it as CUDA does with its graphs: while
one is recorded, waits, copies from memory that is not pinned and sizes that hang on values are
errors; a repetition is one launch, which computes what was recorded on the same memory anew, so
that a value that Python had in its hand is the old one. What was made in a phase is spoilt when a
repetition is over, for all phases share their memory; what it read or wrote besides has to be held
by somebody. Copies to pinned memory arrive when the host waits, and pinned memory that is copied
from must not be written to before.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import torch
from tests.python.live_bytes import LiveBytes
from tests.python.pretended_graphs import (
    Graphs,
    Recorded,
    at_work,
    place_of,
    tensors_of,
    with_each,
)
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from socialgrid.models import ENGINES

DEVICE = torch.device("meta")
"""What the device is called; nothing else in the package uses this one."""

# Of a tensor's shape only, or memory that nobody has written to.
_SHAPES = """
    view _unsafe_view transpose t permute select slice unsqueeze squeeze expand as_strided split
    unbind alias detach narrow chunk unfold _reshape_alias split_with_sizes lift_fresh mT empty
    empty_like new_empty empty_strided resize_ is_same_size diagonal
"""
_FREE = set(_SHAPES.split())
# What comes out has a size that only the device knows.
_OPEN = {"nonzero", "masked_select", "unique_consecutive", "_unique2", "unique_dim", "equal"}
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Far(torch.Tensor):
    """A tensor of the device; what it holds lies on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Far:
        made: Far = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=DEVICE
        )
        made.inner = inner
        for device in Pretend.entered:
            device.memory.hold(made, inner)
        return made

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter
    def data(self, given: Far) -> None:
        assert self.inner.shape == given.inner.shape
        self.inner = given.inner

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        Pretend.active().wait("tolist")
        return self.inner.tolist()

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None, **_: Any) -> Any:
        return torch.tensor(data, dtype=dtype or self.dtype, device=DEVICE)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_moved(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_moved(index), value)

    def __repr__(self, **_: Any) -> str:
        return f"Far({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return Pretend.active().compute(func, args, kwargs or {})


def _moved(index: Any) -> Any:
    """An index whose lists have been copied to the device."""
    if isinstance(index, list):
        Pretend.active().copy("list as index")
        return Far(torch.tensor(index))
    return tuple(map(_moved, index)) if isinstance(index, tuple) else index


class Pretend(TorchDispatchMode):
    """While it is entered there is the device.

    Attributes:
        launches: operations that a device would have to start.
        waits: times that the host waited for it.
        copies: times that something went there.
        places: how often each line of the package caused a wait or a copy.
        memory: bytes that its tensors hold.
    """

    entered: ClassVar[list[Pretend]] = []

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.waits = self.copies = 0
        self.places: collections.Counter[str] = collections.Counter()
        self._pinned: dict[int, StorageWeakRef] = {}  # by address
        self._under_way: list[Callable[[], object]] = []  # copies to and from pinned memory
        self._record: Recorded | None = None
        self._written: dict[int, Callable[[], object]] = {}  # while recording: what puts it back
        self.memory = LiveBytes()

    @classmethod
    def active(cls) -> Pretend:
        """The one that is entered."""
        return cls.entered[-1]

    def __enter__(self) -> Pretend:
        self.entered.append(self)
        self._tensor, torch.tensor = torch.tensor, self._make
        self._overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        ENGINES[DEVICE.type] = Graphs(self)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._arrive()
        del ENGINES[DEVICE.type]
        torch.__future__.set_overwrite_module_params_on_conversion(self._overwrites)
        torch.tensor = self._tensor
        self.entered.pop()

    def reset(self) -> None:
        """Count from here."""
        self.launches = self.waits = self.copies = 0
        self.places.clear()

    def wait(self, why: str, only: list[Callable[[], object]] | None = None) -> None:
        """The host waited, for everything or for some copies."""
        self._forbid(f"waits for the device ({why})")
        self._arrive(only)
        self.waits += 1
        self.places[f"wait: {why} at {at_work()}"] += 1

    def copy(self, what: str) -> None:
        """Something went to the device."""
        self._forbid(f"copies from the host ({what})")
        self.wait(f"copied: {what}")
        self.copies += 1
        self.places[f"copy: {what} at {at_work()}"] += 1

    @contextlib.contextmanager
    def recording(self) -> Iterator[Recorded]:
        """Record what is started inside; nothing of it is done."""
        assert self._record is None, "a phase is recorded while another is"
        made = self._record = Recorded(self)
        counts = self.launches, self.waits, self.copies
        self.memory.recording = True
        try:
            yield made
        finally:
            self.memory.recording = False
            self._record = None
            self.launches, self.waits, self.copies = counts
            for before in self._written.values():
                before()
            self._written.clear()

    def _forbid(self, what: str) -> None:
        if self._record is not None:
            raise RuntimeError(f"a phase that is recorded {what}: {at_work()}")

    def mark(self) -> Callable[[], None]:
        """What waits for all that is under way now."""
        under_way = list(self._under_way)

        def wait() -> None:
            self.wait("mark", only=under_way)

        return wait

    def _arrive(self, only: list[Callable[[], object]] | None = None) -> None:
        arriving = self._under_way if only is None else only
        found = [one for one in self._under_way if any(one is other for other in arriving)]
        self._under_way = [one for one in self._under_way if all(one is not x for x in found)]
        for copy in found:
            copy()

    def _is_pinned(self, x: torch.Tensor) -> bool:
        known = self._pinned.get(place_of(x))
        return known is not None and not known.expired()

    def _make(self, data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        made = self._tensor(data, *args, **kwargs)
        if device is None or torch.device(device) != DEVICE:
            return made
        self.copy("torch.tensor")
        return Far(made)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.compute(func, args, kwargs or {})

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """One operation, where it belongs.

        Raises:
            RuntimeError: tensors of both devices.
        """
        name = func._schema.name.partition("::")[2]
        given = tensors_of((args, kwargs))
        far = [x for x in given if isinstance(x, Far)]
        asks = name == "is_pinned" or kwargs.get("pin_memory") or kwargs.get("device") is not None
        if not far and not asks:  # the host's own
            return func(*args, **kwargs)
        near_args, near_kwargs = _near((args, kwargs), by_value=self._record is not None)
        there = bool(far)
        if name == "is_pinned":
            return self._is_pinned(args[0])
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]) == DEVICE
            near_kwargs["device"] = torch.device("cpu")
        if near_kwargs.get("pin_memory"):
            near_kwargs["pin_memory"] = False
            made: torch.Tensor = func(*near_args, **near_kwargs)
            self._pinned[place_of(made)] = StorageWeakRef(made.untyped_storage())
            return made
        if far and name in ("_local_scalar_dense", "item"):
            self.wait("value read")
            return func(*near_args, **near_kwargs)
        arrives = self._arrives(name, args, kwargs)
        if name in ("_to_copy", "copy_") and not arrives:
            there = self._copied(name, args, there)
        elif far and not arrives:
            self._check(name, args, given)
        self.launches += (there or bool(far)) and name not in _FREE
        if arrives:
            start = partial(self._depart, args[0], args[1].inner)
            if self._record is None:
                start()
            else:
                self._record.add(start)
                self._record.reads(far)
            return args[0]
        if self._record is None or not (there or far):
            out = func(*near_args, **near_kwargs)
        else:
            self._record.reads(far)
            out = self._recorded(func, near_args, near_kwargs)
            self._record.makes(out)
        if not there:
            return out
        known = {id(x.inner): x for x in far}  # what is returned as it came in

        return with_each(out, lambda x: known[id(x)] if id(x) in known else Far(x))

    def _recorded(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Compute once, for shapes and for what looks at them; again at every repetition."""
        for x in _written(func, args, kwargs):
            memory = x.untyped_storage()
            self._written.setdefault(memory.data_ptr(), partial(memory.copy_, memory.clone()))
        out = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        if name in _FREE:
            return out

        def work() -> None:
            again = func(*args, **kwargs)
            for x, y in zip(tensors_of(out), tensors_of(again), strict=True):
                if place_of(x) != place_of(y):
                    x.copy_(y)

        assert self._record is not None
        self._record.add(work)
        return out

    def _depart(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """A copy to pinned memory sets out; it arrives when the host waits."""
        self._under_way.append(partial(target.copy_, source.clone()))

    def _leave(self, source: torch.Tensor) -> None:
        """A copy from pinned memory sets out; until it has arrived the memory stays as it is."""
        before, place = source.clone(), at_work()

        def check() -> None:
            same = torch.equal(source.view(torch.uint8), before.view(torch.uint8))
            assert same, f"pinned memory was written to while it was copied from: {place}"

        if source.dim():
            self._under_way.append(check)

    def _arrives(self, name: str, args: Any, kwargs: dict[str, Any]) -> bool:
        """Whether it copies to pinned memory while the host goes on."""
        if name != "copy_" or isinstance(args[0], Far) or not isinstance(args[1], Far):
            return False
        later = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
        return bool(later) and self._is_pinned(args[0])

    def _copied(self, name: str, args: Any, there: bool) -> bool:
        target, source = (there, args[0]) if name == "_to_copy" else (args[0], args[1])
        onto = isinstance(target, Far) if name == "copy_" else there
        if isinstance(source, Far) and not onto:
            self.wait("copied back")
        elif onto and not isinstance(source, Far):
            if not self._is_pinned(source):
                self._forbid(f"copies from memory that is not pinned ({name})")
                self.wait("copied from memory that is not pinned")
            elif self._record is None:
                self._leave(source)
            else:
                self._record.add(partial(self._leave, source))
            self.copies += 1
            self.places[f"copy: {name} at {at_work()}"] += 1
        return onto

    def _check(self, name: str, args: Any, given: list[torch.Tensor]) -> None:
        near = [x for x in given if not isinstance(x, Far) and x.dim() > 0]
        if name in _OPEN:
            self.wait(name)
        if name in _INDEXED:
            index = [x for x in args[1] if x is not None]
            if not isinstance(args[0], Far):
                raise RuntimeError(f"an index on the device into a tensor on the CPU: {at_work()}")
            for x in index:
                if not isinstance(x, Far):
                    self.copy("index")
            fills = name != "index" and isinstance(args[2], torch.Tensor) and args[2].numel() == 1
            if any(x.dtype in (torch.bool, torch.uint8) for x in index) and not fills:
                self.wait("bool index")
            near = [x for x in near if not any(x is one for one in index)]
        if near:
            what = f"{name} of a CPU tensor {tuple(near[0].shape)}"
            raise RuntimeError(f"{what} with some on the device: {at_work()}")


def _near(tree: Any, *, by_value: bool) -> Any:
    """Everything as it lies on the CPU; single numbers of the host as copies, if by value."""

    def near(x: torch.Tensor) -> torch.Tensor:
        if isinstance(x, Far):
            return x.inner
        return x.clone() if by_value and x.dim() == 0 else x

    return with_each(tree, near)


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    """What an operation writes to."""
    for i, one in enumerate(func._schema.arguments):
        if one.alias_info is not None and one.alias_info.is_write:
            given = args[i] if i < len(args) else kwargs.get(one.name)
            yield from tensors_of(given)
