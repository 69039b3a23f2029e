"""What the members of a group have come to be worth to those who follow them: trust, and agent
values (Derstroff et al. 2024, eqs. 4 to 8; see ``peers``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.models.draws import AgentDraws
from socialgrid.social.advice.adviser import AdvisedStep, Members, PeerLearner
from socialgrid.social.advice.followed import by_name, room_for
from socialgrid.social.advice.options import PeersOptions
from socialgrid.social.advice.worth import advice_targets, moved_values

_FIRST_TRUST, _TRANSITIONS = 0, 2  # what random numbers are drawn for
_MOST_NOTED = 1 << 25  # bytes of transitions that are drawn in steps taken in one call, about


@dataclass(frozen=True)
class _Drawn:
    """Transitions that trust and agent values move by.

    Attributes:
        shape: agents, copies, and transitions of each.
        number: ``[A, N, 2]``, rewards and whether steps terminated.
        place: int64 ``[A, N]``, whom agents followed.
        own: how many of each copy's move trust.
        share: how many of each member move agent values in a turn.
    """

    shape: Sequence[int]
    number: Tensor
    place: Tensor
    own: int
    share: int


class Trust:
    """Learns from steps in which somebody was followed, kept in a buffer of the latest.

    Attributes:
        own: v_ij of eq. 4, float32 ``[A, P]``.
        shared: v_j of eqs. 6 and 7, float32 ``[G, P]``.
        stored, following: steps in the buffer of every agent, and where the next one goes.
        observed: steps of each copy that were learnt from.
    """

    def __init__(
        self, critic: PeerLearner, config: PeersOptions, members: Members, draws: AgentDraws
    ) -> None:
        """Start with the configured values.

        Args:
            critic: learner of all A agents.
            config: what counts, and how much.
            members: who is who.
            draws: the agents' random numbers.
        """
        self._critic, self._config, self._members, self._draws = critic, config, members, draws
        self._advice = {"trust", "agent-values"} & set(config.advice)
        count, size = members.num_agents, members.size
        if config.initial_trust is None:
            first = draws.uniform(0, range(1), kind=_FIRST_TRUST, places=size)[:, 0]
            self.own, self.shared = first, members.split(first)[:, 0].clone()
        else:
            self.own = torch.full((count, size), float(config.initial_trust))
            self.shared = torch.full((members.groups, size), float(config.initial_trust))
        self._buffer: dict[str, Tensor] = {}
        self.stored = self.following = self.observed = 0
        # On an accelerator: what trust moves by, until something else is read from there.
        self._pending: tuple[Tensor, _Drawn] | None = None

    def observe(self, step: AdvisedStep) -> None:
        """Remember a step, and move trust and agent values for every copy of the task in it."""
        if not self._advice:
            return
        self._store(step)
        self._update(step.reward.shape[1])
        self.observed += 1

    @property
    def awaited(self) -> Tensor | None:
        """What an accelerator was asked, and has to be read from there before anything else is
        learnt.
        """
        return None if self._pending is None else self._pending[0]

    def settle(self, read: Tensor | None = None) -> None:
        """Let everything be learnt that has been observed; ``read``: what was awaited."""
        if self._pending is not None:
            (values, those), self._pending = self._pending, None
            self._move(values.cpu() if read is None else read, those)

    # Several steps at once, by compiled kernels: see ``train.off_policy.march``.

    def before_steps(self, obs: Tensor) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Arrays and numbers by which kernels learn what becomes of following, and write it.

        Args:
            obs: float32 ``[A, E, inputs]``, of the tasks' copies.
        """
        arrays = {"trust": self.own.clone(), "agent_values": self.shared.clone()}
        if not self._advice:
            return arrays, {}
        self._make_room(obs)
        arrays |= {f"advice/{name}": x for name, x in self._buffer.items()}
        own, share = self._drawn()
        numbers = {
            "stored": self.stored,
            "next": self.following,
            "observed": self.observed,
            "samples": self._config.trust_samples,
            "own": own,
            "share": share,
            "transitions": _TRANSITIONS,
            "advantage": self._config.advantage,
            "gamma": self._critic.config.gamma,
            "rate": self._config.trust_rate,
            "most": _MOST_NOTED,
        }
        return arrays, numbers

    def after_steps(
        self, steps: int, arrays: Mapping[str, Tensor], stored: int, following: int
    ) -> None:
        """Kernels have moved values by so many steps, and put them into the buffer.

        Args:
            steps: how many.
            arrays: what ``before_steps`` gave.
            stored, following: as they are now.
        """
        if self._advice:
            self.own, self.shared = arrays["trust"], arrays["agent_values"]
            self.stored, self.following = stored, following
            self.observed += steps

    # -- state ------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Values, and the buffer's steps: flat, CPU."""
        self.settle()
        found = {"trust": self.own, "agent_values": self.shared}
        if self._buffer:
            kept = by_name(self._buffer)
            kept["terminated"] = kept["terminated"] > 0
            found |= {f"buffer/{name}": x[:, : self.stored] for name, x in kept.items()}
        return found

    def fits(self, given: Tensor, stored: int, copies: int) -> bool:
        """Whether a tensor of the buffer may be one of ``tensors`` with so many steps stored."""
        lead = self._members.num_agents, stored
        return given.shape[:2] == lead and stored <= self.capacity(max(copies, 1))

    def load_tensors(
        self, tensors: Mapping[str, Tensor], counters: tuple[int, int, int], copies: int
    ) -> None:
        """Inverse of ``tensors``, which have been checked; counters: ``stored``, ``following``,
        ``observed``.
        """
        self._pending = None
        self.own, self.shared = tensors["trust"].clone(), tensors["agent_values"].clone()
        self.stored, self.following, self.observed = counters
        self._buffer = {}
        if self.stored:
            obs = tensors["buffer/obs"]
            lead = self._members.num_agents, self.capacity(max(copies, 1))
            self._buffer = room_for(*lead, obs.shape[2:], obs.dtype)
            for name, x in by_name(self._buffer).items():
                x[:, : self.stored] = tensors[f"buffer/{name}"]

    def _make_room(self, obs: Tensor) -> None:
        """For steps, if there is none."""
        if not self._buffer:
            count, copies = obs.shape[:2]
            self._buffer = room_for(count, self.capacity(copies), obs.shape[2:], obs.dtype)

    def _drawn(self) -> tuple[int, int]:
        """Transitions that each copy draws after a step: for trust, and of each agent with a
        network for a turn of agent values.
        """
        samples = self._config.trust_samples
        share = max(samples // self._members.size, 1)
        return samples * ("trust" in self._advice), share * ("agent-values" in self._advice)

    def _store(self, step: AdvisedStep) -> None:
        copies = step.reward.shape[1]
        capacity = self.capacity(copies)
        self._make_room(step.obs)
        here = slice(self.following, self.following + copies)
        for name, x in by_name(self._buffer).items():
            x[:, here] = getattr(step, name)
        self.following = (self.following + copies) % capacity
        self.stored = min(self.stored + copies, capacity)

    def _update(self, copies: int) -> None:
        """Draw transitions for every copy, value all in one go, and move what is learnt."""
        self.settle()
        config, members = self._config, self._members
        samples, owners = config.trust_samples, len(members.owners)
        if self.stored <= samples:
            return
        # Every step of an agent moves its group's agent values once, by a share of each member.
        own, share = self._drawn()
        count = own + owners * share
        drawn = self._draws.integers(
            self.stored, self.observed, range(copies), kind=_TRANSITIONS, places=count
        )
        agents, capacity = self._buffer["number"].shape[:2]
        index = (drawn.flatten(1) + torch.arange(agents)[:, None] * capacity).flatten()
        seen, number, place = (
            x.flatten(0, 1).index_select(0, index).view(agents, -1, *x.shape[2:])
            for x in self._buffer.values()
        )
        looked = seen.flatten(1, 2) if config.advantage else seen[:, :, 0]
        values = self._critic.values(looked)
        those = _Drawn(drawn.shape, number, place, own, share)
        if values.device.type == "cpu":
            self._move(values, those)
        else:
            self._pending = values, those

    def _move(self, values: Tensor, those: _Drawn) -> None:
        """Move trust and agent values by what the critic gives to drawn transitions."""
        config, members, owners = self._config, self._members, len(self._members.owners)
        agents, copies, _ = those.shape
        number, own = those.number, those.own
        values = values.view(agents, number.shape[1], -1)
        targets = advice_targets(
            number[..., 0],
            values[..., 0],
            number[..., 1] > 0,
            self._critic.config.gamma,
            values[..., 1] if config.advantage else None,
        ).view(those.shape)
        places = those.place.view(those.shape)
        if own:
            given = targets[..., :own], places[..., :own]
            self.own = moved_values(self.own, *given, config.trust_rate)
        if those.share:
            # [A, copy, turn * share] -> [G, copy * turn, agent * share]
            pooled, whose = (
                members.split(x[..., own:].reshape(agents, copies, owners, those.share))
                .permute(0, 2, 3, 1, 4)
                .flatten(3)
                .flatten(1, 2)
                for x in (targets, places)
            )
            self.shared = moved_values(self.shared, pooled, whose, config.trust_rate)

    def capacity(self, copies: int) -> int:
        """Steps that the buffer of every agent holds, whole ones of all copies."""
        return -(-self._config.trust_buffer // copies) * copies
