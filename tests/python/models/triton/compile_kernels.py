"""Compiles every kernel for cards of two generations, as PyTorch would start them: no GPU needed.

    python -m tests.python.models.triton.compile_kernels float32

Networks run forward and backward on the CPU with launches that compile instead of computing, so
numbers mean nothing; shapes and types are those of use.
"""

import importlib
import pkgutil
import re
import sys
from typing import ClassVar

import numpy as np
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from socialgrid.models import (
    Decoder,
    Encoder,
    FlatParameters,
    ModelConfig,
    StackedAdam,
    StackedConv,
    StackedLinear,
    StackedLSTM,
    StackedTransposedConv,
    ViewSpec,
    kernels,
    triton_kernels,
)
from socialgrid.models.triton_kernels import choice

TARGETS = [GPUTarget("cuda", 80, 32), GPUTarget("cuda", 90, 32)]
TYPES = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.uint8: "*u8",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
}


class Compiles:
    """Stands where a kernel stands."""

    done: ClassVar[set[tuple[str, str]]] = set()

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        assert 1 <= len(grid) <= 3
        assert all(isinstance(n, int) and n > 0 for n in grid)
        assert all(n < 65536 for n in grid[1:])
        return self.start

    def start(self, *args):
        names = self.kernel.arg_names
        signature, constants = {}, {}
        for place, (name, value) in enumerate(zip(names, args, strict=True)):
            if place in self.kernel.constexprs:
                signature[name], constants[name] = "constexpr", value
            elif isinstance(value, torch.Tensor):
                signature[name] = TYPES[value.dtype]
            else:
                signature[name] = "fp32" if isinstance(value, float) else "i32"
        key = (self.kernel.__name__, str((signature, constants)))
        if key in self.done:
            return
        self.done.add(key)
        for target in TARGETS:
            source = ASTSource(self.kernel, signature, constants)
            made = triton.compile(source, target=target)
            assert made.metadata.shared < 100_000, "shared memory that every card has"
            assert not re.search(r"\b(atom|red)\.", made.asm["ptx"]), "sums in no fixed order"


def exercise(dtype):
    """Everything that has kernels, forward and backward."""
    gens = [torch.Generator().manual_seed(a) for a in range(2)]
    x = torch.zeros(2, 3, 5, 7, dtype=dtype, requires_grad=True)
    h = torch.zeros(2, 5, 48, requires_grad=True)
    out, _ = StackedLSTM(gens, 7, 48)(x, h, h, torch.zeros(2, 3, 5, dtype=torch.bool))
    out.float().sum().backward()
    image = torch.zeros(2, 3, 6, 6, 7, dtype=dtype)
    for layer, given in (
        (StackedConv(gens, 7, 12, 3, 0.1), image),
        (StackedTransposedConv(gens, 7, 12, 3, 0.1), image),
        (StackedLinear(gens, 7, 12, tanh=True), x.flatten(1, 2)),
    ):
        layer(given).float().sum().backward()
    spec = ViewSpec(7, 7, 3, (3, 3), atlas=np.zeros((9, 3, 3, 3), np.uint8))
    model = ModelConfig(channels=(8, 12), features=(4,), memory=6)
    encoder = Encoder(gens, spec, model)
    encoder(torch.zeros(2, 3, 49, dtype=torch.uint16), dtype).float().sum().backward()
    core, action = torch.zeros(2, 3, 6, dtype=dtype), torch.zeros(2, 3, dtype=torch.int64)
    target = torch.zeros(2, 3, 49, 27, dtype=torch.uint8)
    Decoder(gens, spec, model)(core, action, target).sum().backward()
    flat = FlatParameters(StackedLinear(gens, 7, 12))
    adam = StackedAdam(flat, 2, 0.1, (0.9, 0.999), 1e-8, flat)
    adam.step_where(flat, flat.gradients(), torch.zeros(2, dtype=torch.bool))


def main():
    choice.DEVICES = {"cpu"}
    kernels.KERNELS = None
    choice.works = lambda device: True
    names = set()
    for found in pkgutil.iter_modules(triton_kernels.__path__):
        module = importlib.import_module(f"{triton_kernels.__name__}.{found.name}")
        for name, value in list(vars(module).items()):
            if isinstance(value, triton.runtime.JITFunction):
                setattr(module, name, Compiles(value))
                names.add(name)
    exercise(getattr(torch, sys.argv[1]))
    left = names - {name for name, _ in Compiles.done}
    assert not left, f"nobody asked for {left}"
    print(f"compiled {len(Compiles.done)} variants of {len(names)} kernels")


if __name__ == "__main__":
    main()
