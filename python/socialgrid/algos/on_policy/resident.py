"""Acting on an accelerator in memory that stays there, so that it can repeat it by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.data.rollout import Decision, as_signed
from socialgrid.models.acting import Acting
from socialgrid.models.captured import Captured, mark, pinned
from socialgrid.models.walks import heard

Hear = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor | None]


@dataclass(frozen=True)
class Acted:
    """One step of acting, see ``acting.Step``."""

    decisions: dict[str, Decision]
    before: Tensor
    after: Tensor
    tokens: Tensor | None


class Resident:
    """One kind of step: of these environments, drawn or greedy.

    Whatever the host has goes there by pinned memory, and only actions come back.
    """

    def __init__(self, acting: Acting, hear: Hear, device: torch.device) -> None:
        """Nothing is known of the sizes yet.

        Args:
            acting: computes.
            hear: tokens ``[A, E, K]`` from memory, resets and what everybody did and got.
            device: where.
        """
        self._acting, self._hear, self._device = acting, hear, device
        self._places: dict[str, Tensor] = {}
        self._hosts: dict[str, Tensor] = {}
        self._phase = Captured(self._act, device)
        self._actions = torch.zeros(0)
        self._arrival: Callable[[], None] | None = None

    def begin(
        self,
        obs: Tensor,
        state: Tensor,
        reset: Tensor,
        last: Mapping[str, Tensor],
        uniform: Mapping[str, Tensor],
    ) -> Acted:
        """Start a step; see ``Acting.begin``, but that everything may be on the CPU.

        Returns:
            the step, done once ``actions`` was called; other work may be started before that.
            The next one is made in the same memory.

        Raises:
            ValueError: a shape or a dtype is wrong.
        """
        if self._arrival is not None:
            self.actions()  # what has not been read yet may not have been brought there either
        if not self._places:
            shape = (len(obs), self._acting.model.num_agents)
            self._actions = pinned(shape, torch.int32, self._device)
        self._bring("obs", as_signed(obs))
        self._bring("state", state)
        self._bring("reset", reset)
        for name, x in last.items():
            self._bring(f"last/{name}", x)
        if uniform:
            self._bring("uniform", torch.stack([*uniform.values()]))
        self._decided = tuple(uniform)
        try:
            self._acting.tables.bring(len(obs))
            # Who listens to networks is called in every step, not when one is recorded.
            step = self._act() if heard(self._acting.model) else self._phase()
        except ValueError:  # the first step of a kind looks at everything
            self._places.clear()
            self._hosts.clear()
            self._phase.forget()
            raise
        self._arrival = mark(self._device)
        return step

    def actions(self) -> Tensor:
        """Those of the step, int32 ``[E, A]`` on the CPU; the host waits for them."""
        if self._arrival is not None:
            self._arrival()
        self._arrival = None
        return self._actions

    def _bring(self, name: str, x: Tensor) -> None:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = torch.zeros(x.shape, dtype=x.dtype, device=self._device)
        if (x.shape, x.dtype) != (place.shape, place.dtype):
            expected = f"{place.dtype} {tuple(place.shape)}"
            raise ValueError(f"acting: {name} {x.dtype} {tuple(x.shape)}, expected {expected}")
        if x.device.type == "cpu" and not (x.is_contiguous() and x.is_pinned()):
            if name not in self._hosts:
                self._hosts[name] = pinned(x.shape, x.dtype, self._device)
            x = self._hosts[name].copy_(x)
        place.copy_(x, non_blocking=True)

    def _act(self) -> Acted:
        places = self._places
        last = {k.partition("/")[2]: x for k, x in places.items() if k.startswith("last/")}
        obs, state, reset = (places[name] for name in ("obs", "state", "reset"))
        drawn = zip(self._decided, places["uniform"], strict=True) if self._decided else ()
        step = self._acting.begin(obs, state, reset, self._hear(state, reset, last), dict(drawn))
        with self._acting.tables.looked_up(len(obs)):
            step.run(slice(0, len(obs)))
        action = step.decisions["action"].choice.to(torch.int32)
        self._actions.copy_(action, non_blocking=True)
        return Acted(step.decisions, step.before, step.after, step.tokens)
