"""What all learners have in common: agents with random streams of their own, and being saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from socialgrid.lookup import warn_of_misspelt
from socialgrid.models.draws import AgentDraws
from socialgrid.models.finite import NonFiniteError

_FORMAT = 2


class Batch(Protocol):
    """Experience that can be written to a file."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, CPU, contiguous."""
        ...


class StackedLearner(ABC):
    """``A`` independent agents on the leading axis of every tensor that is saved."""

    algorithm: str
    draws: AgentDraws
    """Random numbers of the agents, initial weights aside."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.__module__.startswith("socialgrid."):  # whose methods are tested
            warn_of_misspelt(
                cls, *(one for one in cls.__mro__[1:] if issubclass(one, StackedLearner))
            )

    def __init__(
        self,
        num_agents: int,
        *,
        seed: int,
        device: torch.device | str,
        agent_ids: Sequence[int] | None,
        dump_dir: Path | str | None,
    ) -> None:
        """Begin the agents' random streams.

        Args:
            num_agents: A.
            seed: of the run.
            device: where networks live and updates happen.
            agent_ids: integers that tell the agents' random streams apart, by default 0 to A - 1.
                An agent's draws depend on (seed, id) alone.
            dump_dir: where to write the batch that made something non-finite.

        Raises:
            ValueError: the number of ids does not fit.
        """
        ids = tuple(range(num_agents)) if agent_ids is None else tuple(agent_ids)
        if len(ids) != num_agents:
            raise ValueError(f"{len(ids)} agent_ids for {num_agents} agents")
        self.num_agents = num_agents
        self.agent_ids = tuple(int(agent) for agent in ids)
        self.device = torch.device(device)
        self.dump_dir = None if dump_dir is None else Path(dump_dir)
        self.updates = 0
        self.draws = AgentDraws(seed, self.agent_ids)
        self._learning = torch.ones(num_agents, dtype=torch.bool)

    @abstractmethod
    def _live_tensors(self) -> dict[str, Tensor]:
        """Everything that ``tensors`` copies but what random numbers come from, every one
        ``[A, ...]``.
        """

    @abstractmethod
    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """Change learning rates: one for all agents or one for each."""

    def set_learning(self, mask: Sequence[bool]) -> None:
        """Choose which agents learn from now on; the others stay exactly as they are.

        Raises:
            ValueError: the number of entries is not the number of agents.
        """
        if len(mask) != self.num_agents:
            raise ValueError(f"learning mask of {len(mask)} entries for {self.num_agents} agents")
        self._learning = torch.tensor([bool(m) for m in mask])

    def tensors(self) -> dict[str, Tensor]:
        """What the agents are: flat, CPU, contiguous, every one ``[A, ...]``."""
        found = {**self._live_tensors(), "key": self.draws.keys}
        return {name: x.detach().cpu().clone().contiguous() for name, x in found.items()}

    def check_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Whether ``load_tensors`` would take them.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype differs.
        """
        expected = {**self._live_tensors(), "key": self.draws.keys}
        if expected.keys() != tensors.keys():
            missing = sorted(expected.keys() - tensors.keys())
            unknown = sorted(tensors.keys() - expected.keys())
            raise ValueError(f"learner's tensors: missing {missing}, unknown {unknown}")
        for name, x in expected.items():
            given = tensors[name]
            if given.shape != x.shape or given.dtype != x.dtype:
                raise ValueError(
                    f"learner's tensor {name}: {given.dtype} {tuple(given.shape)}, "
                    f"expected {x.dtype} {tuple(x.shape)}"
                )

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``tensors``.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype differs. Nothing has
                changed then.
        """
        self.check_tensors(tensors)
        with torch.no_grad():
            for name, x in self._live_tensors().items():
                x.copy_(tensors[name])
        self.draws.keys.copy_(tensors["key"])

    def take_agent(self, agent: int) -> dict[str, Tensor]:
        """One agent's part of ``tensors()``, without the agent axis."""
        return {name: x[agent].clone() for name, x in self.tensors().items()}

    def put_agent(self, agent: int, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite one agent with ``take_agent`` of this or another learner.

        Raises:
            ValueError: a name is missing or unknown, or a shape differs. Nothing has changed then.
        """
        everything = self.tensors()
        if everything.keys() != tensors.keys():
            raise ValueError(
                f"agent's tensors: missing {sorted(everything.keys() - tensors.keys())}, "
                f"unknown {sorted(tensors.keys() - everything.keys())}"
            )
        for name, x in everything.items():
            if x.shape[1:] != tensors[name].shape:
                raise ValueError(
                    f"agent's tensor {name}: shape {tuple(tensors[name].shape)}, "
                    f"expected {tuple(x.shape[1:])}"
                )
            x[agent] = tensors[name]
        self.load_tensors(everything)

    def meta(self) -> dict[str, Any]:
        """JSON-able description and counters."""
        return {
            "format": _FORMAT,
            "algorithm": self.algorithm,
            "updates": self.updates,
            "agent_ids": list(self.agent_ids),
        }

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """Inverse of ``meta``.

        Raises:
            ValueError: it is of another format or algorithm.
        """
        for key, own in (("format", _FORMAT), ("algorithm", self.algorithm)):
            if meta.get(key) != own:
                raise ValueError(f"learner's {key} is {meta.get(key)!r}, expected {own!r}")
        self.updates = int(meta["updates"])

    def _check_finite(
        self, what: str, x: Tensor, agents: Sequence[int], batch: Batch | None = None
    ) -> None:
        """Raise for the first agent with a non-finite entry in ``x`` [len(agents), ...]."""
        finite = x.isfinite()
        if bool(finite.all()):
            return
        rows = finite.flatten(1).all(1) if x.dim() > 1 else finite
        agent = agents[int((~rows).nonzero()[0, 0])]
        tensors = {} if batch is None else batch.tensors()
        tensors |= {"values": x.detach().cpu().contiguous()}
        raise NonFiniteError(what, self.updates, agent, self._dump(agent, tensors))

    def _dump(self, agent: int, tensors: Mapping[str, Tensor]) -> Path | None:
        if self.dump_dir is None:
            return None
        from safetensors.torch import save_file  # noqa: PLC0415

        self.dump_dir.mkdir(parents=True, exist_ok=True)
        path = self.dump_dir / f"non-finite-update-{self.updates}-agent-{agent}.safetensors"
        save_file({name: x.clone() for name, x in tensors.items()}, path)
        return path
