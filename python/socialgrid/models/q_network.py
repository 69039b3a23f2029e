"""Action values of independent agents: of every discrete action, or of given actions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from socialgrid.models.config import ModelConfig
from socialgrid.models.mlp import StackedMLP, Torso
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.models.task_spec import TaskSpec


class _Heads(nn.Module):
    """One or several perceptrons behind one torso."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
        heads: int,
        *,
        beside: int = 0,
        outputs: int,
    ) -> None:
        """``beside``: numbers that heads read besides the torso's."""
        super().__init__()
        self.torso = Torso(generators, task, model)
        inputs = self.torso.size + beside
        self.heads = nn.ModuleList(
            StackedMLP(generators, inputs, hidden, outputs) for _ in range(heads)
        )


class QNetwork(_Heads):
    """Q(s, .) of all discrete actions, by one or several heads on one torso."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
        heads: int = 1,
    ) -> None:
        super().__init__(generators, task, model, hidden, heads, outputs=task.num_actions)

    def forward(self, obs: Tensor) -> Tensor:
        """Observations ``[A, N, *obs_shape]`` to values ``[heads, A, N, num_actions]``."""
        features = self.torso(obs)
        return torch.stack([head(features) for head in self.heads])


class Critic(_Heads):
    """Q(s, a) of given continuous actions, by several heads on one torso."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
        heads: int = 2,
    ) -> None:
        own = {"beside": task.action_size, "outputs": 1}
        super().__init__(generators, task, model, hidden, heads, **own)

    def forward(self, obs: Tensor, action: Tensor, first: int | None = None) -> Tensor:
        """Values ``[heads, A, N]``, of the first few heads if so wanted.

        Args:
            obs: ``[A, N, *obs_shape]``.
            action: ``[A, N, D]`` in [-1, 1].
            first: how many heads.
        """
        x = torch.cat((self.torso(obs), action), -1)
        return torch.stack([head(x).squeeze(-1) for head in list(self.heads)[:first]])


class RecurrentQNetwork(nn.Module):
    """Q(h, .) of all discrete actions, where h is an LSTM's memory of the episode."""

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        task: TaskSpec,
        model: ModelConfig,
        hidden: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.torso = Torso(generators, task, model)
        self.memory = model.memory
        self.lstm = StackedLSTM(generators, self.torso.size, model.memory)
        self.head = StackedMLP(generators, model.memory, hidden, task.num_actions)

    def forward(self, obs: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """Unroll over ``T`` steps.

        Args:
            obs: ``[A, T, N, *obs_shape]``.
            state: float32 ``[A, N, 2 * memory]`` (h and c) before the first step.
            reset: bool ``[A, T, N]``; the state is zeroed before the step where True.

        Returns:
            values ``[A, T, N, num_actions]`` and the states after every step, without gradient,
            ``[A, T, N, 2 * memory]``.
        """
        agents, steps, count = obs.shape[:3]
        features = self.torso(obs.flatten(1, 2)).view(agents, steps, count, -1)
        h, c = self.lstm(features, *state.chunk(2, -1), reset)
        values = self.head(h.flatten(1, 2)).view(agents, steps, count, -1)
        return values, torch.cat((h.detach(), c), -1)
