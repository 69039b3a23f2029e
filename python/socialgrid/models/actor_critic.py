"""The recurrent actor-critic of ``A`` independent agents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from socialgrid.models.config import ModelConfig, Precision
from socialgrid.models.decision import DecisionHeads
from socialgrid.models.encoders import Encoder
from socialgrid.models.heads import Head
from socialgrid.models.hearing import Hearing
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.models.spec import ViewSpec
from socialgrid.models.streams import agent_generator

Branch = Callable[[Sequence[torch.Generator], "ActorCritic"], nn.Module | None]
"""Makes a further part of a network, from its agents' random streams and the parts before it."""

_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


class ActorCritic(nn.Module):
    """Encoder, LSTM, value and policy head, and further branches, stacked over agents.

    Agents share nothing: every parameter is ``[A, ...]`` and agent ``a`` uses row ``a``. A single
    agent of the default sizes has 668,555 parameters with the auxiliary branch. Its initial
    weights depend on (seed, its id) only, not on the other agents.
    """

    action_mask: Tensor

    def __init__(
        self,
        spec: ViewSpec,
        config: ModelConfig | None = None,
        *,
        hearing: Hearing | None = None,
        branches: Mapping[str, Branch] | None = None,
        seed: int = 0,
        agent_ids: Sequence[int] | None = None,
        precision: Precision = "float32",
    ) -> None:
        """Initialise every agent from its own random stream.

        Args:
            spec: views and numbers of actions.
            config: sizes; the paper's by default.
            hearing: what agents hear besides their views; nothing by default.
            branches: what makes further parts, by name; those that are ``DecisionHeads`` decide
                something in every step.
            seed: of the run.
            agent_ids: one integer >= 0 for each agent, its own within the run; 0 to A - 1 by
                default.
            precision: "bf16": products and activations are bfloat16; else float32. Whether
                products of float32 are rounded to TF32 is torch's own setting.

        Raises:
            ValueError: wrong number of ids, unknown precision, or a view that is too small.
        """
        super().__init__()
        config = config or ModelConfig()
        ids = tuple(range(spec.num_agents)) if agent_ids is None else tuple(agent_ids)
        if len(ids) != spec.num_agents:
            raise ValueError(f"{len(ids)} agent_ids for {spec.num_agents} agents")
        if precision not in _DTYPES:
            raise ValueError(f"precision {precision!r}: must be one of {sorted(_DTYPES)}")
        self.spec, self.config = spec, config
        self.num_agents = spec.num_agents
        self.own_slots = spec.slots
        self.dtype = _DTYPES[precision]
        generators = [agent_generator(seed, agent) for agent in ids]
        self.hearing = hearing or Hearing(slots=spec.slots)
        self.encoder = Encoder(generators, spec, config)
        heard = config.features[-1] + self.hearing.width
        self.lstm = StackedLSTM(generators, heard, config.memory)
        self.value_head = Head(generators, config.memory, config.heads, 1)
        self.policy_head = Head(generators, config.memory, config.heads, spec.num_actions)
        # Drawn last, so that the other weights are the same with and without them.
        self.branches = nn.ModuleDict()
        for name, make in (branches or {}).items():
            branch = make(generators, self)
            if branch is not None:
                self.branches[name] = branch
        self._register_action_mask(spec)

    def _register_action_mask(self, spec: ViewSpec) -> None:
        counts = torch.tensor(spec.action_counts)
        missing = torch.arange(spec.num_actions) >= counts[:, None]
        penalty = torch.zeros(missing.shape).masked_fill_(missing, -1e9)
        self.has_masked_actions = bool(missing.any())
        self.register_buffer("action_mask", penalty[:, None], persistent=False)

    @property
    def state_size(self) -> int:
        """S: numbers in one agent's memory: h, c, and 1 + its last choice of each further head."""
        return 2 * self.config.memory + len(self.further)

    @property
    def further(self) -> dict[str, DecisionHeads]:
        """Heads that decide something besides the action, by name."""
        return {
            name: branch
            for name, branch in self.branches.items()
            if isinstance(branch, DecisionHeads)
        }

    @property
    def heads(self) -> dict[str, ActorCritic | DecisionHeads]:
        """All that decide, with ``logits`` and ``value``: this network the action, and others."""
        return {"action": self, **self.further}

    def prepare(self, obs: Tensor) -> Tensor:
        """Observations ``[..., *obs_shape]`` in the layout ``encode`` reads, still integers."""
        return self.encoder.prepare(obs)

    def encode(self, views: Tensor) -> Tensor:
        """Prepared views ``[A, N, ...]`` to features ``[A, N, features]``."""
        features: Tensor = self.encoder(views, self.dtype)
        return features

    def remember(self, features: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """Unroll the memory.

        Args:
            features: ``[A, T, N, features]``.
            state: float32 ``[A, N, S]`` before the first step.
            reset: bool ``[A, T, N]``.

        Returns:
            ``(h, c)`` after every step, each ``[A, T, N, memory]``.
        """
        memory = self.config.memory
        h, c = state[..., :memory], state[..., memory : 2 * memory]
        outputs: tuple[Tensor, Tensor] = self.lstm(features, h, c, reset)
        return outputs

    def hear(self, features: Tensor, tokens: Tensor | None) -> Tensor:
        """What the memory reads: features ``[..., F]`` and the code of tokens ``[..., K]``."""
        if not self.hearing.columns or tokens is None:
            return features
        return torch.cat((features, self.hearing.one_hot(tokens, features.dtype)), -1)

    def value(self, core: Tensor) -> Tensor:
        """Value estimates float32 ``[A, N]`` of memory outputs ``[A, N, memory]``."""
        value: Tensor = self.value_head(core)
        return value.squeeze(-1)

    def logits(self, core: Tensor) -> Tensor:
        """Policy logits float32 ``[A, N, num_actions]``; -1e9 for actions an agent lacks."""
        logits: Tensor = self.policy_head(core)
        return logits + self.action_mask if self.has_masked_actions else logits

    def step(
        self,
        views: Tensor,
        state: Tensor,
        reset: Tensor,
        tokens: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One step of encoder and memory.

        Args:
            views: prepared, ``[A, N, ...]``.
            state: float32 ``[A, N, S]``.
            reset: bool ``[A, N]``.
            tokens: int16 ``[A, N, K]`` where there are channels.

        Returns:
            memory output ``[A, N, memory]`` and float32 state ``[A, N, S]`` after the step; the
            places of choices in it are 0.
        """
        return self.advance(self.encode(views), state, reset, tokens)

    def advance(
        self, features: Tensor, state: Tensor, reset: Tensor, tokens: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``step`` on features ``[A, N, F]`` instead of views."""
        heard = self.hear(features, tokens)
        h, c = self.remember(heard[:, None], state, reset[:, None])
        parts = [h[:, 0].float(), c[:, 0]]
        parts += [torch.zeros_like(parts[0][..., :1]) for _ in self.further]
        return h[:, 0], torch.cat(parts, -1)

    def parameters_per_agent(self) -> int:
        """Number of parameters of one agent."""
        return sum(p[0].numel() for p in self.parameters())

    def take_agents(self, agents: Sequence[int]) -> ActorCritic:
        """A network of the given agents only, with copies of their parameters."""
        rows = torch.tensor(list(agents), device=self.action_mask.device)
        shared: dict[int, object] = {
            id(self.spec): self.spec,
            id(self.config): self.config,
            id(self.hearing): self.hearing,
            id(self.encoder.first.atlas): self.encoder.first.atlas,
            id(self.action_mask): self.action_mask[rows],
        }
        for p in self.parameters():
            shared[id(p)] = nn.Parameter(p.detach()[rows], requires_grad=p.requires_grad)
        part = copy.deepcopy(self, shared)
        part.num_agents = len(rows)
        part.own_slots = tuple(self.own_slots[agent] for agent in agents)
        return part

    def put_agents(self, agents: Sequence[int], part: ActorCritic) -> None:
        """Overwrite the given agents' parameters with those of ``part``, in this order."""
        with torch.no_grad():
            for p, new in zip(self.parameters(), part.parameters(), strict=True):
                for row, agent in enumerate(agents):
                    p[agent].copy_(new[row])


def take_agent(module: nn.Module, agent: int) -> dict[str, Tensor]:
    """Copies of one agent's parameters by name, without the agent axis."""
    return {name: p.detach()[agent].clone() for name, p in module.named_parameters()}


def put_agent(module: nn.Module, agent: int, parameters: Mapping[str, Tensor]) -> None:
    """Overwrite one agent's parameters with those of ``take_agent``.

    Raises:
        ValueError: a name is missing or unknown, or a shape differs. Nothing has changed then.
    """
    own = dict(module.named_parameters())
    if own.keys() != parameters.keys():
        missing, unknown = sorted(own.keys() - parameters), sorted(parameters.keys() - own.keys())
        raise ValueError(f"agent's parameters: missing {missing}, unknown {unknown}")
    for name, p in own.items():
        if p.shape[1:] != parameters[name].shape:
            raise ValueError(
                f"agent's parameter {name}: shape {tuple(parameters[name].shape)}, "
                f"expected {tuple(p.shape[1:])}"
            )
    with torch.no_grad():
        for name, p in own.items():
            p[agent].copy_(parameters[name])
