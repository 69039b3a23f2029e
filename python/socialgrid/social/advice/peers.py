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
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.exchange import fetched
from socialgrid.models.draws import AgentDraws
from socialgrid.models.finite import NonFiniteError
from socialgrid.social.advice.adviser import AdvisedStep, Members, PeerLearner, Proposals
from socialgrid.social.advice.options import ADVICE, PeersOptions
from socialgrid.social.advice.panel import Given
from socialgrid.social.advice.trust import Trust
from socialgrid.social.advice.worth import by_largest, by_range

_PURPOSE = 7  # of the random numbers here
_CHOICE = 1  # what they are drawn for; see ``trust`` for the others
_UNSURE = 2.0**-22  # what sums of chances may differ by, for each of them, by rounding
_COLDEST = 1e-6  # lowest temperature that is told from 0


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
        self._draws = AgentDraws(seed, range(members.num_agents), _PURPOSE)
        self.trust = Trust(critic, config, members, self._draws)
        self._own = members.own_places
        self._followed = torch.zeros(0, 0, dtype=torch.int64)
        self._left = torch.zeros(0, 0, dtype=torch.int64)
        self._epoch = self._decisions = 0

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
        self._begin(copies)
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

    def _begin(self, copies: int) -> None:
        """With themselves, if nobody has been followed yet."""
        if not self._followed.numel():
            self._followed = self._own[:, None].repeat(1, copies)
            self._left = torch.zeros_like(self._followed)

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
        awaited = self.trust.awaited
        found = fetched(*wanted, *(() if awaited is None else (awaited,)))
        if awaited is not None:
            self.trust.settle(found.pop())
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
            terms.append(self.trust.own[:, None].expand(-1, copies, -1))
        if "agent-values" in advice:
            shared = self.trust.shared.repeat_interleave(len(members.owners), 0)
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
        """See ``Adviser``."""
        self.trust.observe(step)

    # Several steps at once, by compiled kernels: see ``train.off_policy.march``.

    def before_steps(self, obs: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Arrays and numbers by which kernels choose whom agents follow, and learn what becomes of
        it, and write it.

        Args:
            obs: float32 ``[A, E, inputs]``, of the tasks' copies.
        """
        config = self.config
        self._begin(obs.shape[1])
        arrays, numbers = self.trust.before_steps(obs)
        arrays |= {"followed": self._followed.clone(), "left": self._left.clone()}
        arrays["advice/keys"] = self._draws.keys.view(torch.uint64)
        chooses = {
            **{name: name in config.advice for name in ADVICE},
            "choice": config.choice,
            "by_largest": config.normalise == "largest",
            "temperature": self.temperature,
            "epsilon": config.epsilon,
            "unsure": _UNSURE * (self.members.size + 8),
            "follow_steps": config.follow_steps,
            "decisions": self._decisions,
            "drawn": _CHOICE,
        }
        return arrays, numbers | chooses

    def after_steps(
        self, steps: int, arrays: Mapping[str, Tensor], buffer: tuple[int, int], *, asked: bool
    ) -> None:
        """Kernels have taken steps.

        Args:
            steps: how many.
            arrays: what ``before_steps`` gave.
            buffer: steps in that of trust, and where the next one goes.
            asked: whether the first was chosen here.
        """
        self._followed, self._left = arrays["followed"], arrays["left"]
        self._decisions += max(steps - asked, 0)
        self.trust.after_steps(steps, arrays, *buffer)

    def numbers(self) -> dict[str, Tensor]:
        """See ``Adviser``: "trust" ``[A, P]`` and "agent_values" ``[G, P]``, if in use."""
        self.trust.settle()
        found = {}
        if "trust" in self.config.advice:
            found["trust"] = self.trust.own
        if "agent-values" in self.config.advice:
            found["agent_values"] = self.trust.shared
        return found

    def tensors(self) -> dict[str, Tensor]:
        """See ``Adviser``."""
        found, trust = self.trust.tensors(), self.trust
        counters = [trust.stored, trust.following, self._epoch, self._decisions, trust.observed]
        found |= {
            "followed": self._followed,
            "left": self._left,
            "key": self._draws.keys,
            "counters": torch.tensor(counters),
        }
        return {name: x.clone().contiguous() for name, x in found.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Adviser``."""
        own = self.tensors()
        fields = ("obs", "next_obs", "reward", "terminated", "followed")
        stored, following, epoch, decisions, observed = self._counters(tensors)
        wanted = {name for name in own if not name.startswith("buffer/")}
        wanted |= {f"buffer/{name}" for name in fields} if stored else set()
        if wanted != tensors.keys():
            raise ValueError(
                f"adviser's tensors: missing {sorted(wanted - tensors.keys())}, "
                f"unknown {sorted(tensors.keys() - wanted)}"
            )
        agents, following_shape = self.members.num_agents, tensors["followed"].shape
        copies = following_shape[1] if tensors["followed"].ndim == 2 else 0
        for name in sorted(wanted):
            given = tensors[name]
            if name.startswith("buffer/"):
                fits = self.trust.fits(given, stored, copies)
            elif name in ("followed", "left"):
                fits = given.dtype == torch.int64 and given.shape in ((0, 0), (agents, copies))
            else:
                fits = (given.shape, given.dtype) == (own[name].shape, own[name].dtype)
            if not fits:
                raise ValueError(
                    f"adviser's {name}: {given.dtype} {tuple(given.shape)} does not fit {agents} "
                    f"agents in groups of {self.members.size} with {stored} stored steps"
                )
        self._check_numbers(tensors, copies)
        self.trust.load_tensors(tensors, (stored, following, observed), copies)
        self._followed, self._left = tensors["followed"].clone(), tensors["left"].clone()
        self._epoch, self._decisions = epoch, decisions
        self._draws.keys.copy_(tensors["key"])

    def _check_numbers(self, tensors: Mapping[str, Tensor], copies: int) -> None:
        """See to it that tensors of the right shapes tell of members, steps and places that there
        are.

        Raises:
            ValueError: they do not.
        """
        counters, copies = self._counters(tensors), max(copies, 1)
        (stored, following, *_), room = counters, self.trust.capacity(copies)
        if following not in range(0, room, copies) or stored % copies or min(counters) < 0:
            raise ValueError(
                f"adviser's counters {tensors['counters'].tolist()}: not of a buffer of {room} "
                f"steps, {copies} at a time"
            )
        places = self.members.size
        ends = {"followed": places, "left": self.config.follow_steps + 1}
        ends |= {"buffer/followed": places} if stored else {}
        for name, end in ends.items():
            given = tensors[name]
            if given.numel() and (int(given.min()) < 0 or int(given.max()) >= end):
                raise ValueError(
                    f"adviser's {name}, {int(given.min())} to {int(given.max())}: must be less "
                    f"than {end}, and not negative"
                )

    @staticmethod
    def _counters(tensors: Mapping[str, Tensor]) -> list[int]:
        """Steps stored, the place of the next one, epoch, decisions and steps observed."""
        counters = tensors.get("counters")
        if counters is None or counters.shape != (5,) or counters.dtype != torch.int64:
            raise ValueError("adviser's tensors: counters, int64 [5], are missing")
        found: list[int] = counters.tolist()
        return found
