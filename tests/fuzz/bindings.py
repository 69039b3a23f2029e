"""Feed the Python extension, built with AddressSanitizer, what no caller should give it.

    cmake --preset asan -DSOCIALGRID_PYTHON=ON -Dpybind11_DIR="$(python -m pybind11 --cmakedir)"
    cmake --build --preset asan --target _core
    python tests/fuzz/bindings.py --extension build/asan/_core*.so --seconds 60

Random games are stepped with ``out=`` of foreign array types, right and wrong, which are resized,
closed, given other memory or forgotten while the step is under way; earlier results are written
into and given back; seeds, layouts, snapshots and configurations are of odd kinds. A twin that is
only stepped says what the results must be. Needs GCC, whose AddressSanitizer can be loaded first.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import ctypes
import dataclasses
import importlib.machinery
import importlib.util
import mmap
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

REFUSALS = (TypeError, ValueError, KeyError, IndexError, RuntimeError, BufferError, MemoryError)


def start_with_sanitizer() -> None:
    """Start this program anew with AddressSanitizer loaded before everything else."""
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        return
    # The C++ library comes along: AddressSanitizer looks there for what throws.
    libraries = [
        subprocess.run(
            ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        # Python keeps much until the end, which is no leak; its memory is to be watched as well.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
        "OMP_NUM_THREADS": "1",
    }
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def load_extension(path: str) -> None:
    """Make `import socialgrid` use the extension at `path`."""
    loader = importlib.machinery.ExtensionFileLoader("socialgrid._core", path)
    spec = importlib.util.spec_from_loader("socialgrid._core", loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules["socialgrid._core"] = module


class Copies:
    """Its __array__ makes a new array each time."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.store.copy()


class Address:
    """Says where memory is, and keeps none."""

    def __init__(self, store: Any) -> None:
        self.__array_interface__ = store.__array_interface__


class Raises:
    """An array whose conversion fails."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise ValueError("no array today")


def over_buffer(make: Callable[[int], Any]) -> Callable[[Any, random.Random], Any]:
    """An array over a buffer of another library's, or the buffer itself."""

    def build(like: Any, dice: random.Random) -> Any:
        buffer = make(max(1, like.nbytes))
        if dice.random() < 0.3 and like.dtype.char in "BfiH?":
            view = memoryview(buffer)[: like.nbytes]
            return view.cast("B").cast(like.dtype.char, like.shape)
        return np.frombuffer(buffer, like.dtype, like.size).reshape(like.shape)

    return build


KINDS: dict[str, Callable[[Any, random.Random], Any]] = {
    "array": lambda like, dice: np.empty_like(like),
    "view": lambda like, dice: np.empty((2, *like.shape), like.dtype)[dice.randrange(2)],
    "masked": lambda like, dice: np.ma.masked_array(np.empty_like(like)),
    "record": lambda like, dice: np.empty_like(like).view(np.recarray),
    "bytearray": over_buffer(bytearray),
    "array.array": over_buffer(lambda n: array.array("B", bytes(n))),
    "mmap": over_buffer(lambda n: mmap.mmap(-1, n)),
    "ctypes": over_buffer(lambda n: (ctypes.c_ubyte * n)()),
    # From here on nothing can be written in place, or not as asked for.
    "bytes": over_buffer(bytes),
    "copies": lambda like, dice: Copies(like),
    "address": lambda like, dice: Address(like),
    "raises": lambda like, dice: Raises(),
    "list": lambda like, dice: like.tolist(),
    "scalar": lambda like, dice: like.dtype.type(),
    "object": lambda like, dice: like.astype(object),
    "none": lambda like, dice: None,
    "strided": lambda like, dice: np.empty((*like.shape, 2), like.dtype)[..., 0],
    "backwards": lambda like, dice: np.empty_like(like)[::-1],
    "columns": lambda like, dice: np.empty_like(like, order="F"),
    "still": lambda like, dice: np.lib.stride_tricks.as_strided(
        np.empty(1, like.dtype), like.shape, (0,) * like.ndim
    ),
    "wide": lambda like, dice: np.empty(like.shape, "f8"),
    "swapped": lambda like, dice: np.empty(like.shape, like.dtype.newbyteorder()),
    "short": lambda like, dice: np.empty_like(like)[:-1],
    "flat": lambda like, dice: np.empty(like.size, like.dtype),
    "unaligned": lambda like, dice: (
        np.empty(like.nbytes + 1, np.uint8)[1:].view(like.dtype).reshape(like.shape)
    ),
}


