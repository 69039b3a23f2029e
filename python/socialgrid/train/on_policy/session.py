"""Networks play, without learning: for evaluation, films and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from socialgrid.data.rollout import Rollout
from socialgrid.train.company import Company
from socialgrid.train.on_policy.learner import AnyLearner, build_rollout
from socialgrid.train.worlds import Worlds


class Session:
    """Environments in play, recorded a rollout at a time.

    Attributes:
        rollout: the steps played last; the next call of ``play`` writes over them.
    """

    def __init__(
        self,
        worlds: Worlds,
        learner: AnyLearner | None,
        slots: Sequence[int],
        num_steps: int,
        *,
        greedy: bool = False,
        company: Sequence[Company] = (),
        first_step: int = 0,
    ) -> None:
        """Start new episodes.

        Args:
            worlds: environments in a single half.
            learner: the networks of which everything is recorded; ``None``: of nobody's.
            slots: the agents they play, in order.
            num_steps: length of a rollout.
            greedy: the most probable actions instead of samples.
            company: networks in other seats; only their actions are recorded.
            first_step: number of the first step: where it is another, samples are, too.
        """
        self.worlds, self.learner, self.greedy, self.company = worlds, learner, greedy, company
        self._columns = list(slots)
        env = worlds.env
        if learner is None:
            self.rollout = Rollout(
                num_steps, worlds.num_envs, env.num_agents, env.obs_shape, state_size=0,
                obs_dtype=env.obs_dtype.name, events=len(env.event_names),
            )  # fmt: skip
        else:
            self.rollout = build_rollout(num_steps, slots, worlds, learner)
            self._memory: Tensor = learner.initial_state(worlds.num_envs)
        self._slots = [worlds.bind(0, self.rollout.slot(t)) for t in range(num_steps)]
        first = worlds.reset()
        self.rollout.begin(
            torch.from_numpy(first.obs),
            torch.from_numpy(first.active),
            torch.from_numpy(first.last_actions),
            torch.from_numpy(first.visible),
        )
        for others in company:
            others.begin(worlds.num_envs, first_step)
        self._started = False
        self._step = first_step

    def play(self) -> Rollout:
        """Play the next steps, on from where the last ones ended."""
        rollout, worlds = self.rollout, self.worlds
        if self._started:
            rollout.carry_over()
        self._started = True
        for t in range(rollout.num_steps):
            last = rollout.last(t)
            if self.learner is not None:
                obs, reset = rollout.inputs(t)
                out = self.learner.act(
                    *(obs, self._memory, reset), last=last, greedy=self.greedy, step=self._step
                )
                self._memory = out.state
                worlds.actions[:, self._columns] = rollout.record(t, out).numpy()
            for others in self.company:
                chosen = others.act(rollout.obs[t], rollout.reset[t], last, self.greedy)
                worlds.actions[:, list(others.seats)] = chosen.cpu().numpy()
            worlds.send(0, worlds.actions, self._slots[t])
            rollout.take(t, torch.from_numpy(worlds.actions))
            worlds.recv(0)
            rollout.finish_step(t)
            self._step += 1
        return rollout
