"""Peers that ask each other what to do, and learn whose advice to follow (Derstroff et al. 2024).

At a decision agent i asks every member of its group, itself included, for an action in its state
and follows member j for ``follow_steps`` steps with the probability of eq. 2,

    softmax_j(v_ij / tau_m),   tau_m = tau_0 exp(-lambda m) in epoch m,

where v_ij is the chosen term, or the sum of several, each brought to [-1, 1] by its range over the
members (footnote 4; ``PeersOptions.normalise`` also has division by the largest absolute value):

    critic        Q_i(s, a_j)                                                  (eq. 3)
    trust         v_ij <- (1 - alpha) v_ij + alpha omega_ij                    (eq. 4)
    agent values  v_j  <- (1 - alpha) v_j  + alpha omega_ij for all i          (eqs. 6, 7)

with omega_ij = r + gamma Q_i(s', pi_i(s')) (eq. 5), less Q_i(s, pi_i(s)) with advantage (eq. 8),
averaged over transitions drawn from a buffer of those in which i followed j. As in the public
code a term is updated after every step, with ``trust_samples`` transitions, and members of whom
none was drawn keep their value. Unlike it, values do not bootstrap from terminal states, pi_i(s')
is the policy without exploration, and transitions are drawn with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.exchange import fetched
from socialgrid.models.draws import AgentDraws
from socialgrid.models.finite import NonFiniteError
from socialgrid.social.advice.adviser import AdvisedStep, Members, PeerLearner, Proposals
from socialgrid.social.advice.followed import by_name, room_for
from socialgrid.social.advice.options import PeersOptions
from socialgrid.social.advice.panel import Given
from socialgrid.social.advice.worth import advice_targets, by_largest, by_range, moved_values

_PURPOSE = 7  # of the random numbers here
_FIRST_TRUST, _CHOICE, _TRANSITIONS = range(3)  # what they are drawn for
_COLDEST = 1e-6  # lowest temperature that is told from 0


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


class PeerAdviser:
    """Follows members of the group by critic, trust and agent values; an ``Adviser``."""

    def __init__(
        self, critic: PeerLearner, config: PeersOptions, members: Members, seed: int
    ) -> None:
        """Start with the configured values and nobody followed.

        Args:
            critic: learner of all A agents.
            config: what counts, and how much.
            members: who is who.
            seed: of the choices; agents have random numbers of their own.

        Raises:
            ValueError: only others may be followed, but there are none.
        """
        if config.choice == "others" and members.size < 2:
            raise ValueError("choice 'others': a group of one has none to follow")
        self._critic, self.config, self.members = critic, config, members
        count, size = members.num_agents, members.size
        self._draws = AgentDraws(seed, range(count), _PURPOSE)
        if config.initial_trust is None:
            first = self._draws.uniform(0, range(1), kind=_FIRST_TRUST, places=size)[:, 0]
            self.trust = first
            self.agent_values = members.split(first)[:, 0].clone()
        else:
            self.trust = torch.full((count, size), float(config.initial_trust))
            self.agent_values = torch.full((members.groups, size), float(config.initial_trust))
        self._own = members.own_places
        self._followed = torch.zeros(0, 0, dtype=torch.int64)
        self._left = torch.zeros(0, 0, dtype=torch.int64)
        self._buffer: dict[str, Tensor] = {}
        self._stored = self._next = 0
        self._epoch = self._decisions = self._observed = 0
        # On an accelerator: what trust moves by, until something else is read from there.
        self._pending: tuple[Tensor, _Drawn] | None = None

    @property
    def temperature(self) -> float:
        """tau_m of eq. 2."""
        config = self.config
        return max(config.temperature * math.exp(-config.temperature_decay * self._epoch), _COLDEST)

    @property
    def solo(self) -> bool:
        """See ``Adviser``."""
        return self.config.solo(self._epoch)

    def begin_epoch(self, epoch: int) -> None:
        """See ``Adviser``; whom agents followed before a solo epoch is forgotten."""
        self._epoch = epoch
        if self.solo:
            self._left = torch.zeros_like(self._left)

    def __call__(self, proposals: Proposals, obs: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Adviser``."""
        copies = obs.shape[1]
        if not self._followed.numel():
            self._followed = self._own[:, None].repeat(1, copies)
            self._left = torch.zeros_like(self._followed)
        decides = not bool(self._left.all())
        proposals, judged = self._read(proposals, obs, decides)
        if decides:
            draws = self._draws.uniform(self._decisions, range(copies), kind=_CHOICE)
            chances = self.probabilities(proposals, obs, judged)
            unknown = chances.isnan().flatten(1).any(1)
            if bool(unknown.any()):  # comparisons with nan would choose the first member
                raise NonFiniteError("value of advice", 0, int(unknown.nonzero()[0]))
            cumulated = chances.cumsum(-1)[..., :-1]
            chosen = (draws >= cumulated).sum(-1)
            self._followed = torch.where(self._left == 0, chosen, self._followed)
            self._left = self._left.masked_fill(self._left == 0, self.config.follow_steps)
        self._left = self._left - 1
        self._decisions += 1
        return proposals.of(self._followed), self._followed

    def _read(
        self, proposals: Proposals, obs: Tensor, decides: bool
    ) -> tuple[Proposals, Tensor | None]:
        """Proposals, and what the critic makes of them where it matters, from an accelerator to
        the CPU, which waits once for all that it needs of a step.
        """
        if self._critic.device.type == "cpu":
            return proposals, None
        wanted = [proposals.everybody()]
        if decides and self.config.choice != "others" and "critic" in self.config.advice:
            wanted.append(self._critic.q_values(obs, wanted[0].transpose(1, 2)))
        pending, self._pending = self._pending, None
        asked = wanted if pending is None else [*wanted, pending[0]]
        found = fetched(*asked)
        if pending is not None:
            self._move(found.pop(), pending[1])
        return Given(found[0]), found[1] if len(found) > 1 else None

    def values(self, proposals: Proposals, obs: Tensor, judged: Tensor | None = None) -> Tensor:
        """v_ij, the sum of the terms as ``normalise`` has them, float32 ``[A, E, P]``.

        ``judged``: what the critic gives to the proposals, if it has been asked.
        """
        advice, members, copies = self.config.advice, self.members, obs.shape[1]
        terms = []
        if "critic" in advice:
            if judged is None:
                actions = proposals.everybody().transpose(1, 2)
                judged = self._critic.q_values(obs, actions).cpu()
            terms.append(judged)
        if "trust" in advice:
            terms.append(self.trust[:, None].expand(-1, copies, -1))
        if "agent-values" in advice:
            shared = self.agent_values.repeat_interleave(len(members.owners), 0)
            terms.append(shared[:, None].expand(-1, copies, -1))
        if not terms:
            return torch.zeros(members.num_agents, copies, members.size)
        total: Tensor
        total, *others = self._scaled(torch.stack(terms)).unbind()
        for term in others:
            total = total + term
        return total

    def _scaled(self, terms: Tensor) -> Tensor:
        """Terms over the members (last axis) as they are added up."""
        if self.config.normalise == "largest":
            return by_largest(terms)
        return terms if len(terms) == 1 else by_range(terms)

    def probabilities(
        self, proposals: Proposals, obs: Tensor, judged: Tensor | None = None
    ) -> Tensor:
        """With which probability each member is followed, float32 ``[A, E, P]`` (eq. 2); see
        ``values``.
        """
        config, size = self.config, self.members.size
        if config.choice == "others":
            others = torch.full((self.members.num_agents, obs.shape[1], size), 1.0 / (size - 1))
            return others.scatter(-1, self._own[:, None, None].expand(-1, obs.shape[1], 1), 0.0)
        values = self.values(proposals, obs, judged)
        if config.choice == "boltzmann":
            return torch.softmax(values / self.temperature, -1)
        best = (values == values.amax(-1, keepdim=True)).float()
        greedy = best / best.sum(-1, keepdim=True)
        return (1.0 - config.epsilon) * greedy + config.epsilon / size

    def observe(self, step: AdvisedStep) -> None:
        """Remember a step, and move trust and agent values for every copy of the task in it."""
        trusts = {"trust", "agent-values"} & set(self.config.advice)
        if not trusts:
            return
        self._store(step)
        self._update(trusts, step.reward.shape[1])
        self._observed += 1

    # Several steps at once, by compiled kernels: see ``train.off_policy.march``.

    @property
    def settled(self) -> int:
        """For how many steps it is settled whom agents follow."""
        return int(self._left.min()) if self._left.numel() else 0

    @property
    def followed(self) -> Tensor:
        """Whom agents follow now, int64 ``[A, E]``: places in their groups."""
        return self._followed

    def before_steps(self, obs: Tensor) -> tuple[dict[str, Any], dict[str, float]]:
        """Arrays and numbers by which kernels learn what becomes of following, and write it.

        Args:
            obs: float32 ``[A, E, inputs]``, of the tasks' copies.
        """
        trusts = {"trust", "agent-values"} & set(self.config.advice)
        if not trusts:
            return {}, {}
        self._make_room(obs)
        arrays = {f"advice/{name}": x for name, x in self._buffer.items()}
        arrays |= {"trust": self.trust.clone(), "agent_values": self.agent_values.clone()}
        arrays["advice/keys"] = self._draws.keys.view(torch.uint64)
        own, share = self._drawn(trusts)
        numbers = {
            "owners": len(self.members.owners),
            "stored": self._stored,
            "next": self._next,
            "observed": self._observed,
            "samples": self.config.trust_samples,
            "own": own,
            "share": share,
            "transitions": _TRANSITIONS,
            "advantage": self.config.advantage,
            "gamma": self._critic.config.gamma,
            "rate": self.config.trust_rate,
        }
        return arrays, numbers

    def bytes_drawn(self, obs: Tensor) -> int:
        """What is looked at after one step of all copies, who see ``obs``, in bytes."""
        own, share = self._drawn(set(self.config.advice))
        # What is seen, two numbers, a place, and a word that it is drawn by.
        each = 4 * (obs.shape[-1] * (1 + self.config.advantage) + 2) + 8 + 4
        return obs[..., 0].numel() * (own + share * len(self.members.owners)) * each

    def after_steps(
        self, steps: int, arrays: Mapping[str, Any], stored: int, following: int, *, asked: bool
    ) -> None:
        """Kernels have taken steps.

        Args:
            steps: how many.
            arrays: what ``before_steps`` gave.
            stored, following: steps in the buffer, and where the next one goes.
            asked: whether the first was chosen here.
        """
        further = steps - asked
        self._left = self._left - further
        self._decisions += further
        if "trust" not in arrays:
            return
        self.trust, self.agent_values = arrays["trust"], arrays["agent_values"]
        self._stored, self._next = stored, following
        self._observed += steps

    def _make_room(self, obs: Tensor) -> None:
        """For steps, if there is none."""
        if not self._buffer:
            count, copies = obs.shape[:2]
            self._buffer = room_for(count, self._capacity(copies), obs.shape[2:], obs.dtype)

    def _drawn(self, trusts: set[str]) -> tuple[int, int]:
        """Transitions that each copy draws after a step: for trust, and of each agent with a
        network for a turn of agent values.
        """
        samples = self.config.trust_samples
        share = max(samples // self.members.size, 1)
        return samples * ("trust" in trusts), share * ("agent-values" in trusts)

    def _store(self, step: AdvisedStep) -> None:
        copies = step.reward.shape[1]
        capacity = self._capacity(copies)
        self._make_room(step.obs)
        here = slice(self._next, self._next + copies)
        for name, x in by_name(self._buffer).items():
            x[:, here] = getattr(step, name)
        self._next = (self._next + copies) % capacity
        self._stored = min(self._stored + copies, capacity)

    def _update(self, trusts: set[str], copies: int) -> None:
        """Draw transitions for every copy, value all in one go, and move what is learnt."""
        self._settle()
        config, members = self.config, self.members
        samples, owners = config.trust_samples, len(members.owners)
        if self._stored <= samples:
            return
        # Every step of an agent moves its group's agent values once, by a share of each member.
        own, share = self._drawn(trusts)
        count = own + owners * share
        drawn = self._draws.integers(
            self._stored, self._observed, range(copies), kind=_TRANSITIONS, places=count
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

    def _settle(self) -> None:
        """Let everything be learnt that has been observed."""
        if self._pending is not None:
            (values, those), self._pending = self._pending, None
            self._move(values.cpu(), those)

    def _move(self, values: Tensor, those: _Drawn) -> None:
        """Move trust and agent values by what the critic gives to drawn transitions."""
        config, members, owners = self.config, self.members, len(self.members.owners)
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
            self.trust = moved_values(self.trust, *given, config.trust_rate)
        if those.share:
            # [A, copy, turn * share] -> [G, copy * turn, agent * share]
            pooled, whose = (
                members.split(x[..., own:].reshape(agents, copies, owners, those.share))
                .permute(0, 2, 3, 1, 4)
                .flatten(3)
                .flatten(1, 2)
                for x in (targets, places)
            )
            self.agent_values = moved_values(self.agent_values, pooled, whose, config.trust_rate)

    def numbers(self) -> dict[str, Tensor]:
        """See ``Adviser``: "trust" ``[A, P]`` and "agent_values" ``[G, P]``, if in use."""
        self._settle()
        found = {}
        if "trust" in self.config.advice:
            found["trust"] = self.trust
        if "agent-values" in self.config.advice:
            found["agent_values"] = self.agent_values
        return found

    def tensors(self) -> dict[str, Tensor]:
        """See ``Adviser``."""
        self._settle()
        counters = [self._stored, self._next, self._epoch, self._decisions, self._observed]
        found = {
            "trust": self.trust,
            "agent_values": self.agent_values,
            "followed": self._followed,
            "left": self._left,
            "key": self._draws.keys,
            "counters": torch.tensor(counters),
        }
        if self._buffer:
            kept = by_name(self._buffer)
            kept["terminated"] = kept["terminated"] > 0
            found |= {f"buffer/{name}": x[:, : self._stored] for name, x in kept.items()}
        return {name: x.clone().contiguous() for name, x in found.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Adviser``."""
        own = self.tensors()
        fields = ("obs", "next_obs", "reward", "terminated", "followed")
        stored, following, *counters = self._counters(tensors)
        wanted = {name for name in own if not name.startswith("buffer/")}
        wanted |= {f"buffer/{name}" for name in fields} if stored else set()
        if wanted != tensors.keys():
            raise ValueError(
                f"adviser's tensors: missing {sorted(wanted - tensors.keys())}, "
                f"unknown {sorted(tensors.keys() - wanted)}"
            )
        agents, following_shape = self.members.num_agents, tensors["followed"].shape
        copies = following_shape[1] if tensors["followed"].ndim == 2 else 0
        capacity = self._capacity(max(copies, 1))
        for name in sorted(wanted):
            given = tensors[name]
            if name.startswith("buffer/"):
                fits = given.shape[:2] == (agents, stored) and stored <= capacity
            elif name in ("followed", "left"):
                fits = given.dtype == torch.int64 and given.shape in ((0, 0), (agents, copies))
            else:
                fits = (given.shape, given.dtype) == (own[name].shape, own[name].dtype)
            if not fits:
                raise ValueError(
                    f"adviser's {name}: {given.dtype} {tuple(given.shape)} does not fit {agents} "
                    f"agents in groups of {self.members.size} with {stored} stored steps"
                )
        self._pending = None
        self.trust, self.agent_values = tensors["trust"].clone(), tensors["agent_values"].clone()
        self._followed, self._left = tensors["followed"].clone(), tensors["left"].clone()
        self._stored, self._next = stored, following
        self._epoch, self._decisions, self._observed = counters
        self._buffer = {}
        if stored:
            obs = tensors["buffer/obs"]
            self._buffer = room_for(agents, capacity, obs.shape[2:], obs.dtype)
            for name, x in by_name(self._buffer).items():
                x[:, :stored] = tensors[f"buffer/{name}"]
        self._draws.keys.copy_(tensors["key"])

    @staticmethod
    def _counters(tensors: Mapping[str, Tensor]) -> list[int]:
        """Steps stored, the place of the next one, epoch, decisions and steps observed."""
        counters = tensors.get("counters")
        if counters is None or counters.shape != (5,) or counters.dtype != torch.int64:
            raise ValueError("adviser's tensors: counters, int64 [5], are missing")
        found: list[int] = counters.tolist()
        return found

    def _capacity(self, copies: int) -> int:
        """Steps that the buffer of every agent holds, whole ones of all copies."""
        return -(-self.config.trust_buffer // copies) * copies
