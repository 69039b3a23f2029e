"""What this machine computes in by itself, and what a run that begins here computes in."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from functools import cache
from pathlib import Path

import torch

from socialgrid.config import TrainConfig
from socialgrid.config.precision import Hardware, choose_precision
from socialgrid.train.device import choose_device


def settled(config: TrainConfig, *, begun: bool = False) -> TrainConfig:
    """The configuration with the precision that its run computes in.

    Args:
        config: of the run.
        begun: it has a precision already and keeps it, whatever this machine has.

    Raises:
        UsageError: what was asked for is not here, or the algorithm cannot do it.
    """
    asked, algorithm = config.run.precision, config.algorithm
    if begun and asked != "auto":
        return config
    found = choose_precision(asked, _hardware_of(config), algorithm.name, algorithm.precisions)
    return dataclasses.replace(config, run=dataclasses.replace(config.run, precision=found))


def foreign(config: TrainConfig) -> str:
    """What to tell of a run whose precision this machine has not; empty where it has."""
    machine, precision = _hardware_of(config), config.run.precision
    if precision == "auto" or precision in machine.native:
        return ""
    exact = "in float32" if precision == "tf32" else "in it, slowly"
    here = f"this {machine.device} has no {precision} of its own"
    return f"run.precision: {here}: the run goes on {exact}"


def _hardware_of(config: TrainConfig) -> Hardware:
    several = getattr(config.algorithm, "workers", 1) > 1  # they compute on the CPU
    return hardware("cpu" if several else choose_device(config.run.device).type)


def hardware(device: str) -> Hardware:
    """What is here.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    if device == "cpu":
        return Hardware(device, flags=_cpu_flags())
    capability = None
    if device == "cuda" and torch.version.cuda is not None:
        capability = torch.cuda.get_device_capability()
    return Hardware(device, capability=capability)


@cache
def _cpu_flags() -> frozenset[str]:
    if sys.platform == "darwin":
        words = ["sysctl", "-n", "hw.optional.arm.FEAT_BF16"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return frozenset({"FEAT_BF16"} if done.stdout.strip() == "1" else ())
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return frozenset({"avx512_bf16"} if known is not None and known() else ())
    return flags_in(lines)


def flags_in(lines: list[str]) -> frozenset[str]:
    """What the first CPU of ``/proc/cpuinfo`` can do."""
    for line in lines:
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(words.split())
    return frozenset()
