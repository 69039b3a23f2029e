"""Gradient steps on an accelerator: what the host knows is sent before, what came is read after.

Nobody waits in between. Who takes part in a step, clipping, Adam, targets and whether everything is
still finite are numbers of each agent on the device; once something is not, nothing changes any
more, and the host finds out at the end what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from socialgrid.data.exchange import Board, Kind
from socialgrid.models.trained import Trained

_ROOM = 16  # numbers of each agent that come out of a step

Key = tuple[tuple[str, ...], bool]
"""Which networks take a step, and whether targets move: what a step's operations hang on."""


@dataclass(frozen=True)
class Planned:
    """One gradient step as the host knows it beforehand.

    Attributes:
        draw: ``[A, B]``, places in the memory, or what they are drawn by.
        noise: standard normal ``[A, ...]``, if there is any.
        stepping: by network, the agents whose network takes a step.
        moving: agents whose targets follow.
    """

    draw: Tensor
    noise: Tensor | None
    stepping: Mapping[str, Sequence[int]]
    moving: Sequence[int]

    @property
    def key(self) -> Key:
        """What the step's operations hang on."""
        return tuple(name for name, agents in self.stepping.items() if agents), bool(self.moving)


@dataclass(frozen=True)
class Failure:
    """What stopped being finite.

    Attributes:
        step: number of the gradient step in the update.
        name: of the network.
        what: its "loss" or "gradient".
        agents: who took part.
        both: losses and norms of gradients of these agents, ``[2, n]``.
    """

    step: int
    name: str
    what: str
    agents: Sequence[int]
    both: Tensor


@dataclass(frozen=True)
class Outcome:
    """What came of the gradient steps of an update.

    Attributes:
        numbers: by name, ``[steps, A]`` of those steps that have it.
        failure: where they ended, if they did.
    """

    numbers: dict[str, Tensor]
    failure: Failure | None


