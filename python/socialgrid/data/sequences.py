"""A rollout on the learner's device, and random subsequences of it.

Rollouts are ``[T, E, A, ...]``; networks want the agent first, because that is the axis weights
are stacked on: ``[A, L, S, ...]`` for ``L`` steps of ``S`` sequences. The turn happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial

import torch
from torch import Tensor

from socialgrid.data.exchange import pins, sent
from socialgrid.data.rollout import Rollout, as_signed
from socialgrid.data.standing import Standing


@dataclass
class Judged:
    """Decisions of one kind and how good they turned out: ``[T, E, A]``, or ``[A, L, S]`` in a
    minibatch; int64 choice, float32 log_prob, advantage and target.
    """

    choice: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor


@dataclass
class Minibatch:
    """``S`` subsequences of ``L`` steps for each of ``A`` agents.

    Attributes:
        views: prepared views ``[A, L + 1, S, ...]``; the last belongs to the step after.
        state: float32 ``[A, S, memory]``, stored memory before the first step.
        reset: bool ``[A, L, S]``.
        decisions: by name, ``action`` and what is decided besides, ``[A, L, S]``.
        weight: float32 ``[A, L, S]``; 0 where the agent was not in play, otherwise such that the
            whole minibatch sums to 1 for each agent: sum(weight * x) is a mean.
        next_weight: the same for what compares a step with the next view: also 0 at the last
            step of an episode or of an agent's play.
        tokens: int16 ``[A, L, S, K]``, what was heard; ``None`` without channels.
        extras: ``[A, L, S, ...]``, what mechanisms keep of every step, by their names for it.
        memories: ``[A, S, ...]``, what they keep of the first step.
    """

    views: Tensor
    state: Tensor
    reset: Tensor
    decisions: dict[str, Judged]
    weight: Tensor
    next_weight: Tensor
    tokens: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)
    memories: dict[str, Tensor] = field(default_factory=dict)

    @property
    def action(self) -> Tensor:
        """int64 ``[A, L, S]``."""
        return self.decisions["action"].choice

    def tensors(self) -> dict[str, Tensor]:
        """Everything there is by name, contiguous, on the CPU."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, judged in self.decisions.items():
            found |= {f"{name}/{f.name}": getattr(judged, f.name) for f in fields(judged)}
        found |= {**self.extras, **self.memories}
        return {k: x.cpu().contiguous() for k, x in found.items() if isinstance(x, Tensor)}


@dataclass(frozen=True)
class Sequences:
    """Where a minibatch lies in the parts of a batch.

    Attributes:
        members: the agents that it is of.
        starts, envs: of every part, int64 ``[len(members), S]``.
        length: steps of each sequence.
        piece: sequences at a time.
        counts: int64 ``[2, len(members)]``, what weights refer to, see ``SequenceBatch.counts``.
    """

    members: Sequence[int]
    starts: Sequence[Tensor]
    envs: Sequence[Tensor]
    length: int
    piece: int
    counts: Tensor


