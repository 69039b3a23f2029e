"""Deep Q-networks with a memory, of independent, stacked agents."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from socialgrid.algos.off_policy import compiled_q
from socialgrid.algos.off_policy.compiled_learner import CompiledLearner
from socialgrid.algos.off_policy.dqn import chosen, weighted_mean
from socialgrid.algos.off_policy.experience import EXPLORES
from socialgrid.algos.off_policy.off_policy_learner import Actor
from socialgrid.algos.off_policy.taking_steps import Batches, Steps
from socialgrid.algos.options import RecurrentDQNConfig
from socialgrid.data.priorities import Priorities
from socialgrid.data.rollout import as_signed
from socialgrid.data.sequence_replay import SequenceReplay, Sequences
from socialgrid.models.q_network import RecurrentQNetwork
from socialgrid.models.task_spec import TaskSpec


class RecurrentDQN(CompiledLearner):
    """Double DQN on an LSTM, trained on sequences from stored states after a burn-in.

    As in R2D2 (Kapturowski et al. 2019), but with one-step targets and unscaled values. The
    learner carries the memory of its agents' own tasks itself: ``store`` moves it on, and begins
    it anew where an episode ended. Where a time limit cut an episode, values bootstrap from its
    final observation, seen with the memory of the episode.
    """

    algorithm = "recurrent-dqn"
    known_to_kernels = True
    config: RecurrentDQNConfig
    replay: SequenceReplay

    def __init__(
        self, task: TaskSpec, config: RecurrentDQNConfig | None = None, **options: Any
    ) -> None:
        """See ``OffPolicyLearner``.

        Raises:
            ValueError: actions are continuous.
        """
        if task.continuous:
            raise ValueError("DQN needs discrete actions; continuous ones: SAC or TD3")
        super().__init__(task, config or RecurrentDQNConfig(), **options)
        generators = self._weight_generators
        self._q = RecurrentQNetwork(generators, task, self.model, self.config.hidden)
        self._q_target = self._train("q", self._q)
        lead = (self.num_agents, self.num_envs)
        self._state = torch.zeros((*lead, 2 * self.model.memory), device=self.device)
        self._reset = torch.ones(lead, dtype=torch.bool, device=self.device)

    def _remember(self) -> None:
        config, task = self.config, self.task
        self.replay = SequenceReplay(
            *(self.num_agents, config.buffer_size, task.obs_shape, task.kept_dtype),
            2 * self.model.memory,
            length=config.burn_in + config.sequence_length,
            stride=config.sequence_length,
            num_envs=self.num_envs,
            priorities=Priorities(config.priority_alpha) if config.prioritised else None,
            device=self.device,
        )

    @property
    def due_agents(self) -> list[bool]:
        """See ``OffPolicyLearner``; not before a whole sequence is stored."""
        due = super().due_agents
        if not any(due):
            return due
        return [d and size > 0 for d, size in zip(due, self.replay.sizes, strict=True)]

    @property
    def epsilon(self) -> Tensor:
        """Share of random actions of each agent now, float32 ``[A]`` on the CPU."""
        return torch.tensor([self.config.epsilon(steps) for steps in self.agent_steps])

    def actor(self) -> Actor:
        """See ``OffPolicyLearner.actor``; it remembers the episodes that it is shown itself."""
        memory: list[Tensor] = []

        @torch.no_grad()
        def act(obs: Tensor, reset: Tensor) -> Tensor:
            if not memory:
                memory.append(self._state.new_zeros((*obs.shape[:2], self._state.shape[-1])))
            seen, fresh = self._observed(obs)[:, None], self._sent(reset)[:, None]
            values, after = self._q(seen, memory[0], fresh)
            memory[0] = after[:, 0]
            action: Tensor = values[:, 0].argmax(-1)
            return action

        return act

    @torch.no_grad()
    def store(
        self,
        obs: Tensor,
        action: Tensor,
        reward: Tensor,
        next_obs: Tensor,
        terminated: Tensor,
        truncated: Tensor,
        in_play: Tensor | None = None,
    ) -> None:
        """Remember one step of all copies of all agents' tasks, and move the memory on.

        See ``OffPolicyLearner.store``; ``next_obs`` matters at time limits only, since otherwise
        it is the next step's ``obs``. The memory of who is out of play is empty.
        """
        kept, next_obs = as_signed(obs), as_signed(next_obs)
        self.check_step(reward, kept, next_obs)
        truncated = truncated & ~terminated
        before = self._phases.apply("remember", self._move_on, self._as_kept(obs))
        ended = terminated, truncated
        self.replay.add(
            *(kept, self._reset, before, action, reward, next_obs, *ended, in_play)
        )  # fmt: skip
        begins = terminated | truncated
        self._reset.copy_(self._sent(begins if in_play is None else begins | ~in_play))
        self._count_step(in_play)

    def interrupt(self) -> None:
        """See ``OffPolicyLearner``; the memory begins anew."""
        self.replay.interrupt()
        self._reset.fill_(True)

    def loss(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Loss ``[A]``, and temporal differences that stand for sequences, ``[A, B]``."""
        config, first = self.config, self.config.burn_in
        state = target_state = batch.state
        obs, reset = batch.obs[:, first:], batch.reset[:, first:]
        with torch.no_grad():
            if first:
                burn = batch.obs[:, :first], batch.state, batch.reset[:, :first]
                state = self._q(*burn)[1][:, -1]
                target_state = self._q_target(*burn)[1][:, -1]
            following, target_after = self._q_target(obs, target_state, reset)
        values, after = self._q(obs, state, reset)
        with torch.no_grad():
            judge = values if config.double else following
            bootstrap = chosen(following, judge.argmax(-1))[:, 1:]
            if batch.final_obs is not None:
                final = batch.final_obs[:, first:]
                ending = self._one_more(self._q_target, final, target_after[:, :-1])
                judge = self._one_more(self._q, final, after[:, :-1]) if config.double else ending
                cut = batch.truncated[:, first:]
                bootstrap = torch.where(cut, chosen(ending, judge.argmax(-1)), bootstrap)
            goes_on = ~batch.terminated[:, first:]
            target = batch.reward[:, first:] + config.gamma * goes_on * bootstrap
        value = chosen(values[:, :-1], batch.action[:, first:])
        each = F.smooth_l1_loss(value, target, reduction="none").mean(1)
        errors = (target - value).detach().abs()
        mix = config.priority_mix
        priority = mix * errors.amax(1) + (1.0 - mix) * errors.mean(1)
        return weighted_mean(each, batch.weight), priority

    @staticmethod
    def _one_more(network: RecurrentQNetwork, obs: Tensor, state: Tensor) -> Tensor:
        """Values ``[A, L, B, num_actions]`` of ``obs`` [A, L, B, ...] seen after ``state``."""
        lead = obs.shape[:3]
        never = torch.zeros((lead[0], 1, lead[1] * lead[2]), dtype=torch.bool, device=obs.device)
        values: Tensor = network(obs.flatten(1, 2)[:, None], state.flatten(1, 2), never)[0]
        return values.view(*lead, -1)

    def _look(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Action values and memory after seeing ``obs`` [A, E, ...] in the agents' own tasks."""
        if obs.shape[1] != self.num_envs:
            raise ValueError(
                f"{obs.shape[1]} observations of each agent: one of each of its {self.num_envs} "
                "copies of the task is needed, of which it has memories"
            )
        values, state = self._q(obs[:, None], self._state, self._reset[:, None])
        return values[:, 0], state[:, 0]

    def _move_on(self, obs: Tensor) -> Tensor:
        """The memory before ``obs`` [A, E, ...] was seen; now it is that after. A phase."""
        before = self._state.masked_fill(self._reset[..., None], 0.0)
        self._state.copy_(self._look(obs)[1])
        return before

    def _chance(self, count: int, rows: Tensor | None) -> tuple[Tensor, ...]:
        """Who explores, bool ``[A, count]``, and what is done then."""
        explores = self._uniform(EXPLORES, count, rows) < self.epsilon[:, None]
        return explores, self._random(count, rows)

    def _choose(self, obs: Tensor, *chance: Tensor) -> Tensor:
        greedy = self._look(obs)[0].argmax(-1)
        if not chance:
            return greedy
        explores, other = chance
        return torch.where(explores, other, greedy)

    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        return self._look(obs)[0].gather(-1, actions)

    def _batch(self) -> Sequences:
        beta = self._priority_beta() if self.config.prioritised else None
        return self.replay.sample(self._batch_words(), beta)

    def _readable(self) -> bool:
        part, kept = self._trained["q"], self.replay.obs_dtype
        return all(compiled_q.readable(one, kept) for one in (part.network, part.target))

    _steps_at_once = False
    """Sequences take long: who interrupts is answered after each step."""

    def _compiled_steps(self, batches: Batches) -> Steps | None:
        given = self._trained["q"], self.config, self.task.num_actions, self.replay, batches
        return compiled_q.take_recurrent_step(*given)

    def _learn(self, batch: Sequences) -> tuple[Tensor, dict[str, Tensor]]:
        loss, errors = self.loss(batch)
        self._descend("q", loss, batch)
        return errors, {"loss": loss.detach(), "td_error": errors.mean(1)}

    def _live_tensors(self) -> dict[str, Tensor]:
        return {**super()._live_tensors(), "memory": self._state, "reset": self._reset}