class FarSteps:
    """What gradient steps of one kind of update read and write on the device.

    Attributes:
        stopped: bool ``[1]``, something is not finite.
        record: numbers of each agent in each step, for ``finish``.
    """

    def __init__(
        self, parts: Mapping[str, Trained], plan: Sequence[Planned], memory: Mapping[str, Kind]
    ) -> None:
        """Make room.

        Args:
            parts: the networks by name.
            plan: steps like those to come, as many.
            memory: what else ``begin`` is given, by name.
        """
        first = next(iter(parts.values()))
        self._parts, self._steps = dict(parts), len(plan)
        device, self._agents = first.flat.block.device, len(first.flat.block)
        self.shape = _shape(plan)
        lead = (self._steps,)
        kinds: dict[str, Kind] = {
            "draw": ((*lead, *plan[0].draw.shape), plan[0].draw.dtype),
            # Of each network who takes a step; then how far targets follow.
            "steering": ((*lead, len(parts) + 1, self._agents), torch.float32),
            **memory,
        }
        if plan[0].noise is not None:
            kinds["noise"] = ((*lead, *plan[0].noise.shape), torch.float32)
        self._board = Board(kinds, device)
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self.stopped = torch.zeros(1, dtype=torch.bool, device=device)
        self.record = torch.zeros((*lead, _ROOM, self._agents), device=device)
        # What a step's rows of the record are: networks that stepped, and names of numbers.
        self._layouts: dict[Key, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._taken: dict[str, Tensor] = {}
        self._descents: dict[str, Tensor] = {}

    def fits(self, plan: Sequence[Planned]) -> bool:
        """Whether these steps find room."""
        return self.shape == _shape(plan)

    def begin(self, plan: Sequence[Planned], tau: float, memory: Mapping[str, Tensor]) -> None:
        """Send what the steps will read."""
        given = {
            "draw": torch.stack([step.draw for step in plan]),
            "steering": self._steering(plan, tau),
            **memory,
        }
        noises = [step.noise for step in plan if step.noise is not None]
        if noises:
            given["noise"] = torch.stack(noises)
        self._board.write(given)
        for part in self._parts.values():
            part.optimiser.bring_rates()
        self._at.zero_()
        self.stopped.zero_()

    def _steering(self, plan: Sequence[Planned], tau: float) -> Tensor:
        found = np.zeros((len(plan), len(self._parts) + 1, self._agents), np.float32)
        for k, step in enumerate(plan):
            for i, name in enumerate(self._parts):
                found[k, i, list(step.stepping[name])] = 1.0
            found[k, -1, list(step.moving)] = tau
        return torch.from_numpy(found)

    # In a step.

    def begin_step(self) -> None:
        """Take what is meant for the present step from what was sent."""
        names = [name for name in ("draw", "steering", "noise") if name in self._board.kinds]
        self._taken = {name: self._board[name].index_select(0, self._at)[0] for name in names}
        self._descents = {}

    def given(self, name: str) -> Tensor:
        """What was sent: "draw" and "noise" of the step, or what ``begin`` was given."""
        taken = self._taken.get(name)
        return self._board[name] if taken is None else taken

    def steps_now(self, name: str) -> Tensor:
        """Whose network takes a step in this gradient step, bool ``[A]``."""
        return self._taken["steering"][list(self._parts).index(name)] > 0

    def descend(self, name: str, loss: Tensor, max_norm: float | None) -> None:
        """One step of Adam (Kingma & Ba 2014) along the gradient of ``loss`` [A] for those whose
        network steps now.
        """
        part, steps = self._parts[name], self.steps_now(name)
        norms = part.differentiate(loss)
        both = self._descents[name] = torch.stack((loss.detach(), norms))
        self.stopped.logical_or_((((both - both) != 0) & steps).any())
        scales = None if max_norm is None else (max_norm / (norms + 1e-6)).clamp(max=1.0)
        grad = part.flat.block.grad
        assert grad is not None, "it has been differentiated"
        part.optimiser.step_where(part.flat, grad, steps > self.stopped, scales)

    @torch.no_grad()
    def follow(self) -> None:
        """Let targets follow."""
        share = torch.where(self.stopped, 0.0, self._taken["steering"][-1])[:, None]
        for part in self._parts.values():
            if part.target is not part.network:
                part.target_flat.block.lerp_(part.flat.block, share)
                part.target_flat.changed()

    def end_step(self, key: Key, numbers: Mapping[str, Tensor]) -> None:
        """Remember what the step came to, ``[A]`` each."""
        self._layouts[key] = tuple(self._descents), tuple(numbers)
        rows = [x for both in self._descents.values() for x in both]
        found = torch.stack([*rows, *(x.detach() for x in numbers.values())])
        self.record[:, : len(found)].index_copy_(0, self._at, found[None])
        self._at.add_(1)

    # After all steps.

    def finish(self, plan: Sequence[Planned], record: Tensor) -> Outcome:
        """See what came of steps by their ``record``, which has been read."""
        for part in self._parts.values():
            part.flat.changed()
            part.target_flat.changed()
        failure = self._failure(plan, record.numpy())
        found: dict[str, list[Tensor]] = {}
        for rows, step in zip(record, plan, strict=True):
            descents, names = self._layouts[step.key]
            for name, x in zip(names, rows[2 * len(descents) :], strict=False):
                found.setdefault(name, []).append(x)
        return Outcome({name: torch.stack(each) for name, each in found.items()}, failure)

    def _failure(self, plan: Sequence[Planned], record: np.ndarray) -> Failure | None:
        for k, step in enumerate(plan):
            for i, name in enumerate(self._layouts[step.key][0]):
                agents = list(step.stepping[name])
                own = record[k, 2 * i : 2 * i + 2][:, agents]
                finite = np.isfinite(own)
                if finite.all():
                    continue
                what = "gradient" if finite[0].all() else "loss"
                return Failure(k, name, what, agents, torch.from_numpy(own))
        return None


def _shape(plan: Sequence[Planned]) -> tuple[object, ...]:
    noise = plan[0].noise
    return len(plan), plan[0].draw.shape, plan[0].draw.dtype, None if noise is None else noise.shape
