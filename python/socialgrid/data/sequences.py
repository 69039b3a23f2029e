"""A rollout on the learner's device, and random subsequences of it.

Rollouts are ``[T, E, A, ...]``; networks want the agent first, because that is the axis weights
are stacked on: ``[A, L, S, ...]`` for ``L`` steps of ``S`` sequences. The turn happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor

from socialgrid.data.rollout import Rollout
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.encoders import as_signed


@dataclass
class Minibatch:
    """``S`` subsequences of ``L`` steps for each of ``A`` agents.

    Attributes:
        views: prepared views ``[A, L + 1, S, ...]``; the last belongs to the step after.
        state: float32 ``[A, S, memory]``, stored memory before the first step.
        reset: bool ``[A, L, S]``.
        action: int64 ``[A, L, S]``.
        log_prob, advantage, target: float32 ``[A, L, S]``.
        weight: float32 ``[A, L, S]``; 0 where the agent was not in play, otherwise such that the
            whole minibatch sums to 1 for each agent: sum(weight * x) is a mean.
        next_weight: the same for what compares a step with the next view: also 0 at the last
            step of an episode or of an agent's play.
    """

    views: Tensor
    state: Tensor
    reset: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor
    weight: Tensor
    next_weight: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All fields by name, contiguous, on the CPU."""
        return {f.name: getattr(self, f.name).cpu().contiguous() for f in fields(self)}


