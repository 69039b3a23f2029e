"""A way of one's own to take advice: agents do what most of their peers propose.

cd examples
socialgrid-train room-mini --import my_adviser --peers 3 --social majority --majority.least 2
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from socialgrid.social import (
    AdvisedStep,
    AdviserOptions,
    Members,
    PeerLearner,
    Proposals,
    register_mechanism,
)


@register_mechanism
@dataclass(frozen=True)
class MajorityOptions(AdviserOptions):
    """An agent carries out the action that most members of its group propose."""

    name: ClassVar[str] = "majority"
    made_by: ClassVar[str] = "my_adviser:Majority"

    least: int = 2
    """So many have to agree; otherwise everybody does what they intended."""


class Majority:
    """An ``Adviser``; ``members`` says who is in whose group."""

    solo = False  # never is everybody left alone

    def __init__(
        self, learner: PeerLearner, options: MajorityOptions, members: Members, seed: int
    ) -> None:
        if learner.task.continuous:
            raise ValueError("majority needs discrete actions: of others no two are the same")
        self.options, self.members = options, members
        self.asked = self.changed = torch.zeros(members.num_agents)

    def __call__(self, asked: Proposals, obs: Tensor) -> tuple[Tensor, Tensor]:
        proposals = asked.everybody()  # [A, P, E]
        votes = torch.nn.functional.one_hot(proposals).sum(1)  # [A, E, actions]
        agents, own = torch.arange(len(proposals)), self.members.own_places
        intended = proposals[agents, own]  # [A, E]
        most, choice = votes.max(-1)
        kept = votes.gather(-1, intended[..., None]).squeeze(-1) == most  # a draw changes nothing
        action = torch.where(kept | (most < self.options.least), intended, choice)
        agrees = proposals == action[:, None]
        followed = agrees.int().argmax(1)  # the first member who proposed it
        followed = torch.where(action == intended, own[:, None], followed)
        self.asked = self.asked + proposals.shape[-1]
        self.changed = self.changed + (action != intended).sum(1)
        return action, followed

    def observe(self, step: AdvisedStep) -> None:
        """Nothing is learnt from what came of it."""

    def begin_epoch(self, epoch: int) -> None:
        """All epochs are alike."""

    def numbers(self) -> dict[str, Tensor]:  # for the rows of metrics; counted anew from here on
        share = self.changed / self.asked
        self.asked = self.changed = torch.zeros_like(self.asked)
        return {"changed": share}

    def tensors(self) -> dict[str, Tensor]:  # what a run has to save of it
        return {"asked": self.asked, "changed": self.changed}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self.asked, self.changed = tensors["asked"], tensors["changed"]
