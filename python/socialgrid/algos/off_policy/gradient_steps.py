"""Gradient steps of off-policy learners, each agent's on its own memory."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn

from socialgrid.algos.off_policy.experience import UPDATE_NOISE, Drawn, Experience
from socialgrid.data.exchange import fetched, sent
from socialgrid.data.sum_tree import priority_dtype
from socialgrid.models.far_steps import Failure, FarSteps, Planned
from socialgrid.models.finite import all_finite
from socialgrid.models.trained import Trained

Network = TypeVar("Network", bound=nn.Module)


class GradientSteps(Experience):
    """Agents that learn from replay memories; how they act is another matter.

    On a CPU one gradient step follows the other. An accelerator is sent what all of an update will
    need, and asked once what came of it: see ``far_steps``.
    """

    _far: FarSteps | None = None
    _far_now: Planned | None = None
    """On an accelerator, the gradient step that is being computed."""

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
            means = self._take_gradient_steps(steps)
        finally:
            self._updating = [True] * self.num_agents
        return {name: x.masked_fill(~learnt, torch.nan) for name, x in means.items()}

    def _take_gradient_steps(self, steps: int) -> dict[str, Tensor]:
        """Means ``[A]`` over so many gradient steps, NaN of nothing."""
        if self.device.type != "cpu" and steps:
            return self._take_far_steps(steps)
        found: dict[str, list[Tensor]] = {}
        for _ in range(steps):
            batch = self._batch()
            self.updates += 1
            for agent in self._now:
                self.agent_updates[agent] += 1
            errors, numbers = self._learn(batch)
            for name, number in numbers.items():
                found.setdefault(name, []).append(number.detach())
            if self.config.prioritised:
                agents = None if all(self._updating) else self._updating
                self.replay.set_priorities(batch.index, errors, agents)
            self._move_targets()
        return {name: _mean(torch.stack(each)) for name, each in found.items()}

    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """Change learning rates: one for all agents or one for each."""
        for part in self._trained.values():
            part.optimiser.set_rate(rates)

    # On an accelerator.

    def _take_far_steps(self, steps: int) -> dict[str, Tensor]:
        """See ``_take_gradient_steps``."""
        begun, updates = list(self.agent_updates), self.updates
        if self.config.prioritised:
            self.replay.catch_up()
        plan = [self._planned() for _ in range(steps)]
        far, memory = self._far, self._far_memory()
        if far is None or not far.fits(plan):
            kinds = {name: (tuple(x.shape), x.dtype) for name, x in memory.items()}
            far = self._far = FarSteps(self._trained, plan, kinds)
        far.begin(plan, self.config.tau, memory)
        self._count_updates(begun, updates, 0)
        for k, step in enumerate(plan):
            self._count_updates(begun, updates, k + 1)
            self._take_far_step(far, step)
        outcome = far.finish(plan, *fetched(far.record))
        if outcome.failure is not None:
            self._count_updates(begun, updates, outcome.failure.step + 1)
            self._fail(plan[outcome.failure.step], outcome.failure)
        return {name: _mean(x) for name, x in outcome.numbers.items()}

    def _take_far_step(self, far: FarSteps, step: Planned) -> None:
        """One gradient step of an update: the device repeats it by itself, where it has all that
        the step needs.
        """
        self._far_now, work = step, partial(self._far_step, far)
        try:
            if self.replay.kept_on.type == "cpu":
                work()
            else:
                self._phases.run(("step", step.key, self.replay.cut), work, far)
        finally:
            self._far_now = None

    def _count_updates(self, begun: Sequence[int], updates: int, steps: int) -> None:
        """So many gradient steps of this update have been begun."""
        self.updates, self.agent_updates = updates + steps, list(begun)
        for agent in self._now:
            self.agent_updates[agent] += steps

    def _planned(self) -> Planned:
        """What the host knows of the next gradient step, which counts from here as begun."""
        words = self._batch_words()
        for agent in self._now:
            self.agent_updates[agent] += 1
        shape = self._noise_shape(self.config.batch_size)
        return Planned(
            self.replay.shares(words) if self.config.prioritised else self.replay.places(words),
            self._drawn_noise(*shape) if math.prod(shape) else None,
            {name: self._stepping(name) for name in self._trained},
            self._movers(),
        )

    def _far_memory(self) -> dict[str, Tensor]:
        """What drawing by priority needs to know of an update."""
        if not self.config.prioritised:
            return {}
        sizes = torch.tensor(self.replay.sizes)
        beta = torch.as_tensor(self._priority_beta(), dtype=priority_dtype(self.device))
        return {
            "sizes": sizes,
            "beta": beta.expand(self.num_agents, 1),
            "updating": torch.tensor(self._updating),
        }

    def _far_step(self, far: FarSteps) -> None:
        """One gradient step; nothing is asked, and nothing is sent."""
        assert self._far_now is not None, "one is planned"
        far.begin_step()
        batch = self._far_batch(far)
        errors, numbers = self._learn(batch)
        if self.config.prioritised:
            meant = far.given("updating") > far.stopped
            self.replay.set_priorities(batch.index, errors, meant)
        if self._far_now.moving:
            far.follow()
        far.end_step(self._far_now.key, numbers)

    def _far_batch(self, far: FarSteps) -> Any:
        assert self._far_now is not None, "one is planned"
        if not self.config.prioritised:
            near = self.replay.kept_on.type == "cpu"
            return self.replay.at(self._far_now.draw if near else far.given("draw"))
        given = (far.given(name) for name in ("draw", "sizes", "beta"))
        return self.replay.at(*self.replay.draw(*given))

    def _fail(self, step: Planned, failure: Failure) -> NoReturn:
        """Say what stopped being finite in a step; all is as it was when its batch was drawn."""
        draw: Any = (step.draw,)
        if self.config.prioritised:
            memory = self._far_memory()
            draw = self.replay.draw(*sent(self.device, step.draw, memory["sizes"], memory["beta"]))
        batch = self.replay.at(*draw)
        what = f"{failure.name} {failure.what}"
        values = failure.both[("loss", "gradient").index(failure.what)]
        self._check_finite(what, values, failure.agents, batch)
        raise AssertionError(f"{what} is finite")

    # What an algorithm adds.

    @abstractmethod
    def _learn(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """One gradient step; temporal differences ``[A, B]`` and numbers ``[A]``."""

    def _noise_shape(self, count: int) -> tuple[int, ...]:
        """Of the noise that each agent draws for a gradient step on so many transitions; a 0 where
        nothing is drawn.
        """
        return (0,)

    def _stepping(self, name: str) -> list[int]:
        """Learners whose network of this name takes a step in this gradient step."""
        return self._learners

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

    def _anybody_steps(self, name: str) -> bool:
        """Whether anybody's network of this name takes a step in this gradient step."""
        if self._far_now is not None:
            return bool(self._far_now.stepping[name])
        return bool(self._stepping(name))

    def _of_stepping(self, name: str, numbers: Tensor) -> Tensor:
        """Numbers ``[A]`` of those whose network takes a step, NaN of others."""
        if self._far_now is not None and self._far is not None:
            return numbers.masked_fill(~self._far.steps_now(name), torch.nan)
        found, agents = torch.full_like(numbers, torch.nan), self._stepping(name)
        found[agents] = numbers[agents]
        return found

    def _descend(self, name: str, loss: Tensor, batch: Drawn) -> None:
        """One step of those whose network takes one along the gradient of ``loss`` [A], unless it
        is not finite.
        """
        if self._far_now is not None and self._far is not None:
            self._far.descend(name, loss, self.config.max_grad_norm)
            return
        part = self._trained[name]
        norms = part.differentiate(loss)
        agents = self._stepping(name)
        both = loss.detach(), norms
        own = [x if len(agents) == self.num_agents else x[agents] for x in both]
        if not all_finite(*own):
            for what, x in zip(("loss", "gradient"), own, strict=True):
                self._check_finite(f"{name} {what}", x, agents, batch)
        part.step(agents, norms, self.config.max_grad_norm)

    def _update_noise(self, *shape: int) -> Tensor:
        """Standard normal numbers for a gradient step, ``[A, *shape]``."""
        if self._far_now is not None and self._far is not None:
            return self._far.given("noise")
        return self._drawn_noise(*shape)

    def _drawn_noise(self, *shape: int) -> Tensor:
        """The same, drawn on the CPU."""
        places = math.prod(shape)
        drawn = self.draws.normal(self.agent_updates, range(1), kind=UPDATE_NOISE, places=places)
        return drawn.reshape(-1, *shape)


def _mean(numbers: Tensor) -> Tensor:
    """Of what is finite in ``[steps, A]``, float32 ``[A]`` on the CPU; NaN of nothing."""
    known = numbers.isfinite()
    mean: Tensor = numbers.where(known, torch.zeros_like(numbers)).sum(0) / known.sum(0)
    return mean.float().cpu()
