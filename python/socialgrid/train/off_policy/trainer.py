"""The training loop of off-policy learners: alone, or in groups that ask each other for advice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.off_policy.dqn import DQN
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
from socialgrid.train.off_policy.march import March, Marched, march_of
from socialgrid.train.off_policy.memory import fit_off_policy
from socialgrid.train.off_policy.tasks import Tasks, TaskStep
from socialgrid.train.rows import Numbers
from socialgrid.train.run import Array, Run, named, tensors_named
from socialgrid.train.seeds import derived_seed


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
        config = self.config
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
        self._march = march_of(self.tasks, self.learner, self._panel, alone=alone)
        self._undecided = False  # whom to follow, by a march
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
        """Steps of all tasks, at most so many, and what is learnt from them; returns how many they
        were.
        """
        assert self._obs is not None, "nothing has begun"
        steps, error = 1, None
        if self._march is not None and self._march.possible(self.adviser):
            found = self._march_on(self._march, self._obs, min(most, self._steps_alike()))
            steps, error = found.steps, found.error
        else:
            self._walk(self._obs)
        if self.learner.due and error is None:
            with self._timed("update"):
                means = self.learner.update()
            self._count_updates(1, {name: each[None] for name, each in means.items()})
        epoch = self.learner.steps // (self.config.adviser or AdviserOptions()).epoch_steps
        if self.adviser is not None and epoch > self._epoch:
            self.adviser.begin_epoch(epoch)
        self._epoch = epoch
        if error is not None:
            raise error
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
        self.env_steps += self.tasks.num_envs

    def _steps_alike(self) -> int:
        """Steps after which another epoch begins, agents begin to ask, or an update is due that
        cannot be taken in a march, if the memory holds as many.
        """
        learner, copies = self.learner, self.tasks.num_envs
        assert isinstance(learner, DQN), "it marches"
        epoch_steps = (self.config.adviser or AdviserOptions()).epoch_steps
        rest = (self._epoch + 1) * epoch_steps - learner.steps
        found: list[int] = [-(-rest // copies), learner.replay.capacity // copies]
        if learner.updating() is None:
            found.append(learner.steps_until_due())
        if learner.steps <= learner.config.learning_starts:
            found.append((learner.config.learning_starts - learner.steps) // copies + 1)
        return max(1, min(found))

    def _march_on(self, march: March, obs: Tensor, most: int) -> Marched:
        """At most so many steps."""
        adviser, chosen = self.adviser if self._asks else None, None
        assert adviser is None or isinstance(adviser, PeerAdviser), "it marches"
        if adviser is not None and self._undecided:
            with self._timed("act"):
                chosen = self._advice(obs)
        now = (obs, self._returns, self._played, self._followed)
        found = march(most, *now, chosen, adviser, lambda: self.interrupt.signal is not None)
        self._undecided = found.undecided
        self.env_steps += found.steps * self.tasks.num_envs
        for part, seconds in found.seconds.items():
            self._clock[part] = self._clock.get(part, 0.0) + seconds
        for agent, of_episode in found.finished:
            self._finished[agent].append(of_episode)
        if adviser is None:
            self._followed.scatter_add_(1, self._own, torch.full_like(self._own, found.steps))
        self._count_updates(found.updates, found.learnt)
        return found

    def _count_updates(self, updates: int, numbers: Mapping[str, Tensor]) -> None:
        """Add up what updates came to, by name ``[updates, A]``, one after the other."""
        self.update += updates
        for name, each in numbers.items():
            known, zeros = torch.isfinite(each), torch.zeros(1, len(self.names))
            added = torch.cat((self._sums.get(name, zeros[0])[None], each.where(known, zeros)))
            self._sums[name] = torch.from_numpy(np.add.accumulate(added.numpy())[-1])
            self._counts[name] = self._counts.get(name, zeros[0]) + known.sum(0)

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
        counts = [len(own) for own in self._finished]
        if min(counts) < finished:
            row["episodes_with"] = {"return": counts}
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
