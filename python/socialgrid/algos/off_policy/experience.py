"""What off-policy learners remember of their tasks, whose update is due, and what is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from socialgrid.algos.options import OffPolicyConfig
from socialgrid.algos.stacked_learner import StackedLearner
from socialgrid.data.exchange import sent
from socialgrid.data.priorities import Priorities
from socialgrid.data.replay import Replay, Transitions
from socialgrid.data.rollout import as_signed
from socialgrid.data.sequence_replay import Sequences
from socialgrid.models.config import ModelConfig
from socialgrid.models.finite import all_finite
from socialgrid.models.phases import Phases
from socialgrid.models.streams import agent_generator
from socialgrid.models.task_spec import TaskSpec
from socialgrid.models.trained import Trained

Drawn = Transitions | Sequences

# What random numbers are drawn for: decisions by the agent's moments, updates by its updates.
EXPLORES, RANDOM, NOISE, MATRIX, BATCH, UPDATE_NOISE = range(6)


class Experience(StackedLearner):
    """Agents with replay memories; how they act and learn is another matter."""

    config: OffPolicyConfig
    replay: Any
    """``Replay``, or ``SequenceReplay`` of learners that remember."""

    def __init__(
        self,
        task: TaskSpec,
        config: OffPolicyConfig,
        *,
        num_envs: int = 1,
        model: ModelConfig | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        agent_ids: Sequence[int] | None = None,
        dump_dir: Path | str | None = None,
    ) -> None:
        """Initialise networks, optimisers, memories and random streams.

        Args:
            task: observations and actions, and the number of agents.
            config: hyper-parameters; the published ones by default.
            num_envs: E, copies of the task of each agent.
            model: sizes of what reads views; without effect on vectors.
            seed: of the run.
            device: where networks live and updates happen.
            agent_ids: integers that tell the agents' random streams apart, by default 0 to A - 1.
                An agent's initial weights and draws depend on (seed, id) alone.
            dump_dir: where to write the batch that made something non-finite.

        Raises:
            ValueError: actions of the wrong kind, or numbers of rates or ids that do not fit.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs {num_envs}: must be at least 1")
        super().__init__(
            task.num_agents, seed=seed, device=device, agent_ids=agent_ids, dump_dir=dump_dir
        )
        self.task, self.config, self.model = task, config, model or ModelConfig()
        self.num_envs = num_envs
        self.updates = 0
        """Gradient steps done, by whomever."""
        self.agent_steps = [0] * self.num_agents
        """Steps in play of each agent, all its copies counted."""
        self.agent_updates = [0] * self.num_agents
        """Gradient steps of each agent."""
        self.moments = [0] * self.num_agents
        """Calls of ``store``: the steps that each agent's decisions are drawn for."""
        self._weight_generators = [agent_generator(seed, agent) for agent in self.agent_ids]
        self._since_update = [0] * self.num_agents
        self._updating = [True] * self.num_agents
        self._trained: dict[str, Trained] = {}
        self._phases = Phases(self.device)
        self._remember()

    def _remember(self) -> None:
        """Reserve the replay memory."""
        config, task = self.config, self.task
        priorities = Priorities(config.priority_alpha) if config.prioritised else None
        self.replay = Replay(
            *(self.num_agents, config.buffer_size, task.obs_shape, task.kept_dtype),
            *(task.action_shape, task.action_dtype),
            num_envs=self.num_envs,
            priorities=priorities,
            device=self.device,
        )

    @property
    def trained(self) -> Mapping[str, Trained]:
        """Networks with what trains them, by name."""
        return self._trained

    @property
    def steps(self) -> int:
        """Steps in play of an agent, all its copies counted: the mean, rounded down, where agents
        were in play in different numbers of steps.
        """
        return sum(self.agent_steps) // self.num_agents

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
        """Remember one step of all copies of all agents' tasks.

        Args:
            obs: ``[A, E, *obs_shape]``, acted in.
            action: what was done, in the task's units, whoever proposed it.
            reward: ``[A, E]``.
            next_obs: ``[A, E, *obs_shape]``, what the step led to; the final observation where an
                episode ended.
            terminated: bool ``[A, E]``: nothing follows.
            truncated: bool ``[A, E]``: a time limit cut the episode; values bootstrap.
            in_play: bool ``[A, E]``: whose step it was; by default everybody's. What others saw is
                neither stored nor counted.

        Raises:
            NonFiniteError: a reward or an observation is not finite; nothing is stored.
        """
        obs, next_obs = as_signed(obs), as_signed(next_obs)
        if self.task.continuous:
            action = self.task.scaled(action)
        self.check_step(reward, obs, next_obs, action)
        ended = terminated, truncated & ~terminated
        self.replay.add(obs, action, reward, next_obs, *ended, in_play)
        self._count_step(in_play)

    def count_stored(self, steps: int) -> None:
        """So many steps of all copies, in all of which everybody was in play, have been written
        into the replay memory by others.
        """
        each = steps * self.num_envs
        self.replay.move_on([each] * self.num_agents)
        self.moments = [moment + steps for moment in self.moments]
        self.agent_steps = [count + each for count in self.agent_steps]
        self._since_update = [count + each for count in self._since_update]

    def check_step(self, reward: Tensor, *others: Tensor) -> None:
        """Look at rewards, observations before and after, and actions, each ``[A, E, ...]``.

        Raises:
            NonFiniteError: something is not finite.
        """
        names = ("reward", "observation", "observation", "action")
        given = zip(names, (reward, *others), strict=False)
        numbers = [(name, x) for name, x in given if x.is_floating_point()]
        if not all_finite(*(x.detach() for _, x in numbers)):
            for name, x in numbers:
                self._check_finite(name, x, range(self.num_agents))

    def _count_step(self, in_play: Tensor | None) -> None:
        self.moments = [moment + 1 for moment in self.moments]
        everybody = [self.num_envs] * self.num_agents
        for agent, count in enumerate(everybody if in_play is None else in_play.sum(1).tolist()):
            self.agent_steps[agent] += count
            self._since_update[agent] += count

    @property
    def due_agents(self) -> list[bool]:
        """Of whom ``train_interval`` steps were stored since its last update, once it learns."""
        config = self.config
        return [
            waited >= config.train_interval and steps > config.learning_starts
            for waited, steps in zip(self._since_update, self.agent_steps, strict=True)
        ]

    @property
    def due(self) -> bool:
        """Whether an update of anybody is due."""
        return any(self.due_agents)

    def steps_until_due(self) -> int:
        """Calls of ``store``, at least one, after which an update is due if everybody is in play
        in all of them.
        """
        config, copies = self.config, self.num_envs
        needed = [
            max(
                -(-(config.train_interval - waited) // copies),
                (config.learning_starts - steps) // copies + 1,
                1,
            )
            for waited, steps in zip(self._since_update, self.agent_steps, strict=True)
        ]
        return min(needed)

    def interrupt(self) -> None:
        """Other episodes begin here than those whose last steps were stored.

        Memories of single steps hold both ends of each: nothing has to be done for them.
        """

    def memory(self) -> dict[str, Tensor]:
        """The replay memory with its priorities, flat, CPU, every one ``[A, ...]``.

        With ``tensors`` and ``meta`` a learner goes on bit for bit.
        """
        found: dict[str, Tensor] = self.replay.tensors()
        return found

    def load_memory(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``memory``.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype does not fit. Nothing
                has changed then.
        """
        self.replay.load_tensors(tensors)

    def meta(self) -> dict[str, Any]:
        """JSON-able description and counters."""
        return super().meta() | {
            "agent_steps": list(self.agent_steps),
            "agent_updates": list(self.agent_updates),
            "since_update": list(self._since_update),
            "moments": list(self.moments),
        }

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Inverse of ``meta``.

        Raises:
            ValueError: it is of another format or algorithm, or counts other agents.
        """
        super().load_meta(meta)
        names = ("agent_steps", "agent_updates", "since_update", "moments")
        for name in names:
            given = meta.get(name)
            if not isinstance(given, list) or len(given) != self.num_agents:
                raise ValueError(f"learner's {name}: {given!r} for {self.num_agents} agents")
        counters = ([int(n) for n in meta[name]] for name in names)
        self.agent_steps, self.agent_updates, self._since_update, self.moments = counters

    @property
    def _now(self) -> list[int]:
        """Agents that take part in the update."""
        return [agent for agent, updates in enumerate(self._updating) if updates]

    @property
    def _learners(self) -> list[int]:
        """Those of them that learn."""
        learning = self._learning.tolist()
        return [agent for agent in self._now if learning[agent]]

    def _whose_turn(self, interval: int) -> list[int]:
        """Learners for whom it is the last of ``interval`` gradient steps."""
        return [agent for agent in self._learners if self.agent_updates[agent] % interval == 0]

    def _batch(self) -> Any:
        words = self._batch_words()
        if not self.config.prioritised:
            return self.replay.sample(words)
        return self.replay.sample_by_priority(words, self._priority_beta())

    def _batch_words(self) -> Tensor:
        """What each agent draws its next batch by, int64 ``[A, B]``."""
        count, once = self.config.batch_size, range(1)
        return self.draws.words(self.agent_updates, once, kind=BATCH, places=count)[:, 0]

    def _priority_beta(self) -> float | Tensor:
        config = self.config

        def beta(steps: int) -> float:
            done = min(1.0, steps / config.priority_beta_steps)
            return config.priority_beta + (1.0 - config.priority_beta) * done

        each = [beta(steps) for steps in self.agent_steps]
        if len(set(each)) == 1:
            return each[0]
        return torch.tensor(each, dtype=torch.float64)[:, None]

    def _observed(self, obs: Tensor) -> Tensor:
        return self._sent(self._as_kept(obs))

    def _as_kept(self, obs: Tensor) -> Tensor:
        """Observations in the type in which they are kept, where they are."""
        return as_signed(obs).to(self.task.kept_dtype)

    def _sent(self, x: Tensor) -> Tensor:
        """On the device, without waiting for it."""
        return sent(self.device, x)[0]
