"""The places where a social mechanism meets a learner: the action, the reward and the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from socialgrid.models.task_spec import TaskSpec


@dataclass(frozen=True)
class Members:
    """Who is who where peers ask each other: ``groups`` groups of ``size`` members each.

    Members with networks have tasks of their own; the others only give advice. Agent ``a``, of
    ``A = groups * len(owners)``, is member ``owners[a % len(owners)]`` of group
    ``a // len(owners)``.

    Attributes:
        groups: G, groups that know nothing of each other.
        size: P, members of a group, scripted ones included.
        owners: places in the group, ascending, of the members with networks.
    """

    groups: int
    size: int
    owners: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.groups < 1 or self.size < 1:
            raise ValueError(f"{self.groups} groups of {self.size}: at least one of one is needed")
        if not self.owners or list(self.owners) != sorted(set(self.owners) & set(range(self.size))):
            raise ValueError(f"owners {self.owners}: ascending places in a group of {self.size}")

    @property
    def num_agents(self) -> int:
        """A, members with networks of all groups."""
        return self.groups * len(self.owners)

    @property
    def own_places(self) -> Tensor:
        """Place of each agent in its group, int64 ``[A]``."""
        return torch.tensor(self.owners).repeat(self.groups)

    def split(self, x: Tensor) -> Tensor:
        """``[A, ...]`` as ``[G, n, ...]``."""
        return x.reshape(self.groups, len(self.owners), *x.shape[1:])


@dataclass(frozen=True)
class AdvisedStep:
    """One step of all agents' tasks and whose proposals it carried out.

    Attributes:
        obs, next_obs: ``[A, E, *obs_shape]``; ``next_obs`` is the final one where an episode ended.
        action: int64 ``[A, E]`` or float32 ``[A, E, D]``.
        reward: float32 ``[A, E]``.
        terminated, truncated: bool ``[A, E]``.
        followed: int64 ``[A, E]``, place in the group of the member whose action it was.
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminated: Tensor
    truncated: Tensor
    followed: Tensor


class PeerLearner(Protocol):
    """What advice needs of a learner; every off-policy learner without a memory has it."""

    task: TaskSpec
    config: Any
    num_envs: int
    device: torch.device

    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Q_i, ``[A, M, *] x [A, M, K, ...] -> [A, M, K]``."""
        ...

    def values(self, obs: Tensor) -> Tensor:
        """Q_i(s, pi_i(s)), ``[A, M, *] -> [A, M]``."""
        ...

    def propose(
        self, obs: Tensor, *, explore: bool | None = True, rows: Tensor | None = None
    ) -> Tensor:
        """Actions ``[A, M]`` or ``[A, M, D]``; ``explore=None``: as the policies themselves act,
        without noise added to them. ``rows``: int64 ``[A, M]``, which of all observations these
        are.
        """
        ...


class Proposals(Protocol):
    """What the members of every agent's group would do in its state; asked for when it is used.

    However often and for whichever members it is asked, the answers are the same.
    """

    def everybody(self) -> Tensor:
        """Of each of the P members, int64 ``[A, P, E]`` or float32 ``[A, P, E, D]``."""
        ...

    def of(self, places: Tensor) -> Tensor:
        """Of the members at ``places`` in their groups, int64 ``[A, E]``: ``[A, E]`` or
        ``[A, E, D]``.
        """
        ...


class Adviser(Protocol):
    """Decides, for every agent, whose proposal it carries out."""

    @property
    def solo(self) -> bool:
        """Whether agents act alone in the present epoch, as if there were no adviser."""
        ...

    def __call__(self, proposals: Proposals, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Choose.

        Args:
            proposals: of the members of an agent's group.
            obs: ``[A, E, *obs_shape]``, the state.

        Returns:
            actions ``[A, E]`` or ``[A, E, D]``, and the place in the group of the member followed,
            int64 ``[A, E]``, both on the CPU.
        """
        ...

    def observe(self, step: AdvisedStep) -> None:
        """Learn from what came of it."""
        ...

    def begin_epoch(self, epoch: int) -> None:
        """An epoch of training begins; nobody says that number 0 does."""
        ...

    def numbers(self) -> dict[str, Tensor]:
        """What to log, by name, each ``[A, ...]`` or ``[G, ...]``."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything a continuation needs, flat, CPU."""
        ...

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype differs. Nothing has
                changed then.
        """
        ...
