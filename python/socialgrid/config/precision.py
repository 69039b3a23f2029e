"""In which numbers a run computes: what was asked for against what a machine has. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from socialgrid.config.errors import UsageError
from socialgrid.models.config import Precision

# As Linux calls them on x86 and on ARM; macOS has a name of its own.
_CPU_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "FEAT_BF16"})
_AMPERE = (8, 0)  # NVIDIA's first cards with TF32 and bfloat16


@dataclass(frozen=True)
class Hardware:
    """What computes, as far as kinds of numbers go.

    Attributes:
        device: "cpu", "cuda" or "mps".
        flags: what the CPU can do, as its operating system names it.
        capability: of the CUDA card; ``None`` where there is none or it is not NVIDIA's.
    """

    device: str
    flags: frozenset[str] = frozenset()
    capability: tuple[int, int] | None = None

    @property
    def native(self) -> tuple[Precision, ...]:
        """What it computes in by itself, the most exact first."""
        if self.device == "cuda" and self.capability is not None and self.capability >= _AMPERE:
            return ("float32", "tf32", "bf16")
        if self.device == "cpu" and self.flags & _CPU_BF16:
            return ("float32", "bf16")
        return ("float32",)


def choose_precision(
    asked: Literal["auto"] | Precision,
    hardware: Hardware,
    algorithm: str,
    able: Sequence[Precision],
) -> Precision:
    """What a run computes in.

    Args:
        asked: as ``run.precision`` says; "auto" is what is fastest here: on a card bf16, else
            tf32, else float32. On a CPU it is float32, whose compiled kernels are faster than
            bf16 even where the processor has it.
        hardware: what it runs on.
        algorithm: name of the algorithm.
        able: what the algorithm can compute in.

    Raises:
        UsageError: it was asked for and the algorithm cannot do it, or the machine has it not.
    """
    native = hardware.native
    if asked == "auto":
        fast: tuple[Precision, ...] = ("bf16", "tf32") if hardware.device != "cpu" else ()
        return next((one for one in fast if one in native and one in able), "float32")
    if asked not in able:
        raise UsageError(f"run.precision: {algorithm} computes in {' or '.join(able)}, not {asked}")
    if asked not in native:
        raise UsageError(
            f"run.precision: this {hardware.device} has no {asked} of its own; it has "
            f"{', '.join(native)}"
        )
    return asked