class SequenceBatch:
    """One rollout, ready to draw minibatches from.

    Observations stay integers; they are copied once, into the layout that the first layer reads.
    """

    def __init__(self, rollout: Rollout, model: ActorCritic, device: torch.device) -> None:
        self.num_steps, self.num_envs = rollout.num_steps, rollout.num_envs
        self.num_agents = rollout.num_learners

        def move(x: Tensor) -> Tensor:
            return as_signed(x).to(device, non_blocking=True)

        self.views = model.prepare(move(rollout.own(rollout.obs, 2)))
        self.final_index = move(rollout.final_index)
        self.final_views = model.prepare(move(rollout.own(rollout.final_obs, 1)))
        self.terminated = move(rollout.own(rollout.terminated))
        self.truncated = move(rollout.own(rollout.truncated))
        self.done = move(rollout.done)
        self.reset = move(rollout.own(rollout.reset))
        active = move(rollout.own(rollout.active))
        self.mask = active[:-1]
        self.next_mask = self.mask & active[1:] & ~self.done[:, :, None]
        self.continues = ~(self.terminated | self.truncated | self.done[:, :, None])
        self.action = move(rollout.action)
        self.log_prob = move(rollout.log_prob)
        self.state = move(rollout.state).clone()
        self.value = move(rollout.value).clone()
        self.advantage = torch.zeros_like(self.value)
        self.target = torch.zeros_like(self.value)

    def sample(
        self, generators: Sequence[torch.Generator], sequences: int, length: int
    ) -> tuple[Tensor, Tensor]:
        """First step and environment of random subsequences, uniform over all that fit.

        Args:
            generators: one for each agent to draw for, so that no agent's draws depend on
                another's.
            sequences: S.
            length: L, at most ``num_steps``.

        Returns:
            starts and environments, int64 ``[len(generators), S]``.
        """
        places = (self.num_steps - length + 1) * self.num_envs
        drawn = [torch.randint(places, (sequences,), generator=g) for g in generators]
        index = torch.stack(drawn).to(self.views.device)
        return index // self.num_envs, index % self.num_envs

    def minibatches(
        self, agents: Sequence[int], starts: Tensor, envs: Tensor, length: int, piece: int
    ) -> list[Callable[[], Minibatch]]:
        """The sampled subsequences in pieces of at most ``piece`` sequences, made when called.

        Args:
            agents: the agents that ``starts`` and ``envs`` were drawn for.
            starts, envs: int64 ``[len(agents), S]``.
            length: L.
            piece: sequences at a time; weights refer to all of them.
        """
        device = self.views.device
        columns = torch.tensor(list(agents), device=device)[:, None, None]
        offsets = torch.arange(length + 1, device=device)[None, :, None]
        sequences = starts.shape[1]
        steps = starts[:, None] + offsets
        rows = (steps * self.num_envs + envs[:, None]) * self.num_agents + columns
        weight = _normalised(_take(self.mask, rows[:, :-1]))
        next_weight = _normalised(_take(self.next_mask, rows[:, :-1]))

        def gather(first: int) -> Minibatch:
            part = slice(first, first + piece)
            inner = rows[:, :-1, part]
            return Minibatch(
                views=_take(self.views, rows[:, :, part]),
                state=_take(self.state, rows[:, 0, part]),
                reset=_take(self.reset, inner),
                action=_take(self.action, inner),
                log_prob=_take(self.log_prob, inner),
                advantage=_take(self.advantage, inner),
                target=_take(self.target, inner),
                weight=weight[:, :, part],
                next_weight=next_weight[:, :, part],
            )

        return [partial(gather, first) for first in range(0, sequences, piece)]

    @torch.no_grad()
    def refresh(
        self,
        model: ActorCritic,
        agents: Sequence[int],
        *,
        envs: slice | None = None,
        policy: bool = False,
    ) -> Tensor | None:
        """Recompute memories and values with the present parameters.

        Args:
            model: network of these agents only, in this order.
            agents: columns to recompute.
            envs: environments to recompute, by default all; different ones may be recomputed by
                several threads at once.
            policy: also return log-probabilities of the recorded actions.

        Returns:
            float32 ``[T, envs, len(agents)]`` if ``policy``, otherwise nothing.
        """
        columns = _columns(agents)
        first_env, last_env, _ = (envs or slice(None)).indices(self.num_envs)
        count, width = len(agents), last_env - first_env
        block = max(1, piece_length(model, count, width))
        own = (slice(None), slice(first_env, last_env), columns)
        views, action = self.views[own], self.action[own].permute(2, 0, 1)
        reset = self.reset[own].permute(2, 0, 1)
        state = self.state[own][0].transpose(0, 1).contiguous()
        log_probs = []
        for first in range(0, self.num_steps, block):
            last = min(first + block, self.num_steps)
            turned = views[first:last].permute(2, 0, 1, *range(3, views.dim()))
            features = model.encode(turned.flatten(1, 2)).view(count, last - first, width, -1)
            h, c = model.remember(features, state, reset[:, first:last])
            core = h.flatten(1, 2)
            rows = (slice(first, last), *own[1:])
            self._store(rows, state, h, c)
            value = model.value(core).view(count, last - first, width)
            self.value[rows] = value.permute(1, 2, 0)
            state = torch.cat((h[:, -1].float(), c[:, -1]), -1)
            if policy:
                log_prob = chosen_log_prob(model.logits(core), action[:, first:last].flatten(1))
                log_probs.append(log_prob.view(count, last - first, width).permute(1, 2, 0))
        return torch.cat(log_probs) if policy else None

    def _store(
        self,
        rows: tuple[slice, slice, slice | list[int]],
        state: Tensor,
        h: Tensor,
        c: Tensor,
    ) -> None:
        """Keep memories before each step: ``state`` before the first, then what follows from it.

        Rows where the memory is reset hold zeros, as they do in a rollout.
        """
        steps, envs, columns = rows
        half = h.shape[-1]
        block = self.state[steps, envs]
        block[0, :, columns] = state.transpose(0, 1)
        block[1:, :, columns, :half] = h[:, :-1].permute(1, 2, 0, 3).float()
        block[1:, :, columns, half:] = c[:, :-1].permute(1, 2, 0, 3)
        block[self.reset[steps, envs]] = 0.0

    @torch.no_grad()
    def bootstrap(self, model: ActorCritic, agents: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Values of what the stored steps do not show, from stored memories.

        Args:
            model: network of these agents only, in this order.
            agents: columns.

        Returns:
            estimates of the views after the last step, ``[E, len(agents)]``, and of the last
            views of finished episodes, ``[T, E, len(agents)]`` (0 where no episode ended).
        """
        columns = list(agents)
        every = torch.arange(self.num_envs, device=self.views.device)
        end = torch.full_like(every, self.num_steps - 1)
        last = self._value_after(model, columns, end, every, self.views[-1])
        final = self.value.new_zeros((self.num_steps, self.num_envs, len(columns)))
        if len(self.final_index):
            t, e = self.final_index.unbind(1)
            final[t, e] = self._value_after(model, columns, t, e, self.final_views)
        return last, final

    def _value_after(
        self, model: ActorCritic, columns: list[int], t: Tensor, e: Tensor, following: Tensor
    ) -> Tensor:
        """Value ``[n, agents]`` of views ``[n, A, ...]`` seen right after steps (t, e)."""

        def agents_first(x: Tensor) -> Tensor:
            return x[:, columns].transpose(0, 1)

        reset = agents_first(self.reset[t, e])
        state = agents_first(self.state[t, e])
        _, state = model.step(agents_first(self.views[t, e]), state, reset)
        core, _ = model.step(agents_first(following), state, torch.zeros_like(reset))
        return model.value(core).transpose(0, 1)


def _columns(agents: Sequence[int]) -> slice | list[int]:
    """An index of these agents; a slice where possible, which needs no copies."""
    if list(agents) == list(range(agents[0], agents[0] + len(agents))):
        return slice(agents[0], agents[0] + len(agents))
    return list(agents)


def chosen_log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """Log-probability of the actions: ``[..., n]`` and ``[...]`` to ``[...]``."""
    return logits.log_softmax(-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)


def piece_length(model: ActorCritic, agents: int, width: int) -> int:
    """How many rows of ``width`` views each are best computed at once.

    On a CPU activations should stay near the cache: about two thousand views of each agent.
    Elsewhere the only concern is memory: at most 65,536 views of all agents.
    """
    views = 2048 if model.action_mask.device.type == "cpu" else max(1, 65_536 // agents)
    return max(1, views // width)


def _take(x: Tensor, rows: Tensor) -> Tensor:
    """Rows of ``x`` [T, E, A, ...] by flat number: ``[*rows.shape, ...]``."""
    flat = x.reshape(-1, *x.shape[3:])
    return flat.index_select(0, rows.flatten()).view(*rows.shape, *x.shape[3:])


def _normalised(mask: Tensor) -> Tensor:
    count = mask.flatten(1).sum(1).clamp(min=1)
    return mask.float() / count[:, None, None]