def add_tensors() -> None:
    """Tensors, where torch is there."""
    try:
        import torch
    except ImportError:
        return

    def tensor(like: Any, dice: random.Random) -> Any:
        return torch.from_numpy(np.empty_like(like))

    KINDS["tensor"] = tensor
    KINDS["tensor view"] = lambda like, dice: torch.stack([tensor(like, dice)] * 2)[1]
    KINDS["tensor across"] = lambda like, dice: tensor(like, dice).transpose(0, -1)
    KINDS["meta"] = lambda like, dice: tensor(like, dice).to("meta")
    KINDS["sparse"] = lambda like, dice: tensor(like, dice).to_sparse()
    KINDS["gradient"] = lambda like, dice: tensor(like, dice).float().requires_grad_()
    KINDS["expanded"] = lambda like, dice: tensor(like, dice)[:1].expand(*like.shape)


def mischief(given: Any, dice: random.Random) -> bool:
    """Try to take memory away from under a step; say whether something may have gone.

    An array over a buffer that was released must not be read any more: numpy does not see it.
    """
    owner = given
    while isinstance(owner, np.ndarray) and owner.base is not None and dice.random() < 0.7:
        owner = owner.base
    attempts: list[Callable[[Any], Any]] = [
        lambda it: it.resize(dice.choice([0, 1, 10**6]), refcheck=False),
        lambda it: it.clear(),
        lambda it: it.close(),
        lambda it: it.release(),
        lambda it: it.set_(),
        lambda it: it.resize_(10**6),
        lambda it: it.untyped_storage().resize_(0),
        lambda it: setattr(it, "shape", (it.size,)),
        lambda it: it.extend(bytes(10**6)),
    ]
    gone = False
    for attempt in dice.sample(attempts, 4):
        with contextlib.suppress(*REFUSALS, AttributeError):
            attempt(owner)
            gone = True
    return gone


