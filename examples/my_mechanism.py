"""A social mechanism of one's own: agents hear who was just rewarded, and envy it.

cd examples
socialgrid-train cleanup-mini --import my_mechanism --social envy --envy.weight 0.2
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from socialgrid.models import ViewSpec
from socialgrid.social import (
    HEARING,
    Before,
    Channel,
    Mechanism,
    MechanismOptions,
    Rewards,
    register_mechanism,
)


@register_mechanism
@dataclass(frozen=True)
class EnvyOptions(MechanismOptions):
    """Agents hear who was just rewarded, and like their own reward less for it."""

    name: ClassVar[str] = "envy"
    made_by: ClassVar[str] = "my_mechanism:Envy"
    role: ClassVar[str] = HEARING

    weight: float = 0.1
    """Weight of the others' mean reward, which is taken off an agent's own."""


class Wages(Channel):
    """For everybody in the world: 1 where the last step paid, 2 where it cost, 0 otherwise."""

    symbols = 3

    def __init__(self, spec: ViewSpec) -> None:
        self.columns, self.agents = spec.world_agents, spec.num_agents

    def tokens(self, before: Before) -> Tensor:
        assert before.rewards is not None
        codes = before.rewards.sign().to(torch.int16) % self.symbols  # [E, N]
        return codes.expand(self.agents, -1, -1)


class Envy(Mechanism):
    """What the options above are of; every hook that it does not have does nothing."""

    def channels(self) -> tuple[Channel, ...]:
        return (Wages(self.spec),)

    def reward(self, rewards: Rewards) -> None:
        everybody = rewards.rollout.reward  # [T, E, N]
        own = rewards.rollout.own(everybody)  # [T, E, A]
        rest = max(1, everybody.shape[-1] - 1)
        others = ((everybody.sum(-1, keepdim=True) - own) / rest).to(rewards.batch.device)
        rewards.of["action"] = rewards.of["action"] - self.options.weight * others
        rewards.log("envied", others)