class SequenceBatch:
    """One rollout, ready to draw minibatches from.

    Observations stay integers; they are copied once, into the layout that the first layer reads.
    What is drawn together lies together, so that a minibatch takes few passes.
    """

    def __init__(
        self,
        rollout: Rollout,
        prepare: Callable[[Tensor], Tensor],
        device: torch.device,
        standing: Standing | None = None,
    ) -> None:
        """Copy a rollout to a device.

        Args:
            rollout: what was recorded.
            prepare: turns views into the layout of the first layer, ``ActorCritic.prepare``.
            device: where to.
            standing: where everything is to lie that may stay.
        """
        self.num_steps, self.num_envs = rollout.num_steps, rollout.num_envs
        self.num_agents, self.device = rollout.num_learners, torch.device(device)
        self.standing = standing or Standing(stays=False)
        put = self.standing.put

        def move(x: Tensor) -> Tensor:
            x = as_signed(x)
            if x.device.type == "cpu" and pins(self.device) and not x.is_pinned():
                return sent(self.device, x)[0]
            return x.to(device, non_blocking=True)

        self.views = put("views", prepare(rollout.own(move(rollout.obs), 2)).contiguous())
        self._take_ends(rollout, prepare)
        self.terminated = put("terminated", rollout.own(move(rollout.terminated)))
        self.truncated = put("truncated", rollout.own(move(rollout.truncated)))
        self.done = put("done", move(rollout.done))
        self.reset = put("reset", rollout.own(move(rollout.reset)))
        everyone = move(rollout.active)
        active = rollout.own(everyone)
        comparable = active[:-1] & active[1:] & ~self.done[:, :, None]
        self.flags = put("flags", torch.stack((self.reset[:-1], active[:-1], comparable), -1))
        self.mask, self.next_mask = self.flags[..., 1], self.flags[..., 2]
        ended = self.terminated | self.truncated | self.done[:, :, None]
        self.continues = put("continues", ~ended)
        made = rollout.decisions
        self.values = {
            name: put(f"values/{name}", move(one.value).clone()) for name, one in made.items()
        }
        # Of every decision its log-probability, advantage and target.
        choices = torch.stack([move(one.choice) for one in made.values()], -1)
        self.choices = put("choices", choices)
        zeros = torch.zeros_like(self.values["action"])
        numbers = [x for one in made.values() for x in (move(one.log_prob), zeros, zeros)]
        self.judgements = put("numbers", torch.stack(numbers, -1))
        self.decisions = _judged(made, self.choices, self.judgements)
        self.action = self.decisions["action"].choice
        self.state = put("state", move(rollout.state))
        # Those that were recorded are not copied before somebody writes others, see ``own_state``.
        self._borrows = self.state.data_ptr() == rollout.state.data_ptr()
        self.rewards: dict[str, Tensor] = {}
        self.taken = put("taken", move(rollout.taken).long())
        self.next_taken = put("next_taken", self._next_taken(everyone))
        self.visible = put("visible", rollout.own(move(rollout.visible), 2))
        self.reward = put("reward", move(rollout.reward))
        # What mechanisms keep, [T, E, A or 1, ...]: of every step, and of first steps only.
        self.extras: dict[str, Tensor] = {}
        self.memories: dict[str, Tensor] = {}
        self.tokens = put("tokens", move(rollout.tokens).contiguous())

    def own_state(self, *, first_only: bool = False) -> None:
        """Have memories before each step that may be written; those of the rollout stay.

        Args:
            first_only: nothing is promised of those after the first step.
        """
        if not self._borrows:
            return
        recorded, self._borrows = self.state, False
        self.state = torch.empty_like(recorded, memory_format=torch.contiguous_format)
        steps = 1 if first_only else self.num_steps
        self.state[:steps] = recorded[:steps]

    def _take_ends(self, rollout: Rollout, prepare: Callable[[Tensor], Tensor]) -> None:
        """The last views of episodes that ended. How many there are is nobody's choice: what stays
        has room for one in each environment, or the next power of two; the rest shows nothing.
        """
        index, views = rollout.final_index, rollout.own(rollout.final_obs, 1)
        count = room = len(index)
        if self.standing.stays:
            room = max(self.standing.rows("final_index"), self.num_envs)
            room = room if count <= room else 1 << (count - 1).bit_length()
            index = torch.cat((index, index.new_zeros((room - count, 2))))
            views = torch.cat((views, views.new_zeros((room - count, *views.shape[1:]))))
        slots = torch.full((self.num_steps, self.num_envs), room)
        slots[index[:count, 0], index[:count, 1]] = torch.arange(count)
        index, views, slots = sent(self.device, index, as_signed(views), slots)
        self.final_index = self.standing.put("final_index", index)
        self.final_views = self.standing.put("final_views", prepare(views))
        # Which of them belongs to a step, [T, E]; beyond the last one: none.
        self.final_slots = self.standing.put("final_slots", slots)

    def _next_taken(self, active: Tensor) -> Tensor:
        """Everybody's next actions ``[T, E, N]``; -1 where unknown or of another episode."""
        following = torch.full_like(self.taken, -1)
        following[:-1] = self.taken[1:].masked_fill(~active[1:-1], -1)
        return following.masked_fill(self.done[:, :, None], -1)

    def places(self, length: int, shards: int = 1) -> int:
        """How many subsequences of so many steps, at most ``num_steps``, there are in each of some
        shards of the environments.
        """
        return (self.num_steps - length + 1) * (self.num_envs // shards)

    def sequences(self, places: Tensor, shard: int = 0, shards: int = 1) -> tuple[Tensor, Tensor]:
        """First steps and environments of subsequences of a shard.

        Args:
            places: their numbers, int64 from 0 to ``places`` less 1, of any shape.
            shard, shards: which of how many.
        """
        own = self.num_envs // shards
        return places // own, places % own + shard * own

    def counts(self, agents: Sequence[int], starts: Tensor, envs: Tensor, length: int) -> Tensor:
        """Steps in play, and those that the next view can be compared with, of minibatches.

        Args:
            agents: the agents that they are of.
            starts, envs: int64 ``[len(agents), M, S]``.
            length: L.

        Returns:
            int64 ``[2, len(agents), M]``.
        """
        columns = _numbers(agents, starts.device)[:, None, None, None]
        steps = starts[..., None] + torch.arange(length, device=starts.device)
        rows = (steps * self.num_envs + envs[..., None]) * self.num_agents + columns
        return _take(self.flags, rows)[..., 1:].sum((2, 3)).permute(2, 0, 1)

    def minibatches(
        self,
        agents: Sequence[int],
        starts: Tensor,
        envs: Tensor,
        length: int,
        piece: int,
        counts: Tensor | None = None,
    ) -> list[Callable[[], Minibatch]]:
        """The sampled subsequences in pieces of at most ``piece`` sequences, made when called.

        Args:
            agents: the agents that ``starts`` and ``envs`` were drawn for.
            starts, envs: int64 ``[len(agents), S]``.
            length: L.
            piece: sequences at a time.
            counts: int64 ``[2, len(agents)]``, what weights refer to: ``counts`` of the whole
                minibatch, which may have sequences of other batches too; by default those of all
                pieces.
        """
        self.own_state()  # rows are drawn from what lies as they are numbered
        device = self.views.device
        columns = _numbers(agents, device)[:, None, None]
        offsets = torch.arange(length + 1, device=device)[None, :, None]
        sequences = starts.shape[1]
        steps = starts[:, None] + offsets
        rows = (steps * self.num_envs + envs[:, None]) * self.num_agents + columns
        if counts is None:
            counts = self.counts(agents, starts[:, None], envs[:, None], length)[..., 0]
        scale = 1.0 / counts.to(device, torch.float32).clamp(min=1)[:, :, None, None]
        places = (steps * self.num_envs + envs[:, None])[:, :-1]

        def gather(first: int) -> Minibatch:
            part = slice(first, first + piece)
            inner = rows[:, :-1, part]
            reset, in_play, comparable = _take(self.flags, inner).unbind(-1)
            found = Minibatch(
                views=_take(self.views, rows[:, :, part]),
                state=_take(self.state, rows[:, 0, part]),
                reset=reset,
                decisions=_judged(
                    self.decisions, _take(self.choices, inner), _take(self.judgements, inner)
                ),
                weight=in_play * scale[0],
                next_weight=comparable * scale[1],
            )
            if self.tokens.shape[-1]:
                found.tokens = _take(self.tokens, inner)
            for name, x in self.extras.items():
                found.extras[name] = _take(x, places[:, :, part] if x.shape[2] == 1 else inner)
            for name, x in self.memories.items():
                found.memories[name] = _take(x, inner[:, 0])
            return found

        return [partial(gather, first) for first in range(0, sequences, piece)]


def agent_columns(agents: Sequence[int]) -> slice | list[int]:
    """An index of these agents; a slice where possible, which needs no copies."""
    if list(agents) == list(range(agents[0], agents[0] + len(agents))):
        return slice(agents[0], agents[0] + len(agents))
    return list(agents)


def _numbers(agents: Sequence[int], device: torch.device) -> Tensor:
    """These agents' numbers on a device, to which nothing is copied where possible."""
    columns = agent_columns(agents)
    if isinstance(columns, slice):
        return torch.arange(columns.start, columns.stop, device=device)
    return torch.tensor(columns, device=device)


def _take(x: Tensor, rows: Tensor) -> Tensor:
    """Rows of ``x`` [T, E, A, ...] by flat number: ``[*rows.shape, ...]``."""
    flat = x.reshape(-1, *x.shape[3:])
    return flat.index_select(0, rows.flatten()).view(*rows.shape, *x.shape[3:])


def _judged(names: Iterable[str], choices: Tensor, numbers: Tensor) -> dict[str, Judged]:
    """Decisions by name of what lies together."""
    each = zip(
        names, choices.unbind(-1), numbers.view(*numbers.shape[:-1], -1, 3).unbind(-2), strict=True
    )
    return {name: Judged(choice, *three.unbind(-1)) for name, choice, three in each}