class Session:
    """One game and its twin, and what happens to them."""

    def __init__(self, socialgrid: Any, dice: random.Random, counts: Counter[str]) -> None:
        self.sg, self.dice, self.counts = socialgrid, dice, counts
        game = dice.choice(socialgrid.list_games())
        options = {"num_envs": dice.randint(1, 4), "seed": dice.randrange(9), "max_steps": 9}
        if game not in ("Room-v0", "Hallway-v0"):
            options["obs_mode"] = dice.choice(["rgb", "tiles"])
        self.env = socialgrid.make_vec(game, num_threads=dice.randint(1, 3), **options)
        self.twin = socialgrid.make_vec(game, num_threads=1, **options)
        for env in (self.env, self.twin):
            env.reset()
        self.shape = (self.env.num_envs, self.env.num_agents)
        self.named: dict[str, Any] = {}  # results of the last step by name
        self.kept: list[Any] = []

    def act(self) -> None:
        dice = self.dice
        actions = np.array(
            [[dice.randrange(n) for n in self.env.action_counts] for _ in range(self.shape[0])]
        )
        result = self.twin.step(actions)
        likes = {**dict(zip(NAMES, result[:4], strict=True)), **result[4]}
        out = self.draw_out(likes)
        given = dict(out)
        names = set(out)
        gone: list[str] = []
        try:
            if dice.random() < 0.5:
                got = self.env.step(actions, out=out)
            else:
                self.env.send(actions, out=out)
                if dice.random() < 0.5:
                    given.clear()
                    out = {}
                    self.named = {}
                gone = [name for name, one in given.items() if mischief(one, dice)]
                got = self.env.recv()
        except REFUSALS:
            self.counts["refused"] += 1
            got = self.env.step(actions)
        self.counts["steps"] += 1
        self.named = {**dict(zip(NAMES, got[:4], strict=True)), **got[4]}
        for name in gone:
            self.named.pop(name)
        self.compare(likes, names)
        self.spoil()

    def draw_out(self, likes: dict[str, Any]) -> dict[str, Any]:
        dice, out = self.dice, {}
        for name in dice.sample(list(likes), dice.randrange(4)):
            kind = dice.choice(list(KINDS))
            if self.kept and dice.random() < 0.2:
                out[name] = dice.choice(self.kept)
                continue
            try:
                out[name] = KINDS[kind](likes[name], dice)
            except (ValueError, TypeError, RuntimeError):
                continue
        if dice.random() < 0.02:
            out[dice.choice(["obs\0", "\ud800", "rewards", 5, None])] = np.zeros(1)
        return out

    def compare(self, likes: dict[str, Any], given: set[str]) -> None:
        for name, got in self.named.items():
            right = likes[name]
            if tuple(getattr(got, "shape", right.shape)) != right.shape:
                continue  # mischief gave it another shape, or other memory
            rows = slice(None)
            if name == "final_obs" and name in given:
                rows = np.asarray(likes["done"])
            same = np.array_equal(np.asarray(got)[rows], right[rows])
            assert same, f"{name} is not what the twin saw"

    def spoil(self) -> None:
        dice = self.dice
        for value in self.named.values():
            if dice.random() < 0.3 and isinstance(value, np.ndarray) and value.flags.writeable:
                value[...] = 7
            if dice.random() < 0.2:
                # A tensor that could not be resized may say that it was.
                with contextlib.suppress(*REFUSALS):
                    self.kept.append(value[:] if dice.random() < 0.5 else value)
        while len(self.kept) > 6:
            self.kept.pop(dice.randrange(len(self.kept)))

    def odd_call(self) -> None:
        """A call that is refused, or does to the twin what it does to the batch."""
        dice, env = self.dice, self.env
        before = env.get_state()
        layout = env.get_layout(0)
        odd = [
            None,
            -1,
            1.9,
            "x",
            b"\xff",
            True,
            2**40,
            10**30,
            [1],
            "\ud800",
            np.ones(2),
            object(),
        ]
        field = dice.choice([f.name for f in dataclasses.fields(layout)])
        option = dice.choice(list(env.config))
        state = bytearray(before)
        state[dice.randrange(len(state))] ^= 1 << dice.randrange(8)
        calls: list[Callable[[], Any]] = [
            lambda: env.reset(seed=range(10**9)),
            lambda: env.reset(seed=[dice.choice(odd)] * self.shape[0]),
            lambda: env.set_state(dice.choice([bytes(state), b"", before[:-1], before + b"0"])),
            lambda: env.set_layout(0, dataclasses.replace(layout, **{field: dice.choice(odd)})),
            lambda: env.render(dice.choice(odd[:-1]), 3),
            lambda: env.worlds([dice.choice(odd)]),
            lambda: env.step(dice.choice(odd)),
            lambda: env.step(np.full(self.shape, 99)),
            lambda: env.step(np.zeros((*self.shape[:1], 77), int)),
            lambda: self.sg.make_vec(env.game, **{option: dice.choice(odd)}),
        ]
        try:
            dice.choice(calls)()
        except REFUSALS:
            self.counts["odd calls refused"] += 1
            assert env.get_state() == before, "a refused call changed the state"
        else:
            env.set_state(before)


NAMES = ("obs", "reward", "terminated", "truncated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extension", required=True, help="the extension made with the preset")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start_with_sanitizer()
    load_extension(options.extension)
    import socialgrid

    add_tensors()
    counts: Counter[str] = Counter()
    end = time.monotonic() + options.seconds
    number = options.seed * 10**6
    while time.monotonic() < end:
        number += 1
        counts["games"] += 1
        dice = random.Random(number)
        try:
            session = Session(socialgrid, dice, counts)
            for _ in range(30):
                if dice.random() < 0.8:
                    session.act()
                else:
                    session.odd_call()
        except BaseException:
            print(f"in the game that random.Random({number}) draws:", file=sys.stderr)
            raise
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
