"""Learners of different algorithms side by side, as if they were one stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from socialgrid.algos.off_policy.off_policy_learner import Actor, OffPolicyLearner
from socialgrid.algos.options import OffPolicyConfig
from socialgrid.models.adam import each_rate
from socialgrid.models.finite import NonFiniteError

_FORMAT = 1

Rows = tuple[Tensor, Tensor]
"""Agents of a part, on the CPU and on the device."""


class MixedLearner:
    """Several ``OffPolicyLearner`` of the same task behind the interface of one.

    Each part owns some of the ``A`` agents and does for them, bit for bit, what it does alone. All
    tensors are as described in ``OffPolicyLearner``, in the order of the agents, whoever owns them;
    those of ``tensors`` and ``memory`` have the agents of their part only, and its number before
    their names: ``part0/model/...``.
    """

    algorithm = "mixed"

    def __init__(self, parts: Sequence[tuple[OffPolicyLearner, Sequence[int]]]) -> None:
        """Join learners.

        Args:
            parts: learners, and which of the A agents each one's agents are, in its own order.

        Raises:
            ValueError: agents are missing or have two owners, or learners differ in their task,
                number of copies, device, discount or beginning of learning.
        """
        if not parts:
            raise ValueError("no parts: give at least one learner with its agents")
        self.parts = tuple(learner for learner, _ in parts)
        self.agents = tuple(tuple(int(a) for a in agents) for _, agents in parts)
        owned = sorted(a for agents in self.agents for a in agents)
        if owned != list(range(len(owned))):
            raise ValueError(f"parts own the agents {owned}: must be 0 to A - 1, each once")
        first = self.parts[0]
        for k, (learner, agents) in enumerate(zip(self.parts, self.agents, strict=True)):
            if len(agents) != learner.num_agents:
                raise ValueError(f"part {k} of {learner.num_agents} agents owns {list(agents)}")
            for what, own, others in (
                ("task", replace(learner.task, num_agents=1), replace(first.task, num_agents=1)),
                ("num_envs", learner.num_envs, first.num_envs),
                ("device", learner.device, first.device),
                ("gamma", learner.config.gamma, first.config.gamma),
                ("learning_starts", learner.config.learning_starts, first.config.learning_starts),
            ):
                if own != others:
                    raise ValueError(f"part {k}: {what} {own}, but part 0 has {others}")
        self.num_agents, self.num_envs = len(owned), first.num_envs
        self.task = replace(first.task, num_agents=self.num_agents)
        self.device = first.device
        self.config: OffPolicyConfig = first.config
        """Of the first part; discount and beginning of learning are the same in all."""
        ids = [0] * self.num_agents
        for learner, agents in zip(self.parts, self.agents, strict=True):
            for agent, known in zip(agents, learner.agent_ids, strict=True):
                ids[agent] = known
        self.agent_ids = tuple(ids)
        self._rows = tuple(torch.tensor(agents) for agents in self.agents)
        self._rows_there = tuple(rows.to(self.device) for rows in self._rows)

    @property
    def samples(self) -> bool:
        """Whether the policy of any agent is a distribution."""
        return any(learner.samples for learner in self.parts)

    @property
    def agent_steps(self) -> list[int]:
        """Steps in play of each agent, all its copies counted."""
        found = [0] * self.num_agents
        for learner, agents in zip(self.parts, self.agents, strict=True):
            for agent, steps in zip(agents, learner.agent_steps, strict=True):
                found[agent] = steps
        return found

    @property
    def steps(self) -> int:
        """See ``OffPolicyLearner.steps``."""
        return sum(self.agent_steps) // self.num_agents

    @property
    def updates(self) -> int:
        """Gradient steps of the part that did most."""
        return max(learner.updates for learner in self.parts)

    @property
    def due(self) -> bool:
        """Whether an update of any part is due."""
        return any(learner.due for learner in self.parts)

    def propose(
        self, obs: Tensor, *, explore: bool | None = True, rows: Tensor | None = None
    ) -> Tensor:
        """See ``OffPolicyLearner.propose``."""
        if rows is None:
            return self._joined(obs, lambda part, own: part.propose(own, explore=explore))
        return self._collected(
            part.propose(_taken(obs, own), explore=explore, rows=rows[own[0]])
            for part, own in self._each()
        )

    def act(self, obs: Tensor, *, explore: bool | None = True) -> Tensor:
        """See ``OffPolicyLearner.act``."""
        return self._joined(obs, lambda part, own: part.act(own, explore=explore))

    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        """See ``OffPolicyLearner.q_values``."""
        shared = obs, actions
        return self._collected(
            part.q_values(*(_taken(x, own) for x in shared)) for part, own in self._each()
        )

    def values(self, obs: Tensor) -> Tensor:
        """See ``OffPolicyLearner.values``."""
        return self._joined(obs, lambda part, own: part.values(own))

    def actor(self) -> Actor:
        """See ``OffPolicyLearner.actor``."""
        actors = [learner.actor() for learner in self.parts]

        def act(obs: Tensor, reset: Tensor) -> Tensor:
            return self._collected(
                one(_taken(obs, own), _taken(reset, own))
                for one, (_, own) in zip(actors, self._each(), strict=True)
            )

        return act

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
        """See ``OffPolicyLearner.store``."""
        playing = torch.ones(reward.shape, dtype=torch.bool) if in_play is None else in_play
        given = obs, action, reward, next_obs, terminated, truncated, playing
        for k, (part, own) in enumerate(self._each()):
            with self._named(k):
                part.store(*(_taken(x, own) for x in given))

    def update(self, gradient_steps: int | None = None) -> dict[str, Tensor]:
        """Update the parts whose update is due, or all of them if none is.

        Args:
            gradient_steps: how many; the number that each part is configured for by default.

        Returns:
            metrics by name, float32 ``[A]`` each: NaN for agents that do not learn, whose part
            did nothing now, or whose algorithm has no such number.

        Raises:
            NonFiniteError: as of ``OffPolicyLearner.update``.
            ValueError: nothing is stored.
        """
        chosen = [k for k, part in enumerate(self.parts) if part.due] or range(len(self.parts))
        metrics: dict[str, Tensor] = {}
        for k in chosen:
            with self._named(k):
                found = self.parts[k].update(gradient_steps)
            for name, x in found.items():
                everyone = metrics.setdefault(name, torch.full((self.num_agents,), torch.nan))
                everyone[self._rows[k]] = x
        return metrics

    def set_learning(self, mask: Sequence[bool]) -> None:
        """See ``OffPolicyLearner.set_learning``."""
        if len(mask) != self.num_agents:
            raise ValueError(f"learning mask of {len(mask)} entries for {self.num_agents} agents")
        for learner, agents in zip(self.parts, self.agents, strict=True):
            learner.set_learning([mask[a] for a in agents])

    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """See ``OffPolicyLearner.set_learning_rate``."""
        each = each_rate(rates, self.num_agents)
        for learner, agents in zip(self.parts, self.agents, strict=True):
            learner.set_learning_rate([each[a] for a in agents])

    def tensors(self) -> dict[str, Tensor]:
        """See ``OffPolicyLearner.tensors``; agents of one part only in each."""
        return self._with_numbers(part.tensors() for part in self.parts)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype differs. Nothing has
                changed then.
        """
        given = self._by_part(tensors)
        for k, (part, own) in enumerate(zip(self.parts, given, strict=True)):
            with _of_part(k):
                part.check_tensors(own)
        for part, own in zip(self.parts, given, strict=True):
            part.load_tensors(own)

    def interrupt(self) -> None:
        """See ``OffPolicyLearner.interrupt``."""
        for part in self.parts:
            part.interrupt()

    def memory(self) -> dict[str, Tensor]:
        """See ``OffPolicyLearner.memory``; agents of one part only in each."""
        return self._with_numbers(part.memory() for part in self.parts)

    def load_memory(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``memory``.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype does not fit. Parts
                before the one that is named have changed then.
        """
        for k, (part, own) in enumerate(zip(self.parts, self._by_part(tensors), strict=True)):
            with _of_part(k):
                part.load_memory(own)

    def meta(self) -> dict[str, Any]:
        """JSON-able description and counters."""
        return {
            "format": _FORMAT,
            "algorithm": self.algorithm,
            "agents": [list(agents) for agents in self.agents],
            "parts": [part.meta() for part in self.parts],
        }

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Inverse of ``meta``.

        Raises:
            ValueError: it is of another format, of other algorithms, or of agents who are
                divided differently.
        """
        expected = self.meta()
        for key in ("format", "algorithm", "agents"):
            if meta.get(key) != expected[key]:
                raise ValueError(
                    f"learner's {key} is {meta.get(key)!r}, expected {expected[key]!r}"
                )
        for k, (part, own) in enumerate(zip(self.parts, meta["parts"], strict=True)):
            with _of_part(k):
                part.load_meta(own)

    def _each(self) -> Iterator[tuple[OffPolicyLearner, Rows]]:
        return zip(self.parts, zip(self._rows, self._rows_there, strict=True), strict=True)

    def _joined(self, obs: Tensor, do: Callable[[OffPolicyLearner, Tensor], Tensor]) -> Tensor:
        """What every part makes of its agents' ``obs`` [A, ...], in the order of the agents."""
        if len(obs) != self.num_agents:
            raise ValueError(f"observations of {len(obs)} agents, expected {self.num_agents}")
        return self._collected(do(part, _taken(obs, own)) for part, own in self._each())

    def _collected(self, found: Iterator[Tensor]) -> Tensor:
        parts = list(found)
        out = parts[0].new_empty((self.num_agents, *parts[0].shape[1:]))
        for (_, own), x in zip(self._each(), parts, strict=True):
            out[_of(own, x)] = x
        return out

    @contextmanager
    def _named(self, k: int) -> Iterator[None]:
        """Let errors of part ``k`` speak of the agent's place among all."""
        try:
            yield
        except NonFiniteError as e:
            agent = self.agents[k][e.agent]
            raise NonFiniteError(e.what, e.step, agent, e.dump) from e

    @staticmethod
    def _with_numbers(parts: Iterator[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {f"part{k}/{name}": x for k, part in enumerate(parts) for name, x in part.items()}

    def _by_part(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        found: list[dict[str, Tensor]] = [{} for _ in self.parts]
        known = {f"part{k}": own for k, own in enumerate(found)}
        for name, x in tensors.items():
            part, _, rest = name.partition("/")
            if part not in known:
                raise ValueError(f"tensor {name}: its part must be one of {list(known)}")
            known[part][rest] = x
        return found


def _of(rows: Rows, x: Tensor) -> Tensor:
    return rows[x.device.type != "cpu"]


def _taken(x: Tensor, rows: Rows) -> Tensor:
    return x[_of(rows, x)]


@contextmanager
def _of_part(k: int) -> Iterator[None]:
    """Let errors say in which part they are."""
    try:
        yield
    except ValueError as e:
        raise ValueError(f"part {k}: {e}") from e
