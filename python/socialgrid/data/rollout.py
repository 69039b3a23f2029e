"""Preallocated storage of one batch of experience, written by the simulator itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from socialgrid.data.exchange import sent

_OBS_DTYPES = {"uint8": torch.uint8, "uint16": torch.uint16}


def as_signed(obs: Tensor) -> Tensor:
    """The same 16-bit tile numbers under a type that every device computes with; others as is."""
    return obs.view(torch.int16) if obs.dtype == torch.uint16 else obs


@dataclass
class Decision:
    """What the heads of one kind decided, every tensor ``[..., E, A]``.

    Attributes:
        choice: int64.
        log_prob: float32, log-probability of ``choice`` under the acting policy.
        value: float32, value estimate of the state decided in.
    """

    choice: Tensor
    log_prob: Tensor
    value: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Decision:
        """The same with every tensor changed."""
        return Decision(change(self.choice), change(self.log_prob), change(self.value))


@dataclass
class Recorded:
    """What a learner adds to one step of a rollout.

    Attributes:
        decisions: by name, ``action`` and what is decided besides, ``[E, A]``.
        state_before: float32 ``[E, A, S]``, memory that went into the step, resets applied.
        tokens: int16 ``[E, A, K]``, what was heard in the step, where there are channels.
        arriving: waits for the actions, which are on their way to the CPU, int32 ``[E, A]``;
            ``None``: nothing has been sent there.
    """

    decisions: Mapping[str, Decision]
    state_before: Tensor
    tokens: Tensor | None = None
    arriving: Callable[[], Tensor] | None = None

    @property
    def action(self) -> Tensor:
        """int64 ``[E, A]``."""
        return self.decisions["action"].choice

    def arrived(self) -> Tensor:
        """The actions on the CPU, int32 ``[E, A]``; the host waits for them."""
        return self.action.to(torch.int32).cpu() if self.arriving is None else self.arriving()


class Rollout:
    """``T`` steps of ``E`` environments: what agents saw, did and got.

    Two agent axes occur. ``N`` counts the agents of the environment: everything the simulator
    writes has it. ``A`` counts the agents that the learner owns (``agents``, in ascending or any
    other order): everything the learner writes has it. ``own(x)`` selects the second from the
    first.

    Simulator side (CPU memory, pinned when ``pin``):
        obs: uint8 or uint16 ``[T + 1, E, N, *obs_shape]``; ``obs[t]`` is seen before step ``t``.
        reward: float32 ``[T, E, N]``.
        terminated, truncated: bool ``[T, E, N]``, never both.
        done: bool ``[T, E]``: the episode ended in step ``t``; ``obs[t + 1]`` is a new one.
        active: bool ``[T + 1, E, N]``: in play before step ``t``.
        reset: bool ``[T + 1, E, N]``: memory is zeroed before step ``t``. True at the start of
            an episode, as long as an agent is not in play, and when its play begins.
        last_actions: int32 ``[T + 1, E, N]``, everybody's action before, -1 for none.
        visible: uint8 ``[T + 1, E, N, N]``: agent i sees agent j before step ``t``.
        events: uint8 ``[T, E, N, K]``, what happened in step ``t``, counted (K may be 0).
        last_rewards: float32 ``[T + 1, E, N]``, what everybody got before, 0 for new episodes.
        taken: int32 ``[T, E, N]``, everybody's action in step ``t``.
    Learner side (on ``device``):
        decisions by name, ``[T, E, A]``: ``action`` and what is decided besides.
        state float32 ``[T, E, A, S]``; tokens int16 ``[T, E, A, columns]``, where any are heard.
    Last views of finished episodes, ``F`` of them, compact:
        final_index: int64 ``[F, 2]`` rows (t, e); final_obs ``[F, N, *obs_shape]``.

    One batch is collected so::

        rollout.begin(obs, info["active"])             # or rollout.carry_over()
        for t in range(rollout.num_steps):
            obs_t, reset_t = rollout.inputs(t)
            out = learner.act(obs_t, state, reset_t)
            rollout.record(t, out)
            rollout.take(t, actions)                    # where others act too
            env.step(actions, out=rollout.slot(t))
            rollout.finish_step(t)
            state = out.state
    """

    def __init__(
        self,
        num_steps: int,
        num_envs: int,
        num_agents: int,
        obs_shape: Sequence[int],
        *,
        state_size: int,
        agents: Sequence[int] | None = None,
        obs_dtype: str = "uint8",
        events: int = 0,
        columns: int = 0,
        further: Sequence[str] = (),
        pin: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Allocate everything.

        Args:
            num_steps: T.
            num_envs: E.
            num_agents: N, all agents of the environment.
            obs_shape: shape of one agent's observation.
            state_size: S, ``learner.state_size``.
            agents: the environment's agents that the learner owns; all by default.
            obs_dtype: "uint8" or "uint16".
            events: K, kinds of events that the game counts.
            columns: tokens that an agent hears in a step.
            further: names of what agents decide besides their actions.
            pin: page-locked simulator side, for a learner on a CUDA device.
            device: where the learner side lives.

        Raises:
            ValueError: a size is not positive, or an agent does not exist or occurs twice.
        """
        if min(num_steps, num_envs, num_agents) < 1:
            raise ValueError(
                f"num_steps={num_steps}, num_envs={num_envs}, num_agents={num_agents}: "
                "each must be at least 1"
            )
        owned = tuple(range(num_agents)) if agents is None else tuple(agents)
        if not owned or len(set(owned)) != len(owned) or not set(owned) <= set(range(num_agents)):
            raise ValueError(f"agents {owned}: need distinct indices in [0, {num_agents})")
        if str(obs_dtype) not in _OBS_DTYPES:
            raise ValueError(f"obs_dtype {obs_dtype!r}: must be one of {sorted(_OBS_DTYPES)}")
        self.num_steps, self.num_envs, self.num_agents = num_steps, num_envs, num_agents
        self.obs_shape = tuple(obs_shape)
        self.agents = owned
        self.device = torch.device(device)
        steps, lead, own = num_steps, (num_envs, num_agents), (num_envs, len(owned))

        def host(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, pin_memory=pin)

        obs_type = _OBS_DTYPES[str(obs_dtype)]
        self.obs = host(steps + 1, *lead, *self.obs_shape, dtype=obs_type)
        self.reward = host(steps, *lead, dtype=torch.float32)
        self.terminated = host(steps, *lead, dtype=torch.bool)
        self.truncated = host(steps, *lead, dtype=torch.bool)
        self.done = host(steps, num_envs, dtype=torch.bool)
        self.active = host(steps + 1, *lead, dtype=torch.bool)
        self.reset = host(steps + 1, *lead, dtype=torch.bool)
        self.last_actions = host(steps + 1, *lead, dtype=torch.int32).fill_(-1)
        self.visible = host(steps + 1, *lead, num_agents, dtype=torch.uint8)
        self.events = host(steps, *lead, events, dtype=torch.uint8)
        self.taken = host(steps, *lead, dtype=torch.int32)
        self.last_rewards = host(steps + 1, *lead, dtype=torch.float32)

        def learner(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros((steps, *own, *shape), dtype=dtype, device=self.device)

        self.tokens = learner(columns, dtype=torch.int16).fill_(-1)
        self.decisions = {
            name: Decision(learner(dtype=torch.int64), learner(), learner())
            for name in ("action", *further)
        }
        self.state = learner(state_size)
        self._final_scratch = host(*lead, *self.obs_shape, dtype=obs_type)
        self._final_rows: list[tuple[Tensor, Tensor]] = []  # [F, 2] among all, [F, N, ...]
        self._first_env = 0

    @property
    def action(self) -> Tensor:
        """int64 ``[T, E, A]``."""
        return self.decisions["action"].choice

    @property
    def log_prob(self) -> Tensor:
        """float32 ``[T, E, A]``, of the actions."""
        return self.decisions["action"].log_prob

    @property
    def value(self) -> Tensor:
        """float32 ``[T, E, A]``, of the states acted in."""
        return self.decisions["action"].value

    @property
    def num_learners(self) -> int:
        """Number of agents that the learner owns (A)."""
        return len(self.agents)

    def own(self, array: Tensor, dim: int = -1) -> Tensor:
        """Columns of the learner's agents along the agent axis ``dim``; a view if possible."""
        first, count = self.agents[0], len(self.agents)
        if self.agents == tuple(range(first, first + count)):
            return array.narrow(dim, first, count)
        return array.index_select(dim, torch.tensor(self.agents, device=array.device))

    def of_another(self, agent: int, memory: Tensor) -> Rollout:
        """The same steps as if the learner's agents had been somebody else, all of them.

        Args:
            agent: of the environment, the learner's or not: what it saw and did.
            memory: float32 ``[E, A, S]``, of the learner's agents before the first step.

        Returns:
            a rollout over the same simulator side, of actions only: log-probabilities and values
            are 0, and nothing is heard.
        """
        count = memory.shape[1]
        another = copy.copy(self)
        another.agents = (agent,) * count
        (choice,) = sent(self.device, self.taken[..., agent].to(torch.int64))
        choice = choice[..., None].expand(-1, -1, count).contiguous()
        zeros = torch.zeros(choice.shape, dtype=torch.float32, device=self.device)
        another.decisions = {"action": Decision(choice, zeros, zeros)}
        another.tokens = self.tokens.new_zeros((*choice.shape, 0))
        another.state = memory.new_zeros((self.num_steps, *memory.shape), device=self.device)
        another.state[0].copy_(memory)
        return another

    def part(self, first: int, count: int) -> Rollout:
        """Environments ``first`` to ``first + count - 1`` as a rollout over the same memory.

        For double buffering, where one part is stepped while the learner acts on the other, and
        for learning from parts side by side. ``begin`` and ``carry_over`` are for the whole.

        Raises:
            IndexError: there are no such environments.
        """
        if first < 0 or count < 1 or first + count > self.num_envs:
            raise IndexError(
                f"environments [{first}, {first + count}) of a rollout of {self.num_envs}"
            )
        part = copy.copy(self)
        part.num_envs, part._first_env = count, self._first_env + first
        for name in (
            *("obs", "reward", "terminated", "truncated", "done", "active", "reset"),
            *("last_actions", "last_rewards", "visible", "events", "taken", "tokens", "state"),
        ):
            setattr(part, name, getattr(self, name).narrow(1, first, count))
        part.decisions = {
            name: decision.each(lambda x: x.narrow(1, first, count))
            for name, decision in self.decisions.items()
        }
        part._final_scratch = self._final_scratch.narrow(0, first, count)
        return part

    def slot(self, t: int) -> dict[str, Tensor]:
        """The ``out=`` mapping for the environment's step ``t``: writes land in this storage."""
        places = {
            "obs": self.obs[t + 1],
            "reward": self.reward[t],
            "terminated": self.terminated[t],
            "truncated": self.truncated[t],
            "done": self.done[t],
            "active": self.active[t + 1],
            "final_obs": self._final_scratch,
            "last_actions": self.last_actions[t + 1],
            "visible": self.visible[t + 1],
        }
        if self.events.shape[-1]:
            places["events"] = self.events[t]
        return places

    def begin(
        self,
        obs: Tensor,
        active: Tensor,
        last_actions: Tensor | None = None,
        visible: Tensor | None = None,
        last_rewards: Tensor | None = None,
    ) -> None:
        """Start a batch from a fresh reset.

        Args:
            obs: ``[E, N, *obs_shape]``, the first views of new episodes.
            active: bool ``[E, N]``.
            last_actions: int32 ``[E, N]``; none by default.
            visible: uint8 ``[E, N, N]``; nobody by default.
            last_rewards: float32 ``[E, N]``; none by default.
        """
        self.obs[0].copy_(torch.as_tensor(obs))
        self.active[0].copy_(torch.as_tensor(active))
        self.last_actions[0] = -1 if last_actions is None else torch.as_tensor(last_actions)
        self.last_rewards[0] = 0.0 if last_rewards is None else torch.as_tensor(last_rewards)
        self.visible[0] = 0 if visible is None else torch.as_tensor(visible)
        self.reset[0].fill_(True)
        self._final_rows.clear()

    def carry_over(self) -> None:
        """Start the next batch where the last one ended, in the middle of episodes or not."""
        self.obs[0].copy_(self.obs[-1])
        self.active[0].copy_(self.active[-1])
        self.reset[0].copy_(self.reset[-1])
        self.last_actions[0].copy_(self.last_actions[-1])
        self.last_rewards[0].copy_(self.last_rewards[-1])
        self.visible[0].copy_(self.visible[-1])
        self._final_rows.clear()

    def inputs(self, t: int) -> tuple[Tensor, Tensor]:
        """Observations ``[E, A, *obs_shape]`` and resets bool ``[E, A]`` before step ``t``."""
        return self.own(self.obs[t], 1), self.own(self.reset[t], 1)

    def last(self, t: int) -> dict[str, Tensor]:
        """What everybody did and got in the step before ``t``, ``[E, N]``, for ``act``."""
        return {"actions": self.last_actions[t], "rewards": self.last_rewards[t]}

    def record(self, t: int, recorded: Recorded) -> Tensor:
        """Store what the learner did in step ``t``.

        Returns:
            its actions, int32 ``[E, A]`` on the CPU.
        """
        for name, decision in recorded.decisions.items():
            own = self.decisions[name]
            own.choice[t].copy_(decision.choice)
            own.log_prob[t].copy_(decision.log_prob)
            own.value[t].copy_(decision.value)
        if recorded.tokens is not None:
            self.tokens[t].copy_(recorded.tokens)
        self.state[t].copy_(recorded.state_before)
        action = recorded.arrived()
        self.taken[t][:, list(self.agents)] = action
        return action

    def take(self, t: int, actions: Tensor) -> None:
        """Store everybody's actions of step ``t``, integers ``[E, N]``; ``record`` comes first."""
        self.taken[t].copy_(torch.as_tensor(actions))

    def finish_step(self, t: int) -> None:
        """Derive resets from what the simulator wrote; keep the last views of ended episodes."""
        done = self.done[t]
        goes_on = self.active[t] & self.active[t + 1]
        torch.logical_or(done[:, None], ~goes_on, out=self.reset[t + 1])
        torch.mul(self.reward[t], ~done[:, None], out=self.last_rewards[t + 1])
        if bool(done.any()):
            envs = done.nonzero().squeeze(1)
            when = torch.stack((torch.full_like(envs, t), envs), 1)
            self.keep_last_views(when, self._final_scratch[envs])

    def keep_last_views(self, when: Tensor, views: Tensor) -> None:
        """Keep the last views of episodes that have ended, those of earlier steps first.

        Args:
            when: step and environment, int64 ``[F, 2]``.
            views: ``[F, N, *obs_shape]``.
        """
        self._final_rows.append((when + torch.tensor([0, self._first_env]), views))

    @property
    def final_index(self) -> Tensor:
        """int64 ``[F, 2]``: step and environment of every episode end."""
        nothing = torch.zeros((0, 2), dtype=torch.int64)
        index = torch.cat([nothing, *(when for when, _ in self._final_rows)])
        index = index - torch.tensor([0, self._first_env])
        return index[self._own_rows(index[:, 1])]

    def _own_rows(self, envs: Tensor) -> Tensor:
        """Which ends of episodes are of these environments: a part knows those of all."""
        return (envs >= 0) & (envs < self.num_envs)

    @property
    def final_obs(self) -> Tensor:
        """``[F, N, *obs_shape]``: last views of the episodes in ``final_index``."""
        rows = [
            views[self._own_rows(when[:, 1] - self._first_env)] for when, views in self._final_rows
        ]
        if not rows:
            return self.obs.new_zeros((0, self.num_agents, *self.obs_shape))
        return torch.cat(rows)
