"""What a network makes of a recorded batch: memories, values, and what comes after."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import SequenceBatch, agent_columns
from socialgrid.data.standing import Standing
from socialgrid.models import compiled_recall
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.heads import chosen_log_prob
from socialgrid.models.hearing import Before


class Recall(SequenceBatch):
    """A batch with what the network that acted in it makes of it."""

    def __init__(
        self,
        rollout: Rollout,
        model: ActorCritic,
        device: torch.device,
        standing: Standing | None = None,
    ) -> None:
        """Copy a rollout to a device.

        Args:
            rollout: what was recorded.
            model: the network of all its agents, as it acted.
            device: where to.
            standing: where everything is to lie that may stay.
        """
        super().__init__(rollout, model.prepare, device, standing)
        last, final = self._tokens_to_come(model)
        self.last_tokens = self.standing.put("last_tokens", last)
        self.final_tokens = self.standing.put("final_tokens", final)

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
        hearing = model.hearing
        if not hearing.columns or not len(t):
            return self.tokens.new_zeros((len(t), self.num_agents, hearing.columns))
        choices = {name: self.decisions[name].choice[t, e] for name in model.further}
        tokens = hearing.tokens(
            Before(len(t), t.device, self.taken[t, e], self.reward[t, e], choices)
        )
        if hearing.leaders:
            core = self._core_after(
                model, slice(self.num_agents), t, e, following, tokens.transpose(0, 1)
            )
            tokens = hearing.tell(tokens, model.logits(core).argmax(-1))
        return tokens.transpose(0, 1)

    @torch.no_grad()
    def refresh(
        self,
        model: ActorCritic,
        agents: Sequence[int],
        *,
        policy: bool = False,
    ) -> Tensor | None:
        """Recompute memories and values with the present parameters.

        Args:
            model: network of these agents only, in this order.
            agents: columns to recompute.
            policy: also return log-probabilities of the recorded actions.

        Returns:
            float32 ``[T, E, len(agents)]`` if ``policy``, otherwise nothing.
        """
        columns = agent_columns(agents)
        count, width = len(agents), self.num_envs
        block = max(1, piece_length(model, count, width))
        found = self.values["action"].new_empty((self.num_steps, width, count)) if policy else None
        self.own_state()
        if compiled_recall.refresh(model, self, agents, block, found):
            return found
        own = (slice(None), slice(None), columns)
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
            for name, heads in model.heads.items():
                value = heads.value(core).view(count, last - first, width)
                self.values[name][rows] = value.permute(1, 2, 0)
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
        block.masked_fill_(self.reset[steps, envs].unsqueeze(-1), 0.0)

    @property
    def ends(self) -> compiled_recall.Ends:
        """What came after its last steps, and at the ends of episodes."""
        return compiled_recall.Ends(
            *(self.last_tokens, self.final_index, self.final_views, self.final_tokens)
        )

    @torch.no_grad()
    def bootstrap(
        self, model: ActorCritic, agents: Sequence[int]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Values of what the stored steps do not show, from stored memories.

        Args:
            model: network of these agents only, in this order.
            agents: columns.

        Returns:
            by decision, estimates of the views after the last step, ``[E, len(agents)]``, and of
            the last views of finished episodes, ``[T, E, len(agents)]`` (0 where no episode ended).
        """
        known = compiled_recall.foresee(model, self, agents, self.ends)
        if known is None:
            known = self._foreseen(model, agents)
        found = {}
        for name, (last, final) in known.items():
            whole = torch.cat((final, final.new_zeros((1, len(agents)))))
            whole = whole.index_select(0, self.final_slots.flatten())
            found[name] = last, whole.view(*self.final_slots.shape, -1)
        return found

    def _foreseen(
        self, model: ActorCritic, agents: Sequence[int]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Values after the last steps and at the ends of episodes, layer by layer."""
        columns = agent_columns(agents)

        def values(t: Tensor, e: Tensor, views: Tensor, tokens: Tensor) -> list[Tensor]:
            core = self._core_after(model, columns, t, e, views, tokens)
            return [heads.value(core).transpose(0, 1) for heads in model.heads.values()]

        every = torch.arange(self.num_envs, device=self.views.device)
        end = torch.full_like(every, self.num_steps - 1)
        last = values(end, every, self.views[-1], self.last_tokens)
        final = [x.new_empty((0, len(agents))) for x in last]
        if len(self.final_index):
            t, e = self.final_index.unbind(1)
            final = values(t, e, self.final_views, self.final_tokens)
        return dict(zip(model.heads, zip(last, final, strict=True), strict=True))

    @torch.no_grad()
    def last_state(self, model: ActorCritic) -> Tensor:
        """Memory after the last step, float32 ``[E, A, S]`` (resets not applied)."""
        every = torch.arange(self.num_envs, device=self.views.device)
        end = torch.full_like(every, self.num_steps - 1)
        state = self._state_after(model, slice(self.num_agents), end, every)
        return state.transpose(0, 1)

    def _state_after(
        self, model: ActorCritic, columns: slice | list[int], t: Tensor, e: Tensor
    ) -> Tensor:
        """Memory ``[agents, n, S]`` right after steps (t, e)."""

        def agents_first(x: Tensor) -> Tensor:
            return x[t, e][:, columns].transpose(0, 1)

        views, tokens = agents_first(self.views), agents_first(self.tokens)
        _, state = model.step(views, agents_first(self.state), agents_first(self.reset), tokens)
        return state

    def _core_after(
        self,
        model: ActorCritic,
        columns: slice | list[int],
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


def piece_length(model: ActorCritic, agents: int, width: int) -> int:
    """How many rows of ``width`` views each are best computed at once.

    On a CPU activations should stay near the cache: about two thousand views of each agent.
    Elsewhere the only concern is memory: at most 65,536 views of all agents.
    """
    views = 2048 if model.action_mask.device.type == "cpu" else max(1, 65_536 // agents)
    return max(1, views // width)
