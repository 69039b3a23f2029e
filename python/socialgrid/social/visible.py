"""Everybody's last action is heard (Jaques et al. 2019, section 10.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from socialgrid.models.hearing import Before, Channel
from socialgrid.models.spec import ViewSpec
from socialgrid.social.mechanism import Mechanism


class LastActions(Channel):
    """The last action of every agent of the world; an agent's own column is silent."""

    compiled = "actions"

    def __init__(self, spec: ViewSpec) -> None:
        self.slots = spec.slots
        self.columns, self.symbols = spec.world_agents, max(spec.world_action_counts)

    def tokens(self, before: Before) -> Tensor:
        """See ``Channel``.

        Raises:
            ValueError: the actions are not known.
        """
        if before.actions is None:
            raise ValueError("visible-actions: act() needs everybody's last actions [E, N]")
        seen = before.actions.to(torch.int16).expand(len(self.slots), -1, -1).clone()
        for row, slot in enumerate(self.slots):
            seen[row, :, slot] = -1
        return seen


class VisibleActions(Mechanism):
    """The mechanism ``visible-actions``."""

    def channels(self) -> Sequence[Channel]:
        """See ``Mechanism``."""
        return (LastActions(self.spec),)
