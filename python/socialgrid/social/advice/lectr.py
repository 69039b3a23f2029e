"""Peers that learn when to ask for advice and what to advise (LeCTR, Omidshafiei et al. 2019).

On top of what it does in its task an agent has two advising policies. As a student it asks or
not, seeing <o_i, Q_i(o_i)>: its observation and what it thinks of every action. As a teacher it
answers a request with an action or with none, seeing <o_i, Q_i(o_i), Q_j(o_i)>: besides, what it
would think of every action there itself. An answered student carries out the advice; otherwise
what it intended. Both are rewarded for the student's learning progress, whatever algorithm learns
the task: it is a black box that offers action values. They are trained off-policy from a memory
of their own, with a critic that sees what all who took part saw.

Progress of a step (o, a, r, o') is measured after the student learnt on (theta' instead of theta):

    veg    1[V > threshold],  V = r + gamma max Q_theta'(o', .)      value estimation gain
    tdg    |delta_theta| - |delta_theta'|,
           delta = r + gamma max Q(o', .) - Q(o, a)                  TD gain
    lg     (delta_theta^2 - delta_theta'^2) / 2                      loss gain
    jvg    max Q_theta'(o, .) - max Q_theta(o, .)                    value gain

where nothing follows termination. A cost of communication is taken off where advice was followed.

Departures from the paper:

- Its tasks have two agents in one world; here any number, each in a copy of its own. So the
  reward of an exchange is the student's alone, not the sum over both directions, and each student
  has a critic for the exchanges in which it is the student.
- A student asks all other members of its group that have networks. Of those who answer, one is
  followed, each with the same probability.
- The joint advising action (ask or not, everybody's answer) matters only by what is carried out:
  one of the K actions as advised, or the own intention. So the critic has these K + 1 outcomes
  for actions, and policies follow the exact gradient of their expectation over all heads,
  sum_x P(x | policies) Q(x), instead of one that is sampled. With two agents that is
  P(advised k) = P(ask) P(answer k). Targets use the same expectation, by the target policies.
- It learns advising over many sessions of learning the task from scratch (Phase I), between
  which advising policies are updated (Phase II). Here there is one session, in which the phases
  alternate every few steps, as Derstroff et al. (2024) compare it. ``tensors`` of an
  earlier run begin another session.
- Networks read action values as their differences to the best, divided by the distance between
  best and worst, and both numbers that are lost thereby divided by the agent's largest absolute
  value so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.data.exchange import fetched, sent
from socialgrid.data.replay import Replay, Transitions
from socialgrid.models.draws import AgentDraws
from socialgrid.models.far_steps import FarSteps, Planned
from socialgrid.models.finite import NonFiniteError
from socialgrid.models.phases import Phases
from socialgrid.models.picking import picked
from socialgrid.models.trained import Trained
from socialgrid.social.advice.adviser import AdvisedStep, Members, PeerLearner, Proposals
from socialgrid.social.advice.advising import (
    Tally,
    check_tensors,
    room_for_steps,
    td_error,
)
from socialgrid.social.advice.exchanges import Exchanges
from socialgrid.social.advice.options import LeCTROptions

_DRAWS = 9  # purpose of the random numbers here
_DECISION, _BATCH = range(2)  # what they are drawn for
_NUMBERS = ("asked", "advised", "changed", "answered", "advising_reward", "advising_loss")


class LeCTR(Exchanges):
    """Lets agents ask each other for advice, and learn to; an ``Adviser``.

    Proposals of others are not looked at: teachers choose what they advise. Scripted members are
    never asked, having no action values. All agents learn to advise, also those whose task-level
    networks do not learn.
    """

    def __init__(
        self, learner: PeerLearner, config: LeCTROptions, members: Members, seed: int
    ) -> None:
        """Initialise advising networks and their memory.

        Args:
            learner: of the tasks of all A agents; its action values are read, nothing else.
            config: hyper-parameters.
            members: who is who.
            seed: of weights and choices; agents have random numbers of their own.

        Raises:
            ValueError: actions are continuous, observations are no vectors, the learner has a
                memory, or a group has fewer than two members with networks.
        """
        super().__init__(learner, config, members, seed)
        agents = members.num_agents
        self.solo = False
        self._draws = AgentDraws(seed, range(agents), _DRAWS)
        self._trained = {
            name: Trained(network, agents, config.learning_rate, (0.9, 0.999), 1e-8)
            for name, network in (("policies", self.policies), ("critic", self.critic))
        }
        self._places = members.own_places.to(self.device)
        self._place_of = torch.tensor(members.owners, device=self.device)
        self._far: FarSteps | None = None
        self._phases = Phases(self.device)
        # On an accelerator: gradient steps of which it is not known yet what came of them.
        self._under_way: list[Planned] = []
        kept = self._size + self._owners * self._actions
        if config.buffer_size < config.interval * self._copies:
            raise ValueError(
                f"lectr.buffer_size {config.buffer_size}: steps of {self._copies} copies of the "
                f"task are remembered lectr.interval {config.interval} at a time"
            )
        self.replay = Replay(
            *(agents, config.buffer_size, (kept,), torch.float32),
            num_envs=config.interval * self._copies,  # that many are remembered at once
            device=self.device,
        )
        lead = (config.interval, agents, self._copies)
        # Steps whose progress is not known yet.
        self._recent = room_for_steps(lead, kept, self._size, self.device)
        self._filled = self.updates = self._decisions = 0
        self._threshold = torch.full((agents,), torch.nan, device=self.device)
        self._decided: tuple[Tensor, Tensor] | None = None
        self._tally = Tally(_NUMBERS, agents, self.device)

    @property
    def trained(self) -> Mapping[str, Trained]:
        """Networks with what trains them, by name."""
        return self._trained

    @torch.no_grad()
    def __call__(self, proposals: Proposals, obs: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Adviser``."""
        if self._filled == self.config.interval:
            self._look_back()
        (obs,) = sent(self.device, obs)
        seen = self._see(obs)
        n, copies = self._owners, seen.shape[1]
        drawn = self._draws.uniform(self._decisions, range(copies), kind=_DECISION, places=n + 1)
        self._decisions += 1
        intended = proposals.of(self.members.own_places[:, None].expand(-1, copies))
        given = seen, drawn.transpose(1, 2), intended
        action, followed, outcome = self._phases.apply("decide", self._decide, *given)
        self._decided = seen, outcome
        action, followed = self._read(action, followed)
        return action, followed

    def _decide(self, seen: Tensor, draws: Tensor, intended: Tensor) -> Tensor:
        """What is done, whom it was taken from and what became of the exchange, int64
        ``[3, A, E]``. A phase: see ``captured``.

        Args:
            seen: as of ``_see``, ``[A, E, *]``.
            draws: in [0, 1), ``[A, n + 1, E]``.
            intended: int64 ``[A, E]``.
        """
        n = self._owners
        torch.maximum(self._scale, self._values_of(seen), out=self._scale)
        ask, answers = self._behaviour(seen)
        # A teacher's draw of its own place decides whether it asks.
        asks = draws[self._everyone, self._own_slot] < ask
        u = self._by_asker(draws[:, :n, :, None])
        answer = (u >= answers[..., :-1].cumsum(-1)).sum(-1)  # [A, E, n]
        requested = asks[..., None] & self._is_other
        answered = requested & (answer < self._actions)
        count = answered.cumsum(-1)
        wanted = (draws[:, n] * count[..., -1]).long() + 1
        teacher = (answered & (count == wanted[..., None])).long().argmax(-1)
        advised = count[..., -1] > 0
        advice = answer.gather(-1, teacher[..., None]).squeeze(-1)
        action = torch.where(advised, advice, intended)
        outcome = torch.where(advised, advice, self._actions)
        followed = torch.where(advised, self._place_of[teacher], self._places[:, None])
        self._tally.add("asked", asks)
        self._tally.add("advised", advised)
        self._tally.add("changed", action != intended)
        self._tally.add("answered", self._by_teacher(answered), self._by_teacher(requested))
        return torch.stack((action, followed, outcome))

    def _read(self, *wanted: Tensor) -> list[Tensor]:
        """Tensors on the CPU; an accelerator says with them what came of its gradient steps.

        Raises:
            NonFiniteError: that was not finite.
        """
        plan, self._under_way = self._under_way, []
        if not plan:
            return fetched(*wanted)
        assert self._far is not None, "it took them"
        *found, record = fetched(*wanted, self._far.record)
        failure = self._far.finish(plan, record).failure
        if failure is not None:
            agent = int((~failure.both.isfinite().all(0)).nonzero()[0])
            updates = self.updates - len(plan) + failure.step + 1
            raise NonFiniteError(f"gradient of advising {failure.name}", updates, agent)
        return found

    @torch.no_grad()
    def observe(self, step: AdvisedStep) -> None:
        """See ``Adviser``; a step that nobody asked about before is not learnt from."""
        if self._decided is None:
            return
        (seen, outcome), self._decided = self._decided, None
        given = {
            "seen": seen,
            "outcome": outcome,
            "next_obs": step.next_obs.flatten(2),
            "action": step.action,
            "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated & ~step.terminated,
        }
        if self.config.progress in ("tdg", "lg"):
            (following,) = sent(self.device, step.next_obs)
            given["best_next"] = self._own_values(following).amax(-1)
        slot = torch.tensor([self._filled])
        remember = partial(self._remember, tuple(given))
        self._phases.apply("remember", remember, slot, *given.values())
        self._filled += 1

    def _remember(self, names: Sequence[str], slot: Tensor, *given: Tensor) -> Tensor:
        """Keep what came of a step, int64 ``[1]`` of the recent ones. A phase: see ``captured``."""
        for name, x in zip(names, given, strict=True):
            recent = self._recent[name]
            recent.index_copy_(0, slot, x[None].to(recent.dtype))
        return slot

    def begin_epoch(self, epoch: int) -> None:
        """See ``Adviser``; advice is given in all epochs."""

    def numbers(self) -> dict[str, Tensor]:
        """See ``Adviser``: means since they were last asked for, float32 ``[A]``, NaN of nothing.

        "asked": share of steps in which the agent asked; "advised": in which it got an answer and
        followed it; "changed": in which it did not do what it intended; "answered": share of the
        others' requests that it answered; "advising_reward"; "advising_loss" of its critic.
        """
        return self._tally.take(self._read)

    def tensors(self) -> dict[str, Tensor]:
        """See ``Adviser``; between steps."""
        self._read()
        memory = {f"replay/{name}": x for name, x in self.replay.tensors().items()}
        found = {**self._fixed_tensors(), **memory}
        return {name: x.detach().cpu().clone().contiguous() for name, x in found.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Adviser``."""
        own = self._fixed_tensors()
        given = {name: x for name, x in tensors.items() if not name.startswith("replay/")}
        check_tensors(own, given)
        self.replay.load_tensors(
            {
                name.removeprefix("replay/"): x
                for name, x in tensors.items()
                if name.startswith("replay/")
            }
        )
        with torch.no_grad():
            for name, x in own.items():
                x.copy_(given[name])
        self._filled, self.updates, self._decisions = given["counters"].tolist()
        self._decided, self._under_way = None, []

    def _fixed_tensors(self) -> dict[str, Tensor]:
        """Everything but the replay memory; live where it can be."""
        found = {
            "key": self._draws.keys,
            "counters": torch.tensor([self._filled, self.updates, self._decisions]),
            "scale": self._scale,
            "threshold": self._threshold,
            "sums": self._tally.sums,
            "counts": self._tally.counts,
            **{f"recent/{name}": x for name, x in self._recent.items()},
        }
        for name, part in self._trained.items():
            found |= part.tensors(name)
        return found

    # What agents learn.

    def _look_back(self) -> None:
        """Measure the progress of the latest steps, remember them, and learn."""
        config, flat = self.config, self._flat()
        following = self._see(self._shaped(flat["next_obs"]))
        given = [following]
        if config.progress != "veg":
            given.append(self._own_values(self._shaped(self._split(flat["seen"])[0])))
        reward = self._phases.apply("progress", self._progress, *given)
        seen, outcome, *ends = (flat[k] for k in ("seen", "outcome", "terminated", "truncated"))
        self.replay.add(seen, outcome, reward, following, *ends)
        self._filled = 0
        if self.replay.size >= config.learning_starts:
            drawn = [self.replay.places(self._words(k)) for k in range(config.gradient_steps)]
            if self.device.type != "cpu":
                self._learn_there(drawn)
                return
            for places in drawn:
                self._learn(self.replay.at(places))

    def _words(self, after: int) -> Tensor:
        """What the batch after so many further gradient steps is drawn by, int64 ``[A, B]``."""
        step, size = self.updates + after, self.config.batch_size
        return self._draws.words(step, range(1), kind=_BATCH, places=size)[:, 0]

    def _flat(self) -> dict[str, Tensor]:
        """Recent steps, ``[interval, A, E, *]``, as ``[A, M, *]``."""
        return {name: x.transpose(0, 1).flatten(1, 2) for name, x in self._recent.items()}

    def _progress(self, following: Tensor, *now: Tensor) -> Tensor:
        """Advising rewards ``[A, M]`` of the recent steps, learnt from meanwhile. A phase: see
        ``captured``.

        Args:
            following: what was seen after them, with what is thought now, ``[A, M, *]``.
            now: what is thought now of the actions in them, ``[A, M, K]``, where that matters.
        """
        steps = self._flat()
        reward = self._gain(steps, following, *now)
        reward = reward - self.config.cost * (steps["outcome"] < self._actions)
        self._tally.add("advising_reward", reward)
        return reward

    def _gain(self, steps: Mapping[str, Tensor], following: Tensor, *values: Tensor) -> Tensor:
        """Progress in steps ``[A, M, *]``; see ``_progress``."""
        kind, gamma = self.config.progress, self._learner.config.gamma
        before = self._split(steps["seen"])[1][self._everyone, :, self._own_slot]
        best_next = self._split(following)[1][self._everyone, :, self._own_slot].amax(-1)
        reward, terminated = steps["reward"], steps["terminated"]
        if kind == "veg":
            return self._estimation_gain(td_error(reward, best_next, terminated, 0.0, gamma))
        (now,) = values
        if kind == "jvg":
            return now.amax(-1) - before.amax(-1)
        action = steps["action"][..., None]
        both = (x.gather(-1, action).squeeze(-1) for x in (before, now))
        then, after = (
            td_error(reward, best, terminated, value, gamma)
            for best, value in zip((steps["best_next"], best_next), both, strict=True)
        )
        if kind == "tdg":
            return then.abs() - after.abs()
        return 0.5 * (then.square() - after.square())

    def _estimation_gain(self, estimate: Tensor) -> Tensor:
        """1 where value estimates ``[A, M]`` are above the threshold."""
        if self.config.threshold is not None:
            return (estimate > self.config.threshold).float()
        mean = estimate.mean(1)
        self._threshold.copy_(torch.where(self._threshold.isnan(), mean, self._threshold))
        found = (estimate > self._threshold[:, None]).float()
        self._threshold.lerp_(mean, self.config.threshold_rate)
        return found

    def critic_loss(self, batch: Transitions) -> Tensor:
        """Huber loss ``[A]`` of r + gamma sum_x P'(x | o') Q'(o', x) - Q(o, x)."""
        with torch.no_grad():
            student, teacher, everything = self._inputs(batch.next_obs)
            policies = self._log_probs(self._trained["policies"].target, student, teacher)
            values = self._trained["critic"].target(everything)
            expected = (self._outcomes(*policies) * values).sum(-1)
            target = batch.reward + self.config.gamma * ~batch.terminated * expected
        values = self.critic(self._inputs(batch.obs)[2])
        taken = picked(values, batch.action)
        return F.smooth_l1_loss(taken, target, reduction="none").mean(1)

    def policy_loss(self, batch: Transitions) -> Tensor:
        """Minus the mean of sum_x P(x | o) Q(o, x) and of the entropy of student and teachers.

        ``[A]``, one for each asker; its gradient reaches the asker's student and all teachers.

        Values count from their mean over the outcomes and are divided by the mean size of that,
        so that the entropy weighs the same whatever the scale of progress.
        """
        student, teacher, everything = self._inputs(batch.obs)
        with torch.no_grad():
            values = self.critic(everything)
            values = values - values.mean(-1, keepdim=True)
            values = values / values.abs().mean((1, 2), keepdim=True).clamp(min=1e-8)
        ask, answers = self._log_probs(self.policies, student, teacher)
        expected = (self._outcomes(ask, answers) * values).sum(-1)
        answering = -(answers.exp() * answers).sum(-1) * self._is_other
        entropy = answering.sum(-1) / (self._owners - 1) - (ask.exp() * ask).sum(-1)
        loss: Tensor = -(expected + self.config.entropy_coef * entropy).mean(1)
        return loss

    def _learn(self, batch: Transitions) -> None:
        """One gradient step of critics and of policies."""
        self.updates += 1
        with torch.enable_grad():
            loss = self.critic_loss(batch)
            self._descend("critic", loss)
            self._descend("policies", self.policy_loss(batch))
        for part in self._trained.values():
            part.follow(self.config.tau, range(self._agents))
        self._tally.add("advising_loss", loss.detach()[:, None])

    def _learn_there(self, drawn: Sequence[Tensor]) -> None:
        """Gradient steps on an accelerator, on what lies at these places of the memory."""
        everybody = range(self._agents)
        stepping = dict.fromkeys(self._trained, everybody)
        plan = [Planned(places, None, stepping, everybody) for places in drawn]
        self._read()  # what came of those before
        if self._far is None:
            self._far = FarSteps(self._trained, plan, {})
        far = self._far
        far.begin(plan, self.config.tau, {})
        for step in plan:
            self.updates += 1
            if self.replay.kept_on.type == "cpu":
                self._far_step(far, step.draw)
            else:
                self._phases.run("step", lambda: self._far_step(far), far)
        self._under_way = plan

    def _far_step(self, far: FarSteps, places: Tensor | None = None) -> None:
        """A gradient step on what lies at ``places`` of the memory, or where the device was told.
        A phase: see ``captured``.
        """
        config = self.config
        far.begin_step()
        batch = self.replay.at(far.given("draw") if places is None else places)
        with torch.enable_grad():
            loss = self.critic_loss(batch)
            far.descend("critic", loss, config.max_grad_norm)
            far.descend("policies", self.policy_loss(batch), config.max_grad_norm)
        far.follow()
        far.end_step((tuple(self._trained), True), {})
        self._tally.add("advising_loss", loss.detach()[:, None])

    def _descend(self, name: str, loss: Tensor) -> None:
        part = self._trained[name]
        norms = part.differentiate(loss)
        bad = ~(loss.detach().isfinite() & norms.isfinite())
        if bool(bad.any()):
            agent = int(bad.nonzero()[0])
            raise NonFiniteError(f"gradient of advising {name}", self.updates, agent)
        part.step(range(self._agents), norms, self.config.max_grad_norm)
