"""What a run takes of an accelerator's memory, said and checked before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from socialgrid.config import UsageError

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Bytes on the device, as far as sizes tell: what is measured lies between 0.7 and 1.5 times
    the sum, PyTorch's own memory (a few hundred MB) aside.

    Attributes:
        networks: parameters, their gradients, and copies to go back to.
        optimiser: its moments.
        experience: the batch, or the replay memory where it lies on the device.
        update: what an update takes besides: the most that any of its phases does, a gradient step
            as a rule; where the device repeats phases by itself it keeps that, and the first time
            of another one comes on top.
        remembers: whether experience is a replay memory.
    """

    networks: int
    optimiser: int
    experience: int
    update: int
    remembers: bool = False

    @property
    def total(self) -> int:
        """All of them."""
        return self.networks + self.optimiser + self.experience + self.update

    @classmethod
    def added(cls, needs: Sequence[Need]) -> Need:
        """What several learners take together."""
        return cls(
            sum(one.networks for one in needs),
            sum(one.optimiser for one in needs),
            sum(one.experience for one in needs),
            sum(one.update for one in needs),
            any(one.remembers for one in needs),
        )

    def __str__(self) -> str:
        name = "replay memory" if self.remembers else "batch"
        parts = (
            ("networks", self.networks),
            ("optimiser", self.optimiser),
            (name, self.experience),
            ("an update", self.update),
        )
        listed = ", ".join(f"{of} {_amount(size)}" for of, size in parts)
        return f"about {_amount(self.total)} ({listed})"


_NeedOf = Callable[[Mapping[str, int]], Need]


def _amount(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / 2**20:.0f} MiB"


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process has or can have there; ``None``: nobody can say."""
    if device.type != "cuda":
        return None
    free: int = torch.cuda.mem_get_info(device)[0]
    return free + torch.cuda.memory_reserved(device)


def fit(
    need: _NeedOf,
    options: Mapping[str, int],
    device: torch.device,
    free: Callable[[torch.device], int | None] | None = None,
) -> str:
    """See whether a run fits.

    Args:
        need: what it takes with other values of some options.
        options: that could be lower, ``section.field``, and what they are.
        device: where it computes.
        free: how much memory there is; ``free_memory`` by default.

    Returns:
        what to tell of it, in one line; empty where nobody can say how much memory there is.

    Raises:
        UsageError: it does not fit; in one line, and what would.
    """
    room = (free or free_memory)(device)
    if room is None:
        return ""
    whole = need({})
    if whole.total <= room:
        return f"memory on {device}: {whole} of {_amount(room)} free"
    raise UsageError(
        f"run.device {device}: needs {whole}, and {_amount(room)} are free: "
        f"{_remedy(need, options, room)}"
    )


def _remedy(
    need: Callable[[Mapping[str, int]], Need], options: Mapping[str, int], room: int
) -> str:
    """The option that has to be lowered the least, and to what."""
    found: list[tuple[float, str]] = []
    for name, value in options.items():
        low = value // 2
        while low and need({name: low}).total > room:
            low //= 2
        if low:
            found.append((value / low, f"--{name.replace('_', '-')} {low} (now {value}) fits"))
    if found:
        return min(found)[1]
    return "fewer learners or smaller networks (network.*) need less"
