"""What the members of agents' groups would do: asked of those only whose answers are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.data.exchange import sent
from socialgrid.social.advice.adviser import Members, PeerLearner

_FEW = 16  # states that networks look at in the time of one

ScriptedAdviser = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
"""Actions ``[M, ...]`` for observations ``[M, ...]``."""
Told = Mapping[tuple[int, int], Tensor]
"""Actions ``[n * E, ...]`` in all states of a group, by (group, place) of a scripted member."""


class Given:
    """Proposals that are known, int64 ``[A, P, E]`` or float32 ``[A, P, E, D]``."""

    def __init__(self, proposals: Tensor) -> None:
        self._proposals = proposals

    def everybody(self) -> Tensor:
        """See ``Proposals``."""
        return self._proposals

    def of(self, places: Tensor) -> Tensor:
        """See ``Proposals``."""
        (index,) = sent(self._proposals.device, places[:, None])
        if self._proposals.ndim == 4:
            index = index[..., None].expand(-1, -1, -1, self._proposals.shape[-1])
        return self._proposals.gather(1, index).squeeze(1)


class Panel:
    """Asks members of every agent's group."""

    def __init__(
        self,
        policies: PeerLearner,
        members: Members,
        scripted: Mapping[tuple[int, int], ScriptedAdviser],
        *,
        explore: bool,
        peers_explore: bool,
    ) -> None:
        """Put the members together.

        Args:
            policies: of all agents.
            members: who is who.
            scripted: advisers without networks, by (group, place).
            explore: agents add noise for exploration to what they propose (epsilon-greedy); else
                proposals are what the policies themselves give.
            peers_explore: the same for proposals to others; else those are made without any
                exploration.
        """
        self._policies, self.members, self._scripted = policies, members, scripted
        self._explore, self._peers_explore = explore, peers_explore
        # Number of each member among those with networks; -1: it has none.
        slots = {place: slot for slot, place in enumerate(members.owners)}
        self._slots = torch.tensor([slots.get(place, -1) for place in range(members.size)])

    def ask(self, obs: Tensor) -> Asked:
        """About the states ``obs`` [A, E, *]; nobody answers yet."""
        return Asked(self, obs)

    def everybody(self, obs: Tensor, told: Told) -> Tensor:
        """All proposals ``[A, P, E]`` or ``[A, P, E, D]``; ``told`` by scripted members."""
        members = self.members
        groups, owners, copies = members.groups, len(members.owners), obs.shape[1]
        states = members.split(obs).flatten(1, 2)  # [G, n * E, *]: what a group is asked about
        own = self._propose(states.repeat_interleave(owners, 0), None, copies)
        # [G, adviser, asker, E, ...] -> [G, asker, adviser, E, ...]
        own = own.reshape(groups, owners, owners, copies, *own.shape[2:]).transpose(1, 2)
        if owners == members.size:
            return own.flatten(0, 1)
        found = own.new_empty((groups, owners, members.size, copies, *own.shape[4:]))
        for number, place in enumerate(members.owners):
            found[:, :, place] = own[:, :, number]
        answers = sent(found.device, *(answer.to(found.dtype) for answer in told.values()))
        for (group, place), known in zip(told, answers, strict=True):
            found[group, :, place] = known.reshape(owners, copies, *known.shape[1:])
        return found.flatten(0, 1)

    def some(self, obs: Tensor, places: Tensor, told: Told) -> Tensor:
        """Proposals ``[A, E]`` or ``[A, E, D]`` of the members at ``places`` int64 ``[A, E]``,
        each of whom is shown only the states in which it is asked; ``told`` by scripted members.
        """
        members = self.members
        groups, owners, copies = members.groups, len(members.owners), obs.shape[1]
        states = members.split(obs).flatten(1, 2)
        asked = members.split(places).flatten(1, 2)  # [G, n * E]: who is asked about each state
        mine = self._slots[asked][:, None] == torch.arange(owners)[:, None]
        most = max(int(mine.sum(-1).max()), 1)
        # Of each adviser the states that it is asked about, and some others after them.
        rows = mine.to(torch.uint8).argsort(stable=True, dim=-1, descending=True)[..., :most]
        group = torch.arange(groups)[:, None]
        shown = states[group, rows.flatten(1)].reshape(-1, most, *obs.shape[2:])
        own = self._propose(shown, rows.flatten(0, 1), copies)
        own = own.reshape(groups, owners, most, *own.shape[2:])
        found = own.new_zeros((groups, owners * copies, *own.shape[3:]))
        answers = mine.gather(-1, rows)
        group, slot, number = answers.nonzero(as_tuple=True)
        state = rows[group, slot, number]
        group, slot, number, state = sent(found.device, group, slot, number, state)
        found[group, state] = own[group, slot, number]
        for (one, place), answer in told.items():
            here = (asked[one] == place).nonzero()[:, 0]
            known, here = sent(found.device, answer.to(found.dtype)[here], here)
            found[one, here] = known
        return found.reshape(-1, copies, *found.shape[2:])

    def told(self, obs: Tensor) -> Told:
        """What scripted members say; always about everything, since some have random streams."""
        states = self.members.split(obs).flatten(1, 2)
        return {
            key: torch.from_numpy(adviser(states[key[0]].cpu().numpy()))
            for key, adviser in self._scripted.items()
        }

    def _propose(self, obs: Tensor, rows: Tensor | None, copies: int) -> Tensor:
        """``[A, M, *] -> [A, M, ...]``, shown states of all n askers of a group: all of them, or
        those of the given numbers.
        """
        policies, owners = self._policies, len(self.members.owners)
        own = policies.propose(obs, explore=True if self._explore else None, rows=rows)
        if self._peers_explore:
            return own
        plain = policies.propose(obs, explore=False, rows=rows)
        asker = torch.arange(obs.shape[1]).expand(len(obs), -1) if rows is None else rows
        itself = asker // copies == (torch.arange(len(obs)) % owners)[:, None]
        itself = itself.view(*itself.shape, *(1,) * (own.dim() - 2))
        return torch.where(sent(own.device, itself)[0], own, plain)


class Asked:
    """What a ``Panel`` is asked in one step; see ``Proposals``."""

    def __init__(self, panel: Panel, obs: Tensor) -> None:
        self._panel, self._obs = panel, obs
        self._told = panel.told(obs)
        self._all: Given | None = None

    def everybody(self) -> Tensor:
        """See ``Proposals``."""
        if self._all is None:
            self._all = Given(self._panel.everybody(self._obs, self._told))
        return self._all.everybody()

    def of(self, places: Tensor) -> Tensor:
        """See ``Proposals``."""
        if self._all is None and len(self._panel.members.owners) * self._obs.shape[1] <= _FEW:
            self.everybody()
        if self._all is None:
            return self._panel.some(self._obs, places, self._told)
        return self._all.of(places)
