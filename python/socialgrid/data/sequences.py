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
class Messages:
    """Symbols sent in a minibatch: int64 action, float32 log_prob, advantage and target, each
    ``[A, L, S]``.
    """

    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor


@dataclass
class Others:
    """What a model of other agents learns from.

    Attributes:
        taken: int64 ``[A, L, S, N]``, everybody's actions.
        next_taken: int64 ``[A, L, S, N]``, those of the next step; -1 where there is none to learn
            from.
        visible: uint8 ``[A, L, S, N]``, whom the agent sees.
        state: float32 ``[A, S, M]``, the model's memory before the first step.
    """

    taken: Tensor
    next_taken: Tensor
    visible: Tensor
    state: Tensor


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
        tokens: int16 ``[A, L, S, K]``, what was heard; ``None`` without channels.
        message: what was said; ``None`` where nobody talks.
        others: what a model of other agents learns from; ``None`` without one.
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
    tokens: Tensor | None = None
    message: Messages | None = None
    others: Others | None = None

    def tensors(self) -> dict[str, Tensor]:
        """All fields there are by name, contiguous, on the CPU."""
        found: dict[str, Tensor] = {}
        for prefix, part in (("", self), ("message_", self.message), ("others_", self.others)):
            for field in fields(part) if part is not None else ():
                x = getattr(part, field.name)
                if isinstance(x, Tensor):
                    found[prefix + field.name] = x.cpu().contiguous()
        return found


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
        self.taken = move(rollout.taken).long()
        self.next_taken = self._next_taken(move(rollout.active))
        self.visible = move(rollout.own(rollout.visible, 2))
        self.message = move(rollout.message)
        self.message_log_prob = move(rollout.message_log_prob)
        self.message_value = move(rollout.message_value).clone()
        self.message_advantage = torch.zeros_like(self.message_value)
        self.message_target = torch.zeros_like(self.message_value)
        # Before each step; filled in where there is a model of other agents.
        self.moa_state: Tensor | None = None
        self.tokens = move(rollout.tokens)
        self.last_tokens, self.final_tokens = self._tokens_to_come(model)

    def _next_taken(self, active: Tensor) -> Tensor:
        """Everybody's next actions ``[T, E, N]``; -1 where unknown or of another episode."""
        following = torch.full_like(self.taken, -1)
        following[:-1] = self.taken[1:].masked_fill(~active[1:-1], -1)
        return following.masked_fill(self.done[:, :, None], -1)

    @torch.no_grad()
    def _tokens_to_come(self, model: ActorCritic) -> tuple[Tensor, Tensor]:
        """What is heard after the last steps, ``[E, A, K]``, and at the ends of episodes,
        ``[F, A, K]``: of influencers, which have not acted yet, what they would most probably do.
        """
        every = torch.arange(self.num_envs, device=self.views.device)
        end = torch.full_like(every, self.num_steps - 1)
        t, e = self.final_index.unbind(1)
        return (
            self._tokens_after(model, end, every, self.views[-1]),
            self._tokens_after(model, t, e, self.final_views),
        )

    def _tokens_after(self, model: ActorCritic, t: Tensor, e: Tensor, following: Tensor) -> Tensor:
        channels = model.channels
        if not channels.columns or not len(t):
            return self.tokens.new_zeros((len(t), self.num_agents, channels.columns))
        said = self.message[t, e] if channels.speakers else None
        tokens = channels.tokens(self.taken[t, e], said)
        if channels.influencers:
            everyone = list(range(self.num_agents))
            core = self._core_after(model, everyone, t, e, following, tokens.transpose(0, 1))
            tokens = channels.tell(tokens, model.logits(core).argmax(-1))
        return tokens.transpose(0, 1)

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
        places = (steps * self.num_envs + envs[:, None])[:, :-1]

        def gather(first: int) -> Minibatch:
            part = slice(first, first + piece)
            inner = rows[:, :-1, part]
            found = Minibatch(
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
            if self.tokens.shape[-1]:
                found.tokens = _take(self.tokens, inner)
            if self.message.shape[-1]:
                found.message = Messages(
                    _take(self.message, inner),
                    _take(self.message_log_prob, inner),
                    _take(self.message_advantage, inner),
                    _take(self.message_target, inner),
                )
            if self.moa_state is not None:
                everybody = places[:, :, part]
                found.others = Others(
                    _take(self.taken.unsqueeze(2), everybody),
                    _take(self.next_taken.unsqueeze(2), everybody),
                    _take(self.visible, inner),
                    _take(self.moa_state, inner[:, 0]),
                )
            return found

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
            tokens = self.tokens[own][first:last].permute(2, 0, 1, 3)
            features = model.hear(features, tokens)
            h, c = model.remember(features, state, reset[:, first:last])
            core = h.flatten(1, 2)
            rows = (slice(first, last), *own[1:])
            self._store(rows, state, h, c)
            value = model.value(core).view(count, last - first, width)
            self.value[rows] = value.permute(1, 2, 0)
            if model.messages is not None:
                said = model.messages.value(core).view(count, last - first, width)
                self.message_value[rows] = said.permute(1, 2, 0)
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
        half, width = h.shape[-1], state.shape[-1]
        block = self.state[steps, envs]
        block[0, :, columns, :width] = state.transpose(0, 1)
        block[1:, :, columns, :half] = h[:, :-1].permute(1, 2, 0, 3).float()
        block[1:, :, columns, half : 2 * half] = c[:, :-1].permute(1, 2, 0, 3)
        block[self.reset[steps, envs]] = 0.0

    @torch.no_grad()
    def bootstrap(
        self, model: ActorCritic, agents: Sequence[int], *, messages: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Values of what the stored steps do not show, from stored memories.

        Args:
            model: network of these agents only, in this order.
            agents: columns.
            messages: values of messages instead of actions.

        Returns:
            estimates of the views after the last step, ``[E, len(agents)]``, and of the last
            views of finished episodes, ``[T, E, len(agents)]`` (0 where no episode ended).
        """
        columns = list(agents)
        heads = model.messages if messages and model.messages is not None else model

        def value(t: Tensor, e: Tensor, views: Tensor, tokens: Tensor) -> Tensor:
            core = self._core_after(model, columns, t, e, views, tokens)
            return heads.value(core).transpose(0, 1)

        every = torch.arange(self.num_envs, device=self.views.device)
        end = torch.full_like(every, self.num_steps - 1)
        last = value(end, every, self.views[-1], self.last_tokens)
        final = self.value.new_zeros((self.num_steps, self.num_envs, len(columns)))
        if len(self.final_index):
            t, e = self.final_index.unbind(1)
            final[t, e] = value(t, e, self.final_views, self.final_tokens)
        return last, final

    @torch.no_grad()
    def last_state(self, model: ActorCritic) -> Tensor:
        """Memory after the last step, float32 ``[E, A, S]`` (resets not applied)."""
        every = torch.arange(self.num_envs, device=self.views.device)
        end = torch.full_like(every, self.num_steps - 1)
        state = self._state_after(model, list(range(self.num_agents)), end, every)
        return state.transpose(0, 1)

    def _state_after(self, model: ActorCritic, columns: list[int], t: Tensor, e: Tensor) -> Tensor:
        """Memory ``[agents, n, S]`` right after steps (t, e)."""

        def agents_first(x: Tensor) -> Tensor:
            return x[t, e][:, columns].transpose(0, 1)

        views, tokens = agents_first(self.views), agents_first(self.tokens)
        _, state = model.step(views, agents_first(self.state), agents_first(self.reset), tokens)
        return state

    def _core_after(
        self,
        model: ActorCritic,
        columns: list[int],
        t: Tensor,
        e: Tensor,
        following: Tensor,
        tokens: Tensor,
    ) -> Tensor:
        """Memory output ``[agents, n, memory]`` for views ``[n, A, ...]`` seen, and tokens
        ``[n, A, K]`` heard, right after steps (t, e).
        """
        state = self._state_after(model, columns, t, e)
        views = following[:, columns].transpose(0, 1)
        none = torch.zeros(views.shape[:2], dtype=torch.bool, device=views.device)
        core, _ = model.step(views, state, none, tokens[:, columns].transpose(0, 1))
        return core


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
