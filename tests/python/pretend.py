"""A second device that computes on the CPU: what an accelerator would refuse, and what it costs.

Tensors on it are told from those of the CPU, and the two must not meet but where CUDA lets them.
Every operation counts as a launch, everything that makes the host wait for the device as a wait
(reading values, copies back, sizes that hang on values), everything that goes there as a copy.

    with Pretend() as device:
        x = torch.ones(3, device=DEVICE)
        float(x.sum())
    assert (device.launches, device.waits) == (2, 1)
"""

from __future__ import annotations

import collections
import sys
from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

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
        return made

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
    """

    _entered: ClassVar[list[Pretend]] = []

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.waits = self.copies = 0
        self.places: collections.Counter[str] = collections.Counter()

    @classmethod
    def active(cls) -> Pretend:
        """The one that is entered."""
        return cls._entered[-1]

    def __enter__(self) -> Pretend:
        self._entered.append(self)
        self._tensor, torch.tensor = torch.tensor, self._make
        self._overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.__future__.set_overwrite_module_params_on_conversion(self._overwrites)
        torch.tensor = self._tensor
        self._entered.pop()

    def reset(self) -> None:
        """Count from here."""
        self.launches = self.waits = self.copies = 0
        self.places.clear()

    def wait(self, why: str) -> None:
        """The host waited."""
        self.waits += 1
        self.places[f"wait: {why} at {_place()}"] += 1

    def copy(self, what: str) -> None:
        """Something went to the device."""
        self.copies += 1
        self.places[f"copy: {what} at {_place()}"] += 1

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
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        far = [x for x in given if isinstance(x, Far)]
        there, near_args, near_kwargs = bool(far), _near(args), _near(kwargs)
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]) == DEVICE
            near_kwargs["device"] = torch.device("cpu")
        if near_kwargs.get("pin_memory"):
            near_kwargs["pin_memory"] = False
        if far and name in ("_local_scalar_dense", "item"):
            self.wait("value read")
            return func(*near_args, **near_kwargs)
        if name in ("_to_copy", "copy_"):
            there = self._copied(name, args, there)
        elif far:
            self._check(name, args, given)
        if there or far:
            self.launches += name not in _FREE
        out = func(*near_args, **near_kwargs)
        if not there:
            return out
        known = {id(x.inner): x for x in far}  # what is returned as it came in

        def wrap(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            return known[id(x)] if id(x) in known else Far(x)

        return tree_map(wrap, out)

    def _copied(self, name: str, args: Any, there: bool) -> bool:
        target, source = (there, args[0]) if name == "_to_copy" else (args[0], args[1])
        onto = isinstance(target, Far) if name == "copy_" else there
        if isinstance(source, Far) and not onto:
            self.wait("copied back")
        elif onto and not isinstance(source, Far):
            self.copy(name)
        return onto

    def _check(self, name: str, args: Any, given: list[torch.Tensor]) -> None:
        near = [x for x in given if not isinstance(x, Far) and x.dim() > 0]
        if name in _OPEN:
            self.wait(name)
        if name in _INDEXED:
            index = [x for x in args[1] if x is not None]
            if not isinstance(args[0], Far):
                raise RuntimeError(f"an index on the device into a tensor on the CPU: {_place()}")
            for x in index:
                if not isinstance(x, Far):
                    self.copy("index")
            fills = name != "index" and isinstance(args[2], torch.Tensor) and args[2].numel() == 1
            if any(x.dtype in (torch.bool, torch.uint8) for x in index) and not fills:
                self.wait("bool index")
            near = [x for x in near if not any(x is one for one in index)]
        if near:
            raise RuntimeError(
                f"{name} of a CPU tensor {tuple(near[0].shape)} with some on the device: {_place()}"
            )


def _near(tree: Any) -> Any:
    return tree_map(lambda x: x.inner if isinstance(x, Far) else x, tree)


def _place() -> str:
    """The line of the package that is at work."""
    frame = sys._getframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if "/socialgrid/" in file and "/tests/" not in file:
            return f"{file.rpartition('/socialgrid/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "the test"
