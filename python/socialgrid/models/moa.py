"""Model of other agents: a second branch that predicts everybody's next action.

Jaques et al. 2019, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from socialgrid.models.heads import Head
from socialgrid.models.hearing import one_hot_actions
from socialgrid.models.layers import StackedLinear
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.models.spec import ViewSpec


class ModelOfOthers(nn.Module):
    """Its own fully connected layers and LSTM on the policy's convolutions and all actions.

    From ``s_t`` and the actions of step ``t``, its own agent's included, to the logits of every
    agent's action in step ``t + 1``.
    """

    action_mask: Tensor

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        spec: ViewSpec,
        inputs: int,
        features: tuple[int, ...],
        memory: int,
    ) -> None:
        super().__init__()
        self.world, self.counts, self.memory = spec.world_agents, spec.world_action_counts, memory
        self.num_actions = max(self.counts)
        sizes = (inputs, *features)
        self.project = nn.ModuleList(
            StackedLinear(generators, before, after, tanh=True) for before, after in pairwise(sizes)
        )
        self.features = sizes[-1]
        inputs = self.features + (1 + self.world) * self.num_actions
        self.lstm = StackedLSTM(generators, inputs, memory)
        self.head = Head(generators, memory, (), self.world * self.num_actions)
        missing = torch.arange(self.num_actions) >= torch.tensor(self.counts)[:, None]
        mask = torch.zeros(missing.shape).masked_fill_(missing, -1e9)
        self.register_buffer("action_mask", mask, persistent=False)

    @property
    def state_size(self) -> int:
        """Numbers in one agent's memory of this branch (h, then c)."""
        return 2 * self.memory

    def inputs(self, convolved: Tensor, actions: Tensor, slots: Sequence[int]) -> Tensor:
        """What the LSTM reads: features, the agent's own action, and everybody else's.

        Args:
            convolved: ``[A, M, ...]``, the convolutions' output.
            actions: integers ``[A, M, N]``, everybody's actions; -1 is left out.
            slots: each agent's place among the ``N``.

        Returns:
            ``[A, M, features + (1 + N) * n]``.
        """
        x = convolved
        for layer in self.project:
            x = layer(x)
        mine = torch.stack([actions[row, :, slot] for row, slot in enumerate(slots)])
        others = actions.clone()
        for row, slot in enumerate(slots):
            others[row, :, slot] = -1
        heard = torch.cat((mine.unsqueeze(-1), others), -1)
        return torch.cat((x, one_hot_actions(heard, self.num_actions, x.dtype)), -1)

    @property
    def own_columns(self) -> slice:
        """Where in the LSTM's input an agent's own action lies."""
        return slice(self.features, self.features + self.num_actions)

    def remember(self, x: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """Unroll over ``x`` ``[A, T, M, inputs]`` from float32 ``[A, M, S]``: h and c after every
        step, ``[A, T, M, memory]``.
        """
        h, c = state.chunk(2, -1)
        outputs: tuple[Tensor, Tensor] = self.lstm(x, h, c, reset)
        return outputs

    def logits(self, core: Tensor) -> Tensor:
        """Logits ``[..., N, n]`` of everybody's next action from memory outputs ``[A, ..., H]``."""
        shape = core.shape
        flat: Tensor = self.head(core.reshape(shape[0], -1, shape[-1]))
        return flat.view(*shape[:-1], self.world, self.num_actions) + self.action_mask
