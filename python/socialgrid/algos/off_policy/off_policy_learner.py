"""What all off-policy learners have in common: acting, remembering, updating and being saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from socialgrid.algos.options import OffPolicyConfig
from socialgrid.algos.stacked_learner import StackedLearner
from socialgrid.data.replay import Priorities, Replay, Transitions
from socialgrid.data.rollout import as_signed
from socialgrid.data.sequence_replay import Sequences
from socialgrid.models.config import ModelConfig
from socialgrid.models.streams import agent_generator
from socialgrid.models.task_spec import TaskSpec
from socialgrid.models.trained import Trained

Network = TypeVar("Network", bound=nn.Module)
Drawn = Transitions | Sequences
Actor = Callable[[Tensor, Tensor], Tensor]
"""Observations ``[A, N, *obs_shape]`` and where episodes begin with them, bool ``[A, N]``, to
actions as of ``OffPolicyLearner.propose``."""


class OffPolicyLearner(StackedLearner):
    """``A`` independent learners, each with its own networks, memory and copies of the task.

    The agent axis comes first everywhere: observations are ``[A, E, *obs_shape]`` for E copies of
    the task, or ``[A, M, *obs_shape]`` for any other M observations. Agents share nothing: what
    agent ``a`` does depends on (seed, its id) and on what it was shown alone. A step is::

        action = learner.propose(obs)
        ...                                  # the task's step; advisers may replace actions
        learner.store(obs, action, reward, next_obs, terminated, truncated, in_play)
        if learner.due:
            metrics = learner.update()

    What happens while an agent is out of play is nobody's experience: it is not stored and does not
    count. So agents of a stack may have stored different numbers of steps, and each begins to
    learn, explores and updates by its own.
    """

    samples = False
    """Whether the policy itself is a distribution; otherwise all chance is exploration."""
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
        self._weight_generators = [agent_generator(seed, agent) for agent in self.agent_ids]
        self._since_update = [0] * self.num_agents
        self._updating = [True] * self.num_agents
        self._trained: dict[str, Trained] = {}
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
    def steps(self) -> int:
        """Steps in play of an agent, all its copies counted: the mean, rounded down, where agents
        were in play in different numbers of steps.
        """
        return sum(self.agent_steps) // self.num_agents

    @torch.no_grad()
    def propose(self, obs: Tensor, *, explore: bool | None = True) -> Tensor:
        """What every agent would do, in the task's units.

        Args:
            obs: ``[A, M, *obs_shape]``; row ``a`` is shown to agent ``a``. With noise that is a
                function of the state, M must be a multiple of E, and the copies of the task must
                come last: ``[A, askers * E]``.
            explore: with the agent's exploration; uniformly random before its own
                ``learning_starts``. Agents that do not learn have nothing to explore and act as
                with ``None``. ``None``: as the policy itself acts, drawing from it where it is a
                distribution (``samples``), without anything added.

        Returns:
            int64 ``[A, M]`` or float32 ``[A, M, D]``.
        """
        obs = self._observed(obs)
        begun = [n >= self.config.learning_starts for n in self.agent_steps]
        if not explore or all(begun):
            actions = self._act(obs, self.samples if explore is None else explore)
        elif not any(begun):
            actions = self._random(obs.shape[1])
        else:
            with self._draws_of([not b for b in begun]):
                actions = self._random(obs.shape[1])
            with self._draws_of(begun):
                acting = torch.tensor(begun, device=actions.device)
                actions[acting] = self._act(obs, explore)[acting]
        frozen = [
            bool(explore) and not learns and not (self.samples and b)
            for learns, b in zip(self._learning.tolist(), begun, strict=True)
        ]
        if any(frozen):
            with self._draws_of(frozen):
                still = torch.tensor(frozen, device=actions.device)
                actions[still] = self._act(obs, self.samples)[still]
        return actions

    def act(self, obs: Tensor, *, explore: bool | None = True) -> Tensor:
        """``propose`` for the agents' own tasks: ``[A, E, *obs_shape]``."""
        if obs.shape[:2] != (self.num_agents, self.num_envs):
            raise ValueError(
                f"observations {tuple(obs.shape)}: expected {self.num_agents} agents with "
                f"{self.num_envs} copies of the task each"
            )
        return self.propose(obs, explore=explore)

    def actor(self) -> Actor:
        """Something that acts without exploration in other copies of the task than the learner's.

        It draws no random numbers and, where the learner has a memory, has its own, so acting by
        it changes nothing that the learner does later: for evaluation. It always acts by the
        present parameters. Show it the same number of copies every time.
        """

        def act(obs: Tensor, reset: Tensor) -> Tensor:
            return self.propose(obs, explore=False)

        return act

    @torch.no_grad()
    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Values that every agent's own critics give to any actions (Derstroff et al., eq. 3).

        Args:
            obs: ``[A, M, *obs_shape]``.
            actions: K proposals for each observation in the task's units, ``[A, M, K]`` or
                ``[A, M, K, D]``.

        Returns:
            float32 ``[A, M, K]``, the minimum over the critics.
        """
        return self._q_values(self._observed(obs), actions.to(self.device))

    def values(self, obs: Tensor) -> Tensor:
        """Q_i(s, pi_i(s)) without exploration, float32 ``[A, M]``; ``obs`` as of ``propose``."""
        action = self.propose(obs, explore=False)
        return self.q_values(obs, action.unsqueeze(2)).squeeze(2)

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
        everyone = list(range(self.num_agents))
        self._check_finite("reward", reward, everyone)
        for seen in (obs, next_obs):
            if seen.is_floating_point():
                self._check_finite("observation", seen, everyone)
        if self.task.continuous:
            action = self.task.scaled(action)
            self._check_finite("action", action, everyone)
        ended = terminated, truncated & ~terminated
        self.replay.add(obs, action, reward, next_obs, *ended, in_play)
        self._count_step(in_play)

    def _count_step(self, in_play: Tensor | None) -> None:
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

    def update(self, gradient_steps: int | None = None) -> dict[str, Tensor]:
        """Gradient steps, each agent's on its own memory.

        Those update whose update is due, or if there are none all who have stored something.

        Args:
            gradient_steps: how many; the configured number by default.

        Returns:
            metrics by name, float32 ``[A]`` each: means over the steps, NaN for agents that do
            not learn or not now.

        Raises:
            NonFiniteError: parameters are as before the gradient step in which it happened.
            ValueError: nothing is stored.
        """
        steps = self.config.gradient_steps if gradient_steps is None else gradient_steps
        due = self.due_agents
        self._updating = due if any(due) else [n > 0 for n in self.replay.sizes]
        for agent in self._now:
            self._since_update[agent] = 0
        learnt = self._learning & torch.tensor(self._updating)
        try:
            with self._draws_of(self._updating):
                means = self._take_gradient_steps(steps)
        finally:
            self._updating = [True] * self.num_agents
        return {name: x.masked_fill(~learnt, torch.nan) for name, x in means.items()}

    def _take_gradient_steps(self, steps: int) -> dict[str, Tensor]:
        """Means ``[A]`` over so many gradient steps, NaN of nothing."""
        sums: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        for _ in range(steps):
            batch = self._batch()
            self.updates += 1
            for agent in self._now:
                self.agent_updates[agent] += 1
            errors, numbers = self._learn(batch)
            for name, number in numbers.items():
                x = number.detach()
                known, zeros = x.isfinite(), torch.zeros_like(x)
                sums[name] = sums.get(name, zeros) + torch.where(known, x, zeros)
                counts[name] = counts.get(name, zeros) + known
            self._remember_errors(batch, errors)
            self._move_targets()
        return {name: (x / counts[name]).float().cpu() for name, x in sums.items()}

    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """Change learning rates: one for all agents or one for each."""
        for part in self._trained.values():
            part.optimiser.set_rate(rates)

    def tensors(self) -> dict[str, Tensor]:
        """What the agents are: flat, CPU, contiguous, every one ``[A, ...]``.

        See ``memory`` for what else an exact continuation needs.
        """
        return super().tensors()

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
        }

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Inverse of ``meta``.

        Raises:
            ValueError: it is of another format or algorithm, or counts other agents.
        """
        super().load_meta(meta)
        names = ("agent_steps", "agent_updates", "since_update")
        for name in names:
            given = meta.get(name)
            if not isinstance(given, list) or len(given) != self.num_agents:
                raise ValueError(f"learner's {name}: {given!r} for {self.num_agents} agents")
        counters = ([int(n) for n in meta[name]] for name in names)
        self.agent_steps, self.agent_updates, self._since_update = counters

    # What an algorithm adds.

    @abstractmethod
    def _act(self, obs: Tensor, explore: bool) -> Tensor:
        """Actions of the networks in the task's units; ``obs`` on the device."""

    @abstractmethod
    def _q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        """See ``q_values``; everything on the device."""

    @abstractmethod
    def _learn(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """One gradient step; temporal differences ``[A, B]`` and numbers ``[A]``."""

    def _move_targets(self) -> None:
        """Let the targets of those whose turn it is follow after a gradient step."""
        agents = self._movers()
        for part in self._trained.values():
            if agents and part.target is not part.network:
                part.follow(self.config.tau, agents)

    def _movers(self) -> list[int]:
        """Learners whose targets move after this gradient step."""
        return self._whose_turn(self.config.target_interval)

    def _live_tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {"learning": self._learning}
        for name, part in self._trained.items():
            found |= part.tensors(name)
        return found

    # What algorithms use.

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

    def _train(self, name: str, network: Network, *, target: bool = True) -> Network:
        """Put a network on the device, with an optimiser; returns its target if it has one."""
        config = self.config
        part = Trained(
            network.to(self.device),
            self.num_agents,
            config.learning_rate,
            config.adam_betas,
            config.adam_eps,
            target=target,
        )
        self._trained[name] = part
        found: Network = part.target
        return found

    def _descend(
        self, name: str, loss: Tensor, batch: Drawn, agents: Sequence[int] | None = None
    ) -> None:
        """One step of the learners' networks, or of some of them, along the gradient of ``loss``
        [A], unless it is not finite.
        """
        part = self._trained[name]
        norms = part.differentiate(loss)
        agents = self._learners if agents is None else agents
        for what, x in (("loss", loss.detach()), ("gradient", norms)):
            own = x if len(agents) == self.num_agents else x[agents]
            self._check_finite(f"{name} {what}", own, agents, batch)
        part.step(agents, norms, self.config.max_grad_norm)

    def _batch(self) -> Any:
        config = self.config
        if not config.prioritised:
            return self.replay.sample(self._generators, config.batch_size)
        return self.replay.sample_by_priority(
            self._generators, config.batch_size, self._priority_beta()
        )

    def _priority_beta(self) -> float | Tensor:
        config = self.config

        def beta(steps: int) -> float:
            done = min(1.0, steps / config.priority_beta_steps)
            return config.priority_beta + (1.0 - config.priority_beta) * done

        each = [beta(steps) for steps in self.agent_steps]
        if len(set(each)) == 1:
            return each[0]
        return torch.tensor(each, dtype=torch.float64)[:, None]

    def _remember_errors(self, batch: Drawn, errors: Tensor) -> None:
        if self.config.prioritised:
            agents = None if all(self._updating) else self._updating
            self.replay.set_priorities(batch.index, errors, agents)

    def _observed(self, obs: Tensor) -> Tensor:
        return as_signed(obs).to(self.device, self.task.kept_dtype, non_blocking=True)

    def _normal(self, *shape: int) -> Tensor:
        """Standard normal numbers ``[A, *shape]``: each agent's own draws."""
        draws = [torch.randn(shape, generator=g) for g in self._generators]
        return torch.stack(draws).to(self.device)

    def _random(self, count: int) -> Tensor:
        """Uniformly random actions ``[A, count]`` or ``[A, count, D]``."""
        u = self._uniform(count, *self.task.action_shape)
        if self.task.continuous:
            return self.task.unscaled(2.0 * u - 1.0)
        return (u * self.task.num_actions).long()
