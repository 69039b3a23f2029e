"""The training loop of off-policy learners: alone, or in groups that ask each other for advice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.config import TrainConfig
from socialgrid.config.errors import UsageError
from socialgrid.lookup import find_code
from socialgrid.models.kernels import use_threads
from socialgrid.players.advisers import ScriptedAdviser, make_adviser
from socialgrid.social.advice.adviser import AdvisedStep, Adviser, Members
from socialgrid.social.advice.options import AdviserOptions
from socialgrid.social.advice.panel import Panel
from socialgrid.social.advice.peers import PeerAdviser
from socialgrid.train import seeds
from socialgrid.train.device import settle_on
from socialgrid.train.interrupt import Abandoned
from socialgrid.train.off_policy.greedy import greedy_returns
from socialgrid.train.off_policy.learner import AnyOffPolicyLearner, build_off_policy_learner
from socialgrid.train.off_policy.make_tasks import make_tasks, shares_worlds
from socialgrid.train.off_policy.march import March, march_of
from socialgrid.train.off_policy.memory import fit_off_policy
from socialgrid.train.off_policy.tasks import Tasks, TaskStep
from socialgrid.train.rows import Numbers
from socialgrid.train.run import Array, Run, named, tensors_named
from socialgrid.train.seeds import derived_seed

_MOST_DRAWN = 1 << 25
"""Bytes of transitions that are drawn after steps taken in one call, at most."""


class OffPolicyTrainer(Run):
    """One training run of off-policy learners.

    Attributes:
        members: who is who in the groups.
        tasks: of all agents.
        adviser: decides whose proposals are carried out; ``None``: everybody acts alone.
    """

    learner: AnyOffPolicyLearner

    def __init__(self, config: TrainConfig, run_dir: Path) -> None:
        """Make everything that training needs; nothing is written yet.

        Raises:
            UsageError: an option does not fit the task, the players or the machine.
        """
        super().__init__(config, run_dir)
        self.device, roster = settle_on(config.run.device), config.roster
        self.members = Members(roster.groups, len(roster.players), roster.slots)
        env = config.env
        self.tasks = make_tasks(
            config, env.num_envs, config.run.seed, asynchronous=env.num_threads > 1
        )
        spec = self.tasks.spec
        self.learner = build_off_policy_learner(
            config, spec, self.device, run_dir / "dumps", begun=self.begun
        )
        self._scripted: dict[tuple[int, int], ScriptedAdviser] = {}
        self.adviser = self._make_adviser()
        self.memory = fit_off_policy(self.learner, self.adviser)
        advised = config.adviser or AdviserOptions()
        self._panel = Panel(
            self.learner,
            self.members,
            self._scripted,
            explore=advised.explore_when_advised,
            peers_explore=advised.peers_explore,
        )
        alone = not self._scripted and not advised.explore_when_advised
        self._march = march_of(self.tasks, self.learner, self.members, alone=alone)
        self._evaluation_tasks: Tasks | None = None
        self._evaluations = self._epoch = 0
        self._obs: Tensor | None = None
        lead = (spec.num_agents, self.tasks.num_envs)
        # Of the episodes that go on: returns, and whether the agent was in play in them.
        self._returns = torch.zeros(lead, dtype=torch.float64)
        self._played = torch.zeros(lead, dtype=torch.bool)
        self._own = self.members.own_places[:, None].expand(lead)
        self._followed = torch.zeros(spec.num_agents, self.members.size, dtype=torch.int64)
        self._forget_row()

    def _make_adviser(self) -> Adviser | None:
        config, members = self.config, self.members
        if config.adviser is None:
            return None
        seed = config.run.seed
        try:
            for group in range(members.groups):
                for place, player in enumerate(config.roster.players):
                    if player.scripted is not None:
                        self._scripted[group, place] = make_adviser(
                            config.env.game,
                            player.scripted,
                            derived_seed(seed, seeds.ADVISERS, group, place),
                            self.tasks.spec,
                        )
            options = config.adviser.of_run(config.run.total_steps)
            adviser: Adviser = find_code(options.made_by)(self.learner, options, members, seed)
            return adviser
        except ValueError as error:
            raise UsageError(str(error)) from None

    # -- state ------------------------------------------------------------------------------

    def begin(self) -> None:
        """See ``Run``."""
        if self._obs is None:
            self._obs = self.tasks.reset()

    def arrays(self) -> dict[str, Array]:
        """See ``Run``."""
        arrays = {f"tasks/{name}": array for name, array in self.tasks.get_state().items()}
        arrays |= {f"memory/{name}": x.numpy() for name, x in self.learner.memory().items()}
        for (group, place), adviser in self._scripted.items():
            arrays[f"scripted/{group}/{place}"] = adviser.state()
        if self.adviser is not None:
            arrays |= {f"adviser/{name}": x.numpy() for name, x in self.adviser.tensors().items()}
        arrays["returns"], arrays["played"] = self._returns.numpy(), self._played.numpy()
        return arrays

    def counters(self) -> dict[str, Any]:
        """See ``Run``."""
        return {"epoch": self._epoch, "evaluations": self._evaluations}

    def load_arrays(self, arrays: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """See ``Run``; tasks that cannot be restored begin new episodes."""
        self._epoch, self._evaluations = int(state["epoch"]), int(state["evaluations"])
        self.learner.load_memory(tensors_named(arrays, "memory/"))
        for (group, place), adviser in self._scripted.items():
            adviser.set_state(arrays[f"scripted/{group}/{place}"])
        if self.adviser is not None:
            self.adviser.load_tensors(tensors_named(arrays, "adviser/"))
        self._obs = self.tasks.set_state(named(arrays, "tasks/"))
        if self.tasks.exact:
            self._returns.copy_(torch.from_numpy(arrays["returns"]))
            self._played.copy_(torch.from_numpy(arrays["played"]))
        else:
            self.learner.interrupt()

    @property
    def anew(self) -> str | None:
        """See ``Run``."""
        if self.tasks.exact:
            return None
        return f"{self.config.env.game} cannot be saved: new episodes begin here"

    @property
    def progress(self) -> int:
        """Steps in play of an agent, its copies added up; the mean where agents differ."""
        return self.learner.steps

    # -- steps ------------------------------------------------------------------------------

    def _forget_row(self) -> None:
        self._finished: list[list[float]] = [[] for _ in self.names]
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._followed.zero_()

    @property
    def _asks(self) -> bool:
        """Whether agents ask each other now: nobody does before the first update is due."""
        adviser, learner = self.adviser, self.learner
        asks = adviser is not None and not adviser.solo
        return asks and learner.steps > learner.config.learning_starts

    def _advice(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Actions, and whom they were taken from, on the CPU."""
        assert self.adviser is not None, "it has been asked for"
        return self.adviser(self._panel.ask(obs), obs)

    def _advance(self, most: int) -> int:
        """Steps of all tasks, one or more of at most so many, and what is learnt from them; returns
        how many they were.
        """
        assert self._obs is not None, "nothing has begun"
        steps = 1
        if self._march is not None and self._march.possible(self.adviser):
            steps = self._march_on(self._march, self._obs, min(most, self._steps_alike()))
        else:
            self._walk(self._obs)
        self.env_steps += steps * self.tasks.num_envs
        if self.learner.due:
            with self._timed("update"):
                self._learn()
        epoch = self.learner.steps // (self.config.adviser or AdviserOptions()).epoch_steps
        if self.adviser is not None and epoch > self._epoch:
            self.adviser.begin_epoch(epoch)
        self._epoch = epoch
        return steps

    def _walk(self, obs: Tensor) -> None:
        """One step."""
        advised, followed = self._asks, self._own
        with self._timed("act"):
            if advised:
                action, followed = self._advice(obs)
            else:
                action = self.learner.act(obs).cpu()
        with self._timed("simulate"):
            step = self.tasks.step(action)
        self._obs = step.obs
        with self._timed("remember"):
            self.learner.store(
                *(obs, action, step.reward, step.next_obs),
                *(step.terminated, step.truncated, step.in_play),
            )
        self._count(step, followed)
        if self.adviser is not None and advised:
            with self._timed("advise"):
                self.adviser.observe(
                    AdvisedStep(
                        *(obs, action, step.reward, step.next_obs),
                        *(step.terminated, step.truncated, followed),
                    )
                )

    def _steps_alike(self) -> int:
        """Steps after which an update is due, another epoch begins, or agents begin to ask, if the
        memory holds as many, and what is drawn after them is not too much.
        """
        learner, copies = self.learner, self.tasks.num_envs
        assert isinstance(learner, OffPolicyLearner), "it marches"
        epoch_steps = (self.config.adviser or AdviserOptions()).epoch_steps
        rest = (self._epoch + 1) * epoch_steps - learner.steps
        found: list[int] = [learner.steps_until_due(), -(-rest // copies)]
        found.append(learner.replay.capacity // copies)
        if learner.steps <= learner.config.learning_starts:
            found.append((learner.config.learning_starts - learner.steps) // copies + 1)
        if self._asks and isinstance(self.adviser, PeerAdviser) and self._obs is not None:
            found.append(_MOST_DRAWN // max(self.adviser.bytes_drawn(self._obs), 1))
        return max(1, min(found))

    def _march_on(self, march: March, obs: Tensor, most: int) -> int:
        """Steps up to the next choice of whom to follow; returns how many."""
        adviser = self.adviser if self._asks else None
        steps, chosen, followed = most, None, self._own
        assert adviser is None or isinstance(adviser, PeerAdviser), "it marches"
        if adviser is not None:
            if not adviser.settled:
                with self._timed("act"):
                    chosen = self._advice(obs)
            steps = min(most, adviser.settled + (chosen is not None))
            followed = adviser.followed
        found = march(steps, obs, self._returns, self._played, chosen, adviser)
        for part, seconds in found.seconds.items():
            self._clock[part] = self._clock.get(part, 0.0) + seconds
        for agent, of_episode in found.finished:
            self._finished[agent].append(of_episode)
        self._followed.scatter_add_(1, followed, torch.full_like(followed, steps))
        return steps

    def _learn(self) -> None:
        self.update += 1
        for name, values in self.learner.update().items():
            known = torch.isfinite(values)
            zeros = torch.zeros(len(self.names))
            self._sums[name] = self._sums.get(name, zeros) + torch.where(known, values, zeros)
            self._counts[name] = self._counts.get(name, zeros) + known

    def _count(self, step: TaskStep, followed: Tensor) -> None:
        in_play = step.in_play
        self._returns += torch.where(in_play, step.reward, 0.0)
        self._played |= in_play
        self._followed.scatter_add_(1, followed, in_play.to(followed.dtype))
        if bool(step.done.any()):
            # Who was never in play in an episode had none.
            for agent, copy in (step.done & self._played).nonzero().tolist():
                self._finished[agent].append(float(self._returns[agent, copy]))
            self._returns[step.done] = 0.0
            self._played[step.done] = False

    def step(self) -> dict[str, Any]:
        """Let every copy of every task take ``env.rollout_steps`` steps. See ``Run``.

        A signal ends the row earlier; then the next one has what is missing.
        """
        before = use_threads(self.threads)  # runs may take turns in a process
        try:
            return self._row()
        finally:
            use_threads(before)

    def _row(self) -> dict[str, Any]:
        start = time.perf_counter()
        self._clock = {}
        self._forget_row()
        before, played = self.env_steps, self.agent_steps
        length = self.config.env.rollout_steps
        missing = length - before // self.tasks.num_envs % length
        while missing:
            missing -= self._advance(missing)
            if self.interrupt.signal is not None:
                break
        steps = self.env_steps - before
        evaluation = self._evaluate_if_due(before)
        finished = sum(map(len, self._finished))
        self.episodes += finished
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self.agent_steps = sum(self.learner.agent_steps)
        row: dict[str, Any] = {
            "update": self.update,
            "env_steps": self.env_steps,
            "progress": self.progress,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "episodes_finished": finished,
            "solo_episodes_finished": 0,
            "seconds": self.seconds,
            "env_steps_per_second": steps / seconds,
            "agent_steps_per_second": (self.agent_steps - played) / seconds,
            "time": {**self._clock, "other": seconds - sum(self._clock.values())},
            "options": {},
        }
        if self.adviser is not None:
            row["epoch"] = self._epoch
        return row | self._numbers(evaluation).by_kind()

    def _numbers(self, evaluation: Tensor | None) -> Numbers:
        """What was measured since the last row."""
        numbers = Numbers(len(self.names))
        returns = [np.array(own) for own in self._finished]
        numbers.put_returns("return", returns)
        numbers.put_spreads("return_std", returns)
        if evaluation is not None:
            numbers.log("evaluated_return", evaluation.mean(1))
            numbers.log("evaluated_return_std", evaluation.std(1, correction=0))
        for name, total in self._sums.items():
            numbers.log(name, total / self._counts[name])
        if self.adviser is not None:
            counts = self._followed.double()
            shares = counts / counts.sum(1, keepdim=True)
            numbers.log_members("followed", shares)
            own = shares.gather(1, self.members.own_places[:, None])
            numbers.log("followed_others", 1.0 - own[:, 0])
            for name, x in self.adviser.numbers().items():
                (numbers.log if x.dim() == 1 else numbers.log_members)(name, x)
        return numbers

    def _evaluate_if_due(self, before: int) -> Tensor | None:
        """Returns ``[A, E]`` without exploration where a multiple of the interval was passed."""
        evaluation = self.config.evaluation
        interval = evaluation.interval
        if not interval or self.env_steps // interval == before // interval:
            return None
        try:
            with self._timed("evaluate"), self.interrupt.giving_up(0.0):
                returns = self._evaluate()
        except Abandoned:
            return None  # a signal came
        except UsageError as error:
            self.problem = error  # what was learnt is saved first
            return None
        return returns

    def _evaluate(self) -> Tensor:
        """Returns ``[A, E]`` of episodes without exploration."""
        episodes = self.config.evaluation.episodes
        seed = derived_seed(self.config.run.seed, seeds.EVALUATIONS, self._evaluations)
        self._evaluations += 1
        if shares_worlds(self.config):  # scripted players begin with the seed of their worlds
            tasks = make_tasks(self.config, episodes, seed)
            returns = greedy_returns(tasks, self.learner)
            tasks.close()
            return returns
        if self._evaluation_tasks is None:
            self._evaluation_tasks = make_tasks(self.config, episodes, seed)
        return greedy_returns(self._evaluation_tasks, self.learner, seed)
