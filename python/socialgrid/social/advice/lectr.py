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

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.data.replay import Replay, Transitions
from socialgrid.models.draws import AgentDraws
from socialgrid.models.finite import NonFiniteError
from socialgrid.models.streams import agent_generator
from socialgrid.models.trained import Trained
from socialgrid.social.advice.adviser import AdvisedStep, Members, PeerLearner, Proposals
from socialgrid.social.advice.advising import (
    AdvisingPolicies,
    Layers,
    Tally,
    check_tensors,
    outcomes,
    readable_values,
    room_for_steps,
    td_error,
)
from socialgrid.social.advice.options import LeCTROptions

_WEIGHTS, _DRAWS = 8, 9  # purposes of random numbers here
_DECISION, _BATCH = range(2)  # what they are drawn for
_NUMBERS = ("asked", "advised", "changed", "answered", "advising_reward", "advising_loss")


class LeCTR:
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
        task, agents, n = learner.task, members.num_agents, len(members.owners)
        if task.continuous:
            raise ValueError("LeCTR advises discrete actions; these are continuous")
        if task.view is not None:
            raise ValueError("LeCTR reads vector observations; these are views")
        parts = getattr(learner, "parts", [learner])
        if any(getattr(part.config, "remembers", False) for part in parts):
            raise ValueError("LeCTR asks for values of any observation; this learner has a memory")
        if n < 2:
            raise ValueError(
                f"owners {members.owners}: LeCTR needs two or more members with networks"
            )
        self.solo = False
        self.config, self.members, self.device = config, members, learner.device
        self._learner, self._task = learner, task
        self._agents, self._owners, self._copies = agents, n, learner.num_envs
        self._size, self._actions = math.prod(task.obs_shape), task.num_actions
        weights = [agent_generator(seed, a, _WEIGHTS) for a in range(agents)]
        self._draws = AgentDraws(seed, range(agents), _DRAWS)
        one = self._actions + 2
        sizes = (self._size + one, self._size + 2 * one)
        self.policies = AdvisingPolicies(weights, sizes, config.hidden, self._actions)
        critic_sizes = (self._size + n * one, *config.hidden, self._actions + 1)
        self.critic = Layers(weights, critic_sizes)
        self._trained = {
            name: Trained(network.to(self.device), agents, config.learning_rate, (0.9, 0.999), 1e-8)
            for name, network in (("policies", self.policies), ("critic", self.critic))
        }
        self._own_slot = torch.arange(agents, device=self.device) % n
        self._is_other = F.one_hot(self._own_slot, n)[:, None] == 0
        self._everyone = torch.arange(agents, device=self.device)
        self._all_actions = torch.arange(self._actions, device=self.device)
        self._places = members.own_places.to(self.device)
        self._place_of = torch.tensor(members.owners, device=self.device)
        kept = self._size + n * self._actions
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
        self._scale = torch.full((agents,), 1e-8, device=self.device)
        self._threshold = torch.full((agents,), torch.nan, device=self.device)
        self._decided: tuple[Tensor, Tensor] | None = None
        self._tally = Tally(_NUMBERS, agents, self.device)

    @torch.no_grad()
    def __call__(self, proposals: Proposals, obs: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Adviser``."""
        if self._filled == self.config.interval:
            self._look_back()
        seen = self._see(obs.to(self.device))
        self._scale = torch.maximum(self._scale, self._values_of(seen))
        ask, answers = self._behaviour(seen)
        n, copies = self._owners, seen.shape[1]
        drawn = self._draws.uniform(self._decisions, range(copies), kind=_DECISION, places=n + 1)
        draws, self._decisions = drawn.transpose(1, 2).to(self.device), self._decisions + 1
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
        intended = proposals.of(self._places[:, None].expand(-1, copies).cpu()).to(self.device)
        action = torch.where(advised, advice, intended)
        self._decided = seen, torch.where(advised, advice, self._actions)
        followed = torch.where(advised, self._place_of[teacher], self._places[:, None])
        self._tally.add("asked", asks)
        self._tally.add("advised", advised)
        self._tally.add("changed", action != intended)
        self._tally.add("answered", self._by_teacher(answered), self._by_teacher(requested))
        return action, followed.cpu()

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
        for name, x in given.items():
            self._recent[name][self._filled] = x
        if self.config.progress in ("tdg", "lg"):
            following = step.next_obs.to(self.device)
            self._recent["best_next"][self._filled] = self._own_values(following).amax(-1)
        self._filled += 1

    def begin_epoch(self, epoch: int) -> None:
        """See ``Adviser``; advice is given in all epochs."""

    def numbers(self) -> dict[str, Tensor]:
        """See ``Adviser``: means since they were last asked for, float32 ``[A]``, NaN of nothing.

        "asked": share of steps in which the agent asked; "advised": in which it got an answer and
        followed it; "changed": in which it did not do what it intended; "answered": share of the
        others' requests that it answered; "advising_reward"; "advising_loss" of its critic.
        """
        return self._tally.take()

    def tensors(self) -> dict[str, Tensor]:
        """See ``Adviser``; between steps."""
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
        self._decided = None

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

    # What agents see.

    def _see(self, obs: Tensor) -> Tensor:
        """``[A, M, *]`` to ``[A, M, size + n * K]``: observations, and what each member with a
        network thinks of every action there.
        """
        n, count = self._owners, obs.shape[1]
        shown = self.members.split(obs).flatten(1, 2).repeat_interleave(n, 0)
        actions = self._all_actions.expand(*shown.shape[:2], -1)
        values = self._learner.q_values(shown, actions).to(self.device)
        values = self._by_asker(values.view(self._agents, n, count, -1)).flatten(2)
        return torch.cat((obs.flatten(2).float(), values), -1)

    def _own_values(self, obs: Tensor) -> Tensor:
        """Every agent's action values of its own observations ``[A, M, *]``: ``[A, M, K]``."""
        actions = self._all_actions.expand(*obs.shape[:2], -1)
        found: Tensor = self._learner.q_values(obs, actions).to(self.device)
        return found

    def _by_asker(self, x: Tensor) -> Tensor:
        """Of each teacher about each asker, ``[A, n, M, *]``, to ``[A, M, n, *]`` by asker."""
        n = self._owners
        grouped = x.view(-1, n, *x.shape[1:]).transpose(1, 2)
        return grouped.transpose(2, 3).reshape(self._agents, x.shape[2], n, *x.shape[3:])

    def _by_teacher(self, x: Tensor) -> Tensor:
        """Of each asker about each teacher, ``[A, M, n]``, to ``[A, n * M]`` by teacher."""
        return self.members.split(x).permute(0, 3, 1, 2).reshape(self._agents, -1)

    def _shaped(self, obs: Tensor) -> Tensor:
        """``[A, M, size]`` as the learner wants observations."""
        return obs.reshape(*obs.shape[:2], *self._task.obs_shape)

    def _split(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Observations ``[A, M, size]`` and values ``[A, M, n, K]``."""
        shape = (*seen.shape[:2], self._owners, self._actions)
        return seen[..., : self._size], seen[..., self._size :].reshape(shape)

    def _values_of(self, seen: Tensor) -> Tensor:
        """Largest absolute value that each agent gave to anything in ``seen``, ``[A]``."""
        largest = self.members.split(self._split(seen)[1].abs().amax((1, 3)))
        return largest.amax(1).flatten()

    def _inputs(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What students ``[A, M, *]``, teachers ``[A, n * M, *]`` and critics ``[A, M, *]`` read.

        A teacher reads the steps of every asker of its group, one asker after the other; what it
        makes of its own is never used.
        """
        n, count = self._owners, seen.shape[1]
        obs, values = self._split(seen)
        scale = self.members.split(self._scale).repeat_interleave(n, 0)
        read = readable_values(values, scale[:, None, :, None])
        student = torch.cat((obs, read[self._everyone, :, self._own_slot]), -1)
        exchange = torch.cat((student[:, :, None].expand(-1, -1, n, -1), read), -1)
        # [G, asker, M, teacher, *] to [G, teacher, asker, M, *]
        teacher = self.members.split(exchange).permute(0, 3, 1, 2, 4)
        teacher = teacher.reshape(self._agents, n * count, -1)
        return student, teacher, torch.cat((obs, read.flatten(2)), -1)

    # What agents do.

    def _log_probs(
        self, policies: AdvisingPolicies, student: Tensor, teacher: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of asking, ``[A, M, 2]``, the last for doing so, and answers, ``[A, M, n, K + 1]``."""
        ask = policies.student(student).log_softmax(-1)
        answers = policies.teacher(teacher).log_softmax(-1)
        shape = (self._agents, self._owners, student.shape[1], self._actions + 1)
        return ask, self._by_asker(answers.view(shape))

    def _behaviour(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """P(ask) ``[A, M]`` and P(answer) ``[A, M, n, K + 1]`` with exploration."""
        student, teacher, _ = self._inputs(seen)
        ask, answers = self._log_probs(self.policies, student, teacher)
        epsilon = self.config.epsilon
        asking = (1.0 - epsilon) * ask[..., 1].exp() + epsilon / 2
        return asking, (1.0 - epsilon) * answers.exp() + epsilon / (self._actions + 1)

    def _outcomes(self, ask: Tensor, answers: Tensor) -> Tensor:
        """P(outcome) ``[A, M, K + 1]`` for log-probabilities of all agents' policies."""
        silent = F.one_hot(self._all_actions.new_tensor(self._actions), self._actions + 1)
        return outcomes(
            ask[..., 1].exp(), torch.where(self._is_other[..., None], answers.exp(), silent)
        )

    # What agents learn.

    def _look_back(self) -> None:
        """Measure the progress of the latest steps, remember them, and learn."""
        config = self.config
        # [interval, A, E, *] -> [A, interval * E, *]
        flat = {name: x.transpose(0, 1).flatten(1, 2) for name, x in self._recent.items()}
        following = self._see(self._shaped(flat["next_obs"]))
        reward = self._progress(flat, following)
        reward = reward - config.cost * (flat["outcome"] < self._actions)
        self._tally.add("advising_reward", reward)
        seen, outcome, *ends = (flat[k] for k in ("seen", "outcome", "terminated", "truncated"))
        self.replay.add(seen, outcome, reward, following, *ends)
        self._filled = 0
        if self.replay.size >= config.learning_starts:
            for _ in range(config.gradient_steps):
                size = config.batch_size
                words = self._draws.words(self.updates, range(1), kind=_BATCH, places=size)
                self._learn(self.replay.sample(words[:, 0]))

    def _progress(self, steps: Mapping[str, Tensor], following: Tensor) -> Tensor:
        """Advising rewards ``[A, M]`` of steps ``[A, M, *]``, learnt from meanwhile.

        Args:
            steps: as they are kept.
            following: what was seen after them, with what is thought now.
        """
        kind, gamma = self.config.progress, self._learner.config.gamma
        before = self._split(steps["seen"])[1][self._everyone, :, self._own_slot]
        best_next = self._split(following)[1][self._everyone, :, self._own_slot].amax(-1)
        reward, terminated = steps["reward"], steps["terminated"]
        if kind == "veg":
            return self._estimation_gain(td_error(reward, best_next, terminated, 0.0, gamma))
        now = self._own_values(self._shaped(self._split(steps["seen"])[0]))
        if kind == "jvg":
            return now.amax(-1) - before.amax(-1)
        action = steps["action"][..., None]
        values = (x.gather(-1, action).squeeze(-1) for x in (before, now))
        then, after = (
            td_error(reward, best, terminated, value, gamma)
            for best, value in zip((steps["best_next"], best_next), values, strict=True)
        )
        if kind == "tdg":
            return then.abs() - after.abs()
        return 0.5 * (then.square() - after.square())

    def _estimation_gain(self, estimate: Tensor) -> Tensor:
        """1 where value estimates ``[A, M]`` are above the threshold."""
        if self.config.threshold is not None:
            return (estimate > self.config.threshold).float()
        mean = estimate.mean(1)
        self._threshold = torch.where(self._threshold.isnan(), mean, self._threshold)
        found = (estimate > self._threshold[:, None]).float()
        self._threshold = self._threshold.lerp(mean, self.config.threshold_rate)
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
        taken = values.gather(-1, batch.action[..., None]).squeeze(-1)
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

    def _descend(self, name: str, loss: Tensor) -> None:
        part = self._trained[name]
        norms = part.differentiate(loss)
        bad = ~(loss.detach().isfinite() & norms.isfinite())
        if bool(bad.any()):
            agent = int(bad.nonzero()[0])
            raise NonFiniteError(f"gradient of advising {name}", self.updates, agent)
        part.step(range(self._agents), norms, self.config.max_grad_norm)
